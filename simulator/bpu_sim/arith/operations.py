"""What each operation of the chip computes, in numpy int64. Short and slow on purpose.

Tensors are (H, W, C) int8 codes. Every shift is arithmetic (floor), also on negative values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bpu_common.errors import DeviceFault, InputError
from bpu_common.frame import Roi
from bpu_common.limits import INT32_LIMIT, RESIZE_STEPS
from bpu_common.params import ChannelParams
from bpu_common.program import FULL_RANGE, Axis, EltwiseEntry, EltwiseKind, Pair, Quad, ResizeMode
from bpu_common.tensor import I8, I32, I64, DType
from bpu_sim.arith.sampling import roi_axis

UNIT_PAIR: Pair = (1, 1)
NO_PADS: Quad = (0, 0, 0, 0)
_INT16_MIN, _INT16_MAX = -(1 << 15), (1 << 15) - 1


def requantize(acc: I64, params: ChannelParams, clamp: Pair = FULL_RANGE) -> I8:
    """Accumulators (..., C) without bias to int8 codes, one parameter entry per channel.

    y = clamp((saturate_int16((acc + bias) >> right_shift) * multiplier) >> out_shift). The half-LSB
    that turns the truncating shifts into rounding is part of the bias (docs/arithmetic.md).
    """
    shifted = (acc.astype(np.int64) + params.bias) >> params.right_shift.astype(np.int64)
    saturated = np.clip(shifted, _INT16_MIN, _INT16_MAX)
    scaled = (saturated * params.multiplier.astype(np.int64)) >> params.out_shift.astype(np.int64)
    y: I8 = np.clip(scaled, clamp[0], clamp[1]).astype(np.int8)
    return y


def requantize_entries(acc: I64, entries: Sequence[EltwiseEntry], clamp: Pair = FULL_RANGE) -> I8:
    """As `requantize`, with one set of parameters for the whole array, or one per channel."""
    bias, right_shift, multiplier, out_shift = np.array(
        [
            (e.requant.bias, e.requant.right_shift, e.requant.multiplier, e.requant.out_shift)
            for e in entries
        ],
        np.int64,
    ).T
    shifted = (acc.astype(np.int64) + bias) >> right_shift
    saturated = np.clip(shifted, _INT16_MIN, _INT16_MAX)
    scaled = (saturated * multiplier) >> out_shift
    y: I8 = np.clip(scaled, clamp[0], clamp[1]).astype(np.int8)
    return y


def pad(x: I8, pads_tlbr: Quad, value: int = 0) -> I8:
    """(H, W, C) with `value` around it."""
    top, left, bottom, right = pads_tlbr
    return np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=value)


def conv(
    x: I8,
    weights: I8,
    params: ChannelParams,
    *,
    stride: Pair = UNIT_PAIR,
    dilation: Pair = UNIT_PAIR,
    pads: Quad = NO_PADS,
    groups: int = 1,
    upsample: Pair = UNIT_PAIR,
    clamp: Pair = FULL_RANGE,
    out: DType = DType.INT8,
    pad_code: int = 0,
    addend: I8 | None = None,
    factors: Sequence[int] = (),
) -> I8 | I32:
    """Convolution; x (H, W, I), weights OHWI (O, kh, kw, I / groups).

    `upsample` (u, v) > 1 first spreads the input: (H - 1) * u + 1 rows with `pad_code` between
    (transposed convolution); `pads` more of it stand around. Rows and columns of x that no whole
    window covers are not read. `addend` (the result's shape) times `factors` (one, or one per
    output channel) joins the accumulators.

    Returns:
        `out` INT8: requantized and clamped codes; INT32: accumulator + bias.

    Raises:
        DeviceFault: an accumulator leaves int32; the compiler prevents it (`accumulator_bound`).
    """
    spread = np.full(
        ((x.shape[0] - 1) * upsample[0] + 1, (x.shape[1] - 1) * upsample[1] + 1, x.shape[2]),
        pad_code,
        np.int8,
    )
    spread[:: upsample[0], :: upsample[1]] = x
    padded = pad(spread, pads, pad_code).astype(np.int64)
    outputs, kernel_h, kernel_w, depth = weights.shape
    rows = (padded.shape[0] - (kernel_h - 1) * dilation[0] - 1) // stride[0] + 1
    columns = (padded.shape[1] - (kernel_w - 1) * dilation[1] - 1) // stride[1] + 1
    per_group = outputs // groups
    acc = np.zeros((rows, columns, outputs), np.int64)
    for group in range(groups):
        chosen = slice(group * per_group, (group + 1) * per_group)
        part = padded[:, :, group * depth : (group + 1) * depth]
        for i in range(kernel_h):
            for j in range(kernel_w):
                window = part[
                    i * dilation[0] : i * dilation[0] + (rows - 1) * stride[0] + 1 : stride[0],
                    j * dilation[1] : j * dilation[1] + (columns - 1) * stride[1] + 1 : stride[1],
                ]
                acc[:, :, chosen] += window @ weights[chosen, i, j].astype(np.int64).T
    if addend is not None:
        acc += addend.astype(np.int64) * np.array(factors, np.int64)
    biased = acc + params.bias
    if biased.size and (biased.min() < -INT32_LIMIT - 1 or biased.max() > INT32_LIMIT):
        raise DeviceFault("a convolution's accumulator leaves int32")
    if out is DType.INT32:
        return biased.astype(np.int32)
    return requantize(acc, params, clamp)


def max_pool(x: I8, kernel: Pair, stride: Pair, pads: Quad = NO_PADS) -> I8:
    """Maximum over each window of (H, W, C); padding never wins. Codes and scale are kept."""
    padded = pad(x, pads, -128)
    rows = (padded.shape[0] - kernel[0]) // stride[0] + 1
    columns = (padded.shape[1] - kernel[1]) // stride[1] + 1
    y = np.full((rows, columns, x.shape[2]), -128, np.int8)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            window = padded[
                i : i + (rows - 1) * stride[0] + 1 : stride[0],
                j : j + (columns - 1) * stride[1] + 1 : stride[1],
            ]
            y = np.maximum(y, window)
    return y


def eltwise(
    kind: EltwiseKind,
    a: I8,
    b: I8 | None,
    *,
    entries: Sequence[EltwiseEntry],
    clamp: Pair = FULL_RANGE,
    zeros: Pair = (0, 0),
) -> I8:
    """ADD: a*ka + b*kb; MUL: a*b; SCALE: a*ka (b is None); then requantize.

    a and b stand for codes minus `zeros`; b may be (1, 1, C) or (1, 1, 1): it is broadcast.

    Args:
        entries: one for all channels, or one per channel.
    """
    wide_a = a.astype(np.int64) - zeros[0]
    ka, kb = np.array([(entry.ka, entry.kb) for entry in entries], np.int64).T
    match kind:
        case EltwiseKind.ADD:
            acc = wide_a * ka + (_present(b) - zeros[1]) * kb
        case EltwiseKind.MUL:
            acc = wide_a * (_present(b) - zeros[1])
        case EltwiseKind.SCALE:
            acc = wide_a * ka
    return requantize_entries(acc, entries, clamp)


def _present(b: I8 | None) -> I64:
    if b is None:
        raise DeviceFault("an element-wise operation of two operands has only one")
    return b.astype(np.int64)


def lut(x: I8, tables: I8) -> I8:
    """y = table[x + 128]; tables (1, 256) for all channels or (C, 256) one each; x (H, W, C)."""
    index = x.astype(np.int64) + 128
    channel = np.arange(x.shape[2]) if len(tables) > 1 else np.zeros(x.shape[2], np.int64)
    return tables[channel, index]


def resize(x: I8, mode: ResizeMode, rows: Axis, columns: Axis) -> I8:
    """Nearest: y[i, j] = x[low_i, low_j]. Bilinear: weights of 1/256 per axis, then half up.

    Bilinear: (sum of four products + 2^15) >> 16, which stays in int8 by itself.
    """
    if mode is ResizeMode.NEAREST:
        return x[np.ix_(rows.low, columns.low)]
    wide = x.astype(np.int64)
    down = np.array(rows.frac, np.int64)[:, None, None]
    right = np.array(columns.frac, np.int64)[None, :, None]
    by_row: I64 = wide[list(rows.low)] * (RESIZE_STEPS - down) + wide[list(rows.high)] * down
    total: I64 = (
        by_row[:, list(columns.low)] * (RESIZE_STEPS - right)
        + by_row[:, list(columns.high)] * right
    )
    return ((total + (1 << 15)) >> 16).astype(np.int8)


def resize_roi(x: I8, roi: Roi, out_hw: Pair, rows: Pair | None = None) -> I8:
    """The region `roi` of a picture (H, W, C) of codes, bilinear to `out_hw`.

    Args:
        rows: [start, stop) of the result that are wanted; None: all.

    Returns:
        (rows, out width, C). Codes are value - 128, which an interpolation keeps.

    Raises:
        InputError: the region is empty or leaves the picture.
    """
    height, width, _ = x.shape
    if not (0 <= roi.left <= roi.right < width and 0 <= roi.top <= roi.bottom < height):
        raise InputError(f"region {tuple(roi)} does not lie in a picture of {height}x{width}")
    down = roi_axis(roi.top, roi.bottom, out_hw[0])
    chosen = slice(*(rows or (0, out_hw[0])))
    part = Axis(down.low[chosen], down.high[chosen], down.frac[chosen])
    return resize(x, ResizeMode.BILINEAR, part, roi_axis(roi.left, roi.right, out_hw[1]))


def space_depth(x: I8, block: int, *, to_space: bool, dcr: bool = True) -> I8:
    """DepthToSpace (`to_space`) or its inverse on (H, W, C), depth order of ONNX's DCR or CRD.

    ONNX defines SpaceToDepth with the DCR order alone.
    """
    height, width, channels = x.shape
    if to_space:
        depth = channels // (block * block)
        order = (block, block, depth) if dcr else (depth, block, block)
        axes = (0, 2, 1, 3, 4) if dcr else (0, 3, 1, 4, 2)
        cut = x.reshape(height, width, *order).transpose(axes)
        return cut.reshape(height * block, width * block, depth)
    cut = x.reshape(height // block, block, width // block, block, channels)
    axes = (0, 2, 1, 3, 4) if dcr else (0, 2, 4, 1, 3)
    return cut.transpose(axes).reshape(height // block, width // block, channels * block * block)
