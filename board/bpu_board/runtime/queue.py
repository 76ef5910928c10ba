"""The runtime's queue: which accepted task goes to the device next.

A pure state machine: no clock, no thread, no I/O. At most `running` tasks are on the device, at
most `alive` are accepted and unfinished (8 and 32 on X3). What waits is ordered by priority
(larger first), then `custom_id` (smaller first), then arrival (decisions 15). A waiting task whose
deadline passes is dropped; a task on the device is never dropped here.
"""

from __future__ import annotations

import enum
from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

from bpu_common.errors import CapacityError
from bpu_common.task import TaskControl

RUNNING_LIMIT = 8
"""Tasks on the device at once; beyond it priorities have no effect (vendor facts, X3)."""

ALIVE_LIMIT = 32
"""Tasks accepted and not finished (vendor_facts 2.1, hbDNNInfer)."""


class ActionKind(enum.Enum):
    """What the owner of the queue has to do for a task."""

    START = "start"  # hand it to the device
    STOP = "stop"  # it is on the device: ask the device to cancel it
    EXPIRE = "expire"  # it was waiting and is dropped: its deadline passed
    CANCEL = "cancel"  # it was waiting and is dropped: its caller took it back


class Action(NamedTuple):
    """One thing to do."""

    kind: ActionKind
    ticket: int


class RuntimeQueue:
    """State machine over tickets (numbers the owner gives to its tasks).

    Every method takes the device time and returns the actions that follow, in order.
    """

    __slots__ = ("_arrivals", "_keys", "_running", "_waiting", "alive_limit", "running_limit")

    def __init__(self, running_limit: int = RUNNING_LIMIT, alive_limit: int = ALIVE_LIMIT) -> None:
        self.running_limit = running_limit
        self.alive_limit = alive_limit
        self._running: set[int] = set()
        self._waiting: list[tuple[int, int, int, int]] = []  # (-priority, custom, arrival, ticket)
        self._keys: dict[int, tuple[tuple[int, int, int, int], int | None]] = {}
        self._arrivals = 0

    @property
    def running(self) -> int:
        """Tasks on the device."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Tasks accepted and not yet on the device."""
        return len(self._waiting)

    @property
    def alive(self) -> int:
        return len(self._running) + len(self._waiting)

    def submit(self, ticket: int, control: TaskControl, now_ns: int) -> Sequence[Action]:
        """Accept a task.

        Raises:
            CapacityError: the queue is full even after dropping what has expired; nothing changed.
        """
        running, waiting, deadline_ns = self._running, self._waiting, control.deadline_ns
        if deadline_ns is None and not waiting and len(running) < self.running_limit:
            running.add(ticket)  # the usual case
            return (Action(ActionKind.START, ticket),)
        expired: list[Action] = []
        if self.alive >= self.alive_limit:
            if not any(self._is_late(entry[3], now_ns) for entry in self._waiting):
                raise self._full()
            expired = self._drop_expired(now_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            return [*expired, Action(ActionKind.EXPIRE, ticket)]
        key = (-control.priority, control.custom_id, self._arrivals, ticket)
        self._arrivals += 1
        insort(self._waiting, key)
        self._keys[ticket] = (key, deadline_ns)
        return [*expired, *self._fill(now_ns)]

    def finished(self, ticket: int, now_ns: int) -> Sequence[Action]:
        """A task on the device reached a final event. Unknown tickets are ignored."""
        if ticket not in self._running:
            return ()
        self._running.remove(ticket)
        return self._fill(now_ns) if self._waiting else ()

    def cancel(self, ticket: int, now_ns: int) -> Sequence[Action]:
        """The caller takes a task back. Finished or unknown tickets are ignored.

        A task on the device stays counted as running until `finished`.
        """
        if ticket in self._running:
            return (Action(ActionKind.STOP, ticket),)
        if ticket not in self._keys:
            return ()
        self._remove(ticket)
        return [Action(ActionKind.CANCEL, ticket), *self._fill(now_ns)]

    def expire(self, now_ns: int) -> Sequence[Action]:
        """Drop the waiting tasks whose deadline is not after `now_ns`."""
        return self._drop_expired(now_ns)

    def next_deadline_ns(self) -> int | None:
        """The earliest deadline of a waiting task."""
        deadlines = [deadline for _, deadline in self._keys.values() if deadline is not None]
        return min(deadlines, default=None)

    def _fill(self, now_ns: int) -> list[Action]:
        actions = self._drop_expired(now_ns)
        while self._waiting and len(self._running) < self.running_limit:
            ticket = self._waiting.pop(0)[3]
            del self._keys[ticket]
            self._running.add(ticket)
            actions.append(Action(ActionKind.START, ticket))
        return actions

    def _is_late(self, ticket: int, now_ns: int) -> bool:
        deadline_ns = self._keys[ticket][1]
        return deadline_ns is not None and deadline_ns <= now_ns

    def _drop_expired(self, now_ns: int) -> list[Action]:
        late = [entry[3] for entry in self._waiting if self._is_late(entry[3], now_ns)]
        for ticket in late:
            self._remove(ticket)
        return [Action(ActionKind.EXPIRE, ticket) for ticket in late]

    def _remove(self, ticket: int) -> None:
        key, _ = self._keys.pop(ticket)
        self._waiting.remove(key)

    def _full(self) -> CapacityError:
        return CapacityError(
            f"{self.alive_limit} tasks are alive already, no more are accepted "
            "(HB_DNN_TASK_NUM_EXCEED_LIMIT)",
            hint="wait for a task to finish before submitting the next, or use fewer threads",
        )
