"""Text of header, system panel and event log."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from bpu_host.tui.draw import gauge, sparkline
from bpu_host.tui.palette import BAD, DIM, GOOD, TEXT, TRACK, WARN, load_colour, style
from bpu_host.tui.scene import Event, Gauges, Header
from bpu_host.tui.state import Link
from bpu_host.tui.text import size, uptime

_LEVELS = {"info": ("info", DIM), "warning": ("warn", WARN), "error": ("fail", BAD)}
_LINKS = {Link.CONNECTING: WARN, Link.LIVE: GOOD, Link.LOST: BAD, Link.ENDED: DIM}


def header_text(header: Header, width: int) -> Text:
    """One line: what is shown on the left, how it goes on the right."""
    left = Text.assemble((" bpu top ", Style(bold=True, reverse=True)), "  ")
    left.append(header.label, style(TEXT, bold=True))
    if header.machine:
        left.append(f"  {header.machine}", style(DIM))
    if header.time:
        left.append(f"  up {uptime(header.uptime_s)}", style(DIM))
    if header.loads:
        left.append(f"  ▶ {header.loads}", style(GOOD))
    right = Text()
    if header.recording:
        right.append(f"● rec {header.recording}  ", style(BAD))
    if header.paused:
        right.append(f"❚❚ paused, {header.behind_s:.1f} s behind", style(WARN, bold=True))
    else:
        mark = "●" if header.link is Link.LIVE else "○"
        right.append(f"{mark} {header.link.value}", style(_LINKS[header.link], bold=True))
    if header.time:
        right.append(f"  {header.time} ", style(TEXT))
    room = width - right.cell_len - 1
    if left.cell_len > room:
        left.truncate(max(0, room), overflow="ellipsis")
    left.append(" " * max(1, width - left.cell_len - right.cell_len))
    return left + right


def gauges_text(gauges: Gauges | None, width: int) -> Text:
    """CPU, memory, queue, temperatures."""
    if gauges is None:
        return Text("no frame yet", style(DIM))
    bar = max(4, min(20, width - 22))
    memory = 100 * gauges.memory_used / gauges.memory_total if gauges.memory_total else 0.0
    queue = 100 * gauges.running / gauges.running_limit if gauges.running_limit else 0.0
    lines = [
        _gauge("CPU", gauges.cpu, bar, f"{gauges.cpu:.0f} %, {gauges.cpu_count} CPUs"),
        _gauge("mem", memory, bar, f"{memory:.0f} % {size(gauges.memory_total)}"),
        _gauge("tasks", queue, bar, f"{gauges.running}/{gauges.running_limit} running", TEXT),
        Text.assemble(
            ("queue ", style(DIM)),
            (f"{gauges.waiting}", style(TEXT, bold=True)),
            (f" waiting, limit {gauges.alive_limit}", style(DIM)),
        ),
    ]
    for name, degrees in gauges.temperatures:
        hot = BAD if degrees >= 85 else WARN if degrees >= 70 else TEXT
        lines.append(Text.assemble((f"{name} ", style(DIM)), (f"{degrees:.1f} °C", style(hot))))
    lines.append(Text.assemble(("agent ", style(DIM)), (size(gauges.process_bytes), style(TEXT))))
    past = sparkline(gauges.cpu_series, max(1, width - 11), top=100.0)
    lines.append(Text.assemble(("CPU, 60 s  ", style(DIM)), (past, style(GOOD))))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def events_text(events: tuple[Event, ...], width: int, height: int) -> Text:
    """The newest events, newest last."""
    lines = []
    for event in events[-max(0, height) :]:
        label, colour = _LEVELS.get(event.level, (event.level[:4], DIM))
        line = Text.assemble(
            (f"{event.time}  ", style(DIM)),
            (f"{label:4}  ", style(colour)),
            (event.text, style(TEXT)),
        )
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return Text("\n").join(lines)


def _gauge(name: str, percent: float, width: int, text: str, colour: str = "") -> Text:
    return Text.assemble(
        (f"{name:5} ", style(DIM)),
        (gauge(percent, width), style(colour or load_colour(percent), TRACK)),
        (f" {text}", style(TEXT)),
    )
