"""Where frames come from: a board, the daemon, a recording."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bpu_common.daemon import HISTORY_NS, LinkState
from bpu_common.errors import BoardUnreachable, BpuError, InputError
from bpu_common.telemetry import TELEMETRY_PERIOD_NS, TelemetryFrame
from bpu_common.telemetry.lines import read_frames, recorded_span
from bpu_common.wire.messages.daemon import frame_from_bytes
from bpu_host.client import connect
from bpu_host.remote import Board
from bpu_host.tui.state import Replay
from bpu_host.tui.view.window import wall_ns

if TYPE_CHECKING:
    from bpu_host.daemon.client import Daemon

HISTORY_S = HISTORY_NS / 1e9
TELEMETRY_PERIOD_MS = TELEMETRY_PERIOD_NS // 1_000_000

MAX_PAUSE_S = 2.0
"""A replay never waits longer than this between two frames (a gap of hours in a recording)."""


class FrameSource(Protocol):
    """One stream of telemetry frames.

    Attributes:
        label: what the header calls it (an address, a file name).
        lasting: whether `frames` may be called again after it failed or ended (a board comes back,
            a recording does not).
        replay: what is known of a recording once its first frame has come; None for a board.
    """

    label: str
    lasting: bool
    replay: Replay | None

    def frames(self) -> Iterator[TelemetryFrame]:
        """Frames in order of time; ends when the source has no more, or after `close`.

        Raises:
            BpuError: the source cannot be read (board unreachable, broken recording).
        """
        ...

    def close(self) -> None:
        """Make a `frames` that waits on another thread end soon."""
        ...


class BoardSource:
    """The telemetry stream of an agent; `frames` connects anew each time it is called."""

    lasting = True
    replay: Replay | None = None

    def __init__(
        self, address: str, label: str = "", *, period_ms: int = TELEMETRY_PERIOD_MS
    ) -> None:
        """Nothing is dialled before `frames`.

        Args:
            address: whatever `client.connect` takes.
        """
        self.label = label or address
        self._address = address
        self._period_ms = period_ms
        self._board: Board | None = None
        self._closed = False
        self._lock = threading.Lock()

    def frames(self) -> Iterator[TelemetryFrame]:
        board = connect(self._address)
        with board:
            with self._lock:
                if self._closed:
                    return
                self._board = board
            yield from board.telemetry(self._period_ms)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._board is not None:
                self._board.close()


class NamedSource:
    """A board of the inventory: through the daemon if it runs, with what it kept, else directly.

    The daemon is looked for each time `frames` is called, so either may come and go.

    Args:
        history_s: how far back the first stream of the daemon begins.
        period_ms: between frames, where they come from the board directly.
    """

    lasting = True
    replay: Replay | None = None

    def __init__(
        self, board: str, *, history_s: float = HISTORY_S, period_ms: int = TELEMETRY_PERIOD_MS
    ) -> None:
        self.label = board
        self._board = board
        self._history_s = history_s
        self._direct = BoardSource(board, period_ms=period_ms)
        self._daemon: Daemon | None = None
        self._closed = False
        self._lock = threading.Lock()

    def frames(self) -> Iterator[TelemetryFrame]:
        daemon = self._find()
        if daemon is None:
            yield from self._direct.frames()
            return
        with daemon:
            for event in daemon.events((self._board,), self._history_s):
                link = event.link
                if link is not None and link.state is LinkState.DOWN:
                    raise BoardUnreachable(
                        link.error or "the daemon is not connected to it", where=self._board
                    )
                if event.frame:
                    self._history_s = 0.0  # a second stream goes on where the first one ended
                    yield frame_from_bytes(event.frame)

    def close(self) -> None:
        self._direct.close()
        with self._lock:
            self._closed = True
            if self._daemon is not None:
                self._daemon.close()

    def _find(self) -> Daemon | None:
        """The daemon, if it runs and knows the board."""
        from bpu_host.daemon.client import Daemon

        daemon = Daemon.find()
        if daemon is None:
            return None
        try:
            known = daemon.link(self._board, 0) is not None
        except BpuError:
            known = False
        with self._lock:
            if known and not self._closed:
                self._daemon = daemon
                return daemon
        daemon.close()
        return None


class RecordingSource:
    """A recorded stream, at the pace of its time stamps.

    Args:
        speed: recorded seconds per second; 0 gives the frames without waiting.
        sleep: waits so many seconds, or less if the source was closed.
    """

    lasting = False

    def __init__(
        self,
        path: Path,
        *,
        speed: float = 1.0,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.label = path.name
        self.replay: Replay | None = Replay(0, 0, speed)
        self._path = path
        self._speed = speed
        self._closed = threading.Event()
        self._sleep = self._closed.wait if sleep is None else sleep

    def frames(self) -> Iterator[TelemetryFrame]:
        self.replay = self._whole()
        due_s = time.monotonic()
        before: TelemetryFrame | None = None
        for frame in read_frames(self._path):
            if self._speed > 0 and before is not None and before.boot_id == frame.boot_id:
                pause_s = (frame.time_ns - before.time_ns) / 1e9 / self._speed
                due_s += min(max(pause_s, 0.0), MAX_PAUSE_S)
                left_s = due_s - time.monotonic()
                if left_s > 0:
                    self._sleep(left_s)
            if self._closed.is_set():
                return
            before = frame
            yield frame

    def close(self) -> None:
        self._closed.set()

    def _whole(self) -> Replay:
        try:
            span = recorded_span(self._path)
        except InputError:  # what is broken is said when the frames come to it
            span = None
        first, last = (0, 0) if span is None else map(wall_ns, span)
        return Replay(first, last, self._speed)
