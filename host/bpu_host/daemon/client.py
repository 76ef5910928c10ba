"""The daemon as its clients see it. Everything a board does works without it too."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bpu_common.daemon import (
    HISTORY_NS,
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    LinkState,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.errors import BoardUnreachable, BpuError, DeviceFault
from bpu_common.perf import PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.messages.daemon import frame_from_bytes
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import open_channel
from bpu_common.wire.rpc.daemon_client import DaemonCalls
from bpu_host.daemon.files import DaemonFiles, listens
from bpu_host.daemon.spawn import revive

logger = logging.getLogger(__name__)

_ANSWER_S = 2.0
"""A daemon that does not answer within this time is not used."""

_LIST_S = 10.0
_CANCEL_S = 30.0
_ATTEMPTS = 3  # one that was killed this moment is started again
_DYING_S = 0.1  # a killed process may still accept connections for a moment
_RESOLVE_WAIT_MS = 1500


class Daemon:
    """A connection to the daemon of this user; use it in a `with` block or call `close`.

    Every method may be called from any thread. BoardUnreachable with the daemon's address means
    that the daemon is gone.
    """

    def __init__(self, address: str) -> None:
        """Prepare a connection; nothing is sent before the first call. See `find`."""
        self.address = address
        self._channel = open_channel(parse_address(address))
        self._calls = DaemonCalls(self._channel, address)

    @classmethod
    def find(cls, files: DaemonFiles | None = None) -> Self | None:
        """The daemon that runs; one that was killed is started again. None if there is none."""
        try:
            files = files or DaemonFiles.of_user()
            if not listens(files.socket) and not revive(files):
                return None
            return cls(files.address)
        except BpuError as error:
            logger.debug("no daemon: %s", error)
            return None

    def close(self) -> None:
        """End the connection; a measurement in flight is cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def status(self) -> DaemonStatus:
        """Boards, jobs, memory."""
        with self._own_words():
            return self._calls.status(_ANSWER_S)

    def link(self, board: str, wait_ms: int = _RESOLVE_WAIT_MS) -> BoardLink | None:
        """The connection to a board, waiting for one that is being made; None if unknown."""
        with self._own_words():
            return self._calls.resolve(board, wait_ms, wait_ms / 1000 + _ANSWER_S)

    def resolve(self, board: str) -> str | None:
        """What to dial for a board; None if the daemon is not connected to it."""
        link = self.link(board)
        return link.address if link is not None and link.state is LinkState.UP else None

    def perf(
        self,
        board: str,
        request: PerfRequest,
        progress: Callable[[PerfProgress], None] | None = None,
        on_job: Callable[[Job], None] | None = None,
        *,
        priority: int = 0,
        timeout_s: float | None = None,
    ) -> PerfResult:
        """Measure in the board's queue: nothing else is measured on it meanwhile.

        Args:
            on_job: called whenever the job's place changes; `Job.waits_for` says whom it waits for.
            priority: in the queue, not on the device: larger first.

        Raises:
            UsageError: the daemon does not know the board.
            Cancelled: somebody cancelled the job.
            CapacityError: too many wait.
            BoardUnreachable: the board, or the daemon if `where` is its address.
        """
        job = PerfJobRequest(board, request, priority, _who())
        with self._own_words():
            for event in self._calls.perf(job, timeout_s):
                match event:
                    case PerfResult():
                        return event
                    case PerfProgress():
                        if progress is not None:
                            progress(event)
                    case Job():
                        if on_job is not None:
                            on_job(event)
        raise DeviceFault("the daemon ended the measurement without a result", where=board)

    def jobs(self, board: str = "", limit: int = 0, *, active: bool = False) -> tuple[Job, ...]:
        """Jobs of a board or of all, newest first; active ones in the order they will run."""
        with self._own_words():
            return self._calls.jobs(board, limit, active, _LIST_S)

    def cancel(self, job: int) -> Job:
        """Take a job back; returns it as it is afterwards.

        Raises:
            UsageError: there is no such job, or it is over.
        """
        with self._own_words():
            return self._calls.cancel(job, _CANCEL_S)

    def events(
        self, boards: Sequence[str] = (), history_s: float = 0, *, follow: bool = True
    ) -> Iterator[BoardEvent]:
        """Frames and changes of connections, of these boards (none: all), as the daemon has them.

        The connections' present state comes first, then kept frames, then live ones.
        """
        history_ns = min(int(history_s * 1e9), HISTORY_NS)
        with self._own_words():
            yield from self._calls.watch(WatchRequest(tuple(boards), history_ns, follow))

    def frames(
        self, board: str, history_s: float = 0, *, follow: bool = True
    ) -> Iterator[TelemetryFrame]:
        """Frames of one board, kept ones first, until the iteration is left."""
        for event in self.events((board,), history_s, follow=follow):
            if event.frame:
                yield frame_from_bytes(event.frame)

    def history(self, board: str, history_s: float = HISTORY_NS / 1e9) -> list[TelemetryFrame]:
        """The frames of a board that the daemon has kept."""
        return list(self.frames(board, history_s, follow=False))

    def is_gone(self, error: BpuError) -> bool:
        """The error says that the daemon itself is not there any more."""
        return isinstance(error, BoardUnreachable) and error.where == self.address

    @contextlib.contextmanager
    def _own_words(self) -> Iterator[None]:
        """A lost daemon is not a lost agent."""
        try:
            yield
        except BoardUnreachable as error:
            if not self.is_gone(error):
                raise
            raise BoardUnreachable(
                "the daemon is gone", where=self.address, hint="start it again: `bpud start`"
            ) from None

    def hold(self, board: str) -> Iterator[None]:
        """Answers once when the daemon is away from a board; it is back when this is left."""
        with self._own_words():
            yield from self._calls.hold(board)

    def stop(self) -> None:
        """Ask it to end."""
        with self._own_words():
            self._calls.stop(_ANSWER_S)


def resolve(name: str, files: DaemonFiles | None = None) -> str | None:
    """Where the agent of a board can be dialled through the daemon's connection.

    Returns:
        None if the daemon does not run, does not answer, does not know the board or is not
        connected to it: reach it without the daemon then, which also tells why it fails.
    """
    for _ in range(_ATTEMPTS):
        daemon = Daemon.find(files)
        if daemon is None:
            return None
        with daemon:
            try:
                return daemon.resolve(name)
            except BpuError as error:
                logger.info("the daemon does not help: %s", error)
                if not daemon.is_gone(error):
                    return None
        time.sleep(_DYING_S)
    return None


def measure(
    board: str,
    request: PerfRequest,
    progress: Callable[[PerfProgress], None] | None = None,
    on_job: Callable[[Job], None] | None = None,
    *,
    priority: int = 0,
) -> PerfResult | None:
    """Measure through the daemon, if it runs and knows the board; else None: do it without.

    When the daemon dies meanwhile, the measurement is repeated by the next one, if there is one.

    Raises:
        BpuError: the measurement failed.
    """
    for _ in range(_ATTEMPTS):
        daemon = Daemon.find()
        if daemon is None:
            return None
        with daemon:
            known = False
            try:
                known = daemon.link(board, 0) is not None
                if not known:
                    return None
                return daemon.perf(board, request, progress, on_job, priority=priority)
            except BpuError as error:
                if not daemon.is_gone(error):
                    if known:
                        raise
                    logger.info("the daemon does not help: %s", error)
                    return None
                logger.info("the daemon was lost: %s", error)
        time.sleep(_DYING_S)
    return None


@contextlib.contextmanager
def held(board: str) -> Iterator[None]:
    """Keep the daemon, if it runs, away from a board during the block.

    For whoever ends or replaces the agent on a board: the daemon would start it again.
    """
    daemon = Daemon.find()
    if daemon is None:
        yield
        return
    with daemon:
        away = daemon.hold(board)
        try:
            daemon.status()  # one that hangs is not waited for
            next(away, None)
        except BpuError as error:
            logger.info("the daemon does not help: %s", error)
        yield


def _who() -> str:
    """This program, in words, for those who wait for it."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{program} ({user}, process {os.getpid()})"
