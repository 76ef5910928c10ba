"""One pass of the samples through the float graph, with statistics of every tensor of interest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from bpu_common.errors import CalibrationError, ModelUnsupported
from bpu_common.tensor import AnyArray
from bpu_host.compiler.calibrate.histogram import MagnitudeHistogram
from bpu_host.compiler.calibrate.samples import Sample, SampleSet
from bpu_host.compiler.calibrate.spread import Spread
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner

PASS_LIMIT_BYTES = 192 << 20
"""Activations fetched at once; a larger network is gone through in several passes."""

OVERLAP_LIMIT_BYTES = 64 << 20
"""Up to this size statistics run beside the next sample's inference, with two sets in memory."""

KEPT_VALUES = 1 << 18
"""Values of an output that are kept of one sample."""

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""


@dataclass(slots=True)
class Statistics:
    """What calibration knows of each tensor.

    Attributes:
        highest: greatest magnitude by tensor name.
        histograms: by tensor name; empty if only the maximum was asked for.
        spreads: of the model's float outputs, by name.
        kept: some samples with the model's outputs for them, in order.
        samples: number of samples seen.
        keeping: the positions of the samples to be kept.
        digest: SHA-256 over all samples in order.
    """

    highest: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, MagnitudeHistogram] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    kept: list[tuple[Sample, dict[str, AnyArray]]] = field(default_factory=list)
    samples: int = 0
    keeping: frozenset[int] = frozenset()
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


def collect(
    model: ir.Model,
    samples: SampleSet,
    tensors: Sequence[str],
    *,
    histograms: bool,
    keep: int = 0,
    progress: Progress | None = None,
) -> Statistics:
    """Run all samples and note the statistics of `tensors`.

    Args:
        keep: how many samples to keep with their outputs, spread evenly over the set; outputs are
            thinned out (`thinned`).

    Raises:
        CalibrationError: no samples, a sample the graph refuses, values that are not finite.
    """
    found = Statistics(keeping=_spread(len(samples), keep))
    found.histograms = {name: MagnitudeHistogram() for name in tensors} if histograms else {}
    found.highest = dict.fromkeys(tensors, 0.0)
    groups = _passes(model, tensors)
    for position, group in enumerate(groups):
        _one_pass(model, samples, group, found, _scaled(progress, position, len(groups)))
    return found


def _spread(total: int, count: int) -> frozenset[int]:
    """Up to `count` positions of `total`, as far apart as can be; the first is one of them."""
    return frozenset(index * total // count for index in range(count))


def thinned(array: AnyArray) -> AnyArray:
    """All values of an output in a row, of large ones every n-th: at most KEPT_VALUES."""
    step = -(-array.size // KEPT_VALUES)
    flat = array.reshape(-1)
    return flat if step <= 1 else flat[:: step | 1].copy()  # odd: not the same columns all the time


def _scaled(progress: Progress | None, position: int, passes: int) -> Progress:
    """Progress of one pass as part of all passes, in samples."""

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress((position * total + done) // passes, total)

    return report


def _passes(model: ir.Model, tensors: Sequence[str]) -> list[list[str]]:
    """The tensors in groups of at most PASS_LIMIT_BYTES."""
    sizes = _sizes(model)
    groups: list[list[str]] = [[]]
    filled = 0
    for name in tensors:
        size = sizes.get(name, 0)
        if groups[-1] and filled + size > PASS_LIMIT_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups


def _sizes(model: ir.Model) -> dict[str, int]:
    return {v.name or "": _size_bytes(v) for node in model.graph for v in node.outputs}


def _size_bytes(value: ir.Value) -> int:
    shape = value.shape
    if shape is None:
        return 0
    return int(np.prod([size for size in shape if isinstance(size, int)], dtype=np.int64)) * 4


def _one_pass(
    model: ir.Model,
    samples: SampleSet,
    tensors: Sequence[str],
    found: Statistics,
    progress: Progress,
) -> None:
    sizes = _sizes(model)
    overlap = sum(sizes.get(name, 0) for name in tensors) <= OVERLAP_LIMIT_BYTES
    runner = FloatRunner(ir.to_proto(model), tensors, lean=not overlap)
    first_pass = not found.samples
    outputs = [value.name or "" for value in model.graph.outputs]
    pending: Future[None] | None = None
    count = 0
    with ThreadPoolExecutor(1) as pool:  # statistics of one sample beside the next one's inference
        for count, sample in enumerate(samples, 1):
            arrays = _run(runner, sample, count)
            if count == 1:
                _check_shapes(model, arrays)
            if first_pass and count - 1 in found.keeping:
                found.kept.append((sample, {name: thinned(arrays[name]) for name in outputs}))
            if pending is not None:
                pending.result()
                progress(count - 1, len(samples))
            seen = _Seen(sample, {name: arrays[name] for name in outputs}) if first_pass else None
            wanted = {name: arrays[name] for name in tensors}
            pending = pool.submit(_observe, found, wanted, seen, count)
            del arrays, wanted, seen
            if not overlap:
                pending.result()
        if pending is not None:
            pending.result()
            progress(count, len(samples))
    if not count:
        raise CalibrationError("there are no calibration samples")
    found.samples = count


def _run(runner: FloatRunner, sample: Sample, number: int) -> dict[str, AnyArray]:
    """All outputs and kept tensors for one sample.

    Raises:
        CalibrationError: the model refuses it.
    """
    try:
        return runner.run(sample)
    except FloatRunFailed as error:
        raise CalibrationError(
            f"the float model refuses sample {number}: {error.message}", where=error.where
        ) from error


def _check_shapes(model: ir.Model, arrays: Mapping[str, AnyArray]) -> None:
    """Everything behind calibration is built on the inferred shapes: hold them against real ones.

    Raises:
        ModelUnsupported: names the first tensor whose inferred shape is not the computed one.
    """
    for node in model.graph:
        for value in node.outputs:
            array = arrays.get(value.name or "")
            if array is not None and value.shape is not None and array.shape != tuple(value.shape):
                raise ModelUnsupported(
                    f"tensor '{value.name}' has the shape {list(array.shape)} when the model runs; "
                    f"ONNX's shape inference says {list(value.shape)}",
                    where=f"node {node.name} ({node.op_type})",
                    hint="export the operator with other attributes, such as explicit pads",
                )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A sample that is run for the first time, and the model's outputs for it."""

    sample: Sample
    outputs: Mapping[str, AnyArray]


def _observe(
    found: Statistics, arrays: Mapping[str, AnyArray], seen: _Seen | None, number: int
) -> None:
    """Note the statistics of one sample; if it is new, also it and its outputs."""
    if seen is not None:
        for name, values in sorted(seen.sample.items()):
            values = np.ascontiguousarray(values)
            found.digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
            found.digest.update(values.reshape(-1).data)
        for name, values in seen.outputs.items():
            if np.issubdtype(values.dtype, np.floating):
                found.spreads.setdefault(name, Spread()).add(thinned(values))
    for name, array in arrays.items():
        if not array.size:
            continue
        highest = max(float(array.max()), -float(array.min()))
        if not np.isfinite(highest):
            raise CalibrationError(
                f"tensor '{name}' is not finite for sample {number}",
                hint="check the sample files, their data type and the model's mean and scale",
            )
        found.highest[name] = max(found.highest[name], highest)
        if found.histograms:
            found.histograms[name].add(array.astype(np.float32, copy=False), highest)
