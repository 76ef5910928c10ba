"""Tensor descriptions <-> messages."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol, TypeVar

from bpu_common.errors import ModelFormatError
from bpu_common.tensor import (
    UNQUANTIZED,
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    Scale,
    TensorSpec,
)
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb

MAX_RANK = 8

DTYPE_TO_PB: dict[DType, pb.DType] = {
    DType.INT8: pb.DTYPE_INT8,
    DType.UINT8: pb.DTYPE_UINT8,
    DType.INT16: pb.DTYPE_INT16,
    DType.INT32: pb.DTYPE_INT32,
    DType.INT64: pb.DTYPE_INT64,
    DType.FLOAT32: pb.DTYPE_FLOAT32,
    DType.BOOL: pb.DTYPE_BOOL,
    DType.INT4: pb.DTYPE_INT4,
    DType.UINT4: pb.DTYPE_UINT4,
    DType.FLOAT16: pb.DTYPE_FLOAT16,
    DType.UINT16: pb.DTYPE_UINT16,
    DType.UINT32: pb.DTYPE_UINT32,
    DType.FLOAT64: pb.DTYPE_FLOAT64,
    DType.UINT64: pb.DTYPE_UINT64,
}
DTYPE_FROM_PB = {number: value for value, number in DTYPE_TO_PB.items()}

LAYOUT_TO_PB: dict[Layout, pb.Layout] = {
    Layout.NONE: pb.LAYOUT_NONE,
    Layout.NHWC: pb.LAYOUT_NHWC,
    Layout.NCHW: pb.LAYOUT_NCHW,
}
LAYOUT_FROM_PB = {number: value for value, number in LAYOUT_TO_PB.items()}

INPUT_TYPE_TO_PB: dict[InputType, pb.InputType] = {
    InputType.FEATUREMAP: pb.INPUT_TYPE_FEATUREMAP,
    InputType.NV12: pb.INPUT_TYPE_NV12,
    InputType.YUV444: pb.INPUT_TYPE_YUV444,
    InputType.RGB: pb.INPUT_TYPE_RGB,
    InputType.BGR: pb.INPUT_TYPE_BGR,
    InputType.GRAY: pb.INPUT_TYPE_GRAY,
    InputType.NV12_SEPARATE: pb.INPUT_TYPE_NV12_SEPARATE,
}
INPUT_TYPE_FROM_PB = {number: value for value, number in INPUT_TYPE_TO_PB.items()}

SOURCE_TO_PB: dict[InputSource, pb.InputSource] = {
    InputSource.DDR: pb.INPUT_SOURCE_DDR,
    InputSource.PYRAMID: pb.INPUT_SOURCE_PYRAMID,
    InputSource.RESIZER: pb.INPUT_SOURCE_RESIZER,
}
SOURCE_FROM_PB = {number: value for value, number in SOURCE_TO_PB.items()}

_Number = TypeVar("_Number", bound=int)
_Value = TypeVar("_Value", bound=enum.Enum)


class _Sized(Protocol):
    def __len__(self) -> int: ...


def enum_from(table: dict[_Number, _Value], number: _Number, what: str) -> _Value:
    """The value of an enum number; proto3 lets unknown numbers through, we do not."""
    value = table.get(number)
    if value is None:
        raise ModelFormatError(f"{what} {int(number)} is not known")
    return value


def limit(items: _Sized, most: int, what: str) -> None:
    """Refuse a list that is longer than any real one before it is turned into Python values."""
    if len(items) > most:
        raise ModelFormatError(f"{len(items)} {what}, at most {most} are possible")


def shape_from(dims: Sequence[int], what: str) -> tuple[int, ...]:
    limit(dims, MAX_RANK, f"dimensions in the {what}")
    return tuple(dims)


def tensor_to_pb(spec: TensorSpec) -> pb.TensorSpec:
    return pb.TensorSpec(
        name=spec.name,
        shape=spec.shape,
        dtype=DTYPE_TO_PB[spec.dtype],
        layout=LAYOUT_TO_PB[spec.layout],
        aligned_shape=() if spec.aligned_shape == spec.shape else spec.aligned_shape,
        scale=scale_to_pb(spec.scale) if spec.scale else None,
        strides_bytes=spec.strides_bytes,
    )


def tensor_from_pb(message: pb.TensorSpec) -> TensorSpec:
    return TensorSpec(
        name=message.name,
        shape=shape_from(message.shape, "shape"),
        dtype=enum_from(DTYPE_FROM_PB, message.dtype, "element type"),
        layout=enum_from(LAYOUT_FROM_PB, message.layout, "layout"),
        aligned_shape=shape_from(message.aligned_shape, "aligned shape"),
        scale=scale_from_pb(message.scale) if message.HasField("scale") else UNQUANTIZED,
        strides_bytes=tuple(message.strides_bytes),
    )


def scale_to_pb(scale: Scale) -> pb.Scale:
    return pb.Scale(values=scale.values, zero_points=scale.zero_points, axis=scale.axis)


def scale_from_pb(message: pb.Scale) -> Scale:
    return Scale(tuple(message.values), tuple(message.zero_points), message.axis)


def input_to_pb(value: ModelInput) -> pb.ModelInput:
    return pb.ModelInput(
        tensor=tensor_to_pb(value.tensor),
        input_type=INPUT_TYPE_TO_PB[value.input_type],
        layout=LAYOUT_TO_PB[value.layout],
        source=SOURCE_TO_PB[value.source],
        video_range=value.video_range,
    )


def input_from_pb(message: pb.ModelInput) -> ModelInput:
    return ModelInput(
        tensor=tensor_from_pb(message.tensor),
        input_type=enum_from(INPUT_TYPE_FROM_PB, message.input_type, "input type"),
        layout=enum_from(LAYOUT_FROM_PB, message.layout, "layout"),
        source=enum_from(SOURCE_FROM_PB, message.source, "input source"),
        video_range=message.video_range,
    )
