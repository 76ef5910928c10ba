"""The requantization's ONNX body: from exact accumulators to codes, all in float32 of integers.

Two forms with the same bits. *Depthwise*: every step is a 1x1 depthwise convolution, which
onnxruntime keeps in its blocked layout, with the rounding and clamping in the fused activation.
*Flat*: element-wise operators, for channel counts that do not fill the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bpu_common.program import Pair
from bpu_common.tensor import F32, F64, I64
from bpu_sim.engines.onnx.emitter import Emitter
from bpu_sim.engines.ort.stage import MAGIC, SPLIT_BITS, TOP, Requants, Stage, first_offset

BLOCK = 16
"""Channel counts that are a multiple of it fill the blocks of every CPU's layout."""
_UNIT = 1.0 / TOP
_GUARD = 2.0**24


@dataclass(frozen=True, slots=True)
class Form:
    """How per-channel steps are written for a tensor of `channels` channels."""

    channels: int

    @property
    def depthwise(self) -> bool:
        return self.channels % BLOCK == 0


def spread(values: F32 | F64 | float, channels: int) -> F32:
    """Per-channel values as float32 (channels,): one value is repeated, missing ones are 0."""
    array = np.asarray(values, np.float64).reshape(-1)
    if array.size == 1:
        array = np.repeat(array, channels)
    full = np.zeros(channels, np.float32)
    full[: array.size] = array
    return full


def affine(
    emitter: Emitter, x: str, form: Form, factor: F32 | F64 | float, addend: F32 | F64 | float
) -> str:
    """x * factor + addend per channel, x (1, C, H, W) float32."""
    if form.depthwise:
        weight = emitter.param("factor", spread(factor, form.channels).reshape(-1, 1, 1, 1))
        bias = emitter.param("addend", spread(addend, form.channels))
        group = emitter.attr("channels", form.channels)
        return emitter.add(
            "Conv",
            x,
            weight,
            bias,
            group=group,
            kernel_shape=[1, 1],
            strides=[1, 1],
            pads=[0, 0, 0, 0],
            dilations=[1, 1],
        )
    if np.any(np.asarray(factor) != 1):
        x = emitter.add("Mul", x, _column(emitter, "factor", factor, form))
    if np.any(np.asarray(addend) != 0):
        x = emitter.add("Add", x, _column(emitter, "addend", addend, form))
    return x


def _column(emitter: Emitter, hint: str, values: F32 | F64 | float, form: Form) -> str:
    if np.size(values) == 1:
        return emitter.param(hint, np.asarray(values, np.float32).reshape(()))
    return emitter.param(hint, spread(values, form.channels).reshape(-1, 1, 1))


def clip(emitter: Emitter, x: str, bounds: tuple[float, float]) -> str:
    """Clip to inclusive bounds; [0, inf) is a Relu."""
    if bounds == (0, np.inf):
        return emitter.add("Relu", x)
    low, high = (emitter.const(np.array(b, np.float32)) for b in bounds)
    return emitter.add("Clip", x, low, high)


def accumulator_scale(stage: Stage, form: Form, right_shift: I64) -> F64:
    """What weights (and biases) of the accumulator are multiplied with: a power of two."""
    if not stage.first_rounding:
        return np.ones(right_shift.shape)
    unit = _UNIT if form.depthwise else 1.0
    scale: F64 = np.ldexp(unit, -right_shift)
    return scale


def accumulator_offset(stage: Stage, form: Form, right_shift: I64) -> F64:
    """What is added to the bias before the first rounding, which it turns into floor."""
    if not stage.first_rounding:
        return np.zeros(right_shift.shape)
    offset: F64 = first_offset(right_shift) * (_UNIT if form.depthwise else 1.0)
    return offset


def split_bias(stage: Stage, right_shift: I64, bias: I64) -> tuple[I64, I64]:
    """(h, rest) with bias = h * 2^r + rest: h joins after the first rounding, rest before it."""
    if not stage.first_rounding:
        return np.zeros_like(bias), bias
    high = bias >> right_shift
    return high, bias - (high << right_shift)


def requantized(emitter: Emitter, x: str, form: Form, stage: Stage, late_bias: F64 | float) -> str:
    """Codes (float32 integers) of accumulators x * `accumulator_scale` with their early bias.

    x must come straight from a Conv (or another node onnxruntime fuses an activation into).
    """
    if not form.depthwise:
        # keeps the convolution from taking up the additions, which would move the rounding
        x = clip(emitter, x, (-_GUARD, _GUARD))
    if stage.first_rounding:
        x = _round(emitter, x, form, MAGIC, late_bias)
    if stage.saturates:
        x = clip(emitter, x, (-32768.0, 32767.0))
    x = _second_sum(emitter, x, form, stage)
    x = _round(emitter, x, form, TOP - stage.clamp[1])
    low, high = stage.clamp
    if low == 0 and form.depthwise:  # the top is at 2^24 already
        return clip(emitter, x, (0, np.inf))
    bounds = [emitter.param("clamp", np.array(bound, np.float32)) for bound in (low, high)]
    return emitter.add("Clip", x, *bounds)


def _round(emitter: Emitter, x: str, form: Form, magic: float, plus: F64 | float = 0.0) -> str:
    """Round half to even by magic, then add; depthwise: x in units of 2^-24, the result in ones."""
    if form.depthwise:
        x = emitter.add("HardSigmoid", x, alpha=1.0, beta=emitter.attr("magic", magic / TOP))
        return affine(emitter, x, form, TOP, spread(plus - magic, form.channels))
    x = emitter.add("Add", x, emitter.param("magic", np.array(magic, np.float32)))
    return affine(emitter, x, form, 1.0, plus - magic)


def _second_sum(emitter: Emitter, a: str, form: Form, stage: Stage) -> str:
    """What is rounded to the code: a * slope + offset, or the split form of it."""
    unit = _UNIT if form.depthwise else 1.0
    if stage.split is None:
        return affine(emitter, a, form, stage.slope * unit, stage.offset * unit)
    multiplier, out_shift = stage.split
    high, low = multiplier >> SPLIT_BITS, multiplier % (1 << SPLIT_BITS)
    shift = out_shift - SPLIT_BITS
    floor_low = 2.0 ** -(SPLIT_BITS + 1) - 0.5
    low_factor = low.astype(np.float64) * (2.0**-SPLIT_BITS * unit)
    part = affine(emitter, a, form, low_factor, floor_low * unit)
    part = _round(emitter, part, form, MAGIC)
    factor: F64 = np.ldexp(unit, -shift)
    part = affine(emitter, part, form, factor, 0.0)
    x = affine(emitter, a, form, high * factor, first_offset(shift) * unit)
    return affine(emitter, emitter.add("Add", x, part), form, 1.0, 0.0)


def requantized_wide(emitter: Emitter, parts: list[str], requants: Requants, clamp: Pair) -> str:
    """The same in float64, for any parameters: slow.

    Args:
        parts: float32 tensors (1, C, H, W) whose sum is the accumulator without bias.
    """
    x = sum_wide(emitter, parts, requants.bias)
    x = emitter.add("Mul", x, _wide(emitter, "right_shift", np.ldexp(1.0, -requants.right_shift)))
    x = emitter.add("Floor", x)
    x = emitter.add("Clip", x, *(emitter.const(v, "float64") for v in (-32768, 32767)))
    ratio = np.ldexp(requants.multiplier.astype(np.float64), -requants.out_shift)
    x = emitter.add("Mul", x, _wide(emitter, "ratio", ratio))
    x = emitter.add("Floor", x)
    bounds = [emitter.param("clamp", np.array(bound, np.float64)) for bound in clamp]
    return emitter.add("Cast", emitter.add("Clip", x, *bounds), to=1)


def sum_wide(emitter: Emitter, parts: list[str], bias: I64) -> str:
    """float64 sum of the parts and the bias."""
    wide = [emitter.add("Cast", part, to=11) for part in parts]
    x = wide[0]
    for other in wide[1:]:
        x = emitter.add("Add", x, other)
    return emitter.add("Add", x, _wide(emitter, "bias", bias))


def _wide(emitter: Emitter, hint: str, values: F64 | I64) -> str:
    return emitter.param(hint, np.asarray(values, np.float64).reshape(-1, 1, 1))
