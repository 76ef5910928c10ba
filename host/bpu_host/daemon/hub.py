"""All boards of the inventory: their links, what is known of them, their telemetry.

Everything here happens on the event loop; links report to it from their threads.
"""

from __future__ import annotations

import asyncio
import difflib
import heapq
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from bpu_common.daemon import BoardEvent, BoardLink, LinkState, WatchRequest
from bpu_common.errors import BoardUnreachable, BpuError, UsageError
from bpu_common.wire.messages.daemon import without_slices
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.daemon.backoff import Backoff
from bpu_host.daemon.history import History, KeptFrame
from bpu_host.daemon.link import Link, OpenRoute
from bpu_host.daemon.watchers import Watchers

logger = logging.getLogger(__name__)

HISTORY_BYTES = 128 << 20
"""Memory for the telemetry of all boards together."""

MOST_BOARD_BYTES = 32 << 20
"""Memory for the telemetry of one board."""

_TICK_S = 0.5
_STOP_S = 3.0
_YIELD_FRAMES = 64  # while a long history is sent, others get their turn after so many


@dataclass(slots=True)
class _Board:
    """What the loop knows of one board."""

    link: Link
    known: BoardLink
    history: History
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    retry_at_ns: int = 0


class Hub:
    """Links to every board of the inventory, from `start` to `stop`."""

    def __init__(self, inventory: Inventory, open_route: OpenRoute) -> None:
        self._inventory = inventory
        self._open_route = open_route
        self._boards: dict[str, _Board] = {}
        self._watchers = Watchers()
        self._held: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._inventory_state: tuple[int, int, int] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.inventory_error = ""

    async def start(self) -> None:
        await self._read_inventory()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> bool:
        """End every link; whether all have ended (one may hang in the network)."""
        self._stopping.set()
        if self._ticker is not None:
            self._ticker.cancel()
        links = [board.link for board in self._boards.values()]
        self._boards.clear()
        self._watchers.end()
        for link in links:
            link.stop()
        end_s = time.monotonic() + _STOP_S

        def join() -> bool:
            ended = [link.join(max(0.0, end_s - time.monotonic())) for link in links]
            return all(ended)

        return await asyncio.to_thread(join)

    # ---- what is known -------------------------------------------------------------------------

    def links(self) -> tuple[BoardLink, ...]:
        """Every board, by name."""
        return tuple(self._state(board) for _, board in sorted(self._boards.items()))

    @property
    def history_bytes(self) -> int:
        return sum(board.history.size_bytes for board in self._boards.values())

    @property
    def watcher_count(self) -> int:
        return len(self._watchers)

    async def find(self, name: str, wait_s: float) -> BoardLink | None:
        """A board's connection, as it is once the attempt that runs has ended, or the time.

        A board that waits for its next attempt is tried at once.

        Returns:
            None if there is no such board.
        """
        board = await self._known(name)
        if board is None:
            return None
        attempts = board.known.attempts
        if board.known.state is LinkState.DOWN:
            board.link.nudge()

        def settled() -> bool:
            return board.known.state is LinkState.UP or board.known.attempts > attempts

        await self._wait(board, settled, wait_s)
        return self._state(board)

    async def connected(self, name: str, wait_s: float, after: int = 0) -> BoardLink:
        """A board's connection, up, and a later one than number `after`.

        Raises:
            UsageError: there is no such board.
            BoardUnreachable: it is not connected within the time.
        """
        board = await self._known(name)
        if board is None:
            raise self._missing(name)
        if board.known.state is LinkState.DOWN:
            board.link.nudge()

        def ready() -> bool:
            return board.known.state is LinkState.UP and board.known.connections > after

        if not await self._wait(board, ready, wait_s):
            reason = board.known.error or f"not connected within {wait_s:g} s"
            raise BoardUnreachable(reason, where=name, hint="see `bpud status`")
        return self._state(board)

    async def check_known(self, name: str) -> None:
        """See that there is such a board.

        Raises:
            UsageError: there is not.
        """
        if await self._known(name) is None:
            raise self._missing(name)

    async def _known(self, name: str) -> _Board | None:
        if name not in self._boards:
            await self._read_inventory()  # it may have been added this moment
        return self._boards.get(name)

    async def _wait(self, board: _Board, condition: Callable[[], bool], wait_s: float) -> bool:
        """Until a condition holds that changes of the connection bring about; whether it does."""
        end_s = time.monotonic() + wait_s
        while not condition():
            left_s = end_s - time.monotonic()
            if left_s <= 0 or self._boards.get(board.known.board) is not board:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(board.changed.wait(), left_s)
        return True

    def _missing(self, name: str) -> BpuError:
        """The error for a name that is not a board's, or not at present."""
        if self._held[name]:
            return BoardUnreachable("its installation is being changed", where=name)
        near = difflib.get_close_matches(name, self._boards, 1)
        hint = f"did you mean {near[0]}?" if near else "`bpu boards list` shows those there are"
        return UsageError(f"no board {name!r} in the inventory", hint=hint)

    async def hold(self, name: str) -> AsyncGenerator[None, None]:
        """Leave a board alone from the first answer to the end; what was kept of it is forgotten.

        Whoever changes a board's installation must be alone: we would start its agent again.
        """
        self._held[name] += 1
        try:
            board = self._boards.pop(name, None)
            if board is not None:
                board.link.stop()
                await asyncio.to_thread(board.link.join, _STOP_S)
            yield None
            await self._stopping.wait()
        finally:
            self._held[name] -= 1
            self._inventory_state = None  # the next tick takes it again

    # ---- telemetry -----------------------------------------------------------------------------

    async def watch(self, request: WatchRequest) -> AsyncGenerator[BoardEvent, None]:
        """The state of the connections, kept frames of all boards by time, then live ones.

        Raises:
            UsageError: a board that is not in the inventory.
            CapacityError: too many read already.
        """
        for name in request.boards:
            await self.check_known(name)
        # From here to the first await nothing can come in between: no gap, no frame twice.
        watcher = self._watchers.open(frozenset(request.boards))
        try:
            chosen = [b for name, b in sorted(self._boards.items()) if watcher.wants(name)]
            states = [self._state(board) for board in chosen]
            from_ns = time.monotonic_ns() - request.history_ns
            kept = [
                _named(board.known.board, board.history.since(from_ns))
                for board in (chosen if request.history_ns else ())
            ]
            for state in states:
                yield BoardEvent(state.board, link=state)
            for count, (name, frame) in enumerate(heapq.merge(*kept, key=lambda x: x[1].at_ns)):
                age_ns = max(0, time.monotonic_ns() - frame.at_ns)
                yield BoardEvent(name, age_ns, frame.data)
                if count % _YIELD_FRAMES == 0:
                    await asyncio.sleep(0)
            if request.follow:
                async with aclosing(watcher.events()) as events:
                    async for event in events:
                        yield event
        finally:
            self._watchers.close(watcher)

    # ---- from the links' threads ---------------------------------------------------------------

    def connecting(self, link: Link) -> None:
        self._post(self._change, link, lambda known: replace(known, state=LinkState.CONNECTING))

    def up(self, link: Link, address: str) -> None:
        def change(known: BoardLink) -> BoardLink:
            return replace(
                known,
                state=LinkState.UP,
                address=address,
                attempts=0,
                error="",
                error_code="",
                connections=known.connections + 1,
            )

        self._post(self._change, link, change)

    def down(self, link: Link, error: BpuError, attempts: int, retry_s: float) -> None:
        def change(known: BoardLink) -> BoardLink:
            return replace(
                known,
                state=LinkState.DOWN,
                address="",
                attempts=attempts,
                error=f"{error.message}\n  hint: {error.hint}" if error.hint else error.message,
                error_code=error.code,
            )

        retry_at_ns = time.monotonic_ns() + int(retry_s * 1e9)
        self._post(self._change, link, change, retry_at_ns)

    def frame(self, link: Link, data: bytes) -> None:
        self._post(self._keep, link, data, time.monotonic_ns())

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: the daemon ends
            logger.debug("a link reported after the end")

    # ---- on the loop ---------------------------------------------------------------------------

    def _board_of(self, link: Link) -> _Board | None:
        """The board of a link; None once the link has been replaced."""
        board = self._boards.get(link.entry.name)
        return board if board is not None and board.link is link else None

    def _change(
        self, link: Link, change: Callable[[BoardLink], BoardLink], retry_at_ns: int = 0
    ) -> None:
        board = self._board_of(link)
        if board is None:
            return
        name = link.entry.name
        known = change(board.known)
        if known.state is not board.known.state:
            known = replace(known, since_wall_ns=time.time_ns())
            level = logging.INFO if known.state is LinkState.UP else logging.DEBUG
            logger.log(level, "%s is %s", name, known.state.value)
        board.known = known
        board.retry_at_ns = retry_at_ns
        board.changed.set()
        board.changed = asyncio.Event()
        self._watchers.put(BoardEvent(name, link=self._state(board)), time.monotonic_ns())

    def _keep(self, link: Link, data: bytes, at_ns: int) -> None:
        board = self._board_of(link)
        if board is not None:
            board.history.append(data, at_ns)
            self._watchers.put(BoardEvent(link.entry.name, frame=data), at_ns)

    def _state(self, board: _Board) -> BoardLink:
        now_ns = time.monotonic_ns()
        oldest_ns = board.history.oldest_ns
        down = board.known.state is LinkState.DOWN
        return replace(
            board.known,
            retry_in_ns=max(0, board.retry_at_ns - now_ns) if down else 0,
            history_frames=board.history.count,
            history_bytes=board.history.size_bytes,
            history_span_ns=0 if oldest_ns is None else now_ns - oldest_ns,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self._read_inventory()
            now_ns = time.monotonic_ns()
            for board in self._boards.values():
                board.history.trim(now_ns)
                board.link.cut_if_stalled()

    async def _read_inventory(self) -> None:
        """Read the file if it has changed; a damaged one changes nothing."""
        state = _file_state(self._inventory)
        if state == self._inventory_state:
            return
        try:
            entries = await asyncio.to_thread(self._inventory.entries)
        except (BpuError, OSError) as error:
            self.inventory_error = str(error)
            logger.warning("%s", error)
        else:
            self.inventory_error = ""
            self._apply(entries)
        self._inventory_state = state

    def _apply(self, entries: Iterable[BoardEntry]) -> None:
        wanted = {entry.name: entry for entry in entries if not self._held[entry.name]}
        for name in list(self._boards):
            if wanted.get(name) != self._boards[name].link.entry:
                logger.info("%s: entry removed or changed", name)
                self._boards.pop(name).link.stop()
        for name, entry in wanted.items():
            if name not in self._boards:
                link = Link(entry, self._open_route, self, Backoff())
                known = BoardLink(name, LinkState.CONNECTING, since_wall_ns=time.time_ns())
                self._boards[name] = _Board(link, known, History(0, thin=without_slices))
                link.start()
        share = min(MOST_BOARD_BYTES, HISTORY_BYTES // max(1, len(self._boards)))
        for board in self._boards.values():
            board.history.set_limit(share)


def _named(name: str, frames: Iterator[KeptFrame]) -> Iterator[tuple[str, KeptFrame]]:
    return ((name, frame) for frame in frames)


def _file_state(inventory: Inventory) -> tuple[int, int, int]:
    try:
        found = inventory.path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)
