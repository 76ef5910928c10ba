"""Distances between a float tensor and its quantized twin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bpu_common.tensor import F64, AnyArray

_FLAT = 1e-3
"""Share of its magnitude below which a tensor counts as constant."""


@dataclass(frozen=True, slots=True)
class OutputMetrics:
    """One row of the output table (docs/conversion.md "Tables").

    Attributes:
        l1: mean |d|.
        l2: ||d||_2 / element count.
        chebyshev: max |d|.
        relative_error: of the quantized values, see `relative_error`.
    """

    cosine: float
    l1: float
    l2: float
    chebyshev: float
    relative_error: float


def cosine(a: AnyArray, b: AnyArray) -> float:
    """Cosine similarity of all values: 1.0 if both are zero everywhere, 0.0 if one is.

    NaN if the sizes differ or a value is not finite.
    """
    return _Pair.of(a, b).cosine if a.size == b.size else float("nan")


def relative_error(real: AnyArray, made: AnyArray) -> float:
    """How far `made` is off, as a share of what `real` says: 0 is exact, a constant scores 1.

    The root mean square of the difference over the standard deviation of `real`; where that hardly
    varies, over a thousandth of its magnitude; of one value, over that value. Of integers (indices,
    classes) the share of values that differ. Integer codes of a float tensor get the scale that
    fits best. Equal values count as equal even if they are not finite; infinite where another value
    is not, or the sizes differ.
    """
    if real.size != made.size:
        return float("inf")
    if not np.issubdtype(real.dtype, np.floating):
        return float(np.count_nonzero(real.reshape(-1) != made.reshape(-1))) / max(1, real.size)
    return _Pair.of(real, made).error(scaled=np.issubdtype(made.dtype, np.integer))


def closeness(real: AnyArray, made: AnyArray) -> tuple[float, float]:
    """(`cosine`, `relative_error`) of two tensors, in one go."""
    if real.size != made.size or not np.issubdtype(real.dtype, np.floating):
        return cosine(real, made), relative_error(real, made)
    pair = _Pair.of(real, made)
    return pair.cosine, pair.error(scaled=np.issubdtype(made.dtype, np.integer))


def output_metrics(real: AnyArray, quantized: AnyArray) -> OutputMetrics:
    """The distances of two arrays with the same number of elements (at least one)."""
    difference = _flat(quantized) - _flat(real)
    magnitude = np.abs(difference)
    return OutputMetrics(
        cosine(real, quantized),
        float(magnitude.mean()),
        float(np.sqrt(difference @ difference)) / difference.size,
        float(magnitude.max()),
        relative_error(real, quantized),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two tensors of equal size, and their scalar products."""

    x: F64
    y: F64
    xx: float
    yy: float
    xy: float

    @classmethod
    def of(cls, real: AnyArray, made: AnyArray) -> _Pair:
        x, y = _flat(real), _flat(made)
        return cls(x, y, float(x @ x), float(y @ y), float(x @ y))

    @property
    def cosine(self) -> float:
        norms = math.sqrt(self.xx * self.yy)
        if norms == 0.0:
            return 1.0 if not (self.x.any() or self.y.any()) else 0.0
        return min(1.0, max(-1.0, self.xy / norms)) if math.isfinite(norms) else float("nan")

    def error(self, *, scaled: bool) -> float:
        """`relative_error` of `y`, or of `y` with the best factor."""
        if not (math.isfinite(self.xx) and math.isfinite(self.yy)):
            return self._error_beside_infinities(scaled=scaled)
        factor = self.xy / self.yy if scaled and self.yy else 1.0
        square = self.xx - 2 * factor * self.xy + factor * factor * self.yy
        if square <= 0.0:  # by rounding
            return 0.0
        # A lone value has no spread: its error is a share of itself.
        flat = _FLAT if self.x.size > 1 else 1.0
        spread = max(float(self.x.std()), flat * math.sqrt(self.xx / self.x.size))
        return math.sqrt(square / self.x.size) / spread if spread else float("inf")

    def _error_beside_infinities(self, *, scaled: bool) -> float:
        odd = ~(np.isfinite(self.x) & np.isfinite(self.y))
        if not odd.any() or not np.array_equal(self.x[odd], self.y[odd], equal_nan=True):
            return float("inf")
        return _Pair.of(self.x[~odd], self.y[~odd]).error(scaled=scaled)


def _flat(array: AnyArray) -> F64:
    return np.asarray(array).reshape(-1).astype(np.float64)
