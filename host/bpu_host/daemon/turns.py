"""Whose turn it is on one board. A pure state machine: no clock, no thread, no input or output."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from bpu_common.errors import CapacityError

MAX_WAITING = 64
"""Jobs that wait for one board; one more is refused."""


@dataclass(slots=True)
class Turns:
    """One job at a time; the waiting ones by priority (larger first), then arrival."""

    running: int | None = None
    _waiting: list[tuple[int, int, int]] = field(default_factory=list)  # (-priority, arrival, id)
    _arrivals: int = 0

    def add(self, job: int, priority: int) -> None:
        """A job arrives.

        Raises:
            CapacityError: too many wait.
        """
        self.check_room()
        bisect.insort(self._waiting, (-priority, self._arrivals, job))
        self._arrivals += 1

    def check_room(self) -> None:
        """See that one more may wait.

        Raises:
            CapacityError: it may not.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise CapacityError(
                f"{MAX_WAITING} measurements wait for this board",
                hint="wait until one has ended, or cancel some: `bpu jobs`",
            )

    def take(self) -> int | None:
        """Give the board to the next job if it is free; returns that job."""
        if self.running is not None or not self._waiting:
            return None
        self.running = self._waiting.pop(0)[2]
        return self.running

    def leave(self, job: int) -> None:
        """A job is over, or is taken back while it waits."""
        if self.running == job:
            self.running = None
        self._waiting = [entry for entry in self._waiting if entry[2] != job]

    def before(self, job: int) -> tuple[int, ...]:
        """The jobs that a waiting one waits for, the running one first."""
        order = [entry[2] for entry in self._waiting]
        if job not in order:
            return ()
        ahead = tuple(order[: order.index(job)])
        return ahead if self.running is None else (self.running, *ahead)

    @property
    def waiting(self) -> tuple[int, ...]:
        """In the order in which they will run."""
        return tuple(entry[2] for entry in self._waiting)
