"""Convolutions as steps of the kernels: dense, depthwise, grouped, transposed.

What a dense kernel cannot do in one step is done in two: accumulators first, then their
requantization (an addend, or parameters beyond the forms of the kernels' registers).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bpu_common.network import Addend, QConv
from bpu_common.program import Pair
from bpu_common.tensor import I8, I64, DType, align_up
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import CHANNELS, Buffer, Step, View, contiguous

if TYPE_CHECKING:
    from bpu_sim.kernels.writer import Writer

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


def write_conv(writer: Writer, op: QConv) -> None:
    """Add the steps of a convolution."""
    spec = writer.tensors[op.y]
    wide, direct = spec.dtype is DType.INT32, _direct(op)
    if wide and op.addend is None:
        _any(writer, op, writer.result(op.y))
    elif direct and _mixes(writer, op):
        _mix(writer, op)
    elif direct and not wide:
        _any(writer, op, writer.result(op.y, pitch=_pitch(op)))
    else:
        sums = Buffer(*spec.shape_hwc, 4, 0, 4 * _pitch(op)).whole()
        _any(writer, op, sums)
        _requantize(writer, op, sums)


def overhang(op: QConv) -> int:
    """Bytes that the stores of a group's last channels reach past them."""
    channels = op.weights.shape[0] // op.groups
    return 0 if op.groups == 1 or _is_depthwise(op) or channels % CHANNELS == 0 else CHANNELS


def _pitch(op: QConv) -> int:
    return align_up(op.weights.shape[0] + overhang(op), CHANNELS)


def _is_depthwise(op: QConv) -> bool:
    return op.groups > 1 and op.groups == op.weights.shape[0] and op.weights.shape[3] == 1


def _direct(op: QConv) -> bool:
    """Codes can come straight out of the accumulators' registers."""
    params = op.params
    shifted = params.out_shift < CHANNELS
    small = params.multiplier < LEAST_SHIFTED_MULTIPLIER
    plain = op.upsample_hw == _ONE and op.dilation_hw == _ONE and op.stride_hw[0] == op.stride_hw[1]
    return (
        op.addend is None
        and not bool(np.any(shifted & small))
        and (plain or not _is_depthwise(op))
    )


def _any(writer: Writer, op: QConv, y: View) -> None:
    """The convolution into codes or accumulators."""
    top, left, _, _ = op.pads_tlbr
    x = writer.view(op.x)
    filters = Filters(
        op.weights, op.params.bias, op.stride_hw, op.dilation_hw, top, left, op.groups
    )
    if op.upsample_hw == _ONE:
        _windows(writer, op, filters, x, y)
    elif op.stride_hw == op.dilation_hw == _ONE:
        _phases(writer, op, filters, x, y)
    else:
        _windows(writer, op, filters, _spread(writer, op, x), y)


def _spread(writer: Writer, op: QConv, x: View) -> View:
    """x with codes for nothing between its pixels."""
    down, across = op.upsample_hw
    zero = x.zero if 0 <= op.pad_code + x.zero else 128
    buffer = Buffer(
        (x.height - 1) * down + 1, (x.width - 1) * across + 1, x.channels, 1, zero
    )
    made = buffer.whole()
    writer.add(Step(Kind.FILL, y=made, values={"value": op.pad_code}))
    writer.copy(x, made.box(0, 0, x.height, x.width, down, across))
    return made


def _phases(writer: Writer, op: QConv, filters: Filters, x: View, y: View) -> None:
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
            _windows(writer, op, phase, x, box)


def _windows(writer: Writer, op: QConv, filters: Filters, x: View, y: View) -> None:
    """One convolution over x, its border included."""
    edges = []
    for axis, size in enumerate((x.height, x.width)):
        before = (filters.top, filters.left)[axis]
        extent = (filters.kernel[axis] - 1) * filters.dilation[axis] + 1
        made = (y.height, y.width)[axis]
        edges.append((before, (made - 1) * filters.stride[axis] - before + extent - size))
    border = (edges[0][0], edges[1][0], edges[0][1], edges[1][1])
    if _is_depthwise(op):
        _depthwise(writer, op, filters, writer.bordered(x, border, op.pad_code), y)
        return
    if writer.widens and x.zero:
        x = writer.widened(x, tuple(max(edge, 0) for edge in border), op.pad_code)  # type: ignore[arg-type]
    else:
        x = writer.bordered(x, border, op.pad_code)
        if writer.widens and x.zero:  # the copy for its border holds negative codes
            x = writer.widened(x, tuple(max(edge, 0) for edge in border), op.pad_code)  # type: ignore[arg-type]
    for group in _groups(filters):
        _dense(writer, op, group, x, y)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Some output channels and the input channels they read."""

    filters: Filters
    first_input: int
    first_output: int


def _groups(filters: Filters) -> list[_Group]:
    """Dense convolutions that do the work; small groups are joined, with zeros between them."""
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


def _dense(writer: Writer, op: QConv, group: _Group, x: View, y: View) -> None:
    count, depth = group.filters.weights.shape[0], group.filters.weights.shape[3]
    values = _values(op, group.filters, slice(group.first_output, group.first_output + count))
    source, target = x.take(group.first_input, depth), y.take(group.first_output, count)
    writer.add(Step(Kind.CONV, source, target, values=values))


def _depthwise(writer: Writer, op: QConv, filters: Filters, x: View, y: View) -> None:
    plain = filters.dilation == _ONE and filters.stride[0] == filters.stride[1]
    kind = Kind.DEPTHWISE if plain and y.buffer.item == 1 else Kind.CHANNELWISE
    weights = np.moveaxis(filters.weights, 3, 1)
    values = _values(op, replace(filters, weights=weights), slice(None))
    values["kernel"] = filters.kernel
    writer.add(Step(kind, x, y, values=values))


def _values(op: QConv, filters: Filters, channels: slice) -> dict[str, object]:
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


def _requantize(writer: Writer, op: QConv, sums: View) -> None:
    """Accumulators to what the operation makes, with its addend."""
    params, z = op.params, None
    factors: tuple[int, ...] = (0,)
    if isinstance(op.addend, Addend):
        z, factors = writer.view(op.addend.x), op.addend.factors
    values = {
        "count": params.channels,
        "lo": op.clamp[0],
        "hi": op.clamp[1],
        "factors": np.zeros(params.channels, np.int32),
        "more_factors": contiguous(np.broadcast_to(factors, (params.channels,)), np.int32),
        "right": contiguous(params.right_shift, np.int32),
        "multiplier": contiguous(params.multiplier, np.int32),
        "out": contiguous(params.out_shift, np.int32),
    }
    writer.add(Step(Kind.REQUANT, sums, writer.result(op.y), z, values))


def _mixes(writer: Writer, op: QConv) -> bool:
    """A 1x1 convolution of a picture's colours to at most four channels."""
    outputs, kh, kw, depth = op.weights.shape
    x = writer.view(op.x)
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


def _mix(writer: Writer, op: QConv) -> None:
    outputs, depth = op.weights.shape[0], op.weights.shape[3]
    weights = np.zeros((4, 4), np.int8)
    weights[:outputs, :depth] = op.weights.reshape(outputs, depth)
    params = op.params
    values: dict[str, object] = {
        "weights": weights,
        "bias": _four(params.bias, 0, np.int64),
        "right": _four(params.right_shift, 0, np.int32),
        "multiplier": _four(params.multiplier, 1 << 14, np.int32),
        "out": _four(params.out_shift, 22, np.int32),
        "lo": op.clamp[0],
        "hi": op.clamp[1],
    }
    y = writer.result(op.y, pitch=4)
    writer.add(Step(Kind.MIX, writer.view(op.x), y, values=values))


def _four(values: object, rest: int, dtype: type[np.generic]) -> np.ndarray:
    given = np.asarray(values)
    made = np.full(4, rest, dtype)
    made[: len(given)] = given
    return made
