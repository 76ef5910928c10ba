"""Where the arrays of a network lie in the sections of a file: one owner of the layout.

Each BPU part has a weights section, which is also the WEIGHTS space of its program: for each
operation int8 weights and a parameter table of 8 bytes a channel, or look-up tables. The arrays of
all CPU parts and the constants of the network share one section. An array is aligned as a
section is: to cache lines, vector loads, and any element type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bpu_common.container.layout import ALIGN
from bpu_common.errors import ModelFormatError
from bpu_common.model import Bytes, ConstantPlace, StoredConstant
from bpu_common.network import Network, Operation, Place, QConv, QLut
from bpu_common.params import ChannelParams
from bpu_common.program import CHANNEL_PARAM_BYTES
from bpu_common.tensor import I8, AnyArray, DType, align_up

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""[start, end) of arrays in their section, in bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeights:
    """A weights section and where the operations' arrays lie in it, in their order."""

    data: bytes
    places: tuple[ConstantPlace, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PackedConstants:
    """The constants section: arrays of the CPU parts (in order) and named constants."""

    data: bytes
    parts: tuple[tuple[ConstantPlace, ...], ...]
    constants: tuple[StoredConstant, ...]


class _Section:
    """Arrays behind one another, aligned; equal ones are stored once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, blob: bytes) -> int:
        """Offset of `blob` in the section."""
        if blob not in self._known:
            self.data.extend(bytes(align_up(len(self.data), ALIGN) - len(self.data)))
            self._known[blob] = len(self.data)
            self.data.extend(blob)
        return self._known[blob]

    def place(self, op: Operation) -> ConstantPlace:
        """Add the arrays of an operation."""
        match op:
            case QConv():
                weights = np.ascontiguousarray(op.weights, np.int8)
                return ConstantPlace(self.add(weights.tobytes()), self.add(op.params.to_bytes()))
            case QLut():
                return ConstantPlace(tables=self.add(np.asarray(op.tables, np.int8).tobytes()))
            case _:
                return ConstantPlace()


def pack_weights(ops: Iterable[Operation]) -> PackedWeights:
    """The weights section of a BPU part."""
    section = _Section()
    places = tuple(section.place(op) for op in ops)
    return PackedWeights(bytes(section.data), places)


def pack_constants(network: Network) -> PackedConstants:
    """The constants section: what its CPU parts need besides tensors."""
    section = _Section()
    parts = tuple(
        tuple(section.place(op) for op in part.ops)
        for part in network.parts
        if part.place is Place.CPU
    )
    constants = tuple(
        StoredConstant(name, DType(array.dtype.name), array.shape, section.add(array.tobytes()))
        for name, array in network.constants.items()
    )
    return PackedConstants(bytes(section.data), parts, constants)


def spans(op: Operation, place: ConstantPlace) -> Spans:
    """Where the arrays of an operation lie in its section."""
    match op:
        case QConv():
            params_bytes = len(op.weights) * CHANNEL_PARAM_BYTES
            return (
                (place.weights, place.weights + op.weights.size),
                (place.params, place.params + params_bytes),
            )
        case QLut():
            return ((place.tables, place.tables + op.tables.size),)
        case _:
            return ()


def constant_span(constant: StoredConstant) -> tuple[int, int]:
    """Where a named constant lies in the constants section.

    Raises:
        ModelFormatError: it is of a type that no array has.
    """
    if constant.dtype.size_bits < 8:
        raise ModelFormatError(f"a constant of {constant.dtype.value} elements")
    size_bytes = math.prod(constant.shape) * constant.dtype.size_bytes
    return constant.offset_bytes, constant.offset_bytes + size_bytes


def covers(taken: Iterable[tuple[int, int]], section: Bytes) -> bool:
    """Whether a section holds these arrays and nothing else but zeros that align them."""
    end = 0
    for first, last in sorted(taken):
        if first > align_up(end, ALIGN) or any(section[end:first]):
            return False
        end = max(end, last)
    return end == len(section)


def with_arrays(op: Operation, place: ConstantPlace, section: memoryview) -> Operation:
    """The operation with its arrays as views of the section; until now only shapes were known.

    Raises:
        ModelFormatError: they do not lie within the section; `where` is the field.
    """
    match op:
        case QConv(weights=weights):
            _require_rank(weights, 4, "weights")
            channels = len(weights)
            start, end = _span(section, place.params, channels * CHANNEL_PARAM_BYTES, "params")
            return replace(
                op,
                weights=_int8(section, place.weights, weights, "weights"),
                params=ChannelParams.from_bytes(section[start:end], channels),
            )
        case QLut(tables=tables):
            _require_rank(tables, 2, "tables")
            return replace(op, tables=_int8(section, place.tables, tables, "tables"))
        case _:
            return op


def constant_array(constant: StoredConstant, section: memoryview) -> AnyArray:
    """A named constant as a view of the section.

    Raises:
        ModelFormatError: it does not lie within it, or is of a type that no array has.
    """
    first, last = constant_span(constant)
    start, end = _span(section, first, last - first, "")
    raw = np.frombuffer(section, np.uint8)[start:end] if start < end else np.zeros(0, np.uint8)
    if constant.dtype is DType.BOOL and raw.max(initial=0) > 1:
        raise ModelFormatError("a boolean that is neither 0 nor 1")
    return raw.view(constant.dtype.numpy).reshape(constant.shape)


def _int8(section: memoryview, offset: int, shaped: I8, field: str) -> I8:
    start, end = _span(section, offset, shaped.size, field)
    return np.frombuffer(section[start:end], np.int8).reshape(shaped.shape)


def _span(section: memoryview, offset: int, size_bytes: int, field: str) -> tuple[int, int]:
    if offset % ALIGN or offset + size_bytes > len(section):
        raise ModelFormatError(
            f"bytes {offset} to {offset + size_bytes} are not within the {len(section)} bytes of "
            f"the section, or not aligned to {ALIGN}",
            where=field,
        )
    return offset, offset + size_bytes


def _require_rank(array: I8, rank: int, field: str) -> None:
    if array.ndim != rank or 0 in array.shape:
        raise ModelFormatError(f"an array of shape {array.shape}", where=field)
