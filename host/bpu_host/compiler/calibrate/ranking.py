"""Which of several sets of thresholds keeps the model's outputs best, in the chip's arithmetic."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpu_common.network import Network
from bpu_common.tensor import AnyArray, ModelInput
from bpu_host.compiler.calibrate.collect import thinned
from bpu_host.compiler.calibrate.samples import Sample
from bpu_sim.engines import open_engine

Kept = Sequence[tuple[Sample, Mapping[str, AnyArray]]]
"""Samples, each with the float model's outputs for it by name (`collect.thinned`)."""


@dataclass(frozen=True, slots=True)
class TrialThresholds:
    """Thresholds that are being tried."""

    thresholds: Mapping[str, float]


def network_errors(network: Network, kept: Kept) -> dict[str, float]:
    """The relative error of each output of a network, by name.

    Raises:
        BpuError: the network cannot be run.
    """
    engine, _ = open_engine(network, threads=os.cpu_count() or 1)
    made: dict[str, list[AnyArray]] = {output.name: [] for output in network.outputs}
    for sample, _ in kept:
        arrays = engine.run(network_feeds(network.inputs, sample))
        for output in network.outputs:
            made[output.name].append(thinned(arrays[output.tensor]))
    return {
        name: relative_error([outputs[name] for _, outputs in kept], arrays)
        for name, arrays in made.items()
    }


def relative_error(reals: Sequence[AnyArray], others: Sequence[AnyArray]) -> float:
    """Squared error of one output over its variance, all samples taken together.

    1.0 is as bad as the output's mean for every value. The variance of a constant output is taken
    from its square, so that it does not divide by nothing.

    Args:
        reals: the float output, one array a sample; values that are not finite are left out.
        others: the quantized one.

    Returns:
        0.0 without any error; infinite if values are not finite, or all should be zero.
    """
    real = np.concatenate([np.ravel(array) for array in reals]).astype(np.float64)
    other = np.concatenate([np.ravel(array) for array in others]).astype(np.float64)
    known = np.isfinite(real)
    real, other = real[known], other[known]
    if not real.size:
        return 0.0
    if not np.isfinite(other).all():
        return float("inf")
    error = float(np.square(other - real).mean())
    spread = float(real.var()) or float(np.square(real).mean())
    if error == 0.0:
        return 0.0
    return error / spread if spread else float("inf")


def network_feeds(inputs: Sequence[ModelInput], sample: Sample) -> dict[str, AnyArray]:
    """A float sample as the network's inputs: images int8 NHWC, featuremaps as they are."""
    feeds: dict[str, AnyArray] = {}
    for item in inputs:
        name, array = item.tensor.name, sample[item.tensor.name]
        if item.input_type.is_image:
            nhwc = array if array.shape == item.tensor.shape else array.transpose(0, 2, 3, 1)
            array = np.ascontiguousarray(np.rint(nhwc).clip(-128, 127).astype(np.int8))
        feeds[name] = array
    return feeds
