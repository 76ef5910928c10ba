"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_S = 0.2
MOST_S = 4.0
"""A board that comes back is found again within this time."""

PATIENT_FAILURES = 20
MOST_LATER_S = 30.0
"""After so many failures in a row (about a minute) the waits grow to this: nobody is there, or the
board refuses us, and its log should not fill. Whoever asks for the board ends the wait."""


@dataclass(slots=True)
class Backoff:
    """Exponential back-off: each failure doubles the wait, up to a limit, less up to a half of it.

    The random part keeps many clients from coming back at the same instant.
    """

    random: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def failed(self) -> float:
        """Count a failure; returns the seconds to wait."""
        doublings = min(self.failures, 20)
        wait_s: float = min(FIRST_S * 2**doublings, MOST_S)
        if self.failures >= PATIENT_FAILURES:
            wait_s = min(MOST_S * 2 ** min(self.failures - PATIENT_FAILURES, 20), MOST_LATER_S)
        self.failures += 1
        return wait_s * self.random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Begin again with the shortest wait."""
        self.failures = 0
