"""Convolutions as steps of the kernels: dense, depthwise, grouped, transposed.

What a dense kernel cannot do in one step is done in two: accumulators first, then their
requantization (an addend, or parameters beyond the forms of the kernels' registers).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bpu_common.network import Addend, QConv
from bpu_common.program import Pair
from bpu_common.tensor import I8, I64, AnyArray, DType
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import CHANNELS, Buffer, Fields, Step, View, contiguous
from bpu_sim.kernels.sheet import Sheet, is_depthwise, pitch_of

LEAST_SHIFTED_MULTIPLIER = 512
"""Where the shift behind it is below 16, a smaller multiplier does not fit the kernels' registers:
what they cut off need not have left int8 (`channel_of` in `src/pack.cpp`)."""
_ONE = (1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """A convolution without its tensors: weights OHWI, biases, and where windows lie."""

    weights: I8
    bias: I64
    stride: Pair
    dilation: Pair
    top: int
    left: int
    groups: int

    @property
    def kernel(self) -> Pair:
        return self.weights.shape[1], self.weights.shape[2]


def write_conv(sheet: Sheet, op: QConv) -> None:
    """Add the steps of a convolution."""
    spec = sheet.tensors[op.y]
    wide, direct = spec.dtype is DType.INT32, _direct(op)
    if wide and op.addend is None:
        _any(sheet, op, sheet.result(op.y, pitch=4 * pitch_of(op)))
    elif direct and _mixes(sheet, op):
        _mix(sheet, op)
    elif direct and not wide:
        _any(sheet, op, sheet.result(op.y, pitch=pitch_of(op)))
    else:
        sums = Buffer(*spec.shape_hwc, 4, 0, 4 * pitch_of(op)).whole()
        _any(sheet, op, sums)
        _requantize(sheet, op, sums)


def _direct(op: QConv) -> bool:
    """Codes can come straight out of the accumulators' registers."""
    params = op.params
    shifted = params.out_shift < CHANNELS
    small = params.multiplier < LEAST_SHIFTED_MULTIPLIER
    plain = op.upsample_hw == _ONE and op.dilation_hw == _ONE and op.stride_hw[0] == op.stride_hw[1]
    return (
        op.addend is None and not bool(np.any(shifted & small)) and (plain or not is_depthwise(op))
    )


def _any(sheet: Sheet, op: QConv, y: View) -> None:
    """The convolution into codes or accumulators."""
    top, left, _, _ = op.pads_tlbr
    x = sheet.view(op.x)
    filters = Filters(
        op.weights, op.params.bias, op.stride_hw, op.dilation_hw, top, left, op.groups
    )
    if op.upsample_hw == _ONE:
        _windows(sheet, op, filters, x, y)
    elif op.stride_hw == op.dilation_hw == _ONE:
        _phases(sheet, op, filters, x, y)
    else:
        _windows(sheet, op, filters, _spread(sheet, op, x), y)


def _spread(sheet: Sheet, op: QConv, x: View) -> View:
    """x with codes for nothing between its pixels."""
    down, across = op.upsample_hw
    buffer = Buffer(
        (x.height - 1) * down + 1,
        (x.width - 1) * across + 1,
        x.channels,
        1,
        x.zero_for(op.pad_code),
    )
    made = buffer.whole()
    sheet.add(Step(Kind.FILL, y=made, values={"value": op.pad_code}))
    sheet.copy(x, made.box(0, 0, x.height, x.width, down, across))
    return made


def _phases(sheet: Sheet, op: QConv, filters: Filters, x: View, y: View) -> None:
    """A transposed convolution: a small convolution for each phase of the result's pixels.

    Taps that meet what was put between the pixels add the pad code times their weights, always.
    """
    (down, across), (kh, kw) = op.upsample_hw, filters.kernel
    whole = filters.weights.reshape(len(filters.weights), -1).sum(axis=1, dtype=np.int64)
    for row in range(min(down, y.height)):
        for column in range(min(across, y.width)):
            rows = [t for t in range(kh) if (row + t - filters.top) % down == 0]
            columns = [t for t in range(kw) if (column + t - filters.left) % across == 0]
            met = filters.weights[:, rows][:, :, columns]
            above = (row + rows[0] - filters.top) // down if rows else 0
            before = (column + columns[0] - filters.left) // across if columns else 0
            if not met.size:
                met = np.zeros((len(met), 1, 1, met.shape[3]), np.int8)
            missed = whole - met.reshape(len(met), -1).sum(axis=1, dtype=np.int64)
            phase = replace(
                filters,
                weights=met,
                bias=filters.bias + op.pad_code * missed,
                top=-above,
                left=-before,
            )
            box = y.box(
                row,
                column,
                len(range(row, y.height, down)),
                len(range(column, y.width, across)),
                down,
                across,
            )
            _windows(sheet, op, phase, x, box)


def _windows(sheet: Sheet, op: QConv, filters: Filters, x: View, y: View) -> None:
    """One convolution over x, its border included."""
    edges: list[Pair] = []
    for axis, size in enumerate((x.height, x.width)):
        before = (filters.top, filters.left)[axis]
        extent = (filters.kernel[axis] - 1) * filters.dilation[axis] + 1
        made = (y.height, y.width)[axis]
        after = (made - 1) * filters.stride[axis] - before + extent - size
        edges.append((max(before, 0), max(after, 0)))
    border = (edges[0][0], edges[1][0], edges[0][1], edges[1][1])
    if is_depthwise(op):
        _depthwise(sheet, op, filters, sheet.bordered(x, border, op.pad_code), y)
        return
    if not (sheet.widens and x.zero):
        x = sheet.bordered(x, border, op.pad_code)  # perhaps a copy, for a code below 0
    if sheet.widens and x.zero:
        x = sheet.widened(x, border, op.pad_code)
    for group in _groups(filters):
        _dense(sheet, op, group, x, y)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Some output channels and the input channels they read."""

    filters: Filters
    first_input: int
    first_output: int


def _groups(filters: Filters) -> list[_Group]:
    """Dense convolutions that do the work; small groups are joined, with zeros between them."""
    if filters.groups == 1:
        return [_Group(filters, 0, 0)]
    outputs, kh, kw, depth = filters.weights.shape
    channels = outputs // filters.groups
    joined = next(
        n
        for n in range(1, filters.groups + 1)
        if filters.groups % n == 0 and (n * channels >= CHANNELS or n == filters.groups)
    )
    found = []
    for first in range(0, filters.groups, joined):
        weights = np.zeros((joined * channels, kh, kw, joined * depth), np.int8)
        for k in range(joined):
            rows = slice(k * channels, (k + 1) * channels)
            start = (first + k) * channels
            weights[rows, :, :, k * depth : (k + 1) * depth] = filters.weights[
                start : start + channels
            ]
        bias = filters.bias[first * channels : (first + joined) * channels]
        group = replace(filters, weights=weights, bias=bias, groups=1)
        found.append(_Group(group, first * depth, first * channels))
    return found


def _dense(sheet: Sheet, op: QConv, group: _Group, x: View, y: View) -> None:
    count, depth = group.filters.weights.shape[0], group.filters.weights.shape[3]
    values = _values(op, group.filters, slice(group.first_output, group.first_output + count))
    source, target = x.take(group.first_input, depth), y.take(group.first_output, count)
    sheet.add(Step(Kind.CONV, source, target, values=values))


def _depthwise(sheet: Sheet, op: QConv, filters: Filters, x: View, y: View) -> None:
    plain = filters.dilation == _ONE and filters.stride[0] == filters.stride[1]
    kind = Kind.DEPTHWISE if plain and y.buffer.item == 1 else Kind.CHANNELWISE
    weights = np.moveaxis(filters.weights, 3, 1)
    values = _values(op, replace(filters, weights=weights), slice(None))
    sheet.add(Step(kind, x, y, values={**values, "kernel": filters.kernel}))


def _values(op: QConv, filters: Filters, channels: slice) -> Fields:
    params = op.params
    return {
        "kernel": filters.kernel,
        "stride": filters.stride,
        "dilation": filters.dilation,
        "pads": (filters.top, filters.left),
        "lo": op.clamp[0],
        "hi": op.clamp[1],
        "weights": contiguous(filters.weights, np.int8),
        "bias": contiguous(filters.bias, np.int64),
        "right": contiguous(params.right_shift[channels], np.int32),
        "multiplier": contiguous(params.multiplier[channels], np.int32),
        "out": contiguous(params.out_shift[channels], np.int32),
    }


def _requantize(sheet: Sheet, op: QConv, sums: View) -> None:
    """Accumulators to what the operation makes, with its addend."""
    params, z = op.params, None
    factors: tuple[int, ...] = (0,)
    if isinstance(op.addend, Addend):
        z, factors = sheet.view(op.addend.x), op.addend.factors
    values: Fields = {
        "count": params.channels,
        "lo": op.clamp[0],
        "hi": op.clamp[1],
        "factors": np.zeros(params.channels, np.int32),
        "more_factors": contiguous(np.broadcast_to(factors, (params.channels,)), np.int32),
        "right": contiguous(params.right_shift, np.int32),
        "multiplier": contiguous(params.multiplier, np.int32),
        "out": contiguous(params.out_shift, np.int32),
    }
    sheet.add(Step(Kind.REQUANT, sums, sheet.result(op.y), z, values))


def _mixes(sheet: Sheet, op: QConv) -> bool:
    """A 1x1 convolution of a picture's colours to at most four channels."""
    outputs, kh, kw, depth = op.weights.shape
    x = sheet.view(op.x)
    plain = kh == kw == op.groups == 1 and op.stride_hw == op.upsample_hw == _ONE
    return (
        plain
        and max(outputs, depth) <= x.buffer.pitch == 4
        and x.buffer.item == 1
        and x.is_whole
        and x.zero == 128
        and not any(op.pads_tlbr)
        and bool(np.all(op.params.out_shift >= 18))
    )


def _mix(sheet: Sheet, op: QConv) -> None:
    outputs, depth = op.weights.shape[0], op.weights.shape[3]
    weights = np.zeros((4, 4), np.int8)
    weights[:outputs, :depth] = op.weights.reshape(outputs, depth)
    params = op.params
    values: Fields = {
        "weights": weights,
        "bias": _four(params.bias, 0, np.int64),
        "right": _four(params.right_shift, 0, np.int32),
        "multiplier": _four(params.multiplier, 1 << 14, np.int32),
        "out": _four(params.out_shift, 22, np.int32),
        "lo": op.clamp[0],
        "hi": op.clamp[1],
    }
    y = sheet.result(op.y, pitch=4)
    sheet.add(Step(Kind.MIX, sheet.view(op.x), y, values=values))


def _four(values: AnyArray, rest: int, dtype: type[np.generic]) -> AnyArray:
    made = np.full(4, rest, dtype)
    made[: len(values)] = values
    return made
