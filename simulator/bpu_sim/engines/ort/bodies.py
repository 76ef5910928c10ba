"""The ONNX bodies of the BPU operations on (1, C, H, W) float32 tensors that hold integer codes.

Used twice: inlined in the engine's graphs, and inside the model-local functions of the quantized
model. Every value is an integer (or a multiple of a power of two) of which float32 loses nothing,
so the order in which a kernel adds does not matter. `bpu_sim.arith` defines the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bpu_common.network import (
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
    QSlice,
)
from bpu_common.program import Axis, EltwiseKind, Pair, Quad, ResizeMode
from bpu_common.tensor import F32, F64
from bpu_sim.engines.onnx.emitter import Emitter, cast
from bpu_sim.engines.ort.plans import ConvPlan, EltwisePlan
from bpu_sim.engines.ort.requant import (
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
from bpu_sim.engines.ort.stage import MAGIC, requants_of

Shape = tuple[int, int, int]

FEW_CHANNELS = 4


class ConvConstants(Protocol):
    """Where a convolution's weights come from, as the name of a float32 tensor."""

    def weights(self, scale: F64 | None) -> str:
        """OIHW weight codes, multiplied by a power of two per output channel if given."""


def conv(
    emitter: Emitter,
    op: QConv,
    plan: ConvPlan,
    operands: Sequence[str],
    form: Form,
    constants: ConvConstants,
) -> str:
    """Codes of a convolution; for int32 results the accumulators, as float32 or float64.

    Zeros of `upsample_hw` are in the input already (`zeros_between`).

    Args:
        operands: the input, and the addend if the operation has one, of the result's channels.
    """
    x = operands[0]
    if plan.stage is not None:
        shift = op.params.right_shift.astype(np.int64)
        scale = accumulator_scale(plan.stage, form, shift)
        late, early = split_bias(plan.stage, shift, op.params.bias)
        offset = early * scale + accumulator_offset(plan.stage, form, shift)
        bias = emitter.param("bias", spread(offset, form.channels))
        acc = _convolve(emitter, op, (x, constants.weights(scale), bias), form)
        acc = _plus_addend(emitter, op, acc, operands[1:], form, scale)
        return requantized(emitter, acc, form, plan.stage, late.astype(np.float64))
    if plan.parts is None:
        bias = emitter.param("bias", spread(op.params.bias.astype(np.float64), form.channels))
        acc = _convolve(emitter, op, (x, constants.weights(None), bias), form)
        return _plus_addend(emitter, op, acc, operands[1:], form, np.ones(1))
    codes = constants.weights(None)
    pieces = []
    for mask in plan.parts:
        taps = cast(emitter, emitter.param("mask", mask[None]), "float32")
        masked = emitter.add("Mul", codes, taps)
        pieces.append(_convolve(emitter, op, (x, masked), form))
    if op.addend is not None:
        factors = np.array(op.addend.factors, np.float64).reshape(-1, 1, 1)
        wide = cast(emitter, operands[1], "float64")
        pieces.append(emitter.add("Mul", wide, emitter.param("factor", factors)))
    if plan.int32:
        return sum_wide(emitter, pieces, op.params.bias)
    return requantized_wide(emitter, pieces, requants_of(op.params), op.clamp)


def _plus_addend(
    emitter: Emitter, op: QConv, acc: str, addends: Sequence[str], form: Form, scale: F64
) -> str:
    """The accumulators with the addend's, in units of 1 / `scale`."""
    if op.addend is None:
        return acc
    factors = np.array(op.addend.factors, np.float64) * scale
    return emitter.add("Add", acc, affine(emitter, addends[0], form, factors, 0.0))


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


def zeros_between(emitter: Emitter, x: str, upsample: Pair, in_hw: Pair, pad_code: int = 0) -> str:
    """(1, C, H, W) to (1, C, (H-1)u+1, (W-1)v+1) with `pad_code` between the pixels."""
    (u, v), (height, width) = upsample, in_hw
    # each pixel becomes a u x v cell with the pixel in its first corner; the last cells are cut
    x = emitter.add("Unsqueeze", x, emitter.const([3, 5], "int64"))
    ends = emitter.param("cell", np.array([0] * 9 + [u - 1, 0, v - 1], np.int64))
    x = emitter.add("Pad", x, ends, emitter.param("code", np.array(pad_code, np.float32)))
    spread_hw = np.array([0, 0, height * u, width * v], np.int64)
    x = emitter.add("Reshape", x, emitter.param("shape", spread_hw))
    starts = emitter.const([0, 0], "int64")
    ends = emitter.param("ends", np.array([(height - 1) * u + 1, (width - 1) * v + 1], np.int64))
    return emitter.add("Slice", x, starts, ends, emitter.const([2, 3], "int64"))


def eltwise(
    emitter: Emitter, op: QEltwise, plan: EltwisePlan, operands: Sequence[str], form: Form
) -> str:
    """Codes of ADD, MUL or SCALE; `form.depthwise` only where the operands have equal shapes."""
    requants = plan.requants
    if plan.stage is None:
        return requantized_wide(
            emitter, [_wide_sum(emitter, op, plan, operands)], requants, op.clamp
        )
    scale = accumulator_scale(plan.stage, form, requants.right_shift)
    late, early = split_bias(plan.stage, requants.right_shift, requants.bias)
    offset = early * scale + accumulator_offset(plan.stage, form, requants.right_shift)
    left = operands[0]
    match op.kind:
        case EltwiseKind.ADD:
            left = affine(emitter, left, form, plan.ka * scale, offset)
            right = affine(emitter, operands[1], form, plan.kb * scale, 0.0)
            acc = emitter.add("Add", left, right)
        case EltwiseKind.MUL:
            left, right = (
                affine(emitter, x, form, 1.0, -zero) if zero else x
                for x, zero in zip(operands, op.zeros, strict=True)
            )
            acc = affine(emitter, emitter.add("Mul", left, right), form, scale, offset)
        case EltwiseKind.SCALE:
            acc = affine(emitter, left, form, plan.ka * scale, offset)
    return requantized(emitter, acc, form, plan.stage, late.astype(np.float64))


def _wide_sum(emitter: Emitter, op: QEltwise, plan: EltwisePlan, operands: Sequence[str]) -> str:
    """The accumulators without bias, in float64."""
    wide = [cast(emitter, x, "float64") for x in operands]
    if op.kind is EltwiseKind.MUL:
        zeros = [emitter.param("zero", np.array(zero, np.float64)) for zero in op.zeros]
        pair = [emitter.add("Sub", x, zero) for x, zero in zip(wide, zeros, strict=True)]
        return emitter.add("Mul", *pair)
    factors = [
        emitter.param("k", k.astype(np.float64).reshape(-1, 1, 1)) for k in (plan.ka, plan.kb)
    ]
    terms = [emitter.add("Mul", x, k) for x, k in zip(wide, factors, strict=False)]
    return emitter.add("Add", *terms) if op.kind is EltwiseKind.ADD else terms[0]


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


def framed(emitter: Emitter, x: str, pads_tlbr: Quad, code: int) -> str:
    """Constant padding of H and W."""
    top, left, bottom, right = pads_tlbr
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    value = emitter.param("value", np.array(code, np.float32))
    return emitter.add("Pad", x, emitter.param("pads", pads), value)
