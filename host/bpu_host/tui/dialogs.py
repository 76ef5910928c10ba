"""Questions over the main screen: a load to start, and the help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.validation import Integer, Number
from textual.widgets import Button, Input, Label, Select, Static

from bpu_common.load import MAX_RATE_HZ, LoadRequest
from bpu_common.perf import MAX_THREADS
from bpu_host.tui.palette import Palette, style
from bpu_host.tui.view import plain

KEYS = (
    ("space", "pause, and go on at the newest frame"),
    ("← →  [ ]", "step by one frame, by ten"),
    ("home end", "oldest frame kept (10 minutes), newest"),
    ("n  N", "pause at the next or previous preemption"),
    ("w", "pause at the model's longest frame of a minute"),
    (",  .  c", "cursor to the call before, after; to another core"),
    ("+ -  wheel", "show less or more time in the core timeline"),
    ("↑ ↓  click", "select a model; in the timeline: place the cursor"),
    ("o  /", "sort models (or click a heading), show some"),
    ("s  x", "start a load, stop those of the selected model"),
    ("v", "on a narrow screen: latency or function calls"),
    ("b  esc", "to all boards; esc first ends cursor and filter"),
    ("?  q ctrl+c", "this help, quit"),
)

MEANINGS = (
    ("FPS", "frames done a second, mean of 2 s"),
    ("p50 p99", "latency from submit to done, over the last 10 s"),
    ("wait BPU CPU", "p50 of its parts: waiting, BPU cores, CPU"),
    ("queue", "frames on the device + accepted but not yet on it"),
    ("load", "▶ submitted by the board: threads×core, or rate"),
    ("took lost", "preemptions: it took a core, it lost one; so far or /s"),
    ("parked", "ms a second its frames stood still after a loss, for whom"),
    ("DDR", "traffic of the cores; + % time: calls longer by sharing it"),
    ("miss", "deadlines missed, frames failed or refused"),
    ("▲A", "model A lost the core here, to the one that follows"),
    ("shades", "of a bar: each stripe is one function call"),
)


class LoadDialog(ModalScreen[LoadRequest | None]):
    """Threads, core, priority and rate of a load; answers None if it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, suggestion: LoadRequest, models: Sequence[str]) -> None:
        """`suggestion`: what the fields hold at first; `models`: what there is to choose."""
        super().__init__()
        self._load = suggestion
        self._models = models

    def compose(self) -> ComposeResult:
        load = self._load
        threads = Input(str(load.threads), id="threads", type="integer")
        threads.validators = [Integer(1, MAX_THREADS)]
        priority = Input(str(load.priority), id="priority", type="integer")
        priority.validators = [Integer(0, 255)]
        rate = Input(f"{load.rate_hz:g}", id="rate", type="number")
        rate.validators = [Number(0, MAX_RATE_HZ)]
        cores = Select(
            [("any core", 0), ("core 0", 1), ("core 1", 2)],
            value=load.core_id,
            allow_blank=False,
            id="core",
        )
        models = Select(
            [(plain(name), name) for name in self._models],
            value=load.model,
            allow_blank=False,
            id="model",
        )
        with Vertical(id="dialog") as box:
            box.border_title = "Start a load"
            for label, field, meaning in (
                ("model", models, ""),
                ("threads", threads, f"frames in flight, 1-{MAX_THREADS}"),
                ("core", cores, ""),
                ("priority", priority, "0-255; 255 preempts"),
                ("rate", rate, "frames/s; 0: next when one is done"),
            ):
                with Horizontal(classes="field"):
                    yield Label(label)
                    yield field
                    yield Label(meaning, classes="meaning")
            yield Label("", id="problem")
            with Horizontal(id="buttons"):
                yield Button("Start", variant="primary", id="start")
                yield Button("Back", id="back")

    def on_mount(self) -> None:
        self.query_one("#threads", Input).focus()

    def on_input_submitted(self) -> None:
        self._start()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "start":
            self._start()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)

    def _start(self) -> None:
        for field in self.query(Input):
            result = field.validate(field.value)
            if result is not None and not result.is_valid:
                reason = "; ".join(result.failure_descriptions)
                self.query_one("#problem", Label).update(Text(f"{field.id}: {reason}"))
                field.focus()
                return
        model = self.query_one("#model", Select).value
        core = self.query_one("#core", Select).value
        self.dismiss(
            LoadRequest(
                model if isinstance(model, str) else self._load.model,
                threads=int(self.query_one("#threads", Input).value),
                core_id=core if isinstance(core, int) else 0,
                priority=int(self.query_one("#priority", Input).value),
                rate_hz=float(self.query_one("#rate", Input).value),
            )
        )


class HelpScreen(ModalScreen[None]):
    """Keys, and what the columns mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,space,enter", "dismiss", "Back")
    ]

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self._palette = palette

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="dialog") as box:
            box.border_title = "bpu top"
            box.border_subtitle = "esc: back"
            yield Static(_table("Keys", KEYS, self._palette))
            yield Static(_table("Meaning", MEANINGS, self._palette))


class FilterDialog(ModalScreen[str | None]):
    """A part of the names of the models to show; answers None if it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, wanted: str) -> None:
        """`wanted`: what the field holds at first."""
        super().__init__()
        self._wanted = wanted

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = "Show models whose name contains"
            box.border_subtitle = "enter: show; empty: all"
            yield Input(self._wanted, id="wanted", compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        self.dismiss(None)


def _table(title: str, rows: tuple[tuple[str, str], ...], palette: Palette) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=13)
    table.add_column()
    table.add_row(Text(title, style(palette.dim)), "")
    for key, meaning in rows:
        look = style(palette.accent, bold=True)
        table.add_row(Text(key, look), Text(meaning, style(palette.text)))
    return table
