"""How much an output says: the standard deviation of its values over all samples."""

from __future__ import annotations

import math

import numpy as np

from bpu_common.tensor import AnyArray


class Spread:
    """Count, mean and squared distances of all finite values, sample by sample."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, array: AnyArray) -> None:
        """Note the values of one sample."""
        values = array[np.isfinite(array)].astype(np.float64)
        if not values.size:
            return
        mean = float(values.mean())
        moved, whole = mean - self._mean, self._count + values.size
        # Sums of squares would lose the digits of values far from zero.
        between = moved * moved * self._count * values.size / whole
        self._squares += float(np.square(values - mean).sum()) + between
        self._mean += moved * values.size / whole
        self._count = whole

    @property
    def deviation(self) -> float:
        """The standard deviation; 0.0 of no values."""
        return math.sqrt(self._squares / self._count) if self._count else 0.0
