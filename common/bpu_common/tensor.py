"""Tensors as both sides see them: element types, layouts, scales, alignment."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from bpu_common.arrays import F32 as F32
    from bpu_common.arrays import F64 as F64
    from bpu_common.arrays import I8 as I8
    from bpu_common.arrays import I16 as I16
    from bpu_common.arrays import I32 as I32
    from bpu_common.arrays import I64 as I64
    from bpu_common.arrays import U8 as U8
    from bpu_common.arrays import AnyArray as AnyArray
else:

    def __getattr__(name: str) -> object:
        """The arrays' types, when they are asked for: a mistake in a YAML is told without NumPy."""
        if name.startswith("_"):
            raise AttributeError(name)
        from bpu_common import arrays

        return getattr(arrays, name)


INT8_MAX = 127

DDR_WIDTH_ALIGN = 16
"""Width of a tensor row in DDR is padded to this many pixels (docs/machine.md)."""


class DType(enum.Enum):
    """Element type; the value is its name in numpy (INT4 and UINT4, which numpy has not, by ours).

    The vendor's tensor types, and BOOL, which CPU operators know
    (docs/board.md "Tensors and tasks").
    """

    INT4 = "int4"
    UINT4 = "uint4"
    INT8 = "int8"
    UINT8 = "uint8"
    FLOAT16 = "float16"
    INT16 = "int16"
    UINT16 = "uint16"
    FLOAT32 = "float32"
    INT32 = "int32"
    UINT32 = "uint32"
    FLOAT64 = "float64"
    INT64 = "int64"
    UINT64 = "uint64"
    BOOL = "bool"

    def __init__(self, name: str) -> None:
        self.size_bits = int(name.lstrip("abcdefghijklmnopqrstuvwxyz") or 8)
        """Bits of an element in memory; two 4-bit ones share a byte, the first low."""

    @property
    def size_bytes(self) -> int:
        """Bytes of an element.

        Raises:
            ValueError: a 4-bit type has no whole number of them.
        """
        if self.size_bits < 8:
            raise ValueError(f"{self.value} elements share bytes")
        return self.size_bits >> 3

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy type of an array of it; 4-bit elements lie one in a byte there."""
        import numpy as np

        return np.dtype(_PACKED.get(self, self.value))


_PACKED = {DType.INT4: "int8", DType.UINT4: "uint8"}


class Layout(enum.Enum):
    """Order of the axes of a 4-D tensor; NONE for other ranks."""

    NHWC = "NHWC"
    NCHW = "NCHW"
    NONE = "NONE"


class InputType(enum.Enum):
    """What the board is fed with (`input_type_rt` of the YAML)."""

    NV12 = "nv12"
    NV12_SEPARATE = "nv12_separate"
    YUV444 = "yuv444"
    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"
    FEATUREMAP = "featuremap"

    @property
    def is_image(self) -> bool:
        return self is not InputType.FEATUREMAP

    @property
    def is_nv12(self) -> bool:
        """Y plane and interleaved UV plane; NV12_SEPARATE keeps them in two buffers."""
        return self in (InputType.NV12, InputType.NV12_SEPARATE)

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
class Scale:
    """What codes stand for: real = (code - zero point) * value.

    Attributes:
        values: one: for the whole tensor; several: one per index of `axis`; none: not quantized.
        zero_points: the code of real 0 for each value; empty: all are 0. A tensor that is never
            negative may be stored minus 128 steps: its zero point is -128
            (docs/arithmetic.md "Values").
        axis: the axis the values go along (3 for NHWC channels), -1 for one value.
    """

    values: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = -1

    @staticmethod
    def per_tensor(value: float, zero_point: int = 0) -> Scale:
        """One value for all elements."""
        return Scale((value,), (zero_point,) if zero_point else ())

    @staticmethod
    def per_channel(values: Iterable[float], axis: int = 3) -> Scale:
        """One value per index of `axis`; a single one is a scale per tensor."""
        found = tuple(float(value) for value in values)
        return Scale(found, (), axis if len(found) > 1 else -1)

    def __bool__(self) -> bool:
        """Whether the tensor is quantized at all."""
        return bool(self.values)

    @property
    def is_per_channel(self) -> bool:
        return self.axis >= 0

    @property
    def value(self) -> float:
        """The one value of a scale per tensor.

        Raises:
            ValueError: there are several, or none.
        """
        (value,) = self.values
        return value

    @property
    def zero_point(self) -> int:
        """The one zero point of a scale per tensor."""
        return self.zero_points[0] if self.zero_points else 0

    @property
    def threshold(self) -> float:
        """The largest real number int8 codes of a scale per tensor can stand for; else NaN."""
        if len(self.values) != 1:
            return math.nan
        return self.values[0] * (INT8_MAX - self.zero_point)

    def shaped(self, rank: int) -> tuple[F64, I64]:
        """(values, zero points) as float64 and int64 arrays that broadcast against the tensor."""
        import numpy as np

        shape = [1] * rank
        if self.is_per_channel:
            shape[self.axis] = len(self.values)
        values = np.array(self.values, np.float64).reshape(shape)
        zeros = np.array(self.zero_points or (0,) * len(self.values), np.int64)
        return values, zeros.reshape(shape)


UNQUANTIZED = Scale()
IMAGE_SCALE = Scale((1.0,))
"""Pictures reach the network as int8 (value - 128), which stands for itself."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a network: everything about it but its elements.

    Attributes:
        name: unique in the model.
        shape: valid shape, in the order of `layout`; 0 to 8 axes.
        dtype: element type of the stored values.
        layout: order of the axes.
        aligned_shape: shape of the buffer that holds it (>= `shape`); equal to `shape` for tensors
            that a CPU part makes.
        scale: what the stored values stand for.
        strides_bytes: bytes from one index of an axis to the next in the buffer; empty: the axes of
            `aligned_shape` lie behind one another without gaps.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout = Layout.NONE
    aligned_shape: tuple[int, ...] = ()
    scale: Scale = UNQUANTIZED
    strides_bytes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.aligned_shape:
            object.__setattr__(self, "aligned_shape", self.shape)

    @property
    def shape_hwc(self) -> tuple[int, int, int]:
        """(height, width, channels) of an NHWC tensor with batch 1.

        Raises:
            ValueError: it has not four axes.
        """
        _, height, width, channels = self.shape
        return height, width, channels

    @property
    def element_count(self) -> int:
        """Elements of the valid data."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the valid data, unpadded."""
        return -(-self.element_count * self.dtype.size_bits // 8)

    @property
    def aligned_size_bytes(self) -> int:
        """Bytes of the padded buffer, up to the end of its last element."""
        if self.strides_bytes:
            last = sum(
                (size - 1) * stride
                for size, stride in zip(self.aligned_shape, self.strides_bytes, strict=True)
            )
            return last + -(-self.dtype.size_bits // 8)
        return -(-math.prod(self.aligned_shape) * self.dtype.size_bits // 8)


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An input of the whole model, as the caller fills it.

    For images `tensor` is the int8 NHWC (1, H, W, C) tensor the network sees (value - 128), while
    the caller hands over raw uint8 bytes in `input_type`: nv12 is H*W*3/2 bytes (Y plane, then
    interleaved UV); yuv444, rgb, bgr, gray are (1, H, W, C) or (1, C, H, W) by `layout`.
    For featuremaps the caller hands over the tensor itself (float32, unless the model's first
    operations were taken out).

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
        """Shape of the array the caller passes."""
        if self.input_type.is_nv12:
            return (self.height * self.width * 3 // 2,)
        if self.input_type.is_image and self.layout is Layout.NCHW:
            n, h, w, c = self.tensor.shape
            return (n, c, h, w)
        return self.tensor.shape

    @property
    def caller_dtype(self) -> DType:
        return DType.UINT8 if self.input_type.is_image else self.tensor.dtype

    @property
    def caller_size_bytes(self) -> int:
        return math.prod(self.caller_shape) if self.input_type.is_image else self.tensor.size_bytes
