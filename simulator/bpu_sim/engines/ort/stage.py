"""The requantization as float32 constants, found by a search and proved before they are used.

y(A) = clamp((saturate_int16(A >> r) * m) >> s) is a monotone staircase of the accumulator A with at
most 256 steps. The ONNX bodies compute it in float32 as

    a = round((A - 2^r * h) * 2^-r + first_offset) + h
                                            first rounding, by adding and subtracting 1.5 * 2^23;
                                            h = bias >> r joins after it, so a large bias costs
                                            the sum before it no bits
    t = a * slope + offset                  two roundings, or one where a kernel fuses them
    y = round(t)                            second rounding, by adding and subtracting 2^24 - hi

Each of these is monotone in A, so they equal the staircase for every accumulator if and only if
they agree with it on both sides of each step and at the ends of the reachable range.
`find_stage` chooses slope and offset and checks exactly that, with and without fused multiply-add.
Where no constants pass (usually in no channel of ten thousand), the layer splits the multiplier:

    y = floor((a * hi + floor(a * lo / 2^8)) / 2^(s - 8))     m = 2^8 * hi + lo

of which every intermediate value is exact in float32, at the price of two more steps.

Other ways were slower or not exact: float64 is exact for any parameters but keeps onnxruntime out
of its blocked kernels (`requant.requantized_wide` remains for what has no constants); a look-up of
65536 entries a channel does not fit a cache; onnxruntime's own requantization rounds once, in
float, which is another function of the accumulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bpu_common.params import ChannelParams
from bpu_common.program import Pair
from bpu_common.tensor import F32, F64, I64

MAGIC = 1.5 * 2.0**23
"""Added and taken away again, it rounds a float32 of magnitude < 2^22 half to even."""
TOP = 2.0**24
"""Greatest value after adding a magic number; the bodies clamp there."""
SPLIT_BITS = 8
# Where the search looks: units in the last place off the exact slope, of these the slopes that
# leave the most room for the offset, and places in that room, its middle first.
_SLOPE_STEPS = (0, *(sign * k for k in range(1, 49) for sign in (1, -1)))
_BEST_SLOPES = 8
_OFFSET_PARTS = (0.5, 0.25, 0.75, *(k / 16 for k in range(1, 16) if k % 4))
_BLOCK = 128
"""Channels that are proved at a time: their tables stay in the cache."""
LARGE_BIAS = 1 << 22
"""From here on the bias joins after the first rounding, also where nothing is shifted."""
_SLOPES = (2.0**-40, 2.0**17)
"""Far around every ratio m * 2^-s: within, scaling by 2^-24 is exact and nothing overflows."""

EXACT_LIMIT = 1 << 24
"""Sums of integers stay exact in float32 while every partial sum is below it."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Requants:
    """Requantization parameters, int64 (C,), or (1,) for all channels."""

    bias: I64
    right_shift: I64
    multiplier: I64
    out_shift: I64

    def stage(
        self, lowest: I64, highest: I64, clamp: Pair, given: Stage | None = None
    ) -> Stage | None:
        """Proved constants for accumulators without bias in the inclusive bounds, if there are.

        Args:
            given: constants that are taken if they pass the proof; nothing else is known of them.
        """
        usual = (self.multiplier >= 1) & (self.multiplier < 1 << 15) & (self.right_shift <= 16)
        # what the first rounding adds needs one more bit, 2^-(r+1), and up to 2^r of the bias
        reach = np.maximum(highest, -lowest) + (1 << self.right_shift)
        if not usual.all() or clamp[0] > clamp[1] or (2 * reach).max(initial=0) >= EXACT_LIMIT:
            return None
        lowest, highest = lowest + self.bias, highest + self.bias
        shifts = (self.right_shift, self.multiplier, self.out_shift)
        channels = Channels(*shifts, self.bias, lowest, highest, clamp)
        if given is not None and _holds(channels, given):
            return given
        return find_stage(channels)


def requants_of(params: ChannelParams) -> Requants:
    """Those of a convolution."""
    shift, multiplier, out_shift = (
        values.astype(np.int64)
        for values in (params.right_shift, params.multiplier, params.out_shift)
    )
    return Requants(params.bias, shift, multiplier, out_shift)


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """What is to be computed, per channel; arrays (C,) int64.

    Sums of the accumulator without `bias` must stay below 2^23 (see `Requants.stage`).

    Attributes:
        bias: part of the accumulator that is known.
        lowest: least reachable accumulator, bias included.
        highest: greatest reachable accumulator, bias included.
        clamp: inclusive bounds of y.
    """

    right_shift: I64
    multiplier: I64
    out_shift: I64
    bias: I64
    lowest: I64
    highest: I64
    clamp: Pair

    def pick(self, index: NDArray[np.int64]) -> Channels:
        """The channels at `index`."""
        return Channels(
            self.right_shift[index],
            self.multiplier[index],
            self.out_shift[index],
            self.bias[index],
            self.lowest[index],
            self.highest[index],
            self.clamp,
        )

    def exact(self, acc: I64) -> I64:
        """y of accumulators (C, N), bias included, in integers."""
        a = np.clip(acc >> self.right_shift[:, None], -(1 << 15), (1 << 15) - 1)
        y: I64 = np.clip((a * self.multiplier[:, None]) >> self.out_shift[:, None], *self.clamp)
        return y


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Proved constants of the float32 form.

    Attributes:
        first_rounding: False where every right shift is 0: a is the accumulator itself.
        saturates: a must be clipped to int16 explicitly; else saturation shows nowhere in y.
        slope: (C,) float32.
        offset: (C,) float32.
        split: (C,) multiplier and out shift of the split form; then slope and offset are not used.
    """

    first_rounding: bool
    saturates: bool
    clamp: Pair
    slope: F32
    offset: F32
    split: tuple[I64, I64] | None = None

    def pick(self, index: NDArray[np.int64]) -> Stage:
        """The channels at `index`."""
        split = self.split and (self.split[0][index], self.split[1][index])
        return Stage(
            self.first_rounding,
            self.saturates,
            self.clamp,
            self.slope[index],
            self.offset[index],
            split,
        )


def first_offset(right_shift: I64) -> F64:
    """What turns rounding into floor for multiples of 2^-r: -1/2 + 2^-(r+1), 0 for r = 0."""
    offset: F64 = np.exp2(-(right_shift.astype(np.float64) + 1)) - 0.5
    return offset


def find_stage(channels: Channels) -> Stage | None:
    """A form exact for every reachable accumulator; None only with an out shift below 8.

    All channels of a layer take the same form, because it decides which operators are written.
    """
    first_rounding = _needs_first_rounding(channels.right_shift, channels.bias)
    for saturates in (False, True):
        found = _search(channels, first_rounding, saturates)
        if found is not None:
            return Stage(first_rounding, saturates, channels.clamp, *found)
    return split_stage(channels, channels.clamp) if _can_split(channels) else None


def split_stage(requants: Requants | Channels, clamp: Pair) -> Stage:
    """The form of last resort: exact by itself where every out shift is 8 or more."""
    unused = np.zeros(requants.multiplier.size, np.float32)
    first_rounding = _needs_first_rounding(requants.right_shift, requants.bias)
    split = (requants.multiplier, requants.out_shift)
    return Stage(first_rounding, True, clamp, unused, unused, split)


def _needs_first_rounding(right_shift: I64, bias: I64) -> bool:
    return bool((right_shift > 0).any()) or int(np.abs(bias).max(initial=0)) >= LARGE_BIAS


def _can_split(channels: Channels) -> bool:
    return bool((channels.out_shift >= SPLIT_BITS).all())


def _holds(channels: Channels, stage: Stage) -> bool:
    """Whether constants from elsewhere may be used."""
    if stage.first_rounding != _needs_first_rounding(channels.right_shift, channels.bias):
        return False
    if stage.split is not None:
        return _can_split(channels)
    return bool(proved(channels, stage).all())


def emulate(
    channels: Channels, stage: Stage, acc: I64, *, fused: bool, clamped: bool = True
) -> I64:
    """What the float32 body gives for accumulators (C, N) (bias included).

    Args:
        fused: the multiply-add rounds once.
        clamped: the magic sums are clamped to [0, 2^24] (HardSigmoid), as in the depthwise form.
    """
    a = _first_rounding(channels, stage, acc, clamped)
    return _second_rounding(stage, a, fused, clamped=clamped).astype(np.int64)


def _first_rounding(channels: Channels, stage: Stage, acc: I64, clamped: bool) -> F32:
    shift = channels.right_shift[:, None]
    a = acc.astype(np.float64)
    if stage.first_rounding:
        high = channels.bias[:, None] >> shift
        x = np.ldexp(a - np.ldexp(high.astype(np.float64), shift), -shift) + first_offset(shift)
        a = _rounded(x, np.float32(MAGIC), clamped, high.astype(np.float64))
    a32 = a.astype(np.float32)
    return np.clip(a32, np.float32(-32768), np.float32(32767)) if stage.saturates else a32


def _second_rounding(stage: Stage, a: F32, fused: bool, *, clamped: bool) -> F64:
    slope, offset = stage.slope[:, None], stage.offset[:, None]
    if fused:
        t = (a.astype(np.float64) * slope.astype(np.float64) + offset).astype(np.float32)
    else:
        t = a * slope + offset
    y = _rounded(t.astype(np.float64), np.float32(TOP - stage.clamp[1]), clamped)
    return np.clip(y, *stage.clamp)


def _rounded(x: F64, magic: np.float32, clamped: bool, plus: F64 | float = 0.0) -> F64:
    """(x + magic) - (magic - plus) with each result rounded to float32."""
    total = x.astype(np.float32) + magic
    if clamped:
        total = np.clip(total, np.float32(0), np.float32(TOP))
    result: F64 = (total + (plus - np.float64(magic)).astype(np.float32)).astype(np.float64)
    return result


def _steps(channels: Channels) -> tuple[I64, I64, Mask]:
    """(codes (N,), first a of each code (C, N), reachable and not hidden by saturation (C, N))."""
    low, high = channels.clamp
    codes = np.arange(low + 1, max(low + 1, high) + 1, dtype=np.int64)  # one at least, hidden then
    scaled = codes << channels.out_shift[:, None]
    first = -((-scaled) // channels.multiplier[:, None])
    edge = first << channels.right_shift[:, None]
    reachable = (edge > channels.lowest[:, None]) & (edge <= channels.highest[:, None])
    shown = (first > -(1 << 15)) & (first < 1 << 15) & (codes <= high)
    return codes, first, reachable & shown


def _search(channels: Channels, first_rounding: bool, saturates: bool) -> tuple[F32, F32] | None:
    """Slope and offset of every channel: the exact slope first, then its neighbours.

    Nine of ten channels and more are done with the exact slope, m * 2^-s, and an offset in the
    middle of what the steps allow; only the others pay for the table of neighbours. At one of their
    steps the rounding of a * slope takes more than the room that is left; with a neighbour the
    products round elsewhere. Candidates come widest room first, then other places in it.
    """
    slope = np.zeros(channels.multiplier.size, np.float32)
    offset = slope.copy()
    left = np.arange(slope.size)
    for steps in ((0,), _SLOPE_STEPS):
        slopes, offsets = _candidates(channels.pick(left), steps)
        columns = np.arange(left.size)
        for one_slope, one_offset in zip(slopes, offsets, strict=True):
            trial = Stage(
                first_rounding, saturates, channels.clamp, one_slope[columns], one_offset[columns]
            )
            good = proved(channels.pick(left), trial)
            slope[left[good]], offset[left[good]] = trial.slope[good], trial.offset[good]
            left, columns = left[~good], columns[~good]
            if not left.size:
                return slope, offset
    return None


def _candidates(channels: Channels, steps: tuple[int, ...]) -> tuple[F32, F32]:
    """Slopes and offsets (K, C) worth a proof, the best first.

    With a real-valued slope w every step n at a = T_n asks of b = offset + 1/2 that
    n - T_n * w <= b < n - (T_n - 1) * w. The slopes with the widest common interval of b win.
    """
    codes, first, reachable = _steps(channels)
    exact = np.ldexp(channels.multiplier.astype(np.float64), -channels.out_shift)
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)
    lows, widths = [], []
    for step in steps:
        slope = (exact + step * ulp)[:, None]
        at_step = codes - first * slope
        low = np.where(reachable, at_step, -slope / 2).max(axis=1)
        high = np.where(reachable, at_step + slope, slope / 2).min(axis=1)
        lows.append(low)
        widths.append(high - low)
    low_table, width_table = np.array(lows), np.array(widths)
    order = np.argsort(-width_table, axis=0, kind="stable")[:_BEST_SLOPES]
    slopes, offsets = [], []
    for part in _OFFSET_PARTS:
        for row in order:
            columns = np.arange(row.size)
            slopes.append(exact + np.array(steps)[row] * ulp)
            offsets.append(low_table[row, columns] + part * width_table[row, columns] - 0.5)
    return np.array(slopes, np.float32), np.array(offsets, np.float32)


def proved(channels: Channels, stage: Stage) -> Mask:
    """(C,): the float32 form equals the integers for every reachable accumulator of a channel.

    Every operation of the form keeps or turns the order of what it is given, for any slope and
    offset, and so does the staircase. Between two accumulators with the same code the form cannot
    leave that code, so it is enough to look at both sides of every step and at the ends. Nothing
    else is known or asked of the constants, whoever chose them.
    """
    usual = (np.abs(stage.slope) >= _SLOPES[0]) & (np.abs(stage.slope) <= _SLOPES[1])
    sound = usual & np.isfinite(stage.offset)
    with np.errstate(all="ignore"):
        for start in range(0, len(sound), _BLOCK):
            index = np.arange(start, min(start + _BLOCK, len(sound)))
            sound[index] &= _agrees(channels.pick(index), stage.pick(index))
    return sound


def _agrees(channels: Channels, stage: Stage) -> Mask:
    _, first, reachable = _steps(channels)
    edge = first << channels.right_shift[:, None]
    after = np.where(reachable, edge, channels.highest[:, None])
    before = np.where(reachable, edge - 1, channels.lowest[:, None])
    ends = np.stack([channels.lowest, channels.highest], axis=1)
    acc = np.concatenate([before, after, ends], axis=1)
    wanted = channels.exact(acc)
    good = np.ones(len(acc), np.bool_)
    a, flat = (_first_rounding(channels, stage, acc, clamped) for clamped in (True, False))
    # the second clamp cannot show: what it cuts off, the clip to the code's bounds cuts off too
    for each in (a,) if np.array_equal(a, flat) else (a, flat):
        for fused in (False, True):
            good &= (_second_rounding(stage, each, fused, clamped=True) == wanted).all(axis=1)
    return good
