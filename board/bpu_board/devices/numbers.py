"""The numbers of a frame: its segments one after another, outside of time.

BPU segments run on the fast path (and, on request, instruction by instruction to compare); CPU
segments run in onnxruntime. Results are kept by the digest of the inputs, so that frames with the
same inputs are computed once. What is kept is never handed out: callers get read-only views, one
set each, so that nothing they do to an array, its shape included, reaches another caller.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bpu_board.device import Inputs, SegmentValues
from bpu_common.errors import DeviceFault, ModelFormatError
from bpu_common.image import network_input
from bpu_common.model import BpuModel, BpuSegment, CpuSegment
from bpu_common.tensor import AnyArray, ModelInput

if TYPE_CHECKING:
    import onnxruntime

    from bpu_sim.machine import ExactSegment

Arrays: TypeAlias = dict[str, AnyArray]

CACHE_BYTES = 64 << 20
"""Outputs kept per model."""


class ModelNumbers:
    """Computes frames of one model; thread-safe.

    Args:
        threads: onnxruntime's threads within one operator.

    Raises:
        ModelFormatError: a graph in the model may not be run.
    """

    def __init__(self, model: BpuModel, threads: int) -> None:
        from bpu_sim.fastpath import FastSegment  # loads onnxruntime

        self._model = model
        self._images = {each.tensor.name: each for each in model.inputs}
        self._segments: list[_Segment] = []
        for segment in model.segments:
            if isinstance(segment, BpuSegment):
                fast = FastSegment(segment, self._images, threads)
                self._segments.append(_Segment(segment, fast.run, None))
            else:
                session = _cpu_session(segment, threads)
                self._segments.append(_Segment(segment, None, session))
        self._exact: dict[str, ExactSegment] = {}
        self._exact_lock = threading.Lock()
        self._cache = _Cache(CACHE_BYTES)

    def outputs(self, inputs: Inputs) -> Arrays:
        """Outputs of the model for checked inputs; the arrays are read-only.

        Raises:
            DeviceFault: the computation failed.
        """
        key = _digest(inputs)
        known = self._cache.get(key)
        if known is None:
            known = self._kept(key, self._run(inputs, None), inputs)
        return _views(known)

    def inspect(self, inputs: Inputs, exact: bool) -> tuple[SegmentValues, ...]:
        """All arrays at segment boundaries, in execution order, read-only; see `Device.inspect`."""
        found: list[SegmentValues] = []

        def visit(segment: _Segment, given: Arrays, made: Arrays) -> None:
            on_bpu = segment.fast is not None
            compared = self._compare(segment.source, given, made) if exact and on_bpu else 0
            on = "BPU" if on_bpu else "CPU"
            name, tensors = segment.source.name, self._model.tensors
            specs = {each: tensors[each] for each in made if on_bpu and each in tensors}
            found.append(SegmentValues(name, on, _views(given), _views(made), specs, compared))

        self._kept(_digest(inputs), self._run(inputs, visit), inputs)
        return tuple(found)

    def _kept(self, key: bytes, values: Arrays, inputs: Inputs) -> Arrays:
        """The outputs among all values, now in the cache; an input handed through is copied."""
        made: Arrays = {}
        for spec in self._model.outputs:
            array = np.ascontiguousarray(values[spec.name]).reshape(spec.shape)
            if any(np.may_share_memory(array, each.array) for each in inputs.values()):
                array = array.copy()
            made[spec.name] = _frozen(array)
        self._cache.put(key, made)
        return made

    def _run(self, inputs: Inputs, visit: _Visit | None) -> Arrays:
        values: Arrays = {name: each.array for name, each in inputs.items()}
        for segment in self._segments:
            given = {name: values[name] for name in segment.source.inputs}
            if segment.fast is not None:
                made = segment.fast(given)
            else:
                made = self._run_cpu(segment, given)
            if visit is not None:
                visit(segment, given, made)
            values.update(made)
        return values

    def _run_cpu(self, segment: _Segment, given: Arrays) -> Arrays:
        session = segment.session
        assert session is not None
        feeds = {name: self._as_network_sees(name, array) for name, array in given.items()}
        names = list(segment.source.outputs)
        try:
            return dict(zip(names, session.run(names, feeds), strict=True))
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise DeviceFault(
                f"CPU segment {segment.source.name} of model {self._model.name} failed: {reason}"
            ) from error

    def _as_network_sees(self, name: str, array: AnyArray) -> AnyArray:
        """Raw pictures become int8 NHWC for a CPU segment; everything else stays as it is."""
        spec = self._images.get(name)
        if spec is None or not spec.input_type.is_image:
            return array
        return network_input(array, spec)

    def _compare(self, segment: BpuSegment | CpuSegment, given: Arrays, made: Arrays) -> int:
        assert isinstance(segment, BpuSegment)
        with self._exact_lock:
            machine = self._exact.get(segment.name)
            if machine is None:
                machine = self._exact[segment.name] = _exact_segment(segment, self._images)
            wanted = machine.run(given)
        compared = 0
        for name in segment.outputs:
            compared += _check_equal(segment.name, name, made[name], wanted[name])
        return compared


class _Segment:
    """One segment and what runs it: exactly one of `fast` and `session` is given."""

    __slots__ = ("fast", "session", "source")

    def __init__(
        self,
        source: BpuSegment | CpuSegment,
        fast: Callable[[Arrays], Arrays] | None,
        session: onnxruntime.InferenceSession | None,
    ) -> None:
        self.source = source
        self.fast = fast
        self.session = session


_Visit: TypeAlias = Callable[[_Segment, Arrays, Arrays], None]


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
    """Identity of checked (C-contiguous) inputs; names and shapes are fixed by the model."""
    state = hashlib.sha256()
    for name in sorted(inputs):
        state.update(inputs[name].array.data)
    return state.digest()


def _cpu_session(segment: CpuSegment, threads: int) -> onnxruntime.InferenceSession:
    from bpu_sim.engines.onnx.check import check_graph
    from bpu_sim.engines.onnx.session import make_session, session_options

    info = check_graph(segment.graph)
    if set(info.inputs) != set(segment.inputs) or set(info.outputs) != set(segment.outputs):
        raise ModelFormatError(
            f"segment {segment.name}: inputs or outputs of its graph are not its own",
            hint="convert the model again with this version",
        )
    return make_session(segment.graph, session_options(threads), segment.name)


def _exact_segment(segment: BpuSegment, images: Mapping[str, ModelInput]) -> ExactSegment:
    from bpu_sim.machine import ExactSegment

    return ExactSegment(segment, images)


def _check_equal(segment: str, tensor: str, fast: AnyArray, exact: AnyArray) -> int:
    """Number of elements, all equal.

    Raises:
        DeviceFault: the first difference.
    """
    if fast.shape != exact.shape or fast.dtype != exact.dtype:
        raise DeviceFault(
            f"output {tensor} of {segment} is {fast.dtype} {fast.shape} on the fast path and "
            f"{exact.dtype} {exact.shape} by the instructions"
        )
    different = fast != exact
    count = int(np.count_nonzero(different))
    if count:
        where = tuple(int(axis[0]) for axis in np.nonzero(different))
        raise DeviceFault(
            f"output {tensor} of {segment}: {count} of {fast.size} values differ between the fast "
            f"path and the instructions, first at {where}: {fast[where]} and {exact[where]}",
            hint="the model file is damaged or was made by a faulty compiler: convert it again",
        )
    return int(fast.size)
