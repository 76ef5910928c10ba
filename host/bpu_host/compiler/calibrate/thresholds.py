"""`calibrate`: thresholds of all activations by the method of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from bpu_common.errors import UsageError
from bpu_common.network import Network
from bpu_host.compiler.calibrate.collect import Progress, Statistics, collect
from bpu_host.compiler.calibrate.inner import with_inner_means
from bpu_host.compiler.calibrate.methods import by_divergence, by_quantile, guarded, losses
from bpu_host.compiler.calibrate.ranking import Kept, TrialThresholds, network_errors
from bpu_host.compiler.calibrate.samples import SampleSet
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.quantize import lower
from bpu_host.compiler.rules import Placement

logger = logging.getLogger(__name__)

METHODS = ("max", "kl", "default")
PERCENTILES = (0.99995, 0.9999)
"""Those that `default` tries (docs/conversion.md "Calibration"): the vendor's, and one of ours."""
RANKED_SAMPLES = 16
"""Samples on which networks are compared: `default`'s candidates, and roundings of the weights."""

Affordable: TypeAlias = Callable[[Network, Network], bool]
"""Whether the second network is hardly slower than the first."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds of the activations.

    Attributes:
        thresholds: by float tensor name; a tensor that never left zero has 0.0.
        method: `max`, `max-percentile:percentile=p` or `kl`: what was chosen.
        samples: number of samples seen.
        samples_sha256: digest of these samples.
        candidates: for `default`, each candidate's mean relative error of the outputs.
        error: for `default`, that of what was chosen.
        all_codes: whether tensors that are never negative are to have 256 codes.
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
    all_codes: bool = False
    error: float | None = None


def calibrate(
    placement: Placement,
    samples: SampleSet,
    method: str,
    percentile: float = 1.0,
    progress: Progress | None = None,
    *,
    all_codes: bool = False,
    affordable: Affordable | None = None,
) -> Calibration:
    """Thresholds of the float tensors whose range matters, from one pass of the samples.

    `max` takes the greatest magnitude, or with `percentile` < 1 that quantile of the magnitudes;
    `kl` the threshold of least divergence where that is no worse for the tensor than the greatest
    magnitude; `default` the one of `max`, percentiles 0.99995 and 0.9999 (guarded like `kl`) and
    `kl` whose quantized network has the least relative error of its outputs, on 16 samples.

    Args:
        progress: called with (samples done, samples in all).
        all_codes: the networks have 256 codes for tensors that are never negative.
        affordable: `default` may choose that by itself, if this says of the network without and
            the one with it that the second is no slower than may be.

    Raises:
        UsageError: an unknown method, a percentile outside (0, 1].
        CalibrationError: samples that are missing or unusable.
    """
    _check(method, percentile)
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
        optional = not all_codes and _may_use_all_codes(placement, found.highest, affordable)
        thresholds, best, errors, all_codes = _choose(
            placement, found, all_codes=all_codes or optional, may_do_without=optional
        )
    return Calibration(
        thresholds,
        best,
        found.samples,
        found.digest.hexdigest(),
        tuple(errors.items()),
        findings,
        {name: spread.deviation for name, spread in found.spreads.items()},
        found.kept,
        all_codes,
        errors.get(best),
    )


def _check(method: str, percentile: float) -> None:
    if method not in METHODS:
        raise UsageError(f"unknown calibration method '{method}': use one of {', '.join(METHODS)}")
    if not 0.0 < percentile <= 1.0:
        raise UsageError(f"max_percentile is {percentile}; it must be above 0 and at most 1")


def _may_use_all_codes(
    placement: Placement, thresholds: Mapping[str, float], affordable: Affordable | None
) -> bool:
    """Whether there are tensors that could use 256 codes, and time allows it."""
    if affordable is None:
        return False
    before, after = (_trial(placement, thresholds, way) for way in (False, True))
    some = any(spec.scale.zero_points for spec in after.tensors.values())
    return some and affordable(before, after)


def _choose(
    placement: Placement, found: Statistics, *, all_codes: bool, may_do_without: bool
) -> tuple[dict[str, float], str, dict[str, float], bool]:
    """The best thresholds, their method, each method's error, whether with 256 codes.

    Of equally good methods the first one wins.

    Args:
        all_codes: the networks that are tried have 256 codes.
        may_do_without: the best of them is tried without these, too.
    """
    candidates = {"max": dict(found.highest)}
    for percentile in PERCENTILES:
        name = _max_name(percentile)
        candidates[name] = guarded(found, by_quantile(found, percentile))
    candidates["kl"] = guarded(found, by_divergence(found))

    def error(name: str, way: bool) -> float:
        outputs = network_errors(_trial(placement, candidates[name], way), found.kept)
        value = float(np.mean(list(outputs.values())))
        logger.debug("calibration method %s, all codes %s: relative error %.6g", name, way, value)
        return value

    errors: dict[str, float] = {}
    for name, thresholds in candidates.items():
        twin = next((n for n in errors if candidates[n] == thresholds), None)
        errors[name] = error(name, all_codes) if twin is None else errors[twin]
    best = min(errors, key=lambda name: errors[name])
    if may_do_without and (plain := error(best, False)) <= errors[best]:
        all_codes, errors[best] = False, plain
    logger.debug("Select %s method.", best)
    return candidates[best], best, errors, all_codes


def _trial(placement: Placement, thresholds: Mapping[str, float], all_codes: bool) -> Network:
    return lower(placement, TrialThresholds(thresholds), "trial", all_codes=all_codes).network


def _max_name(percentile: float) -> str:
    return "max" if percentile >= 1.0 else f"max-percentile:percentile={percentile:g}"
