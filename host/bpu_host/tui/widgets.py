"""The widgets of the plots: they hold a value and draw it."""

from __future__ import annotations

from collections.abc import Callable

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bpu_host.tui.draw import braille_plot, histogram_plot
from bpu_host.tui.gantt import core_timeline, place_at
from bpu_host.tui.palette import Palette
from bpu_host.tui.scene import Histogram, Series, Timeline
from bpu_host.tui.state import Cursor

_Draw = Callable[[int, int], list[Strip]]


def _nothing(width: int, height: int) -> list[Strip]:
    return [Strip.blank(width)] * height


class Plot(Widget):
    """A widget whose rows a function of its size draws; only rows that changed are repainted."""

    DEFAULT_CSS = "Plot { height: 1fr; }"

    def __init__(self, *, id: str, palette: Palette) -> None:  # noqa: A002  textual's name for it
        super().__init__(id=id)
        self._palette = palette
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
            return self._rows[y].apply_style(background)
        return Strip.blank(size[0], background)

    def _set(self, draw: _Draw) -> None:
        self._draw = draw
        width, height = self.size.width, self.size.height
        if (width, height) != self._drawn or not self.display:
            self._drawn = (-1, -1)
            self.refresh()
            return
        before, self._rows = self._rows, draw(width, height)
        pairs = enumerate(zip(before, self._rows, strict=True))
        changed = [Region(0, y, width, 1) for y, (old, new) in pairs if old != new]
        if changed:
            self.refresh(*changed)


class BrailleSeries(Plot):
    """Lines of braille dots over the last minute."""

    def show(self, lines: tuple[tuple[Series, str], ...]) -> None:
        """`lines`: series and colour."""
        self._set(lambda width, height: braille_plot(lines, width, height, self._palette))


class BlockHistogram(Plot):
    """Durations of function calls."""

    def show(self, histogram: Histogram, slot: int) -> None:
        self._set(
            lambda width, height: histogram_plot(histogram, slot, width, height, self._palette)
        )


class CoreTimeline(Plot):
    """Which function calls run on which core, and preemptions. A click points, the wheel zooms."""

    class Pointed(Message):
        """The mouse has chosen a place."""

        def __init__(self, cursor: Cursor) -> None:
            super().__init__()
            self.cursor = cursor

    class Zoomed(Message):
        """The wheel was turned: -1 for less time, 1 for more."""

        def __init__(self, steps: int) -> None:
            super().__init__()
            self.steps = steps

    def __init__(self, *, id: str, palette: Palette, mono: bool) -> None:  # noqa: A002
        """`mono`: letters instead of colours."""
        super().__init__(id=id, palette=palette)
        self._mono = mono
        self._timeline = Timeline(0, 1, ())

    def show(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._set(
            lambda width, height: core_timeline(
                timeline, width, height, self._palette, mono=self._mono
            )
        )

    def on_click(self, event: Click) -> None:
        at = event.get_content_offset(self)
        if at is not None:
            place = place_at(self._timeline, at.x, at.y, self.size.width, self.size.height)
            if place is not None:
                self.post_message(self.Pointed(Cursor(*place)))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Zoomed(-1))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Zoomed(1))
