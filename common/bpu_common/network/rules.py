"""One rule per operation: which tensors it reads and makes, the shape of its result, its work."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bpu_common.network.ops import (
    Addend,
    BpuOp,
    Cast,
    CustomOp,
    Dequantize,
    OnnxOp,
    Operation,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    Quantize,
    Reshape,
    Softmax,
    Transpose,
)
from bpu_common.program import Pair, Quad
from bpu_common.tensor import TensorSpec

Shape3 = tuple[int, int, int]
Tensors = Mapping[str, TensorSpec]


def tensors_read(op: Operation) -> tuple[str, ...]:
    """Names of the tensors and constants an operation reads, in order; one may occur twice."""
    match op:
        case QConcat():
            return op.xs
        case QEltwise():
            return (op.a,) if op.b is None else (op.a, op.b)
        case QConv(addend=Addend(x=second)):
            return (op.x, second)
        case OnnxOp() | CustomOp():
            return tuple(name for name in op.xs if name)
        case _:
            return (op.x,)


def tensors_made(op: Operation) -> tuple[str, ...]:
    """Names of the tensors an operation makes."""
    match op:
        case OnnxOp() | CustomOp():
            return tuple(name for name in op.ys if name)
        case _:
            return (op.y,)


def work_of(op: Operation, tensors: Tensors) -> int:
    """Element operations of one operation: multiplications, comparisons, or elements made."""
    elements = result_elements(op, tensors)
    match op:
        case QConv():
            return elements * int(op.weights[0].size)
        case QMaxPool():
            return elements * op.kernel_hw[0] * op.kernel_hw[1]
        case _:
            return elements


def result_shape(op: Operation, tensors: Tensors) -> tuple[int, ...] | None:
    """Shape of the one result, from the shapes of what is read; None where those do not say it.

    Positions without a whole window give sizes below 1, which no tensor has.
    """
    match op:
        case QConv() | QMaxPool() | QEltwise() | QLut() | QResize() | QConcat():
            return (1, *_bpu_shape(op, tensors))
        case QPad() | QDepthToSpace():
            return (1, *_bpu_shape(op, tensors))
        case Transpose():
            shape = tensors[op.x].shape
            if sorted(op.perm) != list(range(len(shape))):
                return ()
            return tuple(shape[axis] for axis in op.perm)
        case Cast() | Softmax():
            return tensors[op.x].shape
        case QSlice() | Quantize() | Dequantize() | Reshape() | OnnxOp() | CustomOp():
            return None


def _bpu_shape(op: BpuOp, tensors: Tensors) -> Shape3:
    match op:
        case QConv():
            height, width, _ = tensors[op.x].shape_hwc
            spread = tuple(
                (size - 1) * up + 1
                for size, up in zip((height, width), op.upsample_hw, strict=True)
            )
            extent = window_extent(op.kernel_hw, op.dilation_hw)
            rows, columns = windows((spread[0], spread[1]), extent, op.stride_hw, op.pads_tlbr)
            return rows, columns, op.weights.shape[0]
        case QMaxPool():
            height, width, channels = tensors[op.x].shape_hwc
            rows, columns = windows((height, width), op.kernel_hw, op.stride_hw, op.pads_tlbr)
            return rows, columns, channels
        case QEltwise():
            return tensors[op.a].shape_hwc
        case QLut():
            return tensors[op.x].shape_hwc
        case QResize():
            return len(op.rows.low), len(op.columns.low), tensors[op.x].shape_hwc[2]
        case QConcat():
            sizes = list(tensors[op.xs[0]].shape_hwc)
            sizes[op.axis] = sum(tensors[x].shape_hwc[op.axis] for x in op.xs)
            return sizes[0], sizes[1], sizes[2]
        case QPad():
            height, width, channels = tensors[op.x].shape_hwc
            top, left, bottom, right = op.pads_tlbr
            return height + top + bottom, width + left + right, channels
        case QDepthToSpace():
            height, width, channels = tensors[op.x].shape_hwc
            area = op.block * op.block
            if op.to_space:
                return height * op.block, width * op.block, channels // area
            return height // op.block, width // op.block, channels * area
        case QSlice():
            return tensors[op.y].shape_hwc


def window_extent(kernel_hw: Pair, dilation_hw: Pair) -> Pair:
    """Rows and columns that one window spans."""
    return (
        (kernel_hw[0] - 1) * dilation_hw[0] + 1,
        (kernel_hw[1] - 1) * dilation_hw[1] + 1,
    )


def windows(in_hw: Pair, extent_hw: Pair, stride_hw: Pair, pads_tlbr: Quad) -> Pair:
    """How many whole windows fit, in rows and columns."""
    top, left, bottom, right = pads_tlbr
    return (
        (in_hw[0] + top + bottom - extent_hw[0]) // stride_hw[0] + 1,
        (in_hw[1] + left + right - extent_hw[1]) // stride_hw[1] + 1,
    )


def macs(op: Operation, tensors: Tensors) -> int:
    """Multiply-accumulates per frame, without padding to the chip's units.

    A transposed convolution counts the taps that meet a real input pixel.
    """
    if not isinstance(op, QConv):
        return 0
    per_output = int(op.weights[0].size)
    zeros = op.upsample_hw[0] * op.upsample_hw[1]
    return math.prod(tensors[op.y].shape) * per_output // zeros


def result_elements(op: Operation, tensors: Tensors) -> int:
    """Elements of all results: what the cost of a CPU operation is counted in."""
    names = (op.x,) if isinstance(op, Dequantize) else tensors_made(op)
    return sum(math.prod(tensors[name].shape) for name in names)
