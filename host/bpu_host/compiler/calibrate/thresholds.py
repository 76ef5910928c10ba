"""`calibrate`: thresholds of all activations by the method of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bpu_common.errors import UsageError
from bpu_host.compiler.calibrate.collect import Progress, Statistics, collect
from bpu_host.compiler.calibrate.inner import with_inner_means
from bpu_host.compiler.calibrate.methods import by_divergence, by_quantile, guarded, losses
from bpu_host.compiler.calibrate.ranking import Kept, output_errors
from bpu_host.compiler.calibrate.samples import SampleSet
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.rules import Placement

logger = logging.getLogger(__name__)

METHODS = ("max", "kl", "default")
DEFAULT_PERCENTILE = 0.99995
"""The percentile `default` tries (docs/conversion.md "Calibration")."""
RANKED_SAMPLES = 8
"""Samples on which networks are compared: `default`'s candidates, and roundings of the weights."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds of the activations.

    Attributes:
        thresholds: by float tensor name; a tensor that never left zero has 0.0.
        method: `max`, `max-percentile:percentile=p` or `kl`: what was chosen.
        samples: number of samples seen.
        samples_sha256: digest of these samples.
        candidates: for `default`, each candidate's mean relative error of the outputs.
        findings: warnings about thresholds that the user asked for.
        spreads: standard deviation of each float output over all samples, by name.
        kept: a few samples with the float model's outputs for them, to judge by.
    """

    thresholds: dict[str, float]
    method: str
    samples: int
    samples_sha256: str = ""
    candidates: tuple[tuple[str, float], ...] = ()
    findings: tuple[Finding, ...] = ()
    spreads: Mapping[str, float] = field(default_factory=dict)
    kept: Kept = ()


def calibrate(
    placement: Placement,
    samples: SampleSet,
    method: str,
    percentile: float = 1.0,
    progress: Progress | None = None,
) -> Calibration:
    """Thresholds of the float tensors whose range matters, from one pass of the samples.

    `max` takes the greatest magnitude, or with `percentile` < 1 that quantile of the magnitudes;
    `kl` the threshold of least divergence where that is no worse for the tensor than the greatest
    magnitude; `default` the one of `max`, percentile 0.99995 (guarded like `kl`) and `kl` whose
    quantized network has the least relative error of its outputs, on 8 samples.

    Args:
        progress: called with (samples done, samples in all).

    Raises:
        UsageError: an unknown method, a percentile outside (0, 1].
        CalibrationError: samples that are missing or unusable.
    """
    if method not in METHODS:
        raise UsageError(f"unknown calibration method '{method}': use one of {', '.join(METHODS)}")
    if not 0.0 < percentile <= 1.0:
        raise UsageError(f"max_percentile is {percentile}; it must be above 0 and at most 1")
    model, inner = with_inner_means(placement.plan.model, placement.all_units)
    found = collect(
        model,
        samples,
        (*placement.tensors, *inner),
        histograms=method != "max" or percentile < 1.0,
        keep=RANKED_SAMPLES,
        progress=progress,
    )
    errors: dict[str, float] = {}
    findings: tuple[Finding, ...] = ()
    if method == "max":
        best, thresholds = _max_name(percentile), by_quantile(found, percentile)
        findings = losses(found, thresholds, percentile)
    elif method == "kl":
        best, thresholds = "kl", guarded(found, by_divergence(found))
    else:
        thresholds, best, errors = _choose(placement, found)
    return Calibration(
        thresholds,
        best,
        found.samples,
        found.digest.hexdigest(),
        tuple(errors.items()),
        findings,
        {name: spread.deviation for name, spread in found.spreads.items()},
        found.kept,
    )


def _choose(
    placement: Placement, found: Statistics
) -> tuple[dict[str, float], str, dict[str, float]]:
    """The best thresholds, the name of the method that gave them, the error of each method.

    Of equally good methods the first one wins.
    """
    candidates = {
        "max": dict(found.highest),
        _max_name(DEFAULT_PERCENTILE): guarded(found, by_quantile(found, DEFAULT_PERCENTILE)),
        "kl": guarded(found, by_divergence(found)),
    }
    errors: dict[str, float] = {}
    for name, thresholds in candidates.items():
        twin = next((other for other in errors if candidates[other] == thresholds), None)
        if twin is None:
            outputs = output_errors(placement, thresholds, found.kept)
            errors[name] = float(np.mean(list(outputs.values())))
        else:
            errors[name] = errors[twin]
        logger.debug("calibration method %s: relative error %.6g", name, errors[name])
    best = min(errors, key=lambda name: errors[name])
    logger.debug("Select %s method.", best)
    return candidates[best], best, errors


def _max_name(percentile: float) -> str:
    return "max" if percentile >= 1.0 else f"max-percentile:percentile={percentile:g}"
