"""Choosing the integers: shifts and multipliers, biases, weight codes, element-wise constants.

The rules are those of docs/arithmetic.md. They are computed in float64 with IEEE operations only
(no library function whose last bit may differ between machines), so the compiler gives the same
integers everywhere. `round` is half to even throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bpu_common.errors import ModelUnsupported
from bpu_common.limits import BIAS_SHIFT, RIGHT_SHIFT
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseEntry, Pair, Requant
from bpu_common.tensor import F32, F64, I8, I32

_INT16_MAX = (1 << 15) - 1


def _least_step() -> float:
    """Smallest float64 that is >= 127 / 32767."""
    nearest = 127 / _INT16_MAX
    exact = Fraction(127, _INT16_MAX)
    return nearest if Fraction(nearest) >= exact else float(np.nextafter(nearest, 1.0))


_LEAST_STEP = _least_step()
MIN_RATIO = _LEAST_STEP / (1 << RIGHT_SHIFT.high)
"""Least s_in * s_w / s_out that a right shift of 16 can express (5.9e-8)."""
LEAST_INT32_SCALE = float(np.finfo(np.float32).tiny)
"""Least s_in * s_w of an int32 result: files and boards hold scales as normal float32 numbers."""
MAX_RATIO = 32767.0
"""Greatest s_in * s_w / s_out: multiplier 2^15 - 1, no out shift."""


def choose_requant(ratio: float) -> tuple[int, int, int]:
    """(right_shift, multiplier, out_shift) for ratio = s_in * s_w / s_out.

    right_shift is the smallest r in 0..16 with 127 / ratio / 2^r <= 32767 (compared exactly), the
    multiplier round(ratio * 2^(r + s)) lies in [2^14, 2^15).

    Raises:
        ModelUnsupported: no such r or s: ratio outside [MIN_RATIO, MAX_RATIO].
    """
    shift, multiplier, out_shift = _requant_arrays(np.array([ratio], np.float64))
    return int(shift[0]), int(multiplier[0]), int(out_shift[0])


def _requant_arrays(ratio: F64) -> tuple[I32, I32, I32]:
    good = (ratio >= MIN_RATIO) & (ratio <= MAX_RATIO)  # NaN is not good
    if not good.all():
        channel = int(np.argmin(good))
        raise ModelUnsupported(
            f"requantization cannot express the scale ratio {ratio[channel]:.3g} of channel "
            f"{channel} (input scale * weight scale / output scale; possible are "
            f"{MIN_RATIO:.3g} to {MAX_RATIO:.5g})",
            hint="leave the operator on the CPU, or calibrate with data that uses its range",
        )
    right_shift = np.zeros(ratio.shape, np.int32)
    while (short := ratio * np.exp2(right_shift) < _LEAST_STEP).any():
        right_shift += short.astype(np.int32)
    fraction, exponent = np.frexp(ratio)
    multiplier = np.rint(fraction * (1 << 15)).astype(np.int32)
    exponent = exponent + (multiplier == 1 << 15)
    multiplier[multiplier == 1 << 15] = 1 << 14
    return right_shift, multiplier, (15 - exponent - right_shift).astype(np.int32)


def channel_params(
    bias_real: F64,
    ratio: F64,
    acc_scale: F64,
    int32_output: bool = False,
    dead: NDArray[np.bool_] | None = None,
) -> ChannelParams:
    """Parameters of each output channel; all arrays (channels,).

    The bias is round(b / acc_scale + 0.5 / ratio), without the second term for int32 outputs,
    rounded once to q * 2^e with the smallest e for which q fits int16.

    Args:
        bias_real: the float bias.
        ratio: s_in * s_w / s_out; not used for int32 outputs.
        acc_scale: s_in * s_w, the value of one step of the accumulator.
        dead: channels whose weight codes are all 0 (`dead_channels`): multiplier 2^14, no right
            shift, and the bias round(b / s_out) alone decides. No meaning for int32 outputs.

    Raises:
        ModelUnsupported: a ratio or a bias that the parameter table cannot hold.
    """
    bias_real, ratio, acc_scale = (np.asarray(v, np.float64) for v in (bias_real, ratio, acc_scale))
    if int32_output:
        bias_q, bias_shift = _bias_codes(bias_real / acc_scale)
        zeros = np.zeros(bias_q.shape, np.int32)
        return ChannelParams(bias_q, bias_shift, zeros, zeros.copy(), zeros.copy())
    alive = np.ones(ratio.shape, np.bool_) if dead is None else ~dead
    right_shift, multiplier, out_shift = _requant_arrays(np.where(alive, ratio, 1.0))
    steps = bias_real / acc_scale + 0.5 / ratio
    codes = np.clip(np.rint(bias_real / acc_scale * ratio), -(1 << 15), _INT16_MAX)
    bias_q, bias_shift = _bias_codes(np.where(alive, steps, codes))
    return ChannelParams(bias_q, bias_shift, right_shift, multiplier, out_shift)


def _bias_codes(steps: F64) -> tuple[I32, I32]:
    """(q, e) with q * 2^e nearest to `steps`, e the smallest for which q fits int16."""
    bias_shift = np.zeros(steps.shape, np.int32)
    while True:
        bias_q = np.rint(steps * np.exp2(-bias_shift))
        fits = (bias_q >= -(1 << 15)) & (bias_q <= _INT16_MAX)
        if fits.all():
            return bias_q.astype(np.int32), bias_shift
        bias_shift += (~fits).astype(np.int32)
        if bias_shift.max() > BIAS_SHIFT.high:
            channel = int(np.argmax(bias_shift))
            raise ModelUnsupported(
                f"the bias of channel {channel} is {steps[channel]:.4g} accumulator steps; "
                "the parameter table holds at most 2^31",
                hint="the channel's weights are tiny beside its bias: see least_weight_scale",
            )


def weight_scales(weights: F32 | F64, least: F64 | float = 0.0) -> F64:
    """max|w| / 127 of each output channel (axis 0), (O,).

    A channel of zeros gets the smallest scale of the others (1 / 127 if there is none), so that its
    bias has a fine step. `least` (scalar or (O,)) is a lower bound, see `least_weight_scale`.
    """
    flat = np.abs(weights.reshape(weights.shape[0], -1).astype(np.float64))
    scales = flat.max(axis=1, initial=0.0) / 127
    alive = scales > 0
    scales[~alive] = scales[alive].min() if alive.any() else 1 / 127
    bounded: F64 = np.maximum(scales, least)
    return bounded


def least_weight_scale(bias_real: F64, s_in: float, s_out: float | None) -> F64:
    """The smallest usable weight scale of each channel, (O,); `s_out` None for int32 outputs.

    Below it the requantization ratio, the scale of an int32 result or the bias (2^30 accumulator
    steps) leaves its range; a channel so weak beside its bias or its output loses nothing by
    coarser weight codes.
    """
    for_bias = np.abs(bias_real.astype(np.float64)) / (s_in * 2.0**30)
    for_result = (
        LEAST_INT32_SCALE * (1 + 1e-9) / s_in
        if s_out is None
        else MIN_RATIO * (1 + 1e-9) * s_out / s_in
    )
    least: F64 = np.maximum(for_bias, for_result)
    return least


def quantize_weights(weights: F32 | F64, scales: F64) -> I8:
    """round(w / scale) clipped to [-127, 127]; scales (O,) along axis 0."""
    spread = scales.reshape(-1, *([1] * (weights.ndim - 1)))
    codes: I8 = np.clip(np.rint(weights.astype(np.float64) / spread), -127, 127).astype(np.int8)
    return codes


def dead_channels(weights: I8) -> NDArray[np.bool_]:
    """Which output channels (axis 0) have no weight but 0."""
    alive: NDArray[np.bool_] = (weights.reshape(weights.shape[0], -1) != 0).any(axis=1)
    return ~alive


def quantize(x: F32 | F64, scale: float, zero: int = 0) -> I8:
    """clamp(round(x / scale) + zero), the quotient in float32, as ONNX QuantizeLinear."""
    steps = np.asarray(x, np.float32) / np.float32(scale)
    codes: I8 = np.clip(np.rint(steps) + zero, -128, 127).astype(np.int8)
    return codes


def dequantize(codes: I8 | I32, scale: F32 | float) -> F32:
    """code * scale in float32; a per-channel scale runs along the last axis."""
    real: F32 = codes.astype(np.float32) * np.asarray(scale, np.float32)
    return real


def relu_clamp(scale: float, highest: float | None = None) -> Pair:
    """Bounds of a fused ReLU, or with `highest` of one that stops there (6 for ReLU6)."""
    if highest is None:
        return (0, 127)
    return (0, int(min(127, np.rint(highest / scale))))


def _scalar_requant(ratio: float, zero: int = 0) -> Requant:
    """The requantization of sums to codes that stand for code - zero."""
    params = channel_params(np.array([zero / ratio]), np.array([ratio]), np.ones(1))
    return Requant(
        int(params.bias[0]),
        int(params.right_shift[0]),
        int(params.multiplier[0]),
        int(params.out_shift[0]),
    )


def eltwise_add_constants(s_a: float, s_b: float, s_y: float, zero: int = 0) -> EltwiseEntry:
    """ka, kb, requant of y = a + b: int8 factors in the proportion of the scales.

    The branch of the greater scale gets the k in 64..127 for which the other, k * smaller / greater
    rounded, is nearest to the true proportion; among equals the greatest k. `zero`: of y.
    """
    greater, smaller = max(s_a, s_b), min(s_a, s_b)
    ks = np.arange(127, 63, -1)
    others = np.rint(ks * (smaller / greater))
    best = int(np.argmin(np.abs(others / ks - smaller / greater)))
    k, other = int(ks[best]), int(others[best])
    requant = _scalar_requant(greater / k / s_y, zero)
    return EltwiseEntry(*((k, other) if s_a >= s_b else (other, k)), requant)


def eltwise_mul_constants(s_a: float, s_b: float, s_y: float, zero: int = 0) -> EltwiseEntry:
    """The requantization of y = a * b; the factors are 1 and not used. `zero`: of y."""
    return EltwiseEntry(1, 1, _scalar_requant(s_a * s_b / s_y, zero))


def scale_constants(s_x: float, s_y: float, zero: int = 0) -> EltwiseEntry:
    """ka and requant of y = x brought from scale s_x to s_y; a negative s_x negates.

    ka is 64: the half-LSB then has six more bits and powers of two stay exact. `zero`: of y.
    """
    ka = 64 if s_x >= 0 else -64
    return EltwiseEntry(ka, 0, _scalar_requant(abs(s_x) / 64 / s_y, zero))


def lut_table(function: Callable[[F64], F64], s_x: float, s_y: float, zeros: Pair = (0, 0)) -> I8:
    """Table of y = function(x), (256,) int8.

    Entry i holds round(function((i - 128 - zero of x) * s_x) / s_y) + zero of y. Infinite results
    saturate, undefined ones (NaN) count as 0.
    """
    x = (np.arange(-128, 128) - zeros[0]).astype(np.float64) * s_x
    with np.errstate(all="ignore"):
        steps = np.rint(np.asarray(function(x), np.float64) / s_y)
    codes = np.nan_to_num(steps, nan=0.0) + zeros[1]
    table: I8 = np.clip(codes, -128, 127).astype(np.int8)
    return table
