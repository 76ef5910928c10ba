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
from textual.widget import Widget
from textual.widgets import DataTable, Footer, Static

from bpu_host.tui.gantt import pointed_text
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.panels import events_text, gauges_text, header_text
from bpu_host.tui.scene import Header, ModelRow, Selected, Timeline, View, letter
from bpu_host.tui.state import Link, Order
from bpu_host.tui.table import ModelTable
from bpu_host.tui.text import milliseconds, span
from bpu_host.tui.widgets import BlockHistogram, BrailleSeries, CoreTimeline


class MainScreen(Screen[None]):
    """Draws a `View`; keys become actions of the app."""

    # Instance variables in the base class, so no ClassVar.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall"), (46, "-high")]  # noqa: RUF012

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
        Binding("n", "app.preemption(1)", "jump", key_display="nN"),
        Binding("N", "app.preemption(-1)", show=False),
        Binding("w", "app.worst", show=False),
        Binding("full_stop", "app.call(1)", show=False),
        Binding("comma", "app.call(-1)", show=False),
        Binding("c", "app.other_core", show=False),
        Binding("o", "app.sort", show=False),
        Binding("slash", "app.filter", "filter", show=False),
        Binding("s", "app.start_load", "start load"),
        Binding("x", "app.stop_load", "stop load"),
        Binding("v", "swap", "view", show=False),
        Binding("b", "app.boards", show=False),
        Binding("escape", "app.leave", show=False),
        Binding("question_mark", "app.help", "help", key_display="?"),
        Binding("q", "app.quit", "quit"),
    ]

    class Chosen(Message):
        """The cursor is on another model."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Sorted(Message):
        """The heading of a column was clicked."""

        def __init__(self, order: Order) -> None:
            super().__init__()
            self.order = order

    def __init__(self, palette: Palette, *, mono: bool) -> None:
        """`mono`: no colour may be used."""
        super().__init__()
        self._palette = palette
        self._mono = mono
        self._view: View | None = None
        self._texts: dict[str, Text] = {}
        self._titles: dict[str, tuple[Text, Text]] = {}

    def compose(self) -> ComposeResult:
        palette = self._palette
        yield Static(id="header")
        yield ModelTable(id="models", palette=palette)
        yield CoreTimeline(id="cores", palette=palette, mono=self._mono)
        with Horizontal(id="plots"):
            yield BrailleSeries(id="latency", palette=palette)
            yield BlockHistogram(id="calls", palette=palette)
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
            self._texts.clear()
            self.call_after_refresh(self.show, self._view)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.row_key.value is not None:
            self.post_message(self.Chosen(event.row_key.value))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        for order in Order:
            if order.value and order.value == event.column_key.value:
                self.post_message(self.Sorted(order))

    def action_swap(self) -> None:
        """On a narrow screen one of two plots is shown."""
        self.toggle_class("-calls")

    def show(self, view: View) -> None:
        """Draw everything that has changed."""
        self._view = view
        self.show_moving(view.header, view.timeline)
        self._show_models(view)
        self._show_selected(view.selected)
        gauges = self.query_one("#system", Static)
        self._put(gauges, gauges_text(view.gauges, gauges.size.width, self._palette))
        self._show_events(view)
        self.set_class(view.header.link in {Link.LOST, Link.CONNECTING}, "-stale")

    def show_moving(self, header: Header, timeline: Timeline) -> None:
        """Draw the parts that move with every frame."""
        line = self.query_one("#header", Static)
        self._put(line, header_text(header, self.size.width, self._palette))
        cores = self.query_one(CoreTimeline)
        cores.show(timeline)
        length = span(timeline.end_ns - timeline.start_ns)
        pointed = timeline.pointed
        if pointed is not None:
            legend = Text(pointed_text(pointed, timeline.end_ns))
        else:
            legend = self._legend(self._view.models if self._view else ())
        self._entitle(cores, Text(f"BPU cores, {length}"), legend)

    def _put(self, widget: Static, text: Text) -> None:
        """A new text, if it is one; the widget keeps its size."""
        key = widget.id or ""
        if self._texts.get(key) != text:
            self._texts[key] = text
            widget.update(text, layout=False)

    def _entitle(self, widget: Widget, title: Text, subtitle: Text) -> None:
        """New titles of a border, if they are: each costs a repaint of the whole widget."""
        key = widget.id or ""
        if self._titles.get(key) != (title, subtitle):
            self._titles[key] = (title, subtitle)
            widget.border_title = Content.from_rich_text(title)
            widget.border_subtitle = Content.from_rich_text(subtitle)

    def _show_models(self, view: View) -> None:
        table = self.query_one(ModelTable)
        selected = view.selected.name if view.selected else ""
        table.show(view.models, view.order, table.size.width, selected)
        parts = []
        if view.order is not Order.LOADED:
            parts.append(f"by {view.order.value}")
        if view.wanted or view.hidden:
            parts.append(f"only '{view.wanted}', {view.hidden} hidden")
        self._entitle(table, Text("Models"), Text(", ".join(parts)))

    def _show_events(self, view: View) -> None:
        events = self.query_one("#events", Static)
        self._entitle(events, Text("Events"), Text(view.header.detail))
        width, height = events.size.width, events.size.height
        self._put(events, events_text(view.events, width, height, self._palette))

    def _show_selected(self, selected: Selected | None) -> None:
        latency, calls = self.query_one(BrailleSeries), self.query_one(BlockHistogram)
        if selected is None:
            self._entitle(latency, Text("Latency"), Text(""))
            self._entitle(calls, Text("Function calls"), Text(""))
            latency.show(())
            return
        colour, pale = self._palette.model(selected.slot), self._palette.line
        name = (selected.name, style(colour, bold=True))
        self._entitle(
            latency,
            Text.assemble("Latency of ", name, ", ms"),
            Text.assemble(("━ p99", style(colour)), "  ", ("━ p50", style(pale))),
        )
        latency.show(((selected.p99, colour), (selected.p50, pale)))
        found = selected.calls
        told = f"{found.total} in 10 s, longest {milliseconds(found.longest_ns)} ms"
        self._entitle(
            calls,
            Text.assemble("Function calls of ", name),
            Text(told if found.total else ""),
        )
        calls.show(found, selected.slot)

    def _legend(self, models: tuple[ModelRow, ...]) -> Text:
        text = Text()
        for row in models[:6]:
            text.append(f"█{letter(row.slot)} ", style(self._palette.model(row.slot)))
            text.append(f"{row.name[:16]}  ")
        text.append("▲ preempted")
        return text
