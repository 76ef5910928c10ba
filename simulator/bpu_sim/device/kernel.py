"""The event kernel: a heap of actions in integer nanoseconds, with written tie rules.

Actions at the same time run by priority (`Tie`, smaller first), then in the order they were put in.
Nothing else decides the order, so the same inputs give the same log on every machine.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Tie(enum.IntEnum):
    """Order of actions that fall on the same nanosecond."""

    COMPLETION = 0  # function calls and CPU steps end, interrupts arrive
    ARRIVAL = 1  # tasks and function calls are submitted or cancelled
    WATCHDOG = 2  # supervision looks last


class Kernel:
    """Simulated time and what is to happen in it.

    Attributes:
        now_ns: time of the action that runs, or of the last one that ran.
    """

    __slots__ = ("_counter", "_heap", "now_ns")

    def __init__(self) -> None:
        self.now_ns = 0
        self._heap: list[tuple[int, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._counter = 0

    def at(self, time_ns: int, tie: int, action: Callable[..., None], *arguments: object) -> None:
        """Run `action(*arguments)` at `time_ns`; a time in the past means now."""
        self._counter = counter = self._counter + 1
        now_ns = self.now_ns
        if time_ns < now_ns:
            time_ns = now_ns
        heappush(self._heap, (time_ns, tie, counter, action, arguments))

    def next_ns(self) -> int | None:
        """Time of the next action, None if there is none."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Advance to the next action and run it."""
        self.now_ns, _, _, action, arguments = heappop(self._heap)
        action(*arguments)

    def run(self, until_ns: int | None, outbox: list[Any]) -> bool:
        """Run actions that are due by `until_ns` (None: all) until one puts something in `outbox`.

        Returns:
            False once nothing is due.
        """
        heap = self._heap
        while heap:
            if until_ns is not None and heap[0][0] > until_ns:
                return False
            self.now_ns, _, _, action, arguments = heappop(heap)
            action(*arguments)
            if outbox:
                return True
        return False

    def advance(self, time_ns: int) -> None:
        """Move the time forward while nothing happens; earlier actions must have run."""
        self.now_ns = max(self.now_ns, time_ns)

    def __len__(self) -> int:
        return len(self._heap)
