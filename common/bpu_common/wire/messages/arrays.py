"""numpy arrays <-> tensor messages: raw little-endian bytes, no Python lists on the way."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from bpu_common.errors import InputError, ModelFormatError
from bpu_common.frame import FrameInput, Roi
from bpu_common.tensor import AnyArray, DType
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.gen.openbpu.v1 import model_pb2
from bpu_common.wire.messages.tensors import (
    DTYPE_FROM_PB,
    DTYPE_TO_PB,
    enum_from,
    shape_from,
)

assert sys.byteorder == "little", "tensors travel as the bytes that lie in memory"

MAX_ARRAYS = 256
_BY_NUMPY = {value.numpy: value for value in DType}


class _Tensors(Protocol):
    """A repeated field of tensors."""

    def add(
        self, *, name: str, dtype: model_pb2.DType, shape: Sequence[int], data: bytes
    ) -> pb.Tensor: ...


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
        known = ", ".join(value.value for value in DType)
        raise InputError(
            f"elements are {array.dtype}, possible are {known}", where=f"tensor {name!r}"
        )
    data = array.tobytes()
    return tensors.add(name=name, dtype=DTYPE_TO_PB[dtype], shape=array.shape, data=data)


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
    try:
        dtype = enum_from(DTYPE_FROM_PB, message.dtype, "element type")
        shape = shape_from(message.shape, "shape")
    except ModelFormatError as error:
        raise InputError(error.message, where=where) from None
    data = message.data
    if math.prod(shape) * dtype.size_bytes != len(data):
        raise InputError(f"{len(data)} bytes are not {dtype.value} of shape {shape}", where=where)
    return np.frombuffer(data, dtype.numpy).reshape(shape)
