"""Distances between a float tensor and its quantized twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bpu_common.tensor import F64, AnyArray


@dataclass(frozen=True, slots=True)
class OutputMetrics:
    """One row of the output table (docs/conversion.md "Tables").

    Attributes:
        l1: mean |d|.
        l2: ||d||_2 / element count.
        chebyshev: max |d|.
    """

    cosine: float
    l1: float
    l2: float
    chebyshev: float


def cosine(a: AnyArray, b: AnyArray) -> float:
    """Cosine similarity of all values: 1.0 if both are zero everywhere, 0.0 if one is.

    NaN if the sizes differ or a value is not finite.
    """
    if a.size != b.size:
        return float("nan")
    x, y = _flat(a), _flat(b)
    norms = float(np.sqrt((x @ x) * (y @ y)))
    if norms == 0.0:
        return 1.0 if not (x.any() or y.any()) else 0.0
    return float(np.clip(float(x @ y) / norms, -1.0, 1.0)) if np.isfinite(norms) else float("nan")


def output_metrics(real: AnyArray, quantized: AnyArray) -> OutputMetrics:
    """The four distances of two arrays with the same number of elements (at least one)."""
    difference = _flat(quantized) - _flat(real)
    magnitude = np.abs(difference)
    return OutputMetrics(
        cosine(real, quantized),
        float(magnitude.mean()),
        float(np.sqrt(difference @ difference)) / difference.size,
        float(magnitude.max()),
    )


def _flat(array: AnyArray) -> F64:
    return np.asarray(array).reshape(-1).astype(np.float64)
