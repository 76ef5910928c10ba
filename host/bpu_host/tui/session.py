"""One board on the screen: its frames, what the user chose about it, and its loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo
from typing import NamedTuple

from bpu_common.load import LoadRequest
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.feed import Feed, Item, LinkChange
from bpu_host.tui.history import History
from bpu_host.tui.loads import LoadControl
from bpu_host.tui.scene import BoardRow, Header, Timeline, View
from bpu_host.tui.state import SPANS_NS, Cursor, Link, Note, Order, UiState
from bpu_host.tui.view import head_and_cores, view
from bpu_host.tui.view.boards import board_row
from bpu_host.tui.view.moments import Moment, neighbour, next_preemption, worst_frame
from bpu_host.tui.view.window import wall_ns

MAX_NOTES = 100


class Taken(NamedTuple):
    """What has changed on the screen of a board.

    Attributes:
        fresh: a newer frame is shown; `moved`: with function calls, so that the timeline moves.
        told: something is to say.
    """

    fresh: bool
    moved: bool
    told: bool


class Session:
    """Takes frames in and answers with views; every method is called on the screen's thread.

    Args:
        feed: started by `start`.
        open_loads: asked once, when the board is looked at; None where nothing can be started.
        history: where frames are kept.
    """

    def __init__(
        self,
        feed: Feed,
        label: str,
        open_loads: Callable[[], LoadControl] | None = None,
        *,
        recording: str = "",
        history: History | None = None,
    ) -> None:
        self.ui = UiState(label=label, recording=recording)
        self.wall_ns: Callable[[], int] = lambda: 0
        self._feed = feed
        self._open_loads = open_loads
        self._loads: LoadControl | None = None
        self._stopped_loads: dict[str, LoadRequest] = {}
        self._history = history or History()
        self._position: int | None = None  # the end of what is shown, while paused

    def start(self, wall_ns: Callable[[], int], zone: tzinfo) -> None:
        """Begin to take frames; `wall_ns` is the clock of this program's own events."""
        self.wall_ns = wall_ns
        self.ui = replace(self.ui, zone=zone)
        self._feed.start()

    def open(self) -> None:
        """The board is looked at: its loads are wanted."""
        if self._loads is None and self._open_loads is not None:
            self._loads = self._open_loads()

    def close(self) -> None:
        """End the loads that were started here, then the frames."""
        if self._loads is not None:
            self._loads.close()
        self._feed.stop()

    @property
    def paused(self) -> bool:
        return self._position is not None

    def take(self) -> Taken:
        """Take in what has come."""
        notes, link = self.ui.notes, self.ui.link
        items = self._feed.take()
        for item in items:
            self._take(item)
        for reason in self._loads.take_failures() if self._loads is not None else ():
            self.note("error", reason)
        told = self.ui.notes is not notes or self.ui.link is not link
        moved = any(isinstance(item, TelemetryFrame) and item.slices for item in items)
        running = not self.paused
        return Taken(fresh=running and bool(items), moved=running and moved, told=told)

    def view(self) -> View:
        """Everything that is shown of this board."""
        return view(self._frames(), self._now())

    def head_and_cores(self) -> tuple[Header, Timeline]:
        """The parts that move with every frame."""
        return head_and_cores(self._frames(), self._now())

    def row(self) -> BoardRow:
        """This board among others."""
        return board_row(self._history.until(self._history.end), self.ui)

    def note(self, level: str, text: str) -> None:
        """Add a line to the event log."""
        notes = (*self.ui.notes, Note(self.wall_ns(), level, text))
        self.ui = replace(self.ui, notes=notes[-MAX_NOTES:])

    # -- what is looked at --------------------------------------------------------------------

    def select(self, model: str) -> None:
        self.ui = replace(self.ui, selected=model)

    def sort(self, order: Order | None) -> None:
        """Sort the models; None takes the next order."""
        orders = list(Order)
        wanted = order or orders[(orders.index(self.ui.order) + 1) % len(orders)]
        self.ui = replace(self.ui, order=wanted)

    def want(self, text: str) -> None:
        """Show the models whose name contains `text`."""
        self.ui = replace(self.ui, wanted=text)

    def zoom(self, steps: int) -> None:
        at = SPANS_NS.index(self.ui.span_ns) + steps
        self.ui = replace(self.ui, span_ns=SPANS_NS[max(0, min(len(SPANS_NS) - 1, at))])

    def pause(self) -> None:
        """Pause, or go on at the newest frame."""
        if self.paused:
            self.newest()
        else:
            self._position = self._history.end

    def newest(self) -> None:
        self._position = None
        self.ui = replace(self.ui, cursor=None)

    def oldest(self) -> None:
        self._move(self._history.first + 1)

    def step(self, frames: int) -> None:
        """Go back or forward in time; pauses."""
        self._move((self._history.end if self._position is None else self._position) + frames)

    def point(self, cursor: Cursor) -> None:
        """Put the cursor into the timeline; pauses."""
        if not self.paused:
            self.pause()
        self.ui = replace(self.ui, cursor=cursor)

    def no_cursor(self) -> None:
        self.ui = replace(self.ui, cursor=None)

    def next_call(self, step: int) -> None:
        """The cursor to the next or previous call of its core."""
        moment = self._cursor and neighbour(self._all(), self._cursor, step)
        if moment:
            self._show(moment)

    def other_core(self) -> None:
        """The cursor to the next core, at the same time."""
        frames, cursor = self._frames(), self._cursor
        if cursor is not None:
            indices = [core.index for core in frames[-1].cores]
            at = indices.index(cursor.core) + 1 if cursor.core in indices else 0
            self.point(Cursor(indices[at % len(indices)], cursor.time_ns))

    def next_preemption(self, step: int) -> None:
        """Pause where a core was lost, after or before the cursor or what is shown."""
        frames = self._frames()
        moment = None
        if frames:
            after_ns = self.ui.cursor.time_ns + 1 if self.ui.cursor else frames[-1].time_ns
            moment = next_preemption(self._all(), after_ns, step)
        if moment is None:
            self.note("info", f"no preemption is kept {'after' if step > 0 else 'before'} this")
            return
        self._show(moment)

    def worst_frame(self) -> None:
        """Pause at the selected model's frame that took longest, of the last minute."""
        model = self.selected_model()
        moment = worst_frame(self._frames(), model)
        if moment is None:
            self.note("info", f"no function call of {model or 'any model'} in the last minute")
            return
        took_ns = moment.end_ns - moment.start_ns
        fits = (each for each in SPANS_NS if each >= 1.5 * took_ns)
        self.ui = replace(self.ui, span_ns=next(fits, SPANS_NS[-1]))
        self._show(moment)

    # -- loads --------------------------------------------------------------------------------

    def suggested_load(self) -> tuple[LoadRequest, list[str]] | None:
        """A load to begin with and the models there are; None, and a note, if there can be none."""
        if self._loads is None:
            self.note("warning", "this is a recording: no load can be started")
            return None
        chosen, models = self.selected_model(), list(self._loads.models())
        if not models and not chosen:
            self.note("warning", "the board has no model; `bpu deploy` sends one")
            return None
        if chosen and chosen not in models:
            models.append(chosen)
        known = {load.request.model: load.request for load in reversed(self._loads.running())}
        first = known.get(chosen) or self._stopped_loads.get(chosen)
        return first or LoadRequest(chosen or models[0]), sorted(models)

    def start_load(self, request: LoadRequest | None) -> None:
        if request is not None and self._loads is not None:
            self._loads.start(request)

    def stop_load(self) -> None:
        """End the loads on the selected model."""
        model = self.selected_model()
        running = () if self._loads is None else self._loads.running()
        mine = [load.request for load in running if load.request.model == model]
        if self._loads is not None and mine:
            self._stopped_loads[model] = mine[0]
            self._loads.stop(model)
        else:
            self.note("warning", f"no load on {model or 'any model'}")

    def selected_model(self) -> str:
        """Name of the model whose details are shown, empty without one."""
        selected = view(self._frames()[-1:], self.ui).selected
        return selected.name if selected else ""

    # -- inside -------------------------------------------------------------------------------

    @property
    def _cursor(self) -> Cursor | None:
        """The cursor, or where it begins: at the end of what is shown, on the first core."""
        frames = self._frames()
        if self.ui.cursor is not None or not frames or not frames[-1].cores:
            return self.ui.cursor
        return Cursor(frames[-1].cores[0].index, frames[-1].time_ns)

    def _all(self) -> tuple[TelemetryFrame, ...]:
        return self._history.until(self._history.end)

    def _frames(self) -> tuple[TelemetryFrame, ...]:
        """The frames up to what is shown."""
        return self._history.until(self._history.end if self._position is None else self._position)

    def _now(self) -> UiState:
        newest, frames = self._history.newest, self._frames()
        behind_ns = wall_ns(newest) - wall_ns(frames[-1]) if newest and frames else 0
        self.ui = replace(
            self.ui,
            paused=self.paused,
            behind_s=max(0.0, behind_ns / 1e9),
            loads=() if self._loads is None else self._loads.running(),
        )
        return self.ui

    def _show(self, moment: Moment) -> None:
        """Put the cursor to a moment; time and zoom are changed until it is seen whole."""
        self.point(moment.cursor)
        for margin_ns in (self.ui.span_ns // 4, 0):
            if self._sees(moment):
                return
            self._position = self._frame_at(moment.end_ns + margin_ns)
        while not self._sees(moment) and self.ui.span_ns < SPANS_NS[-1]:
            self.zoom(1)

    def _sees(self, moment: Moment) -> bool:
        frames = self._frames()
        end_ns = frames[-1].time_ns if frames else -1
        return end_ns - self.ui.span_ns <= moment.start_ns and moment.end_ns <= end_ns

    def _frame_at(self, time_ns: int) -> int:
        """Position after the first frame of this boot from device time `time_ns` on."""
        frames = self._all()
        later = (
            at
            for at, frame in enumerate(frames, self._history.first + 1)
            if frame.boot_id == frames[-1].boot_id and frame.time_ns >= time_ns
        )
        return next(later, self._history.end)

    def _move(self, position: int) -> None:
        first, end = self._history.first + 1, self._history.end
        self._position = max(min(first, end), min(end, position))

    def _take(self, item: Item) -> None:
        if isinstance(item, TelemetryFrame):
            self._history.add(item)
            if self._position is not None:  # the oldest frames leave
                self._position = max(self._position, self._history.first + 1)
        elif isinstance(item, LinkChange):
            self._change(item)
        else:
            self.ui = replace(self.ui, recording="")
            self.note("warning", item.reason)

    def _change(self, change: LinkChange) -> None:
        before = self.ui
        replay = change.replay or before.replay
        self.ui = replace(before, link=change.link, detail=change.detail, replay=replay)
        if change.link is Link.LIVE and before.link is Link.LOST:
            self.note("info", "the board is back")
        elif change.link is Link.LOST and before.link is not Link.LOST:
            self.note("error", change.detail)
        elif change.link is Link.ENDED:
            ended = ("error", change.detail) if change.detail else ("info", "end of recording")
            self.note(*ended)
