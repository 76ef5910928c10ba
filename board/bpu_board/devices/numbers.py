"""The numbers of a frame: the parts of its network one after another, outside of time.

An engine runs the network (and, on request, its BPU parts run instruction by instruction to
compare). Results are kept by the digest of the inputs, so that frames with the same inputs are
computed once. What is kept is never handed out: callers get read-only views, one set each, so that
nothing they do to an array, its shape included, reaches another caller.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bpu_board.device import Inputs, PartValues
from bpu_common.errors import DeviceFault
from bpu_common.frame import FrameInput
from bpu_common.model import BpuModel
from bpu_common.network import Part, Place
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray
from bpu_sim.inputs import as_network_sees

if TYPE_CHECKING:
    from bpu_sim.machine import ExactPart

Arrays: TypeAlias = dict[str, AnyArray]

CACHE_BYTES = 64 << 20
"""Outputs kept per model."""
MAX_COMPUTING = max(2, os.cpu_count() or 1)
"""Frames of one model that are computed at once: more would only need more memory."""


class ModelNumbers:
    """Computes frames of one model; thread-safe.

    Args:
        threads: onnxruntime's threads within one operator.
        digest: identity of the model in its file; empty: it has none.
        cache: where the engine remembers what it proved; None: the user's folder.
        contained: float operators run in a process of their own, as those of a model from
            elsewhere must.

    Raises:
        ModelFormatError: an operator of a CPU part may not be run.
        CapacityError: a CPU part needs more memory or time than it may have.
    """

    def __init__(
        self,
        model: BpuModel,
        threads: int,
        digest: str = "",
        cache: Path | None = None,
        contained: bool = False,
    ) -> None:
        from bpu_sim.engines import open_engine  # loads onnxruntime
        from bpu_sim.engines.proofs import Proofs

        self._model = model
        self._engine, _ = open_engine(
            model.network,
            hints=model.hints,
            digest=digest,
            threads=threads,
            proofs=Proofs(cache),
            contained=contained,
        )
        self._exact: dict[str, ExactPart] = {}
        self._exact_lock = threading.Lock()
        self._cache = _Cache(CACHE_BYTES)
        self._places = threading.BoundedSemaphore(MAX_COMPUTING)

    def outputs(self, inputs: Inputs, stop: Stop | None = None) -> Arrays:
        """Outputs of the model for checked inputs, by output name; the arrays are read-only.

        Raises:
            DeviceFault: the computation failed.
            CapacityError: it needs more memory or time than it may have.
            Cancelled, DeadlineExceeded: `stop`.
        """
        key = _digest(inputs)
        known = self._cache.get(key)
        if known is None:
            values = self._computed(inputs, (), stop or Stop())
            known = self._kept(key, values, inputs)
        return _views(known)

    def inspect(
        self, inputs: Inputs, exact: bool, stop: Stop | None = None
    ) -> tuple[PartValues, ...]:
        """All arrays between parts, in execution order, read-only; see `Device.inspect`."""
        network = self._model.network
        between = list(dict.fromkeys(n for p in network.parts for n in (*p.inputs, *p.outputs)))
        stop = stop or Stop()
        values = self._computed(inputs, between, stop)
        found: list[PartValues] = []
        for part in network.parts:
            made = {name: values[name] for name in part.outputs}
            if part.place is Place.CPU:
                given = {name: values[name] for name in part.inputs}
                found.append(PartValues(part.name, "CPU", _views(given), _views(made)))
                continue
            taken = {name: inputs.get(name) or FrameInput(values[name]) for name in part.inputs}
            given = {name: each.array for name, each in taken.items()}
            specs = {name: network.tensors[name] for name in part.outputs}
            compared = self._compare(part, taken, made, stop) if exact else 0
            found.append(PartValues(part.name, "BPU", _views(given), _views(made), specs, compared))
        self._kept(_digest(inputs), values, inputs)
        return tuple(found)

    def _kept(self, key: bytes, values: Arrays, inputs: Inputs) -> Arrays:
        """The outputs among all values, now in the cache; an input handed through is copied."""
        made: Arrays = {}
        for output in self._model.network.outputs:
            array = np.asarray(values[output.tensor], order="C")
            if any(np.may_share_memory(array, each.array) for each in inputs.values()):
                array = array.copy()
            made[output.name] = _frozen(array)
        self._cache.put(key, made)
        return made

    def _as_network_sees(self, inputs: Inputs) -> Arrays:
        return {
            item.tensor.name: as_network_sees(inputs[item.tensor.name], item)
            for item in self._model.inputs
        }

    def _computed(self, inputs: Inputs, keep: Collection[str], stop: Stop) -> Arrays:
        with stop.holding(self._places):
            return self._engine.run(self._as_network_sees(inputs), keep, stop)

    def _compare(self, part: Part, given: Inputs, made: Arrays, stop: Stop) -> int:
        from bpu_sim.machine import ExactPart

        with self._exact_lock:
            machine = self._exact.get(part.name)
            if machine is None:
                program, images = self._model.programs[part.name], self._model.network.images
                machine = self._exact[part.name] = ExactPart(
                    part.name, program, images, [op.name for op in part.ops]
                )
            wanted = machine.run(given, stop)
        return sum(_check_equal(part.name, name, made[name], wanted[name]) for name in part.outputs)


class _Cache:
    """Outputs by digest of the inputs; the least recently used go first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Arrays] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: bytes) -> Arrays | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: bytes, arrays: Arrays) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = arrays
            self._size_bytes += _bytes_of(arrays)
            while self._size_bytes > self._limit_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._size_bytes -= _bytes_of(dropped)


def _views(arrays: Arrays) -> Arrays:
    """New read-only arrays over the same bytes."""
    made = {name: array.view() for name, array in arrays.items()}
    for view in made.values():
        view.flags.writeable = False
    return made


def _frozen(array: AnyArray) -> AnyArray:
    """The array, read-only for good: as long as its owner may be written, so may any view of it."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner.flags.writeable = False
        owner = owner.base
    return array


def _bytes_of(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def _digest(inputs: Inputs) -> bytes:
    """Identity of checked (C-contiguous) inputs; names and types are fixed by the model."""
    state = hashlib.sha256()
    for name in sorted(inputs):
        each = inputs[name]
        state.update(repr((each.array.shape, each.roi)).encode())
        state.update(each.array.data)
    return state.digest()


def _check_equal(part: str, tensor: str, fast: AnyArray, exact: AnyArray) -> int:
    """Number of elements, all equal.

    Raises:
        DeviceFault: the first difference.
    """
    if fast.shape != exact.shape or fast.dtype != exact.dtype:
        raise DeviceFault(
            f"output {tensor} of {part} is {fast.dtype} {fast.shape} by the engine and "
            f"{exact.dtype} {exact.shape} by the instructions"
        )
    different = fast != exact
    count = int(np.count_nonzero(different))
    if count:
        where = tuple(int(axis[0]) for axis in np.nonzero(different))
        raise DeviceFault(
            f"output {tensor} of {part}: {count} of {fast.size} values differ between the "
            f"engine and the instructions, first at {where}: {fast[where]} and {exact[where]}",
            hint="the model file is damaged or was made by a faulty compiler: convert it again",
        )
    return int(fast.size)
