"""The threshold whose 128 levels lose the least information (Kullback-Leibler divergence).

For each candidate T = i bins: P is the histogram up to T with everything above it in the last bin,
Q the histogram up to T, averaged within 128 equal levels over the bins that P uses. The candidate
with the least KL(P || Q) wins, the smaller one among equals.
"""

from __future__ import annotations

import numpy as np

from bpu_common.tensor import F64, I64

LEVELS = 128
_ROWS = 256  # candidates at a time: bounds the memory


def best_bin_count(counts: F64) -> int:
    """Number of bins, LEVELS..len(counts), that the best threshold spans.

    The first bin is replaced by the second: zeros are represented exactly and would drown the rest.
    """
    size = len(counts)
    if size <= LEVELS:
        return size
    histogram = counts.astype(np.float64)
    histogram[0] = histogram[1]
    if histogram.sum() == 0:
        return size
    divergences = np.concatenate(
        [
            _divergence(histogram, np.arange(start, min(start + _ROWS, size + 1)))
            for start in range(LEVELS, size + 1, _ROWS)
        ]
    )
    return LEVELS + int(np.argmin(divergences))


def _divergence(histogram: F64, candidates: I64) -> F64:
    """KL(P || Q) of each candidate, all by prefix sums.

    Within a level all q are equal, so sum(p log q) needs only each level's sum and count of used
    bins: 128 look-ups a candidate instead of a pass over the histogram.
    """
    total = histogram.sum()
    sums = np.concatenate([[0.0], np.cumsum(histogram)])
    used = np.concatenate([[0], np.cumsum(histogram > 0)])
    entropy = np.concatenate([[0.0], np.cumsum(_x_log_x(histogram))])
    edges = candidates[:, None] * np.arange(LEVELS + 1) // LEVELS
    level_sums, level_used = np.diff(sums[edges], axis=1), np.diff(used[edges], axis=1)
    kept = sums[candidates]
    outliers = total - kept
    last = histogram[candidates - 1]
    level_p = level_sums.copy()
    level_p[:, -1] += outliers
    level_used[:, -1] += (last == 0) & (outliers > 0)
    p_log_p = entropy[candidates] - _x_log_x(last) + _x_log_x(last + outliers)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(level_p > 0, level_p * np.log(level_sums / level_used), 0.0)
        result: F64 = (p_log_p - terms.sum(axis=1)) / total + np.log(kept / total)
    result[~(kept > 0)] = np.inf
    return result


def _x_log_x(x: F64) -> F64:
    y: F64 = x * np.log(np.where(x > 0, x, 1.0))
    return y
