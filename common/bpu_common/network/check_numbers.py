"""Rules of numbers that operations and instructions share."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common import limits
from bpu_common.network.rules import window_extent
from bpu_common.program import FULL_RANGE, Axis, EltwiseEntry, EltwiseKind, Pair, Quad
from bpu_common.require import in_range, require

MAX_EXTENT = 1 << 16
"""Of a kernel, a stride, a dilation, an upsampling, a pad, a side of a tile."""
MAX_WINDOW = 1 << 20
"""Rows or columns that one window spans."""
MAX_MULTIPLIER = (1 << 15) - 1


def check_groups(channels: int, outputs: int, groups: int) -> None:
    require(
        groups >= 1 and channels % groups == 0 and outputs % groups == 0,
        f"{groups} groups of {channels} and {outputs} channels",
        "groups",
    )


def check_windows(kernel: Pair, stride: Pair, dilation: Pair, pads: Quad, upsample: Pair) -> None:
    for axis in (0, 1):
        in_range("kernel", kernel[axis], 1, MAX_EXTENT, "kernel_hw")
        in_range("stride", stride[axis], 1, MAX_EXTENT, "stride_hw")
        in_range("dilation", dilation[axis], 1, MAX_EXTENT, "dilation_hw")
        in_range("upsample", upsample[axis], 1, MAX_EXTENT, "upsample_hw")
        in_range("pad", pads[axis], 0, MAX_EXTENT, "pads_tlbr")
        in_range("pad", pads[axis + 2], 0, MAX_EXTENT, "pads_tlbr")
        extent = window_extent(kernel, dilation)[axis]
        in_range("window", extent, 1, MAX_WINDOW, "dilation_hw")


def check_pool_pads(kernel: Pair, pads: Quad) -> None:
    require(
        all(pads[side] < kernel[side % 2] for side in range(4)),
        "a window could lie wholly in the padding",
        "pads_tlbr",
    )


def check_clamp(clamp: Pair) -> None:
    require(-128 <= clamp[0] <= clamp[1] <= 127, f"clamp {clamp} is not within int8", "clamp")


def check_factors(factors: Sequence[int], channels: int, field: str) -> None:
    require(len(factors) in (1, channels), f"{len(factors)} factors for {channels} channels", field)
    for factor in factors:
        in_range("factor", factor, *FULL_RANGE, field)


def check_operands(
    kind: EltwiseKind, a: tuple[int, int, int], b: tuple[int, int, int] | None
) -> None:
    require((b is None) == (kind is EltwiseKind.SCALE), "operand b does not fit the kind", "b")
    require(
        b is None or b in {a, (1, 1, a[2]), (1, 1, 1)}, f"b of {b} cannot be broadcast to {a}", "b"
    )


def check_entries(
    kind: EltwiseKind, entries: Sequence[EltwiseEntry], channels: int, zeros: Pair
) -> None:
    """Factors and shifts in range, and no accumulator with its bias outside int32."""
    require(
        len(entries) in (1, channels),
        f"{len(entries)} entries for {channels} channels",
        "entries",
    )
    for zero in zeros:
        in_range("zero", zero, *FULL_RANGE, "zeros")
    reach = [128 + abs(zero) for zero in zeros]
    for entry in entries:
        in_range("ka", entry.ka, *FULL_RANGE, "entries")
        in_range("kb", entry.kb, *FULL_RANGE, "entries")
        requant = entry.requant
        right, out = limits.RIGHT_SHIFT, limits.OUT_SHIFT
        in_range("right shift", requant.right_shift, right.low, right.high, "entries")
        in_range("multiplier", requant.multiplier, 0, MAX_MULTIPLIER, "entries")
        in_range("out shift", requant.out_shift, out.low, out.high, "entries")
        match kind:
            case EltwiseKind.MUL:
                sums = reach[0] * reach[1]
            case EltwiseKind.ADD | EltwiseKind.SCALE:
                sums = reach[0] * abs(entry.ka) + reach[1] * abs(entry.kb)
        most = limits.INT32_LIMIT - sums
        in_range("bias", requant.bias, -most, most, "entries")


def check_axis(what: str, axis: Axis, source: int, made: int) -> None:
    """Positions of a resize lie within its source, one for each result."""
    require(
        len(axis.low) == len(axis.high) == len(axis.frac) == made,
        f"{what}: positions for {len(axis.low)}, {len(axis.high)}, {len(axis.frac)} of {made}",
        what,
    )
    for positions, end in (
        (axis.low, source),
        (axis.high, source),
        (axis.frac, limits.RESIZE_STEPS),
    ):
        require(
            all(0 <= position < end for position in positions),
            f"{what}: a position outside 0 to {end - 1}",
            what,
        )
