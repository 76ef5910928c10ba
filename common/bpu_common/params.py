"""Per-output-channel parameters of a convolution and their 8-byte table entry.

Entry, little endian: int16 bias_q, uint8 bias_shift, uint8 right_shift, uint16 multiplier,
uint8 out_shift, uint8 zero. The bias that counts is `bias_q << bias_shift`
(docs/arithmetic.md "Requantization").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bpu_common import limits
from bpu_common.errors import ModelFormatError
from bpu_common.program import CHANNEL_PARAM_BYTES, FULL_RANGE, Pair
from bpu_common.tensor import I8, I32, I64, U8

_ENTRY = np.dtype(
    [
        ("bias_q", "<i2"),
        ("bias_shift", "u1"),
        ("right_shift", "u1"),
        ("multiplier", "<u2"),
        ("out_shift", "u1"),
        ("reserved", "u1"),
    ]
)
assert _ENTRY.itemsize == CHANNEL_PARAM_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class ChannelParams:
    """Arrays of shape (channels,), int32. For int32 outputs only the bias counts (m, r, s = 0)."""

    bias_q: I32
    bias_shift: I32
    right_shift: I32
    multiplier: I32
    out_shift: I32

    @property
    def bias(self) -> I64:
        """The bias as used in the accumulator, int64 of shape (channels,)."""
        return self.bias_q.astype(np.int64) << self.bias_shift.astype(np.int64)

    @property
    def channels(self) -> int:
        return int(self.bias_q.shape[0])

    def slice(self, start: int, stop: int) -> ChannelParams:
        """The parameters of channels [start, stop)."""
        return ChannelParams(
            self.bias_q[start:stop],
            self.bias_shift[start:stop],
            self.right_shift[start:stop],
            self.multiplier[start:stop],
            self.out_shift[start:stop],
        )

    def to_bytes(self) -> bytes:
        """The parameter table, 8 bytes a channel."""
        table = np.zeros(self.channels, _ENTRY)
        for field in ("bias_q", "bias_shift", "right_shift", "multiplier", "out_shift"):
            table[field] = getattr(self, field)
        return table.tobytes()

    @staticmethod
    def from_bytes(data: bytes | memoryview | U8, channels: int) -> ChannelParams:
        """Read `channels` entries.

        Raises:
            ModelFormatError: fewer bytes than entries, or a shift out of range (`limits`).
        """
        raw = np.frombuffer(data, np.uint8)
        if raw.size < channels * CHANNEL_PARAM_BYTES:
            raise ModelFormatError(
                f"parameter table holds {raw.size} bytes, {channels} channels need "
                f"{channels * CHANNEL_PARAM_BYTES}"
            )
        table = raw[: channels * CHANNEL_PARAM_BYTES].view(_ENTRY)
        params = ChannelParams(
            table["bias_q"].astype(np.int32),
            table["bias_shift"].astype(np.int32),
            table["right_shift"].astype(np.int32),
            table["multiplier"].astype(np.int32),
            table["out_shift"].astype(np.int32),
        )
        if channels and (
            params.right_shift.max() > limits.RIGHT_SHIFT.high
            or params.out_shift.max() > limits.OUT_SHIFT.high
            or params.bias_shift.max() > limits.BIAS_SHIFT.high
        ):
            raise ModelFormatError("parameter table holds a shift out of range")
        return params


def accumulator_bound(
    weights: I8, params: ChannelParams, x_range: Pair = FULL_RANGE, factors: Sequence[int] = ()
) -> I64:
    """Greatest magnitude any partial sum of each channel's accumulator (with bias) can take.

    Holds for every order of summation and with padding, for inputs in the inclusive `x_range`.
    A layer is possible on the BPU if all values are <= INT32_LIMIT.

    Args:
        weights: OHWI int8.
        factors: of an addend's codes, one or one per channel; none without an addend.

    Returns:
        (O,) int64.
    """
    flat = weights.reshape(weights.shape[0], -1).astype(np.int64)
    least, most = x_range
    highest = np.maximum(np.maximum(flat * most, flat * least), 0).sum(axis=1)
    lowest = np.minimum(np.minimum(flat * most, flat * least), 0).sum(axis=1)
    if factors:
        second = np.array(factors, np.int64)
        highest = highest + np.maximum(second * 127, second * -128)
        lowest = lowest + np.minimum(second * 127, second * -128)
    bias = params.bias
    bound: I64 = np.maximum(highest + np.maximum(bias, 0), -(lowest + np.minimum(bias, 0)))
    return bound
