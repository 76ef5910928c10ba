"""Plans: a part of a network packed for the kernels, and frames that run it."""

from __future__ import annotations

import ctypes as c
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from bpu_common.errors import CapacityError
from bpu_common.network import BpuOp
from bpu_common.network.rules import Tensors
from bpu_common.program import Pair
from bpu_common.tensor import U8, AnyArray
from bpu_sim.kernels.abi import OpSpec, TensorSpec
from bpu_sim.kernels.buffers import Step, View, place
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.writer import write_steps

_Pointers: TypeAlias = "c.Array[c.c_void_p]"

_IDLE_FRAMES = 4
"""Frames kept for the next calls."""


class Plan:
    """Operations of a network packed for one instruction set; threads may share it.

    Args:
        inputs: names of int8 (1, H, W, C) tensors that are given.
        outputs: names of the tensors that are wanted.
        pitches: for `bind`: bytes from row to row and from pixel to pixel of those arrays that have
            something between them.

    Raises:
        CapacityError: there is not enough memory.
    """

    def __init__(
        self,
        library: Library,
        name: str,
        ops: Sequence[BpuOp],
        tensors: Tensors,
        inputs: Sequence[str],
        outputs: Sequence[str],
        pitches: Mapping[str, Pair] | None = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self._made = [(each, tensors[each].shape, tensors[each].dtype.numpy) for each in outputs]
        self.steps = write_steps(
            ops,
            tensors,
            self.inputs,
            tuple(outputs),
            widens=library.widens(name),
            pitches=pitches or {},
        )
        self.arena_bytes = place(self.steps)
        self._packed = _Packed(library.functions, name, self.steps, self.arena_bytes)
        for step in self.steps:
            step.drop_arrays()  # they are packed
        self._idle: dict[int, list[_Frame]] = {}
        self._lock = threading.Lock()

    @property
    def packed_bytes(self) -> int:
        """Of weights and constants as the kernels read them."""
        return self._packed.size_bytes

    def run(
        self, values: Mapping[str, AnyArray], *, threads: int = 1, frames: int = 1
    ) -> dict[str, AnyArray]:
        """The outputs for `frames` frames at once.

        Args:
            values: inputs by name: int8 (frames, H, W, C).
            threads: how many may work on it, the caller's included.

        Raises:
            CapacityError: there is not enough memory.
        """
        given = [np.ascontiguousarray(values[name], np.int8) for name in self.inputs]
        made = [np.empty((frames, *shape[1:]), dtype) for _, shape, dtype in self._made]
        frame = self._take(frames)
        frame.run(_addresses(given), _addresses(made), threads)
        self._put_back(frames, frame)
        return {name: array for (name, _, _), array in zip(self._made, made, strict=True)}

    def bind(self, addresses: Mapping[str, int], scratch: Scratch) -> BoundFrame:
        """One frame whose arrays lie at fixed addresses, inputs and outputs by name.

        Whoever binds keeps those arrays, and runs no two frames of one scratch at a time.

        Raises:
            CapacityError: there is not enough memory.
        """
        frame = _Frame(self._packed, 1, scratch.take(self._packed.frame_bytes(1)))
        given = [addresses[name] for name in self.inputs]
        return BoundFrame(frame, given, [addresses[name] for name, _, _ in self._made])

    def _take(self, frames: int) -> _Frame:
        with self._lock:
            idle = self._idle.setdefault(frames, [])
            if idle:
                return idle.pop()
        return _Frame(self._packed, frames)

    def _put_back(self, frames: int, frame: _Frame) -> None:
        with self._lock:
            if len(self._idle[frames]) < _IDLE_FRAMES:
                self._idle[frames].append(frame)

    def profile(self, values: Mapping[str, AnyArray], rounds: int = 20) -> list[float]:
        """The least CPU time of each step on one thread, in microseconds."""
        given = [np.ascontiguousarray(values[name], np.int8) for name in self.inputs]
        made = [np.empty(shape, dtype) for _, shape, dtype in self._made]
        times = (c.c_double * len(self.steps))()
        inputs, outputs = _addresses(given), _addresses(made)  # the frame looks at them again
        frame = _Frame(self._packed, 1)
        frame.run(inputs, outputs, 1)
        for _ in range(rounds):
            frame.profile(times)
        return [ns / 1e3 for ns in times]


class _Packed:
    """The packed plan; it lives as long as a frame of it does."""

    def __init__(self, library: c.CDLL, name: str, steps: Sequence[Step], arena_bytes: int) -> None:
        self.library = library
        views: dict[View, int] = {}
        ops = (OpSpec * len(steps))()
        for spec, step in zip(ops, steps, strict=True):
            spec.kind = step.kind
            for field in ("x", "y", "z"):
                view = getattr(step, field)
                setattr(spec, field, -1 if view is None else views.setdefault(view, len(views)))
            if step.y is not None:
                spec.edges[:] = step.y.buffer.edges
            for field, value in step.values.items():
                _set(spec, field, value)
        tensors = (TensorSpec * max(len(views), 1))(*(view.spec() for view in views))
        plan = library.plan_new(name.encode(), tensors, len(views), ops, len(steps), arena_bytes)
        if not plan:
            raise CapacityError(f"not enough memory to pack the weights of {len(steps)} steps")
        self.plan = c.c_void_p(plan)
        self.size_bytes = int(library.plan_bytes(self.plan))
        weakref.finalize(self, library.plan_free, self.plan)

    def frame_bytes(self, frames: int) -> int:
        """Of memory for so many frames at once."""
        return int(self.library.frame_bytes(self.plan, frames))


class Scratch:
    """Memory of frames that never run at the same time."""

    def __init__(self) -> None:
        self._memory: U8 = np.empty(0, np.uint8)

    def take(self, size_bytes: int) -> U8:
        """At least so much; what was taken before stays as it is."""
        if self._memory.size < size_bytes:
            self._memory = np.empty(max(size_bytes, 2 * self._memory.size), np.uint8)
        return self._memory


class BoundFrame:
    """A frame whose inputs and outputs lie at fixed addresses: to run it is one call."""

    def __init__(self, frame: _Frame, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._frame = frame
        self._inputs, self._outputs = _pointers(inputs), _pointers(outputs)

    def run(self) -> None:
        """Compute the outputs from the inputs, on the calling thread alone."""
        self._frame.run(self._inputs, self._outputs, 1)


class _Frame:
    """Arenas and counters of one call at a time.

    Args:
        memory: where the arenas lie; None: in memory of their own.
    """

    def __init__(self, packed: _Packed, frames: int, memory: U8 | None = None) -> None:
        self._packed = packed  # helpers may look at it until the frame is gone
        self._memory = memory
        address = None if memory is None else memory.ctypes.data
        made = packed.library.frame_new(packed.plan, frames, address)
        if not made:
            raise CapacityError(f"not enough memory for {frames} frames")
        self._frame = c.c_void_p(made)
        weakref.finalize(self, packed.library.frame_free, self._frame)

    def run(self, inputs: _Pointers, outputs: _Pointers, threads: int) -> None:
        self._packed.library.frame_run(self._frame, inputs, outputs, threads)

    def profile(self, times: c.Array[c.c_double]) -> None:
        """Lower the times of the steps, in ns, by one more run on the arrays of the last one."""
        self._packed.library.frame_profile(self._frame, times)


def _pointers(addresses: Sequence[int]) -> _Pointers:
    return (c.c_void_p * max(len(addresses), 1))(*addresses)


def _addresses(arrays: Sequence[AnyArray]) -> _Pointers:
    return _pointers([array.ctypes.data for array in arrays])


def _set(spec: OpSpec, field: str, value: object) -> None:
    if isinstance(value, np.ndarray):
        setattr(spec, field, value.ctypes.data)  # the step keeps the array until all is packed
    elif isinstance(value, (tuple, list)):
        getattr(spec, field)[:] = value
    else:
        setattr(spec, field, value)
