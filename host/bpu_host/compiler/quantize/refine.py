"""Other codes for the weights of a quantized network, and biases that take up what they shift.

Nothing else changes: scales, thresholds, shapes, and so the program and its time stay what they
are. What each convolution reads is seen in the quantized network itself, on samples.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from bpu_common.errors import ModelUnsupported
from bpu_common.network import Network, Operation, QConv
from bpu_common.tensor import F64, AnyArray
from bpu_host.compiler.quantize.moments import Moments, moments_of, rows_at_places
from bpu_host.compiler.quantize.operations import ConvScales
from bpu_host.compiler.quantize.rounding import FEW, round_together
from bpu_host.compiler.rules import Placement
from bpu_host.compiler.units.reading import OffBpu
from bpu_host.compiler.units.work import ConvWork
from bpu_sim.engines import open_engine

PLACES = 3000
"""Results of a convolution whose inputs are looked at, over all samples."""
HELD_BYTES = 256 << 20
"""Inputs of all convolutions that are held at the same time; with more, fewer places."""
WIDEST = 5120
"""Weights of a filter up to which the covariance of its inputs is taken (200 MiB)."""
_WIDE = 2048
"""Weights of a filter beyond which layers are rounded one after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A convolution of the network, in real numbers too."""

    op: QConv
    work: ConvWork
    out_hw: tuple[int, int]
    scales: ConvScales


def refine(
    network: Network,
    placement: Placement,
    samples: Iterable[Mapping[str, AnyArray]],
    count: int,
) -> Network:
    """The network with weights rounded together, and biases that take up what is left.

    Args:
        placement: what the network was lowered from.
        samples: `count` inputs as the network takes them.
    """
    layers = _layers(network, placement)
    if not layers or not count:
        return network
    with threadpool_limits(1, "blas"):  # sums of products in one order, whatever the cores
        seen = _seen(network, layers, samples, count)
        made = _all_refined(layers, seen)
    parts = tuple(
        replace(part, ops=tuple(_of(op, made) for op in part.ops)) for part in network.parts
    )
    return replace(network, parts=parts)


def _all_refined(layers: Mapping[str, _Layer], seen: Mapping[str, Moments]) -> dict[str, QConv]:
    """Layers in several threads; those that take much memory one after the other."""

    def one(name: str) -> tuple[str, QConv]:
        return name, _refined(layers[name], seen[name])

    narrow = [name for name in layers if seen[name].size <= _WIDE]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = dict(pool.map(one, narrow))
    return made | dict(one(name) for name in layers if name not in made)


def _of(op: Operation, made: Mapping[str, QConv]) -> Operation:
    return made.get(op.name, op)


def _layers(network: Network, placement: Placement) -> dict[str, _Layer]:
    works = {unit.name: unit.work for unit in placement.all_units}
    found: dict[str, _Layer] = {}
    for op in network.ops:
        work = works.get(op.name)
        if not isinstance(op, QConv) or not isinstance(work, ConvWork) or not work.high_precision:
            continue
        if op.weights[0].size > WIDEST:
            continue
        x, y = network.tensors[op.x], network.tensors[op.y]
        found[op.name] = _Layer(op, work, y.shape_hwc[:2], ConvScales.of(work, x, y))
    return found


def _seen(
    network: Network,
    layers: Mapping[str, _Layer],
    samples: Iterable[Mapping[str, AnyArray]],
    count: int,
) -> dict[str, Moments]:
    """What each layer reads in the quantized network."""
    engine, _ = open_engine(network, threads=os.cpu_count() or 1)
    seen = {name: moments_of(layer.op) for name, layer in layers.items()}
    held = sum(item.groups * item.size for item in seen.values() if item.size > FEW)
    places = -(-min(PLACES, HELD_BYTES // max(held, 1)) // count)
    tensors = {layer.op.x for layer in layers.values()}
    for number, sample in enumerate(samples):
        arrays = engine.run(sample, keep=tensors)
        for name, layer in layers.items():
            seed = zlib.crc32(f"{number} {name}".encode())
            codes = arrays[layer.op.x][0]
            seen[name].add(rows_at_places(layer.op, codes, layer.out_hw, places, seed))
    return seen


def _refined(layer: _Layer, seen: Moments) -> QConv:
    """The layer with other codes; itself where its numbers would not fit any more."""
    op, scales = layer.op, layer.scales
    means, covariances = seen.finish()
    steps = layer.work.weights.astype(np.float64) / scales.w.reshape(-1, 1, 1, 1)
    steps = steps.reshape(op.groups, -1, seen.size)
    codes = _rounded(steps, covariances)
    real = means - scales.x.zero_point
    bias = layer.work.bias + scales.step * np.matmul(steps - codes, real[:, :, None]).reshape(-1)
    weights = codes.astype(np.int8).reshape(op.weights.shape)
    try:
        return replace(op, weights=weights, params=scales.params(weights, bias))
    except (OffBpu, ModelUnsupported):
        return op


def _rounded(steps: F64, covariances: F64) -> F64:
    """Codes of all filters (groups, filters of one, K)."""
    groups, filters, size = steps.shape
    if size <= FEW and groups > 1:
        each = np.repeat(covariances, filters, axis=0)
        return round_together(steps.reshape(-1, size), each).reshape(steps.shape)
    return np.stack([round_together(steps[g], covariances[g]) for g in range(groups)])
