"""The rules every tensor and every input of a network keeps."""

from __future__ import annotations

import math

from bpu_common.limits import MAX_RANK
from bpu_common.plain import has_controls
from bpu_common.program import FULL_RANGE
from bpu_common.require import BrokenRuleError, in_range, require
from bpu_common.tensor import DType, Layout, ModelInput, Scale, TensorSpec

MAX_NAME = 4096
MAX_DIMENSION = 1 << 24
MAX_TENSOR_BYTES = 1 << 30
_UNSIGNED = (DType.UINT4, DType.UINT8)
"""Types of codes that begin at 0."""


def check_name(name: str, what: str, field: str = "") -> None:
    """1 to MAX_NAME characters, none of them a control character."""
    require(
        1 <= len(name) <= MAX_NAME and not has_controls(name),
        f"a {what} needs a name of 1 to {MAX_NAME} characters, none of them a control character",
        field,
    )


def check_tensor(spec: TensorSpec) -> None:
    """Check name, shapes, strides and scales of a tensor.

    Raises:
        BrokenRuleError: which rule it breaks.
    """
    check_name(spec.name, "tensor")
    check_shape(spec.shape, "shape")
    check_shape(spec.aligned_shape, "aligned_shape")
    require(
        len(spec.aligned_shape) == len(spec.shape)
        and all(a >= v for a, v in zip(spec.aligned_shape, spec.shape, strict=True)),
        f"aligned shape {spec.aligned_shape} does not hold the shape {spec.shape}",
        "aligned_shape",
    )
    strides, rank = spec.strides_bytes, len(spec.shape)
    require(
        len(strides) in (0, rank) and all(0 < stride <= MAX_TENSOR_BYTES for stride in strides),
        f"strides {strides} of a tensor with {rank} axes",
        "strides_bytes",
    )
    require(
        spec.aligned_size_bytes <= MAX_TENSOR_BYTES, f"a tensor of {spec.aligned_size_bytes} bytes"
    )
    require(
        spec.layout is Layout.NONE or rank == 4,
        f"layout {spec.layout.value} with {rank} axes",
        "layout",
    )
    _check_scale(spec.scale, spec.shape, unsigned=spec.dtype in _UNSIGNED)


def check_shape(shape: tuple[int, ...], field: str) -> None:
    """0 to 8 axes of 1 to MAX_DIMENSION."""
    if len(shape) > MAX_RANK or any(not 1 <= size <= MAX_DIMENSION for size in shape):
        raise BrokenRuleError(f"shape {shape} is not possible", field)


def _check_scale(scale: Scale, shape: tuple[int, ...], *, unsigned: bool) -> None:
    count, field = len(scale.values), "scale"
    require(
        all(math.isfinite(value) and value > 0 for value in scale.values),
        "a scale that is not a positive number",
        field,
    )
    require(
        len(scale.zero_points) in (0, count),
        f"{len(scale.zero_points)} zero points for {count} scales",
        field,
    )
    for zero in scale.zero_points:
        in_range("zero point", zero, *((0, 255) if unsigned else FULL_RANGE), field)
    in_range("axis", scale.axis, -1, len(shape) - 1, field)
    if scale.axis < 0:
        require(count <= 1, f"{count} scales without an axis", field)
    else:
        require(
            shape[scale.axis] == count,
            f"{count} scales do not fit axis {scale.axis} of {shape}",
            field,
        )


def check_input(item: ModelInput) -> None:
    """Check an input of the model and its tensor.

    Raises:
        BrokenRuleError: which rule it breaks.
    """
    spec = item.tensor
    check_tensor(spec)
    if not item.input_type.is_image:
        return
    require(
        len(spec.shape) == 4 and spec.dtype is DType.INT8 and spec.layout is Layout.NHWC,
        "an image input is an int8 NHWC tensor of 4 axes",
    )
    require(spec.shape[0] == 1, f"{spec.shape[0]} pictures in one input", "shape")
    require(
        spec.shape[3] == item.input_type.channels,
        f"{spec.shape[3]} channels in a {item.input_type.value} input",
        "shape",
    )
    require(
        not item.input_type.is_nv12 or spec.shape[1] % 2 == spec.shape[2] % 2 == 0,
        "an nv12 input of odd height or width",
        "shape",
    )
    require(item.layout is not Layout.NONE, "an image input needs layout NHWC or NCHW", "layout")
