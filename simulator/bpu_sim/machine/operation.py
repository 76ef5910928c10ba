"""An instruction that computes, as a network of one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from bpu_common.errors import ModelFormatError
from bpu_common.limits import LUT_BYTES
from bpu_common.network import (
    Addend,
    BpuOp,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
    bpu_tensor,
)
from bpu_common.network.check_op import check_op
from bpu_common.network.rules import window_extent
from bpu_common.params import ChannelParams
from bpu_common.program import Conv, Eltwise, Lut, MaxPool, Pair, Quad, Resize, Tile
from bpu_common.require import BrokenRuleError
from bpu_common.tensor import DType, Scale, TensorSpec
from bpu_sim.machine.access import weights_shape

Computing: TypeAlias = Conv | MaxPool | Eltwise | Lut | Resize
"""Instructions that an operation of the network does the same as."""

OneOperation: TypeAlias = tuple[BpuOp, dict[str, TensorSpec]]
X, SECOND, Y = "x", "second", "y"
_SCALE = Scale.per_tensor(1.0)  # codes alone matter


def operands(op: Computing) -> dict[str, Tile]:
    """The tiles that it reads and makes, by the names of the operation's tensors.

    Rows and columns of x that no window reads are left out.
    """
    match op:
        case Conv():
            more = {} if op.addend is None else {SECOND: op.addend}
            return {X: _met(op, op.x), **more, Y: op.y}
        case MaxPool():
            return {X: _met(op, op.x), Y: op.y}
        case Eltwise():
            more = {} if op.b is None else {SECOND: op.b}
            return {X: op.a, **more, Y: op.y}
        case Lut() | Resize():
            return {X: op.x, Y: op.y}


def one_operation(op: Computing, constants: Sequence[bytes]) -> OneOperation | None:
    """The operation and its tensors; None where it breaks a rule that every network keeps.

    Args:
        constants: what lies where `access.constants` says.
    """
    tensors = {
        name: bpu_tensor(name, tile.shape_hwc, _SCALE, tile.dtype)
        for name, tile in operands(op).items()
    }
    try:
        made = _operation(op, tensors, constants)
        check_op(made, tensors)
    except (BrokenRuleError, ModelFormatError):
        return None
    return made, tensors


def _operation(op: Computing, tensors: dict[str, TensorSpec], constants: Sequence[bytes]) -> BpuOp:
    name = type(op).__name__
    match op:
        case Conv():
            return _conv(op, constants)
        case MaxPool():
            pads = _pads(op, op.kernel_hw, (1, 1))
            return QMaxPool(name, X, Y, op.kernel_hw, op.stride_hw, pads)
        case Eltwise():
            second = SECOND if SECOND in tensors else None
            return QEltwise(name, op.kind, X, second, Y, op.entries, op.clamp, op.zeros)
        case Lut():
            tables = np.frombuffer(constants[0], np.int8).reshape(-1, LUT_BYTES)
            return QLut(name, X, Y, tables)
        case Resize():
            return QResize(name, X, Y, op.mode, op.rows, op.columns)


def _conv(op: Conv, constants: Sequence[bytes]) -> QConv:
    """Raises ModelFormatError where the parameter table holds a shift out of range."""
    outputs = op.y.shape_hwc[2]
    params = ChannelParams.from_bytes(constants[1], outputs)
    if op.y.dtype is DType.INT32:  # then its bias alone counts
        none = np.zeros(outputs, np.int32)
        params = ChannelParams(params.bias_q, params.bias_shift, none, none, none)
    return QConv(
        type(op).__name__,
        X,
        Y,
        np.frombuffer(constants[0], np.int8).reshape(weights_shape(op)),
        params,
        op.stride_hw,
        op.dilation_hw,
        _pads(op, window_extent(op.kernel_hw, op.dilation_hw), op.upsample_hw),
        op.groups,
        op.upsample_hw,
        op.clamp,
        pad_code=op.pad_code,
        addend=None if op.addend is None else Addend(SECOND, op.factors),
    )


def _met(op: Conv | MaxPool, x: Tile) -> Tile:
    """What windows meet of x."""
    extent, upsample = op.kernel_hw, (1, 1)
    if isinstance(op, Conv):
        extent, upsample = window_extent(op.kernel_hw, op.dilation_hw), op.upsample_hw
    height, width, channels = x.shape_hwc
    sizes = [height, width]
    for axis in (0, 1):
        used = _needed(op, extent, axis) - op.pads_tlbr[axis]
        sizes[axis] = max(1, min(sizes[axis], (used - 1) // upsample[axis] + 1))
    shape = (sizes[0], sizes[1], channels)
    return Tile(x.space, x.offset_bytes, shape, x.row_pitch_bytes, x.pixel_pitch_bytes, x.dtype)


def _pads(op: Conv | MaxPool, extent: Pair, upsample: Pair) -> Quad:
    """What stands around the part of x that windows meet; negative where none meets any."""
    top, left, _, _ = op.pads_tlbr
    shape = _met(op, op.x).shape_hwc
    after = [
        _needed(op, extent, axis) - op.pads_tlbr[axis] - (shape[axis] - 1) * upsample[axis] - 1
        for axis in (0, 1)
    ]
    return top, left, after[0], after[1]


def _needed(op: Conv | MaxPool, extent: Pair, axis: int) -> int:
    """Rows or columns of padded input that the result reads."""
    return (op.y.shape_hwc[axis] - 1) * op.stride_hw[axis] + extent[axis]
