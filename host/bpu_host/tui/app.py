"""`TopApp`: holds frames, what the user chose, and the loads; draws ten times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType

from bpu_common.environment import NO_COLOR
from bpu_common.load import LoadRequest
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.dialogs import HelpScreen, LoadDialog
from bpu_host.tui.feed import Feed, Item, LinkChange
from bpu_host.tui.history import History
from bpu_host.tui.loads import LoadControl
from bpu_host.tui.palette import THEME
from bpu_host.tui.screen import MainScreen
from bpu_host.tui.state import SPANS_NS, Link, Note, UiState
from bpu_host.tui.view import view

PLOT_HZ = 10
TABLE_EVERY = 5
"""Tables and texts are refreshed at every fifth drawing (2 Hz): they cost the most."""

MAX_NOTES = 100


class TopApp(App[None]):
    """The terminal program.

    Args:
        feed: started and stopped by the app.
        loads: None where nothing can be started (a recording).
        wall_ns: the clock of this program's own events.
        ticking: draw by a timer; tests call `tick` themselves.
    """

    CSS_PATH = "top.tcss"
    TITLE = "bpu top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        feed: Feed,
        label: str,
        loads: LoadControl | None = None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        zone: tzinfo | None = None,
        ticking: bool = True,
        recording: str = "",
    ) -> None:
        mono = bool(NO_COLOR.value)
        # With the terminal's own colours, textual's NO_COLOR filter takes out all of them;
        # otherwise it would leave shades of grey.
        super().__init__(ansi_color=True if mono else None)
        self._mono = mono
        self._feed = feed
        self._loads = loads
        self._wall_ns = wall_ns
        self._ticking = ticking
        self._history = History()
        self._cursor: int | None = None
        self._ticks = 0
        self._ui = UiState(
            label=label,
            zone=zone or datetime.now().astimezone().tzinfo or UiState().zone,
            recording=recording,
        )
        self._main = MainScreen(mono=mono)

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = "ansi-dark" if self._mono else THEME.name
        self.push_screen(self._main)
        self._feed.start()
        self.call_after_refresh(self.tick, True)
        if self._ticking:
            self.set_interval(1 / PLOT_HZ, self.tick)

    def on_unmount(self) -> None:
        if self._loads is not None:
            self._loads.close()
        self._feed.stop()

    def tick(self, whole: bool = False) -> None:
        """Take in what has come, and draw it; `whole`: tables too, whatever their turn."""
        items = self._feed.take()
        for item in items:
            self._take(item)
        if self._loads is not None:
            for reason in self._loads.take_failures():
                self.note("error", reason)
                whole = True
        self._ticks += 1
        if items or whole:
            self._draw(whole or self._ticks % TABLE_EVERY == 0)

    def note(self, level: str, text: str) -> None:
        """Add a line to the event log."""
        notes = (*self._ui.notes, Note(self._wall_ns(), level, text))
        self._ui = replace(self._ui, notes=notes[-MAX_NOTES:])

    def on_main_screen_chosen(self, message: MainScreen.Chosen) -> None:
        self._ui = replace(self._ui, selected=message.name)
        self._draw(False)

    def action_pause(self) -> None:
        self._cursor = self._history.end if self._cursor is None else None
        self._draw(True)

    def action_step(self, frames: int) -> None:
        """Go back or forward in time; pauses."""
        self._move((self._history.end if self._cursor is None else self._cursor) + frames)

    def action_oldest(self) -> None:
        self._move(self._history.first + 1)

    def action_newest(self) -> None:
        self._cursor = None
        self._draw(True)

    def action_zoom(self, steps: int) -> None:
        at = SPANS_NS.index(self._ui.span_ns) + steps
        self._ui = replace(self._ui, span_ns=SPANS_NS[max(0, min(len(SPANS_NS) - 1, at))])
        self._draw(False)

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_start_load(self) -> None:
        """Ask for a load and start it; the fields begin with the selected model's."""
        chosen = self._selected_model()
        models = list(self._loads.models()) if self._loads is not None else []
        if self._loads is None:
            self.note("warning", "this is a recording: no load can be started")
        elif not models and not chosen:
            self.note("warning", "the board has no model; `bpu deploy` sends one")
        else:
            if chosen and chosen not in models:
                models.append(chosen)
            requests = [load.request for load in self._loads.running()]
            known = next((each for each in requests if each.model == chosen), None)
            first = known or LoadRequest(chosen or models[0])
            self.push_screen(LoadDialog(first, sorted(models)), self._start)
        self._draw(True)

    def action_stop_load(self) -> None:
        """End the loads on the selected model."""
        model = self._selected_model()
        running = () if self._loads is None else self._loads.running()
        if self._loads is not None and any(load.request.model == model for load in running):
            self._loads.stop(model)
        else:
            self.note("warning", f"no load on {model or 'any model'}")
        self._draw(True)

    def _start(self, request: LoadRequest | None) -> None:
        if request is not None and self._loads is not None:
            self._loads.start(request)

    def _selected_model(self) -> str:
        frames = self._history.until(self._history.end)
        names = [model.name for model in frames[-1].models] if frames else []
        chosen = self._ui.selected
        return chosen if chosen in names else names[0] if names else ""

    def _take(self, item: Item) -> None:
        if isinstance(item, TelemetryFrame):
            self._history.add(item)
            if self._cursor is not None:  # the oldest frames leave
                self._cursor = max(self._cursor, self._history.first + 1)
        elif isinstance(item, LinkChange):
            self._change(item)
        else:
            self._ui = replace(self._ui, recording="")
            self.note("warning", item.reason)

    def _change(self, change: LinkChange) -> None:
        before = self._ui
        self._ui = replace(before, link=change.link, detail=change.detail)
        if change.link is Link.LIVE and before.link is Link.LOST:
            self.note("info", "the board is back")
        elif change.link is Link.LOST and before.link is not Link.LOST:
            self.note("error", change.detail)
        elif change.link is Link.ENDED:
            level, text = (
                ("error", change.detail) if change.detail else ("info", "end of recording")
            )
            self.note(level, text)

    def _move(self, cursor: int) -> None:
        first, end = self._history.first + 1, self._history.end
        self._cursor = max(first, min(end, cursor))
        self._draw(True)

    def _draw(self, tables: bool) -> None:
        end = self._history.end if self._cursor is None else self._cursor
        frames = self._history.until(end)
        newest = self._history.until(self._history.end)
        behind_s = (newest[-1].time_ns - frames[-1].time_ns) / 1e9 if frames else 0.0
        self._ui = replace(
            self._ui,
            paused=self._cursor is not None,
            behind_s=max(0.0, behind_s),
            loads=() if self._loads is None else self._loads.running(),
        )
        self._main.show(view(frames, self._ui), tables=tables)
