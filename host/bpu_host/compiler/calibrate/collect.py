"""One pass of the samples through the float graph, with statistics of every tensor of interest."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
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
from bpu_host.compiler.weights import bare_proto
from bpu_sim.kernels import magnitudes

STAGE_BYTES = 64 << 20
"""Activations of one sample fetched at once: a larger network is run piece by piece."""

HELD_BYTES = 128 << 20
"""Activations of all samples that are worked on at the same time."""

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
        digest: SHA-256 over all samples in order.
    """

    highest: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, MagnitudeHistogram] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    kept: list[tuple[Sample, dict[str, AnyArray]]] = field(default_factory=list)
    samples: int = 0
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
    found = Statistics()
    found.histograms = {name: MagnitudeHistogram() for name in tensors} if histograms else {}
    found.highest = dict.fromkeys(tensors, 0.0)
    work = _Work(model, found, len(samples))
    keeping = spread(len(samples), keep)
    running: deque[tuple[Sample | None, Future[dict[str, AnyArray]]]] = deque()

    def finish_first() -> None:
        sample, future = running.popleft()
        outputs = future.result()
        for name, values in outputs.items():
            if np.issubdtype(values.dtype, np.floating):
                found.spreads.setdefault(name, Spread()).add(values)
        if sample is not None:
            found.kept.append((sample, outputs))
        found.samples += 1
        if progress is not None:
            progress(found.samples, len(samples))

    with ThreadPoolExecutor(work.workers) as pool:
        try:
            for position, sample in enumerate(samples):
                _digest(found, sample)
                future = pool.submit(work.one, sample, position + 1)
                running.append((sample if position in keeping else None, future))
                if len(running) > work.workers:
                    finish_first()
            while running:
                finish_first()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not found.samples:
        raise CalibrationError("there are no calibration samples")
    return found


def spread(total: int, count: int) -> frozenset[int]:
    """Up to `count` positions of `total`, as far apart as can be; the first is one of them."""
    return frozenset(index * total // count for index in range(count))


def thinned(array: AnyArray) -> AnyArray:
    """All values of an output in a row, of large ones every n-th: at most KEPT_VALUES."""
    step = -(-array.size // KEPT_VALUES)
    flat = array.reshape(-1)
    return flat if step <= 1 else flat[:: step | 1].copy()  # odd: not the same columns all the time


class _Work:
    """One sample after the other through the float graph, in several threads.

    Each works on a sample of its own: so onnxruntime's threads need not wait for each other, and
    none waits while statistics are taken.

    Attributes:
        workers: threads that have memory enough.
    """

    def __init__(self, model: ir.Model, found: Statistics, count: int) -> None:
        values = (value for node in model.graph for value in node.outputs)
        sizes = {value.name or "": _size_bytes(value) for value in values}
        fetched = sum(sizes.get(name, 0) for name in found.highest)
        cores = os.cpu_count() or 1
        held = max(1, min(fetched, STAGE_BYTES))
        self.workers = max(1, min(cores, count, HELD_BYTES // held))
        proto, weights = bare_proto(model)
        self._runner = FloatRunner(
            proto,
            list(found.highest),
            threads=max(1, cores // self.workers),
            limit_bytes=STAGE_BYTES,
            weights=weights,
        )
        self._model, self._found = model, found
        self._ends = [value.name or "" for value in model.graph.outputs]
        self._locks = {name: threading.Lock() for name in found.highest}

    def one(self, sample: Sample, number: int) -> dict[str, AnyArray]:
        """Note the statistics of a sample; returns its outputs, thinned out.

        Raises:
            CalibrationError: the model refuses it, or values are not finite.
        """
        outputs: dict[str, AnyArray] = {}
        try:
            for arrays in self._runner.steps(sample):
                if number == 1:
                    _check_shapes(self._model, arrays)
                ends = (name for name in self._ends if name in arrays)
                outputs |= {name: thinned(arrays[name]) for name in ends}
                for name in arrays.keys() & self._locks.keys():
                    with self._locks[name]:
                        _observe(self._found, name, arrays[name], number)
                del arrays
        except FloatRunFailed as error:
            raise CalibrationError(
                f"the float model refuses sample {number}: {error.message}", where=error.where
            ) from error
        return outputs


def _size_bytes(value: ir.Value) -> int:
    shape = value.shape
    if shape is None:
        return 0
    return int(np.prod([size for size in shape if isinstance(size, int)], dtype=np.int64)) * 4


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


def _digest(found: Statistics, sample: Sample) -> None:
    for name, values in sorted(sample.items()):
        values = np.ascontiguousarray(values)
        found.digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        found.digest.update(values.reshape(-1).data)


def _observe(found: Statistics, name: str, array: AnyArray, number: int) -> None:
    """Note the statistics of one tensor of a sample."""
    if not array.size:
        return
    highest = magnitudes.highest(array)
    if not np.isfinite(highest):
        raise CalibrationError(
            f"tensor '{name}' is not finite for sample {number}",
            hint="check the sample files, their data type and the model's mean and scale",
        )
    found.highest[name] = max(found.highest[name], highest)
    if found.histograms:
        found.histograms[name].add(array.astype(np.float32, copy=False), highest)
