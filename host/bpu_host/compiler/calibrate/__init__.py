"""Calibration: thresholds of the activations from sample inputs."""

from bpu_host.compiler.calibrate.rounded import with_rounded_weights
from bpu_host.compiler.calibrate.samples import SampleSet, open_samples, settle_sample_types
from bpu_host.compiler.calibrate.thresholds import Calibration, calibrate

__all__ = [
    "Calibration",
    "SampleSet",
    "calibrate",
    "open_samples",
    "settle_sample_types",
    "with_rounded_weights",
]
