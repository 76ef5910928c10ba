"""How far predicted times were from published boards: the one owner of these figures.

`tests/timing/test_fit.py` holds them to the recorded counts of the published networks, and the
pages that quote the sentence to it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """Relative errors in percent of predicted times of one thread, one decimal.

    Attributes:
        rows, networks: published times, and the networks they belong to; all took part in the fit.
        left_out: mean when each network is predicted by the constants of all others.
    """

    rows: int
    networks: int
    mean: float
    worst: float
    left_out: float

    @property
    def sentence(self) -> str:
        """For reports, after a colon or a semicolon."""
        return (
            f"on average {self.mean} %, at most {self.worst} % away from {self.rows} published "
            f"times of {self.networks} networks, on which it was fitted ({self.left_out} % for a "
            "network left out of the fit)"
        )


BAND = Band(rows=27, networks=15, mean=2.1, worst=7.7, left_out=2.6)
