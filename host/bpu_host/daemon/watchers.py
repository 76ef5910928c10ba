"""Readers of live telemetry. Each has a queue of its own; a slow one loses the oldest events."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from bpu_common.daemon import BoardEvent
from bpu_common.errors import CapacityError

MAX_WATCHERS = 32
MAX_EVENTS = 1024
MAX_BYTES = 8 << 20
"""What one reader's queue holds at most. Readers share the frames; only references are theirs."""


@dataclass(frozen=True, slots=True)
class _Queued:
    event: BoardEvent
    at_ns: int


class Watcher:
    """One reader; use on the event loop only."""

    def __init__(self, boards: frozenset[str]) -> None:
        self._boards = boards
        self._queue: deque[_Queued] = deque()
        self._bytes = 0
        self._dropped = 0
        self._arrived = asyncio.Event()
        self._ended = False

    def wants(self, board: str) -> bool:
        return not self._boards or board in self._boards

    def put(self, event: BoardEvent, at_ns: int) -> None:
        """Queue an event; makes room by dropping the oldest ones."""
        self._queue.append(_Queued(event, at_ns))
        self._bytes += len(event.frame)
        while len(self._queue) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._queue) > 1):
            oldest = self._queue.popleft()
            self._bytes -= len(oldest.event.frame)
            self._dropped += 1
        self._arrived.set()

    def end(self) -> None:
        """No more will come: `events` ends after what is queued."""
        self._ended = True
        self._arrived.set()

    async def events(self) -> AsyncGenerator[BoardEvent, None]:
        """Events as they come."""
        while True:
            while self._queue:
                queued = self._queue.popleft()
                self._bytes -= len(queued.event.frame)
                dropped, self._dropped = self._dropped, 0
                age_ns = max(0, time.monotonic_ns() - queued.at_ns)
                yield replace(queued.event, age_ns=age_ns, dropped=dropped)
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()


class Watchers:
    """All readers."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def open(self, boards: frozenset[str]) -> Watcher:
        """A new reader of these boards (none: all).

        Raises:
            CapacityError: there are too many.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise CapacityError(
                f"{MAX_WATCHERS} readers of telemetry are connected", hint="close some of them"
            )
        watcher = Watcher(boards)
        self._watchers.add(watcher)
        return watcher

    def close(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def put(self, event: BoardEvent, at_ns: int) -> None:
        """Give an event to every reader that wants it."""
        for watcher in self._watchers:
            if watcher.wants(event.board):
                watcher.put(event, at_ns)

    def end(self) -> None:
        for watcher in self._watchers:
            watcher.end()
