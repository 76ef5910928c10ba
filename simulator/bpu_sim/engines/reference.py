"""The int8 operations of a network by the normative arithmetic: slow, what others must equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bpu_common.network import (
    Addend,
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
)
from bpu_common.tensor import I8, AnyArray, TensorSpec
from bpu_sim import arith


def compute(op: BpuOp, xs: Sequence[AnyArray], y: TensorSpec) -> AnyArray:
    """The result of one operation.

    Args:
        xs: what it reads, in the order of `tensors_read`: int8 (1, H, W, C).
        y: the result's description.

    Returns:
        int8 or int32 (1, H, W, C).
    """
    return _compute(op, [x[0].astype(np.int8, copy=False) for x in xs], y)[np.newaxis]


def _compute(op: BpuOp, xs: Sequence[I8], y: TensorSpec) -> AnyArray:
    x = xs[0]
    match op:
        case QConv():
            return _conv(op, xs, y)
        case QMaxPool():
            return arith.max_pool(x, op.kernel_hw, op.stride_hw, op.pads_tlbr)
        case QEltwise():
            b = xs[1] if op.b is not None else None
            return arith.eltwise(op.kind, x, b, entries=op.entries, clamp=op.clamp, zeros=op.zeros)
        case QLut():
            return arith.lut(x, op.tables)
        case QResize():
            return arith.resize(x, op.mode, op.rows, op.columns)
        case QConcat():
            return np.concatenate(xs, op.axis)
        case QSlice():
            box = tuple(
                slice(start, start + (size - 1) * step + 1, step)
                for start, step, size in zip(op.start_hwc, op.step_hwc, y.shape_hwc, strict=True)
            )
            return x[box]
        case QPad():
            return arith.pad(x, op.pads_tlbr, op.value)
        case QDepthToSpace():
            return arith.space_depth(x, op.block, to_space=op.to_space, dcr=op.dcr)


def _conv(op: QConv, xs: Sequence[I8], y: TensorSpec) -> AnyArray:
    addend, factors = (xs[1], op.addend.factors) if isinstance(op.addend, Addend) else (None, ())
    return arith.conv(
        xs[0],
        op.weights,
        op.params,
        stride=op.stride_hw,
        dilation=op.dilation_hw,
        pads=op.pads_tlbr,
        groups=op.groups,
        upsample=op.upsample_hw,
        clamp=op.clamp,
        out=y.dtype,
        pad_code=op.pad_code,
        addend=addend,
        factors=factors,
    )
