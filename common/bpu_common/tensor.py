"""Tensors as both sides see them: element types, layouts, scales, alignment."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
AnyArray = NDArray[np.generic]

DDR_WIDTH_ALIGN = 16
"""Width of a tensor row in DDR is padded to this many pixels (vendor_facts 2.4, decisions 5)."""


class DType(enum.Enum):
    """Element type; the value is numpy's name for it."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def size_bytes(self) -> int:
        return np.dtype(self.value).itemsize

    @property
    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(self.value)


class Layout(enum.Enum):
    """Order of the axes of a 4-D tensor; NONE for other ranks."""

    NHWC = "NHWC"
    NCHW = "NCHW"
    NONE = "NONE"


class InputType(enum.Enum):
    """What the board is fed with (`input_type_rt` of the YAML)."""

    NV12 = "nv12"
    YUV444 = "yuv444"
    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"
    FEATUREMAP = "featuremap"

    @property
    def is_image(self) -> bool:
        return self is not InputType.FEATUREMAP

    @property
    def channels(self) -> int:
        """Channels of an image as the network sees it.

        Raises:
            ValueError: a featuremap has any number.
        """
        if not self.is_image:
            raise ValueError("a featuremap has no fixed number of channels")
        return 1 if self is InputType.GRAY else 3


class InputSource(enum.Enum):
    """Where the hardware takes an input from (`input_source` of the YAML)."""

    DDR = "ddr"
    PYRAMID = "pyramid"
    RESIZER = "resizer"


def align_up(value: int, multiple: int) -> int:
    """`value` rounded up to the next multiple of `multiple`."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a compiled model.

    Attributes:
        name: unique in the model.
        shape: valid shape, in the order of `layout`.
        dtype: element type of the stored values.
        layout: order of the axes.
        aligned_shape: shape of the buffer that holds it (>= `shape`); equal to `shape` for tensors
            that a CPU segment produces.
        scale: real = stored * scale. Empty: not quantized; one value: per tensor; else per channel.
        scale_axis: axis of a per-channel scale (3 for NHWC), else -1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout = Layout.NONE
    aligned_shape: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()
    scale_axis: int = -1

    def __post_init__(self) -> None:
        if not self.aligned_shape:
            object.__setattr__(self, "aligned_shape", self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the valid data, unpadded."""
        return math.prod(self.shape) * self.dtype.size_bytes

    @property
    def aligned_size_bytes(self) -> int:
        """Bytes of the padded buffer."""
        return math.prod(self.aligned_shape) * self.dtype.size_bytes


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An input of the whole model, as the caller fills it.

    For images `tensor` is the int8 NHWC (1, H, W, C) tensor the network sees (value - 128), while
    the caller hands over raw uint8 bytes in `input_type`: nv12 is H*W*3/2 bytes (Y plane, then
    interleaved UV); yuv444, rgb, bgr, gray are (1, H, W, C) or (1, C, H, W) by `layout`.
    For featuremaps the caller hands over float32 of `tensor.shape`.

    Attributes:
        video_range: nv12 values are BT.601 studio swing (`input_space_and_range: bt601_video`).
    """

    tensor: TensorSpec
    input_type: InputType
    layout: Layout
    source: InputSource = InputSource.DDR
    video_range: bool = False

    @property
    def height(self) -> int:
        return self.tensor.shape[1] if self.input_type.is_image else 0

    @property
    def width(self) -> int:
        return self.tensor.shape[2] if self.input_type.is_image else 0

    @property
    def caller_shape(self) -> tuple[int, ...]:
        """Shape of the array the caller passes (uint8 for images, float32 for featuremaps)."""
        if self.input_type is InputType.NV12:
            return (self.height * self.width * 3 // 2,)
        if self.input_type.is_image and self.layout is Layout.NCHW:
            n, h, w, c = self.tensor.shape
            return (n, c, h, w)
        return self.tensor.shape

    @property
    def caller_dtype(self) -> DType:
        return DType.UINT8 if self.input_type.is_image else DType.FLOAT32

    @property
    def caller_size_bytes(self) -> int:
        return math.prod(self.caller_shape) * self.caller_dtype.size_bytes
