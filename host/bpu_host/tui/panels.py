"""Text of header, system panel and event log."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from bpu_host.tui.draw import gauge, sparkline
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.scene import Event, Gauges, Header
from bpu_host.tui.state import Link
from bpu_host.tui.text import gigabytes, size, uptime


def link_text(link: Link, palette: Palette) -> Text:
    """`● live` in the colour of how good that is."""
    mark, colour = {
        Link.CONNECTING: ("○", palette.warn),
        Link.LIVE: ("●", palette.good),
        Link.LOST: ("○", palette.bad),
        Link.REPLAY: ("▷", palette.accent),
        Link.ENDED: ("■", palette.dim),
    }[link]
    return Text(f"{mark} {link.value}", style(colour, bold=True))


def header_text(header: Header, width: int, palette: Palette) -> Text:
    """One line: what is shown on the left, how it goes on the right."""
    left, right = header_sides(header, palette, wide=width >= 100)
    right.append(" ")
    room = width - right.cell_len - 1
    if left.cell_len > room:
        left.truncate(max(0, room), overflow="ellipsis")
    left.append(" " * max(1, width - left.cell_len - right.cell_len))
    return left + right


def header_sides(header: Header, palette: Palette, *, wide: bool) -> tuple[Text, Text]:
    """What is shown, and how it goes; where it is not `wide`, without what matters least."""
    dim = style(palette.dim)
    left = Text.assemble((" bpu top ", Style(bold=True, reverse=True)), "  ")
    left.append(header.label, style(palette.text, bold=True))
    if header.device:
        badge = header.device if wide else header.device.partition(",")[0]
        left.append("  ")
        left.append(f" {badge} ", style(palette.background, palette.warn, bold=True))
    if header.machine:
        left.append(f"  {header.machine}", dim)
    if header.stopped:
        left.append("  clock stopped", style(palette.warn, bold=True))
    elif header.late:
        left.append("  clock late", style(palette.warn, bold=True))
    elif header.time:
        left.append(f"  up {uptime(header.uptime_s)}", dim)
    if header.loads:
        left.append(f"  ▶ {header.loads}", style(palette.good))
    right = Text()
    if header.recording:
        right.append(f"● rec {header.recording}  ", style(palette.bad))
    if header.paused:
        right.append(f"❚❚ paused, {header.behind_s:.1f} s behind", style(palette.warn, bold=True))
    else:
        right.append_text(link_text(header.link, palette))
    if header.place:
        right.append(f"  {header.place}", style(palette.accent))
    if header.time and (wide or not header.place):
        right.append(f"  {header.time}", style(palette.text))
    return left, right


def gauges_text(gauges: Gauges | None, width: int, palette: Palette) -> Text:
    """DDR bus, CPU, memory, queue, temperatures."""
    dim, plain = style(palette.dim), style(palette.text)
    if gauges is None:
        return Text("no frame yet", dim)
    bar = max(4, min(20, width - 22))
    lines = [
        _gauge(name, percent, bar, text, colour or palette.load(percent), palette)
        for name, percent, text, colour in _bars(gauges, palette)
    ]
    lines.append(
        Text.assemble(
            ("queue ", dim),
            (f"{gauges.waiting}", style(palette.text, bold=True)),
            (f" waiting, limit {gauges.alive_limit}", dim),
        )
    )
    if gauges.ddr_stretch >= 0.0005:
        stretch = f"+{100 * gauges.ddr_stretch:.1f} %"
        lines.append(
            Text.assemble(("calls take ", dim), (stretch, style(palette.warn)), (" by DDR", dim))
        )
    for name, degrees in gauges.temperatures:
        hot = palette.bad if degrees >= 85 else palette.warn if degrees >= 70 else palette.text
        lines.append(Text.assemble((f"{name} ", dim), (f"{degrees:.1f} °C", style(hot))))
    lines.append(Text.assemble(("agent ", dim), (size(gauges.process_bytes), plain)))
    past = sparkline(gauges.cpu_series, max(1, width - 11), top=100.0)
    lines.append(Text.assemble(("CPU, 60 s  ", dim), (past, style(palette.good))))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def events_text(events: tuple[Event, ...], width: int, height: int, palette: Palette) -> Text:
    """The newest events, newest last."""
    levels = {
        "info": ("info", palette.dim),
        "warning": ("warn", palette.warn),
        "error": ("fail", palette.bad),
    }
    lines = []
    for event in events[-max(0, height) :]:
        label, colour = levels.get(event.level, (event.level[:4], palette.dim))
        line = Text.assemble(
            (f"{event.time}  ", style(palette.dim)),
            (f"{label:4}  ", style(colour)),
            (event.text, style(palette.text)),
        )
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return Text("\n").join(lines)


def _bars(gauges: Gauges, palette: Palette) -> list[tuple[str, float, str, str]]:
    """Name, percent, text and colour (empty: by the percentage)."""
    memory = 100 * gauges.memory_used / gauges.memory_total if gauges.memory_total else 0.0
    queue = 100 * gauges.running / gauges.running_limit if gauges.running_limit else 0.0
    limit = gauges.ddr_limit_bytes_per_s
    bus = 100 * gauges.ddr_bytes_per_s / limit if limit else 0.0
    used = gigabytes(gauges.ddr_bytes_per_s)
    return [
        ("DDR", bus, f"{used}/{gigabytes(limit)} GB/s" if limit else f"{used} GB/s", ""),
        ("CPU", gauges.cpu, f"{gauges.cpu:.0f} %, {gauges.cpu_count} CPUs", ""),
        ("mem", memory, f"{memory:.0f} % {size(gauges.memory_total)}", ""),
        ("tasks", queue, f"{gauges.running}/{gauges.running_limit} running", palette.text),
    ]


def _gauge(name: str, percent: float, width: int, text: str, colour: str, palette: Palette) -> Text:
    return Text.assemble(
        (f"{name:5} ", style(palette.dim)),
        (gauge(percent, width), style(colour, palette.track)),
        (f" {text}", style(palette.text)),
    )
