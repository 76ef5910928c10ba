"""`TopApp`: boards that are watched, keys, and when what is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from bpu_common.environment import NO_COLOR
from bpu_common.load import LoadRequest
from bpu_host.tui.dialogs import FilterDialog, HelpScreen, LoadDialog
from bpu_host.tui.overview import BoardsScreen
from bpu_host.tui.palette import DARK, THEMES, Palette
from bpu_host.tui.screen import MainScreen
from bpu_host.tui.session import Session
from bpu_host.tui.widgets import CoreTimeline

WHOLE_EVERY_S = 1.0
"""Header and timeline are drawn at each interval, everything else so often: it costs the most."""


class TopApp(App[None]):
    """The terminal program.

    Args:
        sessions: the boards; with several of them the overview comes first.
        interval_s: between drawings.
        wall_ns: the clock of this program's own events.
        ticking: draw by a timer; tests call `tick` themselves.
    """

    CSS_PATH = "top.tcss"
    TITLE = "bpu top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        sessions: Sequence[Session],
        palette: Palette = DARK,
        *,
        interval_s: float = 0.25,
        wall_ns: Callable[[], int] = time.time_ns,
        zone: tzinfo | None = None,
        ticking: bool = True,
    ) -> None:
        mono = bool(NO_COLOR.value)
        # With the terminal's own colours, textual's NO_COLOR filter takes out all of them;
        # otherwise it would leave shades of grey.
        super().__init__(ansi_color=True if mono else None)
        self._theme_name = "ansi-dark" if mono else palette.theme
        self._sessions = tuple(sessions)
        self._session = self._sessions[0]
        self._interval_s = interval_s
        self._wall_ns = wall_ns
        self._zone = zone or datetime.now().astimezone().tzinfo or UTC
        self._ticking = ticking
        self._ticks = 0
        self._fresh = True  # something is not drawn yet
        self._palette = palette
        self._main = MainScreen(palette, mono=mono)
        self._boards = BoardsScreen(palette) if len(self._sessions) > 1 else None

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._theme_name
        for session in self._sessions:
            session.start(self._wall_ns, self._zone)
        if self._boards is not None:
            self.push_screen(self._boards)
        else:
            self._open(self._session)
        self.call_after_refresh(self.tick, True)
        if self._ticking:
            self.set_interval(self._interval_s, self.tick)

    def on_unmount(self) -> None:
        for session in self._sessions:
            session.close()

    def tick(self, whole: bool = False) -> None:
        """Take in what has come, and draw it; `whole`: everything, whatever its turn."""
        moved = False
        watched = self._sessions if self._over_boards else (self._session,)
        for session in self._sessions:
            taken = session.take()
            if session in watched:
                self._fresh |= taken.fresh
                moved |= taken.moved
                whole |= taken.told
        self._ticks += 1
        turn = self._ticks % max(1, round(WHOLE_EVERY_S / self._interval_s)) == 0
        if whole or (self._fresh and turn):
            self._draw()
        elif not self._over_boards and (moved or (turn and self._session.paused)):
            self._main.show_moving(*self._session.head_and_cores())

    def on_main_screen_chosen(self, message: MainScreen.Chosen) -> None:
        self._session.select(message.name)
        self._draw()

    def on_main_screen_sorted(self, message: MainScreen.Sorted) -> None:
        self._session.sort(message.order)
        self._draw()

    def on_core_timeline_pointed(self, message: CoreTimeline.Pointed) -> None:
        self._session.point(message.cursor)
        self._draw()

    def on_core_timeline_zoomed(self, message: CoreTimeline.Zoomed) -> None:
        self.action_zoom(message.steps)

    def on_boards_screen_opened(self, message: BoardsScreen.Opened) -> None:
        self._open(self._sessions[message.index])
        self.call_after_refresh(self._draw)

    def action_boards(self) -> None:
        """Back to all boards, if there are several."""
        if self._boards is not None and self.screen is self._main:
            self.pop_screen()
            self._draw()

    def action_leave(self) -> None:
        """Take the cursor away, then the filter, then go back to the boards."""
        if self._session.ui.cursor is not None:
            self._session.no_cursor()
        elif self._session.ui.wanted:
            self._session.want("")
        else:
            self.action_boards()
        self._draw()

    def action_pause(self) -> None:
        self._session.pause()
        self._draw()

    def action_step(self, frames: int) -> None:
        self._session.step(frames)
        self._draw()

    def action_oldest(self) -> None:
        self._session.oldest()
        self._draw()

    def action_newest(self) -> None:
        self._session.newest()
        self._draw()

    def action_zoom(self, steps: int) -> None:
        self._session.zoom(steps)
        self._draw()

    def action_preemption(self, step: int) -> None:
        self._session.next_preemption(step)
        self._draw()

    def action_worst(self) -> None:
        self._session.worst_frame()
        self._draw()

    def action_call(self, step: int) -> None:
        self._session.next_call(step)
        self._draw()

    def action_other_core(self) -> None:
        self._session.other_core()
        self._draw()

    def action_sort(self) -> None:
        self._session.sort(None)
        self._draw()

    def action_filter(self) -> None:
        self.push_screen(FilterDialog(self._session.ui.wanted), self._want)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self._palette))

    def action_start_load(self) -> None:
        """Ask for a load and start it; the fields begin with the selected model's."""
        suggested = self._session.suggested_load()
        if suggested is not None:
            self.push_screen(LoadDialog(*suggested), self._start)
        self._draw()

    def action_stop_load(self) -> None:
        self._session.stop_load()
        self._draw()

    def _start(self, request: LoadRequest | None) -> None:
        self._session.start_load(request)

    def _want(self, text: str | None) -> None:
        if text is not None:
            self._session.want(text)
        self._draw()

    @property
    def _over_boards(self) -> bool:
        """The overview is what the user looks at, perhaps below a dialog."""
        return self._boards is not None and self._main not in self.screen_stack

    def _open(self, session: Session) -> None:
        self._session = session
        session.open()
        self.push_screen(self._main)

    def _draw(self) -> None:
        self._fresh = False
        if self._boards is not None and self._over_boards:
            self._boards.show([session.row() for session in self._sessions])
        else:
            self._main.show(self._session.view())
