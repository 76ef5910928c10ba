"""The widgets of the plots: they hold a value and draw it."""

from __future__ import annotations

from collections.abc import Callable

from textual.strip import Strip
from textual.widget import Widget

from bpu_host.tui.draw import braille_plot, histogram_plot
from bpu_host.tui.gantt import core_timeline
from bpu_host.tui.scene import Histogram, Series, Timeline

_Draw = Callable[[int, int], list[Strip]]


def _nothing(width: int, height: int) -> list[Strip]:
    return [Strip.blank(width)] * height


class Plot(Widget):
    """A widget whose rows a function of its size draws, once a value or size."""

    DEFAULT_CSS = "Plot { height: 1fr; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002  textual's name for it
        super().__init__(id=id)
        self._draw: _Draw = _nothing
        self._rows: list[Strip] = []
        self._drawn = (-1, -1)

    def render_line(self, y: int) -> Strip:
        size = (self.size.width, self.size.height)
        if size != self._drawn:
            self._drawn = size
            self._rows = self._draw(*size)
        background = self.rich_style
        if y < len(self._rows):
            return self._rows[y].apply_style(background).adjust_cell_length(size[0], background)
        return Strip.blank(size[0], background)

    def _set(self, draw: _Draw) -> None:
        self._draw = draw
        self._drawn = (-1, -1)
        self.refresh()


class BrailleSeries(Plot):
    """Lines of braille dots over the last minute."""

    def show(self, lines: tuple[tuple[Series, str], ...], top: float = 0.0) -> None:
        """`lines`: series and colour; `top`: end of the scale, 0 for one that fits."""
        self._set(lambda width, height: braille_plot(lines, width, height, top=top))


class BlockHistogram(Plot):
    """Durations of function calls."""

    def show(self, histogram: Histogram, slot: int) -> None:
        self._set(lambda width, height: histogram_plot(histogram, slot, width, height))


class CoreTimeline(Plot):
    """Which function calls run on which core, and preemptions."""

    def show(self, timeline: Timeline, *, mono: bool) -> None:
        """`mono`: letters instead of colours."""
        self._set(lambda width, height: core_timeline(timeline, width, height, mono=mono))
