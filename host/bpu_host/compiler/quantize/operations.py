"""One unit with its scales becomes one operation of the lowered graph, with all its integers."""

from __future__ import annotations

from math import inf

import numpy as np

from bpu_common.errors import ModelUnsupported
from bpu_common.program import EltwiseKind, Pair
from bpu_common.tensor import I8, DType
from bpu_host.compiler.lowered import (
    FULL_RANGE,
    BpuOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    QTensor,
)
from bpu_host.compiler.quantize.graphview import OffBpu, Unary, require
from bpu_host.compiler.quantize.units import (
    UNBOUNDED,
    AddWork,
    Bounds,
    ConcatWork,
    ConvWork,
    DepthSpaceWork,
    LutWork,
    MaxPoolWork,
    MulWork,
    PadWork,
    ResizeWork,
    SliceWork,
    Unit,
)
from bpu_sim import arith


def clamp_codes(bounds: Bounds, scale: float) -> Pair:
    """Inclusive int8 bounds of a fused activation."""
    lowest, highest = bounds
    if bounds == UNBOUNDED:
        return FULL_RANGE
    if lowest == 0:
        return arith.relu_clamp(scale, None if highest == inf else highest)
    low = -128 if lowest == -inf else int(np.clip(np.rint(lowest / scale), -128, 127))
    high = 127 if highest == inf else int(np.clip(np.rint(highest / scale), -128, 127))
    return low, high


def build(unit: Unit, xs: tuple[QTensor, ...], y: QTensor) -> tuple[BpuOp, QTensor]:
    """The operation of `unit` and its result tensor.

    Args:
        xs: the tensors it reads; those of a Concat all have the scale of `y`.
        y: the result; with dtype INT32 its scale is still empty and is set here.

    Raises:
        OffBpu: numbers that do not fit the chip.
    """
    try:
        if isinstance(unit.work, ConvWork):
            return _conv(unit, unit.work, xs[0], y)
        return _other(unit, xs, y), y
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error


def _conv(unit: Unit, work: ConvWork, x: QTensor, y: QTensor) -> tuple[QConv, QTensor]:
    s_in = x.scale[0]
    wide = y.dtype is DType.INT32
    s_out = None if wide else y.scale[0]
    least = arith.least_weight_scale(work.bias, s_in, s_out)
    s_w = arith.weight_scales(work.weights, least)
    weights = arith.quantize_weights(work.weights, s_w)
    params = arith.channel_params(
        work.bias,
        s_in * s_w / (1.0 if s_out is None else s_out),
        s_in * s_w,
        int32_output=wide,
        dead=arith.dead_channels(weights),
    )
    bound = int(arith.accumulator_bound(weights, params).max())
    require(
        bound <= arith.INT32_LIMIT,
        f"its accumulator can reach {bound}, more than int32 holds ({arith.INT32_LIMIT})",
    )
    if wide:
        scale = tuple(float(v) for v in (s_in * s_w).astype(np.float32))
        y = QTensor(y.name, y.shape_hwc, scale, DType.INT32)
    operation = QConv(
        unit.name,
        x.name,
        y.name,
        weights,
        params,
        (work.weights.shape[1], work.weights.shape[2]),
        work.stride_hw,
        work.dilation_hw,
        work.pads_tlbr,
        work.groups,
        work.upsample_hw,
        FULL_RANGE if s_out is None else clamp_codes(unit.bounds, s_out),
        work.op_type,
    )
    return operation, y


def _other(unit: Unit, xs: tuple[QTensor, ...], y: QTensor) -> BpuOp:
    name, x = unit.name, xs[0]
    match unit.work:
        case MaxPoolWork(kernel, stride, pads):
            return QMaxPool(name, x.name, y.name, kernel, stride, pads)
        case AddWork():
            constants = arith.eltwise_add_constants(x.scale[0], xs[1].scale[0], y.scale[0])
            clamp = clamp_codes(unit.bounds, y.scale[0])
            return QEltwise(
                name, EltwiseKind.ADD, x.name, xs[1].name, y.name, *constants, clamp=clamp
            )
        case MulWork():
            constants = arith.eltwise_mul_constants(x.scale[0], xs[1].scale[0], y.scale[0])
            return QEltwise(
                name,
                EltwiseKind.MUL,
                x.name,
                xs[1].name,
                y.name,
                *constants,
                clamp=clamp_codes(unit.bounds, y.scale[0]),
                op_type="HzSElementwiseMul",
            )
        case LutWork(functions, op_type):
            tables = np.stack([_table(f, x.scale[0], y.scale[0]) for f in functions])
            return QLut(name, x.name, y.name, tables, op_type)
        case ResizeWork(mode, rows, columns):
            return QResize(name, x.name, y.name, mode, rows, columns)
        case ConcatWork(axis):
            return QConcat(name, tuple(part.name for part in xs), y.name, axis)
        case SliceWork(start, step, op_type):
            return QSlice(name, x.name, y.name, start, step, op_type)
        case PadWork(pads, value):
            code = int(arith.quantize(np.full((), value, np.float32), y.scale[0]))
            return QPad(name, x.name, y.name, pads, code)
        case DepthSpaceWork(block, to_space, dcr, op_type):
            return QDepthToSpace(name, x.name, y.name, block, to_space, dcr, op_type)
        case _:
            raise OffBpu(f"{unit.name} has work of an unknown kind")


def _table(function: Unary, s_x: float, s_y: float) -> I8:
    """The table of `function`; values pass through float32: the last bit of a libm is lost."""
    return arith.lut_table(
        lambda x: np.asarray(function(x)).astype(np.float32).astype(np.float64), s_x, s_y
    )


def rescale(x: QTensor, scale: float, threshold: float) -> tuple[QEltwise, QTensor]:
    """The unit convolution that brings a branch of a Concat to the scale of its result.

    Raises:
        OffBpu: the ratio of the scales is out of range.
    """
    name = f"UNIT_CONV_FOR_{x.name}_{scale:.5f}_TO_FUSE_SCALE"
    try:
        constants = arith.scale_constants(x.scale[0], scale)
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error
    y = QTensor(f"{name}_output", x.shape_hwc, (scale,), DType.INT8, threshold)
    operation = QEltwise(
        name, EltwiseKind.SCALE, x.name, None, y.name, *constants, op_type="HzSElementwiseScale"
    )
    return operation, y
