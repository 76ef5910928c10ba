"""Drawing the core timeline: which function calls ran when, and who took a core from whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.style import Style
from textual.strip import Strip

from bpu_host.tui.draw import Canvas, gauge
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.scene import Bar, CoreRow, Pointed, Timeline, letter
from bpu_host.tui.text import gigabytes, milliseconds, span

_PARTS = 8
"""Positions within a cell that a block character can show."""

_LEFT_BLOCKS = " ▏▎▍▌▋▊▉"
_IDLE = 0

_LEAST_NAME = 6
"""Cells of a name that are worth showing."""

MAX_BAR_ROWS = 5


def lane_rows(core_count: int, height: int) -> tuple[int, int]:
    """Rows a core has in `height` rows, and how many of them are bars."""
    each = max(3, (height - 1) // max(1, core_count))
    return each, min(MAX_BAR_ROWS, each - 2)


def place_at(timeline: Timeline, x: int, y: int, width: int, height: int) -> tuple[int, int] | None:
    """Core and device time of a cell, None outside of the lanes."""
    each, _ = lane_rows(len(timeline.cores), height)
    if not (0 <= x < width and 0 <= y < each * len(timeline.cores)):
        return None
    span_ns = timeline.end_ns - timeline.start_ns
    return timeline.cores[y // each].index, timeline.start_ns + (2 * x + 1) * span_ns // (2 * width)


def core_timeline(
    timeline: Timeline, width: int, height: int, palette: Palette, *, mono: bool
) -> list[Strip]:
    """Per core: figures, its bars, marks below; a time scale at the bottom.

    Bars are in the colour of their model, two shades in turn so that neighbouring function calls
    can be told apart; without colour they are letters, small and capital in turn.
    """
    canvas = Canvas(width, height)
    cores = timeline.cores
    if not cores or height < 3 or width < 20:
        return canvas.strips()
    each, bars = lane_rows(len(cores), height)
    for position, core in enumerate(cores):
        top = position * each
        _figures(canvas, top, core, palette)
        lane = _Lane(canvas, timeline, core, palette, mono)
        lane.bars(top + 1, bars)
        lane.marks(top + 1 + bars)
        lane.cursor(top + 1, bars + 1)
    _scale(canvas, timeline, min(height - 1, each * len(cores)), palette)
    return canvas.strips()


def pointed_text(pointed: Pointed, end_ns: int) -> str:
    """One line: what stands at the cursor, so long before now, the most important first."""
    place = f"core {pointed.core}, {milliseconds(end_ns - pointed.time_ns)} ms ago"
    bar = pointed.bar
    if bar is None:
        return f"{place}: idle"
    parts = [f"{place}: {bar.name} #{bar.task} call {bar.call}"]
    parts[0] += f", {milliseconds(pointed.duration_ns)} ms"
    if pointed.next_task >= 0:
        parts.append(f"lost the core to {pointed.next_name} #{pointed.next_task}")
    if pointed.waited_ns:
        others = ", ".join(pointed.waited_for) or "the driver"
        parts.append(f"before it {milliseconds(pointed.waited_ns)} ms parked for {others}")
    parts.append(f"frame on the BPU for {milliseconds(pointed.frame_ns)} ms")
    parts.append(pointed.function)
    return "; ".join(parts)


def _figures(canvas: Canvas, y: int, core: CoreRow, palette: Palette) -> None:
    dim, strong = style(palette.dim), style(palette.text, bold=True)
    wide = canvas.width >= 100
    parts: list[tuple[str, Style]] = [
        (f"core {core.index} ", strong),
        (gauge(core.utilisation, 20 if wide else 12), style(palette.good, palette.track)),
        (f" {core.utilisation:5.1f} %", strong),
        (f"  {core.calls_per_s:.0f} calls/s", dim),
        (f"  {core.preemptions} preemptions", dim),
    ]
    if core.model:
        parts.append(("  ▸ " + core.model, style(palette.model(core.slot), bold=True)))
        parts.append((f" call {core.call}", dim))
    else:
        parts.append(("  idle", dim))
    if wide:
        parts.append((f"  DDR {gigabytes(core.ddr_bytes_per_s)} GB/s", dim))
        if core.ddr_stretch >= 0.0005:
            parts.append((f" +{100 * core.ddr_stretch:.1f} % time", style(palette.warn)))
        parts.append((f"  {core.clock_hz / 1e9:.2f} GHz", dim))
    x = 0
    for text, look in parts:
        if x + len(text) > canvas.width:  # half a figure would be another figure
            break
        canvas.put(x, y, text, look)
        x += len(text)


@dataclass(frozen=True, slots=True)
class _Lane:
    """One core's rows of the canvas."""

    canvas: Canvas
    timeline: Timeline
    core: CoreRow
    palette: Palette
    mono: bool

    def _at(self, time_ns: int, parts: int = 1) -> int:
        """Position of a time, in `parts` of a cell."""
        start_ns, end_ns = self.timeline.start_ns, self.timeline.end_ns
        return (time_ns - start_ns) * self.canvas.width * parts // (end_ns - start_ns)

    def bars(self, y: int, rows: int) -> None:
        """The function calls; rows have, as far as there are some, the models' names, the calls'
        numbers, the frames' numbers and the calls' durations.
        """
        cells = self._cells()
        for x, cell in enumerate(cells):
            character, look = self._look(cell)
            for row in range(rows):
                self.canvas.put(x, y + row, character, look)
        if self.mono:
            return
        for name, first, end in self._runs():
            if end - first > min(len(name), _LEAST_NAME):
                fits = len(name) <= end - first
                self._write(cells, first, y, name, end if fits else end - 1)
        labels: tuple[Callable[[Bar], str], ...] = (
            lambda bar: str(bar.call),
            lambda bar: f"#{bar.task}",
            lambda bar: f"{milliseconds(bar.end_ns - bar.start_ns)} ms",
        )
        for row, label in enumerate(labels[: rows - 1], 1):
            for bar in self.core.bars:
                first, end = self._inside(bar)
                text = label(bar)
                if end - first > len(text) + 1:
                    self._write(cells, first, y + row, text, end)

    def marks(self, y: int) -> None:
        """`▲` where a core was taken, in the taker's colour, then the letter of who lost it."""
        for mark in self.core.marks:
            x = min(self.canvas.width - 1, self._at(mark.time_ns))
            self.canvas.put(x, y, "▲", style(self.palette.model(mark.by), bold=True))
            if self.canvas.free(x + 1, y):
                look = style(self.palette.model(mark.lost))
                self.canvas.put(x + 1, y, letter(mark.lost), look)

    def cursor(self, y: int, rows: int) -> None:
        """A line through the bars and the marks at the cursor."""
        pointed = self.timeline.pointed
        if pointed is not None and pointed.core == self.core.index:
            x = min(self.canvas.width - 1, self._at(pointed.time_ns))
            look = style(self.palette.background, self.palette.text, bold=True)
            for row in range(rows):
                self.canvas.put(x, y + row, "┃", look)

    def _cells(self) -> list[list[int]]:
        """Codes of the calls in each part of each cell: 0 idle, else 2 * (slot + 2) + parity."""
        parts = [_IDLE] * (self.canvas.width * _PARTS)
        for bar in self.core.bars:
            first = self._at(bar.start_ns, _PARTS)
            end = min(len(parts), max(first + 1, self._at(bar.end_ns, _PARTS)))
            parts[first:end] = [2 * (bar.slot + 2) + bar.call % 2] * (end - first)
        return [parts[at : at + _PARTS] for at in range(0, len(parts), _PARTS)]

    def _look(self, cell: list[int]) -> tuple[str, Style]:
        """Character and style of a cell."""
        if self.mono:
            code = max(set(cell), key=lambda each: (each != _IDLE, cell.count(each)))
            if code == _IDLE:
                return "·", style(self.palette.dim)
            text = letter(code // 2 - 2)
            return (text.lower() if code % 2 else text), style(self.palette.text)
        left, right = cell[0], cell[-1]
        border = next((at for at, each in enumerate(cell) if each != left), _PARTS)
        if border == _PARTS:
            return " ", style("", self._colour(left))
        middle = cell[border]
        if left == right or middle not in (left, right):
            # Something short lies inside: show it from where it begins.
            right = middle
        return _LEFT_BLOCKS[border], style(self._colour(left), self._colour(right))

    def _inside(self, bar: Bar) -> tuple[int, int]:
        """The cells that a bar fills whole: first, and after the last."""
        first = -(-self._at(bar.start_ns, _PARTS) // _PARTS)
        return first, min(self.canvas.width, self._at(bar.end_ns, _PARTS) // _PARTS)

    def _runs(self) -> list[tuple[str, int, int]]:
        """Calls of one task without a gap of a cell: model, first cell, cell after the last."""
        found: list[tuple[str, int, int]] = []
        task = -1
        for bar in self.core.bars:
            first, end = self._inside(bar)
            if bar.task == task and found and first - found[-1][2] <= 1:
                found[-1] = (found[-1][0], found[-1][1], end)
            else:
                found.append((bar.name, first, end))
            task = bar.task
        return found

    def _write(self, cells: list[list[int]], x: int, y: int, text: str, limit: int) -> None:
        for at, each in enumerate(text[: limit - x], x):
            cell = cells[at]
            code = max(set(cell), key=cell.count)
            self.canvas.put(
                at, y, each, style(self.palette.background, self._colour(code), bold=True)
            )

    def _colour(self, code: int) -> str:
        if code == _IDLE:
            return self.palette.track
        return self.palette.shade(code // 2 - 2, odd=code % 2 == 1)


def _scale(canvas: Canvas, timeline: Timeline, y: int, palette: Palette) -> None:
    """Ticks at round times before now."""
    dim = style(palette.dim)
    span_ns = timeline.end_ns - timeline.start_ns
    canvas.put(0, y, "─" * canvas.width, dim)
    ticks = 4 if canvas.width < 100 else 5
    for tick in range(ticks):
        before_ns = span_ns * (ticks - tick) // ticks
        x = canvas.width * tick // ticks
        canvas.put(x, y, f"┴ -{span(before_ns)} ", dim)
    canvas.put(canvas.width - 4, y, " now", dim)
    if timeline.dropped:
        text = f" {timeline.dropped} calls not shown "
        canvas.put(canvas.width - 5 - len(text), y, text, dim)
