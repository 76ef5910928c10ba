"""Large constants beside their model instead of in it.

A protobuf message with all weights inside is copied whole by whatever converts, checks or runs it.
So large float32 constants lie in a list, and the message says of each only where: as ONNX says it
of external data, with the position in the list as the offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from bpu_common.tensor import F32, AnyArray
from bpu_sim.engines.onnx import wire

Weights: TypeAlias = Sequence[F32]
"""What tensors that lie outside refer to, by position; in C order."""

LEAST_BYTES = 1 << 14
"""Smaller constants stay in the message: shapes, scales and all that graphs compute with."""

_LOCATION = "beside the model"
_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER
_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
_RAW_DATA = TensorProto.RAW_DATA_FIELD_NUMBER


def taken_out(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[F32]]:
    """A copy of a model without its large constants, and these."""
    bare, weights = onnx.ModelProto(), list[F32]()
    _copy(model, bare, lambda key: key != _GRAPH)
    _copy(model.graph, bare.graph, lambda key: key != _INITIALIZER)
    for tensor in model.graph.initializer:
        array = _large(tensor)
        if array is None:
            bare.graph.initializer.append(tensor)
        else:
            refer(bare.graph.initializer.add(), tensor.name, array, weights)
    return bare, weights


def bare_proto(model: ir.Model) -> tuple[onnx.ModelProto, list[F32]]:
    """The message of a model without its large constants, and these."""
    weights = list[F32]()
    inside: dict[str, ir.TensorProtocol] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.nbytes < LEAST_BYTES:
            continue
        inside[name] = tensor
        stand_in = TensorProto()
        refer(stand_in, name, tensor.numpy(), weights)
        value.const_value = ir.from_proto(stand_in)
    try:
        return ir.to_proto(model), weights
    finally:
        for name, tensor in inside.items():
            model.graph.initializers[name].const_value = tensor


def from_bare(model: onnx.ModelProto, weights: Weights) -> ir.Model:
    """The model of a message whose large constants are `weights`."""
    made = ir.from_proto(model)
    for tensor in model.graph.initializer:
        if is_outside(tensor):
            value = made.graph.initializers[tensor.name]
            value.const_value = ir.tensor(array_of(tensor, weights), name=tensor.name)
    return made


def serialized(model: onnx.ModelProto, weights: Weights) -> bytes:
    """The bytes of a model with its constants inside, as protobuf writes them in canonical order.

    Made of pieces, because a message with all weights, its copies and its bytes are several times
    as much memory.
    """
    inner: list[bytes | memoryview] = [_part(model.graph, lambda key: key < _INITIALIZER)]
    for tensor in model.graph.initializer:
        if not is_outside(tensor):
            inner.append(wire.block(_INITIALIZER, tensor.SerializeToString(deterministic=True)))
            continue
        raw = np.ascontiguousarray(array_of(tensor, weights)).reshape(-1).view(np.uint8).data
        first = _part(tensor, lambda key: key < _RAW_DATA) + wire.head(_RAW_DATA, len(raw))
        inner += [wire.head(_INITIALIZER, len(first) + len(raw)) + first, raw]
    inner.append(_part(model.graph, lambda key: key > _INITIALIZER))
    size_bytes = sum(len(piece) for piece in inner)
    outer = [_part(model, lambda key: key < _GRAPH), wire.head(_GRAPH, size_bytes)]
    return b"".join([*outer, *inner, _part(model, lambda key: key > _GRAPH)])


def _part(message: Message, wanted: Callable[[int], bool]) -> bytes:
    """The fields of a message whose numbers are wanted."""
    part = type(message)()
    _copy(message, part, wanted)
    return part.SerializeToString(deterministic=True)


def is_outside(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL


def array_of(tensor: TensorProto, weights: Weights) -> AnyArray:
    """The values of a constant, wherever they are."""
    if is_outside(tensor):
        return weights[int(next(e.value for e in tensor.external_data if e.key == "offset"))]
    return numpy_helper.to_array(tensor)


def as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose outside constants are inputs, for those who would look for their values."""
    made = onnx.ModelProto()
    _copy(model, made, lambda key: key != _GRAPH)
    _copy(model.graph, made.graph, lambda key: key != _INITIALIZER)
    known = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if not is_outside(tensor):
            made.graph.initializer.append(tensor)
        elif tensor.name not in known:
            made.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return made


def _large(tensor: TensorProto) -> F32 | None:
    """The values of a large constant; None of others, and of damaged ones, which a check names."""
    size = math.prod(tensor.dims)
    if tensor.data_type != TensorProto.FLOAT or 4 * size < LEAST_BYTES:
        return None
    if tensor.HasField("raw_data") and not tensor.float_data:
        raw = tensor.raw_data
        return np.frombuffer(raw, "<f4").reshape(tensor.dims) if len(raw) == 4 * size else None
    values = np.array(tensor.float_data, np.float32)
    return values.reshape(tensor.dims) if values.size == size else None


def _copy(source: Message, target: Message, wanted: Callable[[int], bool]) -> None:
    """The fields whose numbers are wanted."""
    for field, value in source.ListFields():
        if not wanted(field.number):
            continue
        if field.is_repeated:
            getattr(target, field.name).extend(value)
        elif field.message_type is not None:
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)


def refer(tensor: TensorProto, name: str, array: F32, weights: list[F32]) -> None:
    """Let a tensor stand for an array that is added to the list."""
    array = np.ascontiguousarray(array)  # onnxruntime takes no other order
    tensor.name, tensor.data_type = name, TensorProto.FLOAT
    tensor.dims.extend(array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", _LOCATION), ("offset", len(weights)), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    weights.append(array)
