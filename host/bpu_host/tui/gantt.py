"""Drawing the core timeline: which function calls ran when, and who took a core from whom."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style
from textual.strip import Strip

from bpu_host.tui.draw import Canvas, gauge
from bpu_host.tui.palette import (
    BACKGROUND,
    DIM,
    GOOD,
    TEXT,
    TRACK,
    model_colour,
    shade,
    style,
)
from bpu_host.tui.scene import Bar, CoreRow, Timeline, letter
from bpu_host.tui.text import span

_PARTS = 8
"""Positions within a cell that a block character can show."""

_LEFT_BLOCKS = " ▏▎▍▌▋▊▉"
_IDLE = 0

_LEAST_NAME = 6
"""Cells of a name that are worth showing."""


def core_timeline(timeline: Timeline, width: int, height: int, *, mono: bool) -> list[Strip]:
    """Per core: figures, its bars, marks below; a time scale at the bottom.

    Bars are in the colour of their model, two shades in turn so that neighbouring function calls
    can be told apart; without colour they are letters, small and capital in turn.
    """
    canvas = Canvas(width, height)
    cores = timeline.cores
    if not cores or height < 3 or width < 20:
        return canvas.strips()
    each = max(3, (height - 1) // len(cores))
    bars = min(3, each - 2)
    for position, core in enumerate(cores):
        top = position * each
        _figures(canvas, top, core)
        lane = _Lane(canvas, timeline, core, mono)
        lane.bars(top + 1, bars)
        lane.marks(top + 1 + bars)
    _scale(canvas, timeline, min(height - 1, each * len(cores)))
    return canvas.strips()


def _figures(canvas: Canvas, y: int, core: CoreRow) -> None:
    dim = style(DIM)
    x = 0

    def write(text: str, look: Style) -> None:
        nonlocal x
        canvas.put(x, y, text, look)
        x += len(text)

    write(f"core {core.index} ", style(TEXT, bold=True))
    bar = 12 if canvas.width < 100 else 20
    write(gauge(core.utilisation, bar), style(GOOD, TRACK))
    write(f" {core.utilisation:5.1f} %", style(TEXT, bold=True))
    write(f"  {core.calls_per_s:.0f} calls/s", dim)
    write(f"  {core.preemptions} preemptions", dim)
    if canvas.width >= 100:
        write(f"  {core.clock_hz / 1e9:.2f} GHz", dim)
    if core.model:
        write("  ", dim)
        write("▸ " + core.model, style(model_colour(core.slot), bold=True))
        write(f" call {core.call}", dim)
    else:
        write("  idle", dim)


@dataclass(frozen=True, slots=True)
class _Lane:
    """One core's rows of the canvas."""

    canvas: Canvas
    timeline: Timeline
    core: CoreRow
    mono: bool

    def _at(self, time_ns: int, parts: int = 1) -> int:
        """Position of a time, in `parts` of a cell."""
        start_ns, end_ns = self.timeline.start_ns, self.timeline.end_ns
        return (time_ns - start_ns) * self.canvas.width * parts // (end_ns - start_ns)

    def bars(self, y: int, rows: int) -> None:
        """The function calls; the first row has the models' names, the next the calls' numbers."""
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
        if rows > 1:
            for bar in self.core.bars:
                first, end = self._inside(bar)
                text = str(bar.call)
                if end - first > len(text) + 1:
                    self._write(cells, first, y + 1, text, end)

    def marks(self, y: int) -> None:
        """`▲` where a core was taken, in the taker's colour, then the letter of who lost it."""
        for mark in self.core.marks:
            x = min(self.canvas.width - 1, self._at(mark.time_ns))
            self.canvas.put(x, y, "▲", style(model_colour(mark.by), bold=True))
            if self.canvas.free(x + 1, y):
                self.canvas.put(x + 1, y, letter(mark.lost), style(model_colour(mark.lost)))

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
                return "·", style(DIM)
            text = letter(code // 2 - 2)
            return (text.lower() if code % 2 else text), style(TEXT)
        left, right = cell[0], cell[-1]
        border = next((at for at, each in enumerate(cell) if each != left), _PARTS)
        if border == _PARTS:
            return " ", style("", _colour(left))
        middle = cell[border]
        if left == right or middle not in (left, right):
            # Something short lies inside: show it from where it begins.
            right = middle
        return _LEFT_BLOCKS[border], style(_colour(left), _colour(right))

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
            self.canvas.put(at, y, each, style(BACKGROUND, _colour(code), bold=True))


def _colour(code: int) -> str:
    return TRACK if code == _IDLE else shade(model_colour(code // 2 - 2), code % 2 == 1)


def _scale(canvas: Canvas, timeline: Timeline, y: int) -> None:
    """Ticks at round times before now."""
    dim = style(DIM)
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
