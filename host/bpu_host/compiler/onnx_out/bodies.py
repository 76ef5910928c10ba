"""The ONNX bodies of the BPU operations on (1, C, H, W) float32 tensors that hold integer codes.

Used twice: inlined in the fast path, and inside the model-local functions of the quantized model.
Every value is an integer (or a multiple of a power of two) of which float32 loses nothing, so the
order in which a kernel adds does not matter. `bpu_sim.arith` defines the results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bpu_common.network import (
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
)
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseKind, Pair, ResizeMode
from bpu_common.tensor import F32, F64, I8, DType
from bpu_host.compiler.onnx_out.emitter import Emitter, cast
from bpu_host.compiler.onnx_out.requant import (
    Form,
    accumulator_offset,
    accumulator_scale,
    affine,
    clip,
    requantized,
    requantized_wide,
    split_bias,
    spread,
    sum_wide,
)
from bpu_host.compiler.onnx_out.stage import MAGIC, Channels, Stage, find_stage
from bpu_sim import arith

Shape = tuple[int, int, int]

FEW_CHANNELS = 4
EXACT_LIMIT = 1 << 24
"""Sums of integers stay exact in float32 while every partial sum is below it."""


class ConvConstants(Protocol):
    """Where a convolution's weights come from, as the name of a float32 tensor."""

    def weights(self, scale: F64 | None) -> str:
        """OIHW weight codes, multiplied by a power of two per output channel if given."""


@dataclass(frozen=True, slots=True, eq=False)
class ConvPlan:
    """How one convolution is computed.

    Attributes:
        stage: proved float32 constants; None for int32 results and where none exist.
        int32: the result is the accumulator itself.
        parts: masks (P, I/g, kh, kw) that cut the sum into exact pieces; None: one sum.
    """

    stage: Stage | None
    parts: I8 | None
    int32: bool = False


def plan_conv(op: QConv, x_range: Pair, dtype: DType) -> ConvPlan:
    """Decide between the float32 form and the float64 fallback, with the real weights."""
    shift = op.params.right_shift.astype(np.int64)
    if dtype is DType.INT32:
        bound = arith.accumulator_bound(op.weights, op.params, x_range)
        exact = bound.max(initial=0) < EXACT_LIMIT
        return ConvPlan(None, None if exact else _parts(op.weights), int32=True)
    flat = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    least, most = x_range
    reach = np.stack([flat * least, flat * most, np.zeros_like(flat)])
    lowest, highest = reach.min(axis=0).sum(axis=1), reach.max(axis=0).sum(axis=1)
    # what the first rounding adds needs one more bit, 2^-(r+1), and up to 2^r of the bias
    if (2 * (np.maximum(highest, -lowest) + (1 << shift))).max(initial=0) >= EXACT_LIMIT:
        return ConvPlan(None, _parts(op.weights))
    bias = op.params.bias
    channels = Channels(
        shift,
        op.params.multiplier.astype(np.int64),
        op.params.out_shift.astype(np.int64),
        bias,
        lowest + bias,
        highest + bias,
        op.clamp,
    )
    stage = find_stage(channels)
    return ConvPlan(stage, None if stage is not None else _parts(op.weights))


def _parts(weights: I8) -> I8:
    """Masks of taps (P, I/g, kh, kw) that cut every output channel's sum into exact pieces.

    The window alone may be too large (global average pooling: up to 8192 positions of one channel),
    so the cuts run over channels, rows and columns. One tap always fits.
    """
    outputs, kernel_h, kernel_w, depth = weights.shape
    taps = np.abs(weights.transpose(0, 3, 1, 2).reshape(outputs, -1).astype(np.int64))
    reach = np.cumsum(taps * 128, axis=1)
    pieces, start = [], 0
    before = np.zeros((outputs, 1), np.int64)
    while start < reach.shape[1]:
        fits = (reach - before < EXACT_LIMIT).all(axis=0)
        end = int(np.count_nonzero(fits))
        piece = np.zeros(reach.shape[1], np.int8)
        piece[start:end] = 1
        pieces.append(piece)
        start, before = end, reach[:, end - 1 : end]
    return np.stack(pieces).reshape(-1, depth, kernel_h, kernel_w)


def conv(
    emitter: Emitter,
    op: QConv,
    plan: ConvPlan,
    x: str,
    form: Form,
    constants: ConvConstants,
) -> str:
    """Codes of a convolution; for int32 results the accumulators, as float32 or float64.

    Zeros of `upsample_hw` are in x already (`zeros_between`).
    """
    if plan.stage is not None:
        shift = op.params.right_shift.astype(np.int64)
        scale = accumulator_scale(plan.stage, form, shift)
        late, early = split_bias(plan.stage, shift, op.params.bias)
        addend = early * scale + accumulator_offset(plan.stage, form, shift)
        bias = emitter.param("bias", spread(addend, form.channels))
        acc = _convolve(emitter, op, (x, constants.weights(scale), bias), form)
        return requantized(emitter, acc, form, plan.stage, late.astype(np.float64))
    if plan.parts is None:
        bias = emitter.param("bias", spread(op.params.bias.astype(np.float64), form.channels))
        return _convolve(emitter, op, (x, constants.weights(None), bias), form)
    codes = constants.weights(None)
    pieces = []
    for mask in plan.parts:
        taps = cast(emitter, emitter.param("mask", mask[None]), "float32")
        masked = emitter.add("Mul", codes, taps)
        pieces.append(_convolve(emitter, op, (x, masked), form))
    if plan.int32:
        return sum_wide(emitter, pieces, op.params.bias)
    return requantized_wide(emitter, pieces, op.params, op.clamp)


def is_mixing(op: QConv) -> bool:
    """A mixing of a few channels (colour conversion): onnxruntime's blocks of 16 would be empty."""
    return (
        op.kernel_hw == op.stride_hw == op.upsample_hw == (1, 1)
        and op.pads_tlbr == (0, 0, 0, 0)
        and op.groups == 1
        and max(op.weights.shape[0], op.weights.shape[3]) <= FEW_CHANNELS
    )


def mix(emitter: Emitter, op: QConv, operands: tuple[str, ...]) -> str:
    """A 1x1 convolution as a matrix product; x (1, I, H, W) of any height."""
    x, weights, *bias = operands
    outputs, _, _, inputs = op.weights.shape
    x_shape = emitter.add("Shape", x)
    x = emitter.add("Reshape", x, emitter.param("flat", np.array([inputs, -1], np.int64)))
    matrix = emitter.param("matrix", np.array([outputs, inputs], np.int64))
    y = emitter.add("MatMul", emitter.add("Reshape", weights, matrix), x)
    for each in bias:
        column = emitter.add("Reshape", each, emitter.const([-1, 1], "int64"))
        y = emitter.add("Add", y, column)
    rows = emitter.add("Slice", x_shape, *(emitter.const([v], "int64") for v in (2, 4)))
    counts = emitter.param("counts", np.array([1, outputs], np.int64))
    return emitter.add("Reshape", y, emitter.add("Concat", counts, rows, axis=0))


def _convolve(emitter: Emitter, op: QConv, operands: tuple[str, ...], form: Form) -> str:
    if is_mixing(op):
        return mix(emitter, op, operands)
    group = form.channels if is_depthwise(op) else op.groups
    return emitter.add(
        "Conv",
        *operands,
        kernel_shape=emitter.attr("kernel_shape", op.kernel_hw),
        strides=emitter.attr("strides", op.stride_hw),
        dilations=emitter.attr("dilations", op.dilation_hw),
        pads=emitter.attr("pads", op.pads_tlbr),
        group=emitter.attr("group", group),
    )


def is_depthwise(op: QConv) -> bool:
    """One input channel for each output channel."""
    return op.groups > 1 and op.groups == op.weights.shape[0] and op.weights.shape[3] == 1


def zeros_between(emitter: Emitter, x: str, upsample: Pair, in_hw: Pair) -> str:
    """(1, C, H, W) to (1, C, (H-1)u+1, (W-1)v+1) with zeros between the pixels."""
    (u, v), (height, width) = upsample, in_hw
    # each pixel becomes a u x v cell with the pixel in its first corner; the last cells are cut
    x = emitter.add("Unsqueeze", x, emitter.const([3, 5], "int64"))
    ends = emitter.param("cell", np.array([0] * 9 + [u - 1, 0, v - 1], np.int64))
    x = emitter.add("Pad", x, ends, emitter.const(0.0))
    spread_hw = np.array([0, 0, height * u, width * v], np.int64)
    x = emitter.add("Reshape", x, emitter.param("shape", spread_hw))
    starts = emitter.const([0, 0], "int64")
    ends = emitter.param("ends", np.array([(height - 1) * u + 1, (width - 1) * v + 1], np.int64))
    return emitter.add("Slice", x, starts, ends, emitter.const([2, 3], "int64"))


def eltwise_stage(op: QEltwise, range_a: Pair, range_b: Pair) -> Stage | None:
    """Proved constants of an element-wise operation."""
    (entry,) = op.entries
    corners_a, corners_b = np.array(range_a), np.array(range_b)
    match op.kind:
        case EltwiseKind.ADD:
            reach = np.add.outer(corners_a * entry.ka, corners_b * entry.kb)
        case EltwiseKind.MUL:
            reach = np.multiply.outer(corners_a, corners_b)
        case EltwiseKind.SCALE:
            reach = corners_a * entry.ka
    requant = entry.requant
    low, high = int(min(reach.min(), 0)) + requant.bias, int(max(reach.max(), 0)) + requant.bias
    if max(-low, high) * 2 + (1 << requant.right_shift) >= EXACT_LIMIT:
        return None
    shift, multiplier, out_shift = (np.array([value], np.int64) for value in _scalars(op))
    reach_low, reach_high = np.array([low], np.int64), np.array([high], np.int64)
    bias = np.array([requant.bias], np.int64)
    return find_stage(Channels(shift, multiplier, out_shift, bias, reach_low, reach_high, op.clamp))


def _scalars(op: QEltwise) -> tuple[int, int, int]:
    requant = op.entries[0].requant
    return requant.right_shift, requant.multiplier, requant.out_shift


def eltwise(
    emitter: Emitter, op: QEltwise, stage: Stage | None, operands: tuple[str, ...], form: Form
) -> str:
    """Codes of ADD, MUL or SCALE; `form.depthwise` only where the operands have equal shapes."""
    if stage is None:
        acc = _eltwise_sum(emitter, op, operands, Form(1), 1.0, 0.0)
        return requantized_wide(emitter, [acc], _as_params(op), op.clamp)
    requant = op.entries[0].requant
    shift = np.array([requant.right_shift], np.int64)
    scale = float(accumulator_scale(stage, form, shift)[0])
    late, early = split_bias(stage, shift, np.array([requant.bias], np.int64))
    addend = float(early[0] * scale + accumulator_offset(stage, form, shift)[0])
    acc = _eltwise_sum(emitter, op, operands, form, scale, addend)
    return requantized(emitter, acc, form, stage, float(late[0]))


def _as_params(op: QEltwise) -> ChannelParams:
    """The scalar requantization as the parameters of one channel; the bias has no q and e here."""
    bias = np.array([op.entries[0].requant.bias], np.int32)
    zero = np.zeros(1, np.int32)
    right_shift, multiplier, out_shift = (np.array([v], np.int32) for v in _scalars(op))
    return ChannelParams(bias, zero, right_shift, multiplier, out_shift)


def _eltwise_sum(
    emitter: Emitter,
    op: QEltwise,
    operands: tuple[str, ...],
    form: Form,
    scale: float,
    addend: float,
) -> str:
    match op.kind:
        case EltwiseKind.ADD:
            left = affine(emitter, operands[0], form, op.entries[0].ka * scale, addend)
            right = affine(emitter, operands[1], form, op.entries[0].kb * scale, 0.0)
            return emitter.add("Add", left, right)
        case EltwiseKind.MUL:
            product = emitter.add("Mul", operands[0], operands[1])
            return affine(emitter, product, form, scale, addend)
        case EltwiseKind.SCALE:
            return affine(emitter, operands[0], form, op.entries[0].ka * scale, addend)


def lut(emitter: Emitter, op: QLut, x: str, shape_chw: Shape) -> str:
    """table[x + 128] by GatherElements on flattened tensors, which is fast where Gather is not."""
    channels, height, width = shape_chw
    index = emitter.add("Cast", emitter.add("Add", x, emitter.const(128.0)), to=6)
    tables = op.tables.astype(np.float32)
    if len(tables) == 1:
        index = emitter.add("Reshape", index, emitter.const([-1], "int64"))
        y = emitter.add("GatherElements", emitter.param("table", tables[0]), index, axis=0)
    else:
        rows = emitter.param("rows", np.array([channels, height * width], np.int64))
        index = emitter.add("Reshape", index, rows)
        y = emitter.add("GatherElements", emitter.param("table", tables), index, axis=1)
    shape = emitter.param("shape", np.array([1, channels, height, width], np.int64))
    return emitter.add("Reshape", y, shape)


def max_pool(emitter: Emitter, op: QMaxPool, x: str) -> str:
    """Maximum over windows, in float32: onnxruntime's int8 kernel is 30 times slower."""
    return emitter.add(
        "MaxPool",
        x,
        kernel_shape=emitter.attr("kernel_shape", op.kernel_hw),
        strides=emitter.attr("strides", op.stride_hw),
        pads=emitter.attr("pads", op.pads_tlbr),
        dilations=[1, 1],
        ceil_mode=0,
    )


def resize(emitter: Emitter, op: QResize, x: str, in_hw: Pair) -> str:
    """Nearest by Resize where it is a plain repetition, else by Gather; bilinear by two MatMuls."""
    if op.mode is ResizeMode.NEAREST:
        return _nearest(emitter, op, x, in_hw)
    rows, columns = (
        _mixing(axis, size) for axis, size in zip((op.rows, op.columns), in_hw, strict=True)
    )
    x = emitter.add("MatMul", emitter.param("rows", rows), x)
    # sums reach 2^23; in units of 2^-16 a tie is impossible once 2^-17 is added: half goes up
    x = emitter.add("MatMul", x, emitter.param("columns", columns.T / 65536))
    x = clip(emitter, x, (-256.0, 256.0))
    x = emitter.add("Add", x, emitter.const(2.0**-17))
    x = emitter.add("Add", x, emitter.const(MAGIC))
    return emitter.add("Add", x, emitter.const(-MAGIC))


def _mixing(axis: Axis, size: int) -> F32:
    """(out, in) weights of 1/256."""
    matrix = np.zeros((len(axis.low), size), np.float32)
    index = np.arange(len(axis.low))
    np.add.at(matrix, (index, np.array(axis.low)), 256 - np.array(axis.frac, np.float32))
    np.add.at(matrix, (index, np.array(axis.high)), np.array(axis.frac, np.float32))
    return matrix


def _nearest(emitter: Emitter, op: QResize, x: str, in_hw: Pair) -> str:
    lows = (op.rows.low, op.columns.low)
    factors = [len(low) // size for low, size in zip(lows, in_hw, strict=True)]
    repeats = [
        low == tuple(i // factor for i in range(size * factor)) if factor else False
        for low, size, factor in zip(lows, in_hw, factors, strict=True)
    ]
    if all(repeats):
        scales = emitter.param("scales", np.array([1, 1, *factors], np.float32))
        return emitter.add(
            "Resize",
            x,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    for axis, low in zip((2, 3), lows, strict=True):
        x = emitter.add("Gather", x, emitter.param("index", np.array(low, np.int64)), axis=axis)
    return x


def space_depth(emitter: Emitter, op: QDepthToSpace, x: str, shape_chw: Shape) -> str:
    """DepthToSpace or its inverse; x has shape (1, *shape_chw)."""
    block = op.block
    if op.to_space:
        mode = "DCR" if op.dcr else "CRD"
        return emitter.add("DepthToSpace", x, blocksize=block, mode=mode)
    channels, height, width = shape_chw
    cut = [1, channels, height // block, block, width // block, block]
    x = emitter.add("Reshape", x, emitter.param("shape", np.array(cut, np.int64)))
    x = emitter.add("Transpose", x, perm=[0, 3, 5, 1, 2, 4] if op.dcr else [0, 1, 3, 5, 2, 4])
    packed = [1, channels * block * block, height // block, width // block]
    return emitter.add("Reshape", x, emitter.param("shape", np.array(packed, np.int64)))


def slice_box(emitter: Emitter, op: QSlice, x: str, out_chw: Shape) -> str:
    """The box of a slice; axes C, H, W of x."""
    start = [op.start_hwc[i] for i in (2, 0, 1)]
    step = [op.step_hwc[i] for i in (2, 0, 1)]
    ends = [
        begin + (size - 1) * stride + 1
        for begin, stride, size in zip(start, step, out_chw, strict=True)
    ]
    names = [
        emitter.param(hint, np.array(v, np.int64))
        for hint, v in (("starts", start), ("ends", ends))
    ]
    axes = emitter.const([1, 2, 3], "int64")
    return emitter.add("Slice", x, *names, axes, emitter.param("steps", np.array(step, np.int64)))


def pad(emitter: Emitter, op: QPad, x: str) -> str:
    """Constant padding of H and W."""
    top, left, bottom, right = op.pads_tlbr
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    value = emitter.param("value", np.array(op.value, np.float32))
    return emitter.add("Pad", x, emitter.param("pads", pads), value)
