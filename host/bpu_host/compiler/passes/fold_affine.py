"""Add, Sub, Mul, Div by constants per channel go into the Conv before, else become a 1x1 Conv."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64, AnyArray
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.affine import affine_conv, scale_conv
from bpu_host.compiler.passes.context import PassContext

_OPS = frozenset({"Add", "Sub", "Mul", "Div"})


def fold_affine(model: ir.Model, context: PassContext) -> int:
    """Fold every element-wise operation between a 4-D activation and a per-channel constant."""
    del context
    count = 0
    for node in list(model.graph):
        if node.op_type not in _OPS or node.domain:
            continue
        parts = _parts(node)
        if parts is None:
            continue
        x, factor, offset = parts
        conv = g.producer(x, "Conv", "ConvTranspose")
        if conv is not None and g.sole_user(x) is node and scale_conv(
            model.graph, conv, factor, offset
        ):  # fmt: skip
            count += g.bypass(model.graph, node, x)
        else:
            affine_conv(model.graph, node, x, factor, offset)
            count += 1
    return count


def _parts(node: ir.Node) -> tuple[ir.Value, F64, F64] | None:
    """(activation, factor, offset) such that the node computes activation * factor + offset."""
    left, right = node.inputs
    a, b = g.constant(left), g.constant(right)
    if (a is None) == (b is None):
        return None
    x, array = (left, b) if a is None else (right, a)
    shape, result = g.shape_of(x), g.shape_of(node.outputs[0])
    if x is None or array is None or shape is None or len(shape) != 4 or shape != result:
        return None
    if array.dtype != np.float32:
        return None
    values = per_channel(array, shape[1])
    if values is None or not np.all(np.isfinite(values)):
        return None
    one, zero = np.ones(shape[1]), np.zeros(shape[1])
    match node.op_type:
        case "Add":
            return x, one, values
        case "Mul":
            return x, values, zero
        case "Sub":
            return (x, one, -values) if a is None else (x, -one, values)
        case _:
            if a is not None or np.any(values == 0):
                return None
            return x, 1.0 / values, zero


def per_channel(array: AnyArray, channels: int) -> F64 | None:
    """A constant that broadcasts along channels of NCHW, as float64 (channels,)."""
    if array.size == 1:
        return np.full(channels, float(np.asarray(array).reshape(-1)[0]))
    padded = (1,) * (4 - array.ndim) + array.shape
    if array.ndim <= 4 and padded == (1, channels, 1, 1):
        return np.asarray(array, np.float64).reshape(channels)
    return None
