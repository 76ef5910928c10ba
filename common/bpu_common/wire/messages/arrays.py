"""numpy arrays <-> tensor messages: raw little-endian bytes, no Python lists on the way."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bpu_common.errors import InputError
from bpu_common.frame import FrameInput, Roi
from bpu_common.limits import MAX_RANK
from bpu_common.tensor import AnyArray, DType
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.gen.openbpu.v1 import model_pb2
from bpu_common.wire.messages.enums import numbers_of
from bpu_common.wire.messages.record import Hook

assert sys.byteorder == "little", "tensors travel as the bytes that lie in memory"

MAX_ARRAYS = 256

_NUMBERS = numbers_of(DType, model_pb2.DType.DESCRIPTOR)
_DTYPES = {number: dtype for dtype, number in _NUMBERS.items()}
_BY_NUMPY = {value.numpy: value for value in DType if value.size_bits >= 8}


def arrays_field(name: str) -> Hook:
    """How a field of arrays by name is converted, in place: a copied message copies its arrays."""

    def write(value: Any, message: Any) -> None:  # noqa: ANN401  of any class with such a field
        add_arrays(getattr(message, name), getattr(value, name))

    def read(message: Any) -> dict[str, AnyArray]:  # noqa: ANN401
        return arrays_from_pb(getattr(message, name))

    return Hook(name, write, read)


def inputs_field(name: str) -> Hook:
    """As `arrays_field`, for arrays with their regions of interest."""

    def write(value: Any, message: Any) -> None:  # noqa: ANN401  of any class with such a field
        add_inputs(getattr(message, name), getattr(value, name))

    def read(message: Any) -> dict[str, FrameInput]:  # noqa: ANN401
        return inputs_from_pb(getattr(message, name))

    return Hook(name, write, read)


class _Tensors(Protocol):
    """A repeated field of tensors."""

    def add(self, *, name: str, dtype: int, shape: Sequence[int], data: bytes) -> pb.Tensor: ...


def add_inputs(tensors: _Tensors, inputs: Mapping[str, FrameInput]) -> None:
    """As `add_arrays`, with the region of interest of each.

    Raises:
        InputError: an element type that no model has.
    """
    for name, each in inputs.items():
        message = _add(tensors, name, each.array)
        if each.roi is not None:
            message.roi.CopyFrom(pb.Roi(**each.roi._asdict()))


def inputs_from_pb(messages: Sequence[pb.Tensor]) -> dict[str, FrameInput]:
    """Arrays as `arrays_from_pb` gives them, with the region of interest of each.

    Raises:
        InputError: as `arrays_from_pb`.
    """
    rois = {message.name: message.roi for message in messages if message.HasField("roi")}
    inputs = {}
    for name, array in arrays_from_pb(messages).items():
        roi = rois.get(name)
        region = None if roi is None else Roi(roi.left, roi.top, roi.right, roi.bottom)
        inputs[name] = FrameInput(array, region)
    return inputs


def add_arrays(tensors: _Tensors, arrays: Mapping[str, AnyArray]) -> None:
    """Append one message per array; made in place, since a finished message would be copied.

    Raises:
        InputError: an element type that no model has.
    """
    for name, array in arrays.items():
        _add(tensors, name, array)


def _add(tensors: _Tensors, name: str, array: AnyArray) -> pb.Tensor:
    dtype = _BY_NUMPY.get(array.dtype)
    if dtype is None:
        known = ", ".join(value.value for value in _BY_NUMPY.values())
        raise InputError(
            f"elements are {array.dtype}, possible are {known}", where=f"tensor {name!r}"
        )
    data = array.tobytes()
    return tensors.add(name=name, dtype=_NUMBERS[dtype], shape=array.shape, data=data)


def arrays_from_pb(messages: Iterable[pb.Tensor]) -> dict[str, AnyArray]:
    """Read-only arrays over the messages' bytes, by name.

    Raises:
        InputError: bytes that do not fit shape and type, a name twice, too many tensors.
    """
    arrays: dict[str, AnyArray] = {}
    for message in messages:
        if message.name in arrays:
            raise InputError("two tensors of one name", where=f"tensor {message.name!r}")
        if len(arrays) == MAX_ARRAYS:
            raise InputError(f"more than {MAX_ARRAYS} tensors in one request")
        arrays[message.name] = _from_pb(message)
    return arrays


def _from_pb(message: pb.Tensor) -> AnyArray:
    where = f"tensor {message.name!r}"
    dtype = _DTYPES.get(message.dtype)
    if dtype is None:
        raise InputError(f"DType {message.dtype} is not known", where=where)
    if dtype not in _BY_NUMPY.values():
        raise InputError(f"arrays of {dtype.value} do not travel; send them as int8", where=where)
    if len(message.shape) > MAX_RANK:
        raise InputError(
            f"{len(message.shape)} dimensions, at most {MAX_RANK} are possible", where=where
        )
    shape = tuple(message.shape)
    data = message.data
    if math.prod(shape) * dtype.size_bytes != len(data):
        raise InputError(f"{len(data)} bytes are not {dtype.value} of shape {shape}", where=where)
    return np.frombuffer(data, dtype.numpy).reshape(shape)
