"""Thresholds of all tensors by one rule, and what they cost each tensor by itself.

A threshold below the greatest magnitude cuts values off so that the others get finer steps. Whether
that pays is a matter of the squared error. Divergence does not see it: for values far from zero,
or with a peak at zero and a long tail, it takes thresholds that leave next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpu_host.compiler.calibrate.collect import Statistics
from bpu_host.compiler.calibrate.histogram import MagnitudeHistogram
from bpu_host.compiler.calibrate.kl import best_bin_count
from bpu_host.compiler.findings import Finding

_NOTABLE_LOSS_DB = 1.0


def by_quantile(found: Statistics, percentile: float) -> dict[str, float]:
    """The magnitudes below which this share of all values lies; 1.0: the greatest."""
    if percentile >= 1.0:
        return dict(found.highest)
    return {name: item.quantile(percentile) for name, item in found.histograms.items()}


def by_divergence(found: Statistics) -> dict[str, float]:
    """The thresholds of least divergence (`kl`)."""
    thresholds: dict[str, float] = {}
    for name, item in found.histograms.items():
        if item.highest <= 0:
            thresholds[name] = 0.0
            continue
        counts, width = item.linear()
        thresholds[name] = min(best_bin_count(counts) * width, item.highest)
    return thresholds


def guarded(found: Statistics, thresholds: Mapping[str, float]) -> dict[str, float]:
    """`thresholds`, and the greatest magnitude where one is not proved to be better than that."""
    return {
        name: value if _is_better(found.histograms[name], value) else found.highest[name]
        for name, value in thresholds.items()
    }


def _is_better(values: MagnitudeHistogram, threshold: float) -> bool:
    """Whether the threshold surely costs no more than the greatest magnitude."""
    if not 0.0 < threshold < values.highest:
        return False
    _, most = values.error_bounds(threshold)
    least, _ = values.error_bounds(values.highest)
    return most <= least


def losses(
    found: Statistics, thresholds: Mapping[str, float], percentile: float
) -> tuple[Finding, ...]:
    """What the user's percentile costs the tensors that it suits worst."""
    lost = {name: _loss_db(values, thresholds[name]) for name, values in found.histograms.items()}
    bad = {name: loss for name, loss in lost.items() if loss > _NOTABLE_LOSS_DB}
    if not bad:
        return ()
    worst = max(bad, key=lambda name: bad[name])
    return (
        Finding(
            "max_percentile",
            f"{percentile:g} cuts off too much of {len(bad)} of {len(lost)} tensors: "
            f"{worst} loses {bad[worst]:.1f} dB",
            "take a value nearer to 1, or calibration_type: 'default'",
        ),
    )


def _loss_db(values: MagnitudeHistogram, threshold: float) -> float:
    """By how much the squared error is surely greater than with the greatest magnitude."""
    if not 0.0 < threshold < values.highest:
        return 0.0
    least, _ = values.error_bounds(threshold)
    _, most = values.error_bounds(values.highest)
    return 20 * float(np.log10(least / most)) if least > 0.0 else 0.0
