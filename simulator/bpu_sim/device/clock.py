"""Two ways to let device time pass: as fast as possible, or along the wall clock.

Latencies are always read from device time, so both give the same figures and the same event log
for the same submissions; only the moment at which a caller sees an event differs.
"""

from __future__ import annotations

import threading
import time
from typing import TypeAlias


class VirtualClock:
    """Device time jumps from event to event; whoever calls `Chip.run_...` drives it."""


class PacedClock:
    """Device time follows the wall clock, driven by a thread of the chip.

    The thread sleeps to absolute deadlines and spins for the last `spin_ns`, so lateness does not
    add up.

    Attributes:
        speed: device seconds per wall second.
    """

    def __init__(self, speed: float = 1.0, spin_ns: int = 200_000) -> None:
        self.speed = speed
        self._spin_ns = spin_ns
        self._origin_ns: int | None = None

    def start(self) -> None:
        """Device time 0 is now (the first call counts)."""
        if self._origin_ns is None:
            self._origin_ns = time.monotonic_ns()

    @property
    def started(self) -> bool:
        return self._origin_ns is not None

    def now_ns(self) -> int:
        """Device time now; 0 before `start`."""
        if self._origin_ns is None:
            return 0
        return int((time.monotonic_ns() - self._origin_ns) * self.speed)

    def wait(self, until_ns: int | None, changed: threading.Condition) -> bool:
        """Wait for device time `until_ns` (None: without end) or until `changed` is notified.

        The caller holds `changed`; it is released while waiting, except for the final spin.

        Returns:
            True if the time has come, False if something changed first.
        """
        if until_ns is None:
            changed.wait()
            return False
        left_ns = (until_ns - self.now_ns()) / self.speed
        if left_ns > self._spin_ns:
            changed.wait((left_ns - self._spin_ns) * 1e-9)
            return False
        while self.now_ns() < until_ns:
            pass
        return True


Clock: TypeAlias = VirtualClock | PacedClock
