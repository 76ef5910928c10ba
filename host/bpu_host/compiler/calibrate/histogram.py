"""Streaming histograms of magnitudes that never lose counts when the range grows.

Bins are cut from the bits of a float32: 2048 equal bins per power of two, over the twelve powers of
two below the greatest value seen. When a greater value comes, bins only move down; nothing is
interpolated, so the result does not depend on the order of the samples. Everything below the range
(and every zero) is in bin 0.
"""

from __future__ import annotations

import numpy as np

from bpu_common.tensor import F32, F64, I64, INT8_MAX
from bpu_sim.kernels import magnitudes

_MANTISSA_BITS = 23
BINS_PER_OCTAVE = 1 << (_MANTISSA_BITS - magnitudes.BIN_SHIFT)
OCTAVES = 12
_EXPONENT_BIAS = 127
LINEAR_BINS_LOW = 1024
"""Linear bins below the greatest power of two; the whole range has 1024 to 2048."""

_BINS = OCTAVES * BINS_PER_OCTAVE


def _linear_index() -> I64:
    """Linear bin of each bin, for bins of width 2^e / 1024 with e the top octave."""
    index = np.arange(_BINS)
    octave, step = index // BINS_PER_OCTAVE, index % BINS_PER_OCTAVE
    value = np.exp2(octave - (OCTAVES - 1.0)) * (1 + step / BINS_PER_OCTAVE)
    linear: I64 = np.floor(value * LINEAR_BINS_LOW).astype(np.int64)
    linear[0] = 0
    return linear


_LINEAR_INDEX = _linear_index()


def _centres() -> F64:
    """The middle of each bin, in units of the top octave's power of two; bin 0 counts as zero."""
    index = np.arange(_BINS)
    octave, step = index // BINS_PER_OCTAVE, index % BINS_PER_OCTAVE
    middle: F64 = np.exp2(octave - (OCTAVES - 1.0)) * (1 + (step + 0.5) / BINS_PER_OCTAVE)
    middle[0] = 0.0
    return middle


_CENTRES = _centres()


class MagnitudeHistogram:
    """Counts of |x| of one tensor over all samples.

    Attributes:
        highest: greatest magnitude seen, exact.
        total: number of values.
    """

    __slots__ = ("_counts", "_top", "highest", "total")

    def __init__(self) -> None:
        self.highest = 0.0
        self.total = 0
        self._counts: I64 = np.zeros(_BINS, np.int64)
        self._top = 0  # biased exponent of the top octave; 0 until the first value that is not 0

    def add(self, values: F32, highest: float) -> None:
        """Count all of `values`, whose greatest magnitude is `highest` (finite)."""
        self.highest = max(self.highest, highest)
        self.total += values.size
        if highest == 0.0 and not self._top:
            self._counts[0] += values.size
            return
        exponent = int(np.array(highest, np.float32).view(np.int32)) >> _MANTISSA_BITS
        if exponent > self._top:
            self._grow(max(exponent, OCTAVES))
        magnitudes.count(values, (self._top - OCTAVES + 1) * BINS_PER_OCTAVE, self._counts)

    def _grow(self, exponent: int) -> None:
        moved = min((exponent - self._top) * BINS_PER_OCTAVE, _BINS) if self._top else 0
        if moved:
            shifted = np.zeros_like(self._counts)
            shifted[: _BINS - moved] = self._counts[moved:]
            shifted[0] += self._counts[:moved].sum()
            self._counts = shifted
        self._top = exponent

    def quantile(self, fraction: float) -> float:
        """Least bin edge below which at least `fraction` of all values lie (exact for 1.0).

        It is above the true quantile by less than 1 / 2048 of it; quantiles smaller than 1 / 4096
        of the greatest value come out as that bound.
        """
        if fraction >= 1.0 or not self.total:
            return self.highest
        below = np.cumsum(self._counts)
        position = int(np.searchsorted(below, np.ceil(fraction * self.total)))
        return min(self._upper_edge(position), self.highest)

    def _upper_edge(self, position: int) -> float:
        octave, step = divmod(position + 1, BINS_PER_OCTAVE)
        exponent = self._top - _EXPONENT_BIAS - (OCTAVES - 1) + octave
        return float(np.exp2(float(exponent)) * (1 + step / BINS_PER_OCTAVE))

    def error_bounds(self, threshold: float) -> tuple[float, float]:
        """Bounds of the root of the summed squared error of 8-bit codes with this threshold.

        A value's error is its distance from the nearest of 0, 1, ..., 127 steps of threshold / 127.
        It changes by no more than the value does, and a value lies within 1 / 4096 of its bin's
        middle. Left out are the values of bin 0, which no threshold codes worse than the greatest
        value does: they are below half of its step.
        """
        used = np.flatnonzero(self._counts)
        counts = self._counts[used].astype(np.float64)
        values = _CENTRES[used] * np.exp2(float(self._top - _EXPONENT_BIAS))
        step = threshold / INT8_MAX
        errors = values - step * np.minimum(np.rint(values / step), INT8_MAX)
        # A sum, not a product of vectors: BLAS would wake its threads for it.
        found = float(np.sqrt((counts * errors**2).sum()))
        doubt = float(np.sqrt((counts * values**2).sum())) / (2 * BINS_PER_OCTAVE)
        return max(found - doubt, 0.0), found + doubt

    def linear(self) -> tuple[F64, float]:
        """(counts of equal bins from 0 to the greatest value, bin width)."""
        counts: F64 = np.bincount(
            _LINEAR_INDEX, weights=self._counts, minlength=2 * LINEAR_BINS_LOW
        ).astype(np.float64)
        width = float(np.exp2(float(self._top - _EXPONENT_BIAS))) / LINEAR_BINS_LOW
        used = int(np.floor(self.highest / width)) + 1
        return counts[:used], width
