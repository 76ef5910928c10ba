"""Fast forms of the operations that `bpu_sim.arith` defines, equal to it bit for bit.

A convolution is one matrix product in floating point. It is exact: inputs and weights are integers
and no partial sum, in whatever order and with or without fused multiply-add, exceeds
128 * sum|w|; below 2^24 every such integer is a float32, below 2^53 a float64. The bias is added in
integers. A layer whose accumulators could leave int32 takes the normative path, which faults only
if one really does.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bpu_common.limits import INT32_LIMIT
from bpu_common.params import ChannelParams
from bpu_common.program import Conv, Pair, Quad
from bpu_common.tensor import I8, I32, DType
from bpu_sim import arith

Reals: TypeAlias = NDArray[np.float32 | np.float64]
_FLOAT32_EXACT = 1 << 24


def conv(x: I8, weights: I8, params: ChannelParams, op: Conv, addend: I8 | None = None) -> I8 | I32:
    """`arith.conv` for the tile (H, W, C) that the instruction asks for; weights OHWI."""
    rows, columns, _ = op.y.shape_hwc
    if arith.accumulator_bound(weights, params, factors=op.factors).max() > INT32_LIMIT:
        return arith.conv(
            x,
            weights,
            params,
            stride=op.stride_hw,
            dilation=op.dilation_hw,
            pads=op.pads_tlbr,
            groups=op.groups,
            upsample=op.upsample_hw,
            clamp=op.clamp,
            out=op.y.dtype,
            pad_code=op.pad_code,
            addend=addend,
            factors=op.factors,
        )[:rows, :columns]
    magnitude = 128 * np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1).max()
    padded = _spread_and_pad(x, op, single=magnitude <= _FLOAT32_EXACT)
    sums = _depthwise(padded, weights, op) if op.depthwise else _dense(padded, weights, op)
    biased = sums.astype(np.int32) + params.bias.astype(np.int32)
    if addend is not None:
        biased += addend.astype(np.int32) * np.array(op.factors, np.int32)
    return biased if op.y.dtype is DType.INT32 else _requantize(biased, params, op.clamp)


def _requantize(biased: I32, params: ChannelParams, clamp: Pair) -> I8:
    """`arith.requantize` in int32, which holds every value: 2^15 * 2^15 at most."""
    shifted = biased >> params.right_shift
    np.clip(shifted, -(1 << 15), (1 << 15) - 1, out=shifted)
    shifted *= params.multiplier
    shifted >>= params.out_shift
    y: I8 = np.clip(shifted, clamp[0], clamp[1], out=shifted).astype(np.int8)
    return y


def _spread_and_pad(x: I8, op: Conv, *, single: bool) -> Reals:
    height, width, channels = x.shape
    up_h, up_w = op.upsample_hw
    top, left, bottom, right = op.pads_tlbr
    spread_h, spread_w = (height - 1) * up_h + 1, (width - 1) * up_w + 1
    shape = (top + spread_h + bottom, left + spread_w + right, channels)
    padded: Reals = np.full(shape, op.pad_code, np.float32 if single else np.float64)
    padded[top : top + spread_h : up_h, left : left + spread_w : up_w] = x
    return padded


def _windows(padded: Reals, op: Conv) -> Reals:
    """(rows, columns, kh, kw, channels) view of every window the output needs."""
    rows, columns, _ = op.y.shape_hwc
    row, column, channel = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (rows, columns, *op.kernel_hw, padded.shape[2]),
        (
            row * op.stride_hw[0],
            column * op.stride_hw[1],
            row * op.dilation_hw[0],
            column * op.dilation_hw[1],
            channel,
        ),
        writeable=False,
    )


def _dense(padded: Reals, weights: I8, op: Conv) -> Reals:
    rows, columns, outputs = op.y.shape_hwc
    depth, per_group = weights.shape[3], outputs // op.groups
    windows = _windows(padded, op)
    matrix = weights.reshape(outputs, -1).astype(padded.dtype)
    sums = np.empty((rows * columns, outputs), padded.dtype)
    for group in range(op.groups):
        part = windows[..., group * depth : (group + 1) * depth].reshape(rows * columns, -1)
        chosen = slice(group * per_group, (group + 1) * per_group)
        np.matmul(part, matrix[chosen].T, out=sums[:, chosen])
    return sums.reshape(rows, columns, outputs)


def _depthwise(padded: Reals, weights: I8, op: Conv) -> Reals:
    windows = _windows(padded, op)
    taps = weights[..., 0].transpose(1, 2, 0).astype(padded.dtype)
    sums = np.zeros(op.y.shape_hwc, padded.dtype)
    product = np.empty_like(sums)
    for i in range(op.kernel_hw[0]):
        for j in range(op.kernel_hw[1]):
            np.multiply(windows[:, :, i, j], taps[i, j], out=product)
            sums += product
    return sums


def max_pool(x: I8, kernel: Pair, stride: Pair, pads: Quad) -> I8:
    """`arith.max_pool`; the maximum of a window is that of its rows' maxima."""
    top, left, bottom, right = pads
    rows = arith.max_pool(x, (kernel[0], 1), (stride[0], 1), (top, 0, bottom, 0))
    return arith.max_pool(rows, (1, kernel[1]), (1, stride[1]), (0, left, 0, right))


def lut(x: I8, tables: I8) -> I8:
    """`arith.lut`; a single table is one gather over raw bytes."""
    if len(tables) > 1:
        return arith.lut(x, tables)
    rotated = np.roll(tables[0], -128)  # index = code as uint8
    taken: I8 = rotated[np.ascontiguousarray(x).view(np.uint8)]
    return taken
