"""`calibrate`: thresholds of all activations by the method of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from bpu_common.errors import UsageError
from bpu_host.compiler.calibrate.collect import Progress, Statistics, collect
from bpu_host.compiler.calibrate.kl import best_bin_count
from bpu_host.compiler.calibrate.samples import SampleSet
from bpu_host.compiler.calibrate.trial import Trial

logger = logging.getLogger(__name__)

METHODS = ("max", "kl", "default")
DEFAULT_PERCENTILE = 0.99995
"""The percentile `default` tries (docs/conversion.md "Calibration")."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds of the activations.

    Attributes:
        thresholds: by float tensor name; a tensor that never left zero has 0.0.
        method: `max`, `max-percentile:percentile=p` or `kl`: what was chosen.
        samples: number of samples seen.
        samples_sha256: digest of these samples.
        candidates: for `default`, each candidate's cosine of the first sample's output.
    """

    thresholds: dict[str, float]
    method: str
    samples: int
    samples_sha256: str = ""
    candidates: tuple[tuple[str, float], ...] = ()


def calibrate(
    model: ir.Model,
    tensors: Sequence[str],
    samples: SampleSet,
    method: str,
    percentile: float = 1.0,
    progress: Progress | None = None,
) -> Calibration:
    """Thresholds of float tensors of the optimized graph, from one pass of the samples.

    `max` takes the greatest magnitude, or with `percentile` < 1 that quantile of the magnitudes;
    `kl` the threshold of least divergence; `default` the one of `max`, `max` with percentile
    0.99995 and `kl` whose quantized outputs are nearest to the float ones on the first sample.

    Args:
        tensors: names of those whose range matters (`rules.Placement.tensors`).
        progress: called with (samples done, samples in all).

    Raises:
        UsageError: an unknown method, a percentile outside (0, 1].
        CalibrationError: samples that are missing or unusable.
    """
    if method not in METHODS:
        raise UsageError(f"unknown calibration method '{method}': use one of {', '.join(METHODS)}")
    if not 0.0 < percentile <= 1.0:
        raise UsageError(f"max_percentile is {percentile}; it must be above 0 and at most 1")
    exact = method == "max" and percentile >= 1.0
    found = collect(model, samples, tensors, histograms=not exact, progress=progress)
    seen = found.samples, found.digest.hexdigest()
    if method == "max":
        return Calibration(_quantiles(found, percentile), _max_name(percentile), *seen)
    if method == "kl":
        return Calibration(_kl(found), "kl", *seen)
    thresholds, best, cosines = _choose(model, found)
    return Calibration(thresholds, best, *seen, tuple(cosines.items()))


def _choose(model: ir.Model, found: Statistics) -> tuple[dict[str, float], str, dict[str, float]]:
    """The best thresholds, the name of the method that gave them, the cosine of each method."""
    candidates = {
        "max": _quantiles(found, 1.0),
        _max_name(DEFAULT_PERCENTILE): _quantiles(found, DEFAULT_PERCENTILE),
        "kl": _kl(found),
    }
    trial = Trial(model, found.first_sample, found.first_outputs, found.highest)
    cosines = {name: trial.cosine(thresholds) for name, thresholds in candidates.items()}
    for name, value in cosines.items():
        logger.debug("calibration method %s: output cosine %.6f", name, value)
    best = max(cosines, key=lambda name: cosines[name])
    logger.debug("Select %s method.", best)
    return candidates[best], best, cosines


def _max_name(percentile: float) -> str:
    return "max" if percentile >= 1.0 else f"max-percentile:percentile={percentile:g}"


def _quantiles(found: Statistics, percentile: float) -> dict[str, float]:
    if percentile >= 1.0:
        return dict(found.highest)
    return {name: item.quantile(percentile) for name, item in found.histograms.items()}


def _kl(found: Statistics) -> dict[str, float]:
    thresholds: dict[str, float] = {}
    for name, item in found.histograms.items():
        if item.highest <= 0:
            thresholds[name] = 0.0
            continue
        counts, width = item.linear()
        thresholds[name] = min(best_bin_count(counts) * width, item.highest)
    return thresholds
