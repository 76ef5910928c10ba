"""The event kernel: a heap of actions in integer nanoseconds, with written tie rules.

Actions at the same time run by priority (`Tie`, smaller first), then in the order they were put in.
Nothing else decides the order, so the same inputs give the same log on every machine.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

Action: TypeAlias = Callable[[int, Any], None]
"""Takes the time at which it runs and what it was put in with."""


class Tie(enum.IntEnum):
    """Order of actions that fall on the same nanosecond."""

    COMPLETION = 0  # function calls and CPU steps end, interrupts arrive
    ARRIVAL = 1  # tasks and function calls are submitted or cancelled
    WATCHDOG = 2  # supervision looks last


TIE_SHIFT = 48
"""A tie stands above the number that `Kernel.order()` gives."""

COMPLETION, ARRIVAL, WATCHDOG = (int(tie) << TIE_SHIFT for tie in Tie)
"""What to add to `Kernel.order()` for each tie: a kernel counts no further than 2^48."""

_FOREVER = 1 << 62


class Kernel:
    """Simulated time and what is to happen in it.

    Attributes:
        now_ns: time of the action that runs, or of the last one that ran.
        heap: (time, order, action, argument) of what is to happen. Whoever schedules several times
            a frame pushes here itself, with a time that is not past and `order()` plus the number
            of the tie.
        order: gives the next number.
    """

    __slots__ = ("heap", "now_ns", "order")

    def __init__(self) -> None:
        self.now_ns = 0
        self.heap: list[tuple[int, int, Action, Any]] = []
        self.order: Callable[[], int] = itertools.count().__next__

    def at(self, time_ns: int, tie: Tie, action: Action, argument: object = None) -> None:
        """Run `action(time, argument)` at `time_ns`; a time in the past means now."""
        order = (int(tie) << TIE_SHIFT) + self.order()
        heappush(self.heap, (max(time_ns, self.now_ns), order, action, argument))

    def next_ns(self) -> int | None:
        """Time of the next action, None if there is none."""
        return self.heap[0][0] if self.heap else None

    def step(self) -> None:
        """Advance to the next action and run it."""
        self.now_ns, _, action, argument = heappop(self.heap)
        action(self.now_ns, argument)

    def run(self, until_ns: int | None, outbox: list[Any]) -> bool:
        """Run actions that are due by `until_ns` (None: all) until one puts something in `outbox`.

        Returns:
            False once nothing is due.
        """
        heap, pop, last_ns = self.heap, heappop, _FOREVER if until_ns is None else until_ns
        while heap and heap[0][0] <= last_ns:
            now_ns, _, action, argument = pop(heap)
            self.now_ns = now_ns
            action(now_ns, argument)
            if outbox:
                return True
        return False

    def advance(self, time_ns: int) -> None:
        """Move the time forward while nothing happens; earlier actions must have run."""
        self.now_ns = max(self.now_ns, time_ns)

    def leap(self, time_ns: int) -> None:
        """All times are later by `time_ns`."""
        self.now_ns += time_ns
        self.heap[:] = [(entry[0] + time_ns, *entry[1:]) for entry in self.heap]

    def __len__(self) -> int:
        return len(self.heap)
