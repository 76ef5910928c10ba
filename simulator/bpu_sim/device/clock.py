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


CATCH_UP_NS = 20_000_000
"""A simulation that is behind by no more than this catches up; what is beyond is lost time."""

_BREATH_NS = 2_000_000
"""A simulation that is behind lets other threads run each time it has worked for so long."""
_PAUSE_S = 50e-6


class PacedClock:
    """Device time follows the wall clock, driven by a thread of the chip.

    The thread sleeps to absolute times, so lateness does not add up. Where this computer cannot
    simulate as fast as time passes the clock is set back to where the simulation is: device time
    then runs slower than the wall clock, and `late_ns` says by how much.

    Attributes:
        speed: device seconds per wall second.
        late_ns: device time that was lost since the start.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.late_ns = 0
        self._origin_ns: int | None = None
        self._rested_ns = 0

    def start(self) -> None:
        """Device time 0 is now (the first call counts)."""
        if self._origin_ns is None:
            self._origin_ns = time.monotonic_ns()

    @property
    def started(self) -> bool:
        return self._origin_ns is not None

    def now_ns(self) -> int:
        """Device time as it should be; 0 before `start`. The simulation may be behind."""
        if self._origin_ns is None:
            return 0
        return int((time.monotonic_ns() - self._origin_ns) * self.speed) - self.late_ns

    def wait(self, until_ns: int | None, changed: threading.Condition) -> int | None:
        """Wait for device time `until_ns` (None: without end) or until `changed` is notified.

        The caller holds `changed`; it is released while waiting.

        Returns:
            The device time if `until_ns` has come, None if something changed first.
        """
        if until_ns is None:
            changed.wait()
            self._rested_ns = time.monotonic_ns()
            return None
        now_ns = self.now_ns()
        if now_ns < until_ns:
            changed.wait((until_ns - now_ns) / self.speed * 1e-9)
            self._rested_ns = time.monotonic_ns()
            return None
        lost_ns = now_ns - until_ns - CATCH_UP_NS
        if lost_ns > 0:
            self.late_ns += lost_ns
            now_ns -= lost_ns
        if time.monotonic_ns() - self._rested_ns > _BREATH_NS:
            changed.wait(_PAUSE_S)
            self._rested_ns = time.monotonic_ns()
            return None
        return now_ns


Clock: TypeAlias = VirtualClock | PacedClock
