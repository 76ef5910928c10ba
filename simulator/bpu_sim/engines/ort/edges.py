"""ONNX bodies of the edges: quantize and dequantize, with zero points and scales along an axis.

Codes are (1, C, H, W) here where the network keeps them (1, H, W, C); tensors that have no such
layout keep their shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bpu_common.tensor import AnyArray, DType, Layout, TensorSpec
from bpu_sim.engines.onnx.emitter import Emitter, cast

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


def carried_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Shape of a tensor of codes between the bodies."""
    if spec.layout is Layout.NHWC:
        return tuple(spec.shape[axis] for axis in TO_NCHW)
    return spec.shape


def scale_axis(spec: TensorSpec) -> int:
    """The axis of `carried_shape` that a scale per axis goes along."""
    return TO_NCHW.index(spec.scale.axis) if spec.layout is Layout.NHWC else spec.scale.axis


def scale_array(spec: TensorSpec) -> AnyArray:
    """The scale in float32: a scalar, or shaped to be broadcast against `carried_shape`."""
    return _broadcast(spec, np.array(spec.scale.values, np.float32))


def _broadcast(spec: TensorSpec, values: AnyArray) -> AnyArray:
    if not spec.scale.is_per_channel:
        return values.reshape(())
    shape = [1] * len(spec.shape)
    shape[scale_axis(spec)] = len(values)
    return values.reshape(shape)


def quantize_body(
    emitter: Emitter,
    x: str,
    spec: TensorSpec,
    float_shape: Sequence[int],
    scale: str,
    out: str = "",
) -> str:
    """int8 or uint8 codes of a float tensor of any rank: half to even, saturating.

    Args:
        spec: the codes.
        scale: scalar, or one value per index of the scale's axis.
    """
    wanted = carried_shape(spec)
    shape = emitter.param("shape", np.array(wanted, np.int64)) if wanted != float_shape else ""
    zeros = np.array(spec.scale.zero_points or (0,), spec.dtype.numpy)
    if spec.scale.is_per_channel:
        if shape:
            x = emitter.add("Reshape", x, shape)
        zero = emitter.param("zero_point", zeros.repeat(len(spec.scale.values) // len(zeros)))
        return emitter.add("QuantizeLinear", x, scale, zero, out=out, axis=scale_axis(spec))
    zero = emitter.const(zeros.reshape(()))
    codes = emitter.add("QuantizeLinear", x, scale, zero, out="" if shape else out)
    return emitter.add("Reshape", codes, shape, out=out) if shape else codes


def dequantize_body(
    emitter: Emitter,
    x: str,
    spec: TensorSpec,
    float_shape: Sequence[int],
    scale: str,
    out: str = "",
) -> str:
    """float32 of codes; the differences to the zero points are exact before they are rounded.

    Args:
        spec: the codes.
        scale: to be broadcast against them (`scale_array`).
    """
    zeros = np.array(spec.scale.zero_points, np.int64)
    if zeros.any():
        exact = "int64" if spec.dtype is DType.INT32 else "float32"
        zero = emitter.param("zero_point", _broadcast(spec, zeros).astype(exact))
        x = emitter.add("Sub", cast(emitter, x, exact), zero)
    codes = cast(emitter, x, "float32")
    same = tuple(float_shape) == carried_shape(spec)
    real = emitter.add("Mul", codes, scale, out=out if same else "")
    if same:
        return real
    shape = emitter.param("shape", np.array(float_shape, np.int64))
    return emitter.add("Reshape", real, shape, out=out)
