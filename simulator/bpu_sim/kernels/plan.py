"""Plans: a part of a network packed for the kernels, and frames that run it."""

from __future__ import annotations

import ctypes as c
import threading
import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from bpu_common.errors import CapacityError
from bpu_common.network import BpuOp
from bpu_common.network.rules import Tensors
from bpu_common.tensor import AnyArray
from bpu_sim.kernels.abi import OpSpec, TensorSpec
from bpu_sim.kernels.buffers import Step, View, place
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.writer import write_steps

_IDLE_FRAMES = 4
"""Frames kept for the next calls."""


class Plan:
    """Operations of a network packed for one instruction set; threads may share it.

    Args:
        inputs: names of int8 (1, H, W, C) tensors that are given.
        outputs: names of the tensors that are wanted.

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
    ) -> None:
        self.inputs = tuple(inputs)
        self._made = [(each, tensors[each].shape, tensors[each].dtype.numpy) for each in outputs]
        self.steps = write_steps(
            ops, tensors, self.inputs, tuple(outputs), widens=library.widens(name)
        )
        self.arena_bytes = place(self.steps)
        self._packed = _Packed(library.functions, name, self.steps, self.arena_bytes)
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
        frame.run(given, made, threads)
        self._put_back(frames, frame)
        return {name: array for (name, _, _), array in zip(self._made, made, strict=True)}

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
        frame = _Frame(self._packed, 1)
        frame.run(given, made, 1, times, rounds)
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


class _Frame:
    """Arenas and counters of one call at a time."""

    def __init__(self, packed: _Packed, frames: int) -> None:
        self._packed = packed  # helpers may look at it until the frame is gone
        made = packed.library.frame_new(packed.plan, frames)
        if not made:
            raise CapacityError(f"not enough memory for {frames} frames")
        self._frame = c.c_void_p(made)
        weakref.finalize(self, packed.library.frame_free, self._frame)

    def run(
        self,
        given: Sequence[AnyArray],
        made: Sequence[AnyArray],
        threads: int,
        times: c.Array[c.c_double] | None = None,
        rounds: int = 0,
    ) -> None:
        inputs = (c.c_void_p * max(len(given), 1))(*(array.ctypes.data for array in given))
        outputs = (c.c_void_p * max(len(made), 1))(*(array.ctypes.data for array in made))
        self._packed.library.frame_run(self._frame, inputs, outputs, threads)
        for _ in range(rounds):
            self._packed.library.frame_profile(self._frame, times)


def _set(spec: OpSpec, field: str, value: object) -> None:
    if isinstance(value, np.ndarray):
        setattr(spec, field, value.ctypes.data)  # the step keeps the array
    elif isinstance(value, (tuple, list)):
        getattr(spec, field)[:] = value
    else:
        setattr(spec, field, value)
