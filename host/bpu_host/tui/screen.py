"""The main screen: lays the panels out and hands each its part of the view."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from bpu_host.tui.palette import model_colour, style
from bpu_host.tui.panels import events_text, gauges_text, header_text
from bpu_host.tui.scene import Selected, View, letter
from bpu_host.tui.state import Link
from bpu_host.tui.table import ModelTable
from bpu_host.tui.text import milliseconds, span
from bpu_host.tui.widgets import BlockHistogram, BrailleSeries, CoreTimeline


class MainScreen(Screen[None]):
    """Draws a `View`; keys become actions of the app."""

    # Instance variables in the base class, so no ClassVar.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "app.pause", "pause", priority=True),
        Binding("left", "app.step(-1)", "step", key_display="←→", priority=True),
        Binding("right", "app.step(1)", show=False, priority=True),
        Binding("left_square_bracket", "app.step(-10)", show=False),
        Binding("right_square_bracket", "app.step(10)", show=False),
        Binding("home", "app.oldest", show=False, priority=True),
        Binding("end", "app.newest", show=False, priority=True),
        Binding("plus,equals_sign", "app.zoom(-1)", "zoom", key_display="+-"),
        Binding("minus", "app.zoom(1)", show=False),
        Binding("s", "app.start_load", "start load"),
        Binding("x", "app.stop_load", "stop load"),
        Binding("v", "swap", "view", show=False),
        Binding("question_mark", "app.help", "help", key_display="?"),
        Binding("q", "app.quit", "quit"),
    ]

    class Chosen(Message):
        """The cursor is on another model."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, mono: bool) -> None:
        """`mono`: no colour may be used."""
        super().__init__()
        self._mono = mono
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="header")
        models = ModelTable(id="models")
        models.border_title = "Models"
        yield models
        yield CoreTimeline(id="cores")
        with Horizontal(id="plots"):
            yield BrailleSeries(id="latency")
            yield BlockHistogram(id="calls")
            system = Static(id="system")
            system.border_title = "Board"
            yield system
        events = Static(id="events")
        events.border_title = "Events"
        yield events
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(ModelTable).focus()

    def on_resize(self) -> None:
        if self._view is not None:
            self.call_after_refresh(self.show, self._view, tables=True)

    def on_data_table_row_highlighted(self, event: ModelTable.RowHighlighted) -> None:
        if event.row_key.value is not None:
            self.post_message(self.Chosen(event.row_key.value))

    def action_swap(self) -> None:
        """On a narrow screen one of two plots is shown."""
        self.toggle_class("-calls")

    def show(self, view: View, *, tables: bool) -> None:
        """Draw; the table and the texts only with `tables`."""
        self._view = view
        header = self.query_one("#header", Static)
        header.update(header_text(view.header, self.size.width))
        cores = self.query_one(CoreTimeline)
        cores.border_title = f"BPU cores, {span(view.timeline.end_ns - view.timeline.start_ns)}"
        cores.border_subtitle = self._legend(view)
        cores.show(view.timeline, mono=self._mono)
        self._show_selected(view.selected)
        if tables:
            table = self.query_one(ModelTable)
            table.show(view.models, table.size.width)
            system = self.query_one("#system", Static)
            system.update(gauges_text(view.gauges, system.size.width))
            self._show_events(view)
        self.set_class(view.header.link in {Link.LOST, Link.CONNECTING}, "-stale")

    def _show_events(self, view: View) -> None:
        events = self.query_one("#events", Static)
        events.border_subtitle = Content(view.header.detail)
        events.update(events_text(view.events, events.size.width, events.size.height))

    def _show_selected(self, selected: Selected | None) -> None:
        latency, calls = self.query_one(BrailleSeries), self.query_one(BlockHistogram)
        if selected is None:
            latency.border_title, calls.border_title = "Latency", "Function calls"
            latency.show(())
            return
        colour = model_colour(selected.slot)
        title = Text.assemble("Latency of ", (selected.name, style(colour, bold=True)), ", ms")
        latency.border_title = Content.from_rich_text(title)
        latency.border_subtitle = Content.from_rich_text(
            Text.assemble(("━ p99", style(colour)), "  ", ("━ p50", style(_PALE)))
        )
        latency.show(((selected.p99, colour), (selected.p50, _PALE)))
        calls.border_title = Content.from_rich_text(
            Text.assemble("Function calls of ", (selected.name, style(colour, bold=True)))
        )
        found = selected.calls
        calls.border_subtitle = (
            f"{found.total} in 10 s, longest {milliseconds(found.longest_ns)} ms"
            if found.total
            else ""
        )
        calls.show(found, selected.slot)

    def _legend(self, view: View) -> Content:
        text = Text()
        for row in view.models[:6]:
            text.append(f"█{letter(row.slot)} ", style(model_colour(row.slot)))
            text.append(f"{row.name[:16]}  ")
        text.append("▲ preempted")
        return Content.from_rich_text(text)


_PALE = "#e6edf3"
