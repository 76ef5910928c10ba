"""Positions and weights of a resize along one axis, from ONNX's coordinate modes.

Positions are computed as exact fractions, so a rounding of the machine never decides a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from bpu_common.errors import ModelUnsupported
from bpu_common.limits import RESIZE_STEPS
from bpu_common.program import Axis, ResizeMode

_HALF = Fraction(1, 2)

NEAREST_MODES: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda x: math.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: math.floor(x + _HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}
COORDINATE_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "asymmetric",
    "align_corners",
)


def resize_axis(
    in_size: int,
    out_size: int,
    mode: ResizeMode,
    coordinate_mode: str = "half_pixel",
    scale: float | None = None,
    nearest_mode: str = "round_prefer_floor",
) -> Axis:
    """Source positions (clamped to the axis) and weights of 1/256 for each output position.

    Args:
        scale: ONNX's scale factor; None, or a value equal to out_size / in_size in float32, means
            exactly out_size / in_size.

    Raises:
        ModelUnsupported: an unknown coordinate or nearest mode.
    """
    if coordinate_mode not in COORDINATE_MODES or nearest_mode not in NEAREST_MODES:
        raise ModelUnsupported(
            f"resize mode {coordinate_mode!r} / {nearest_mode!r} is not known",
            hint=f"possible are {', '.join(COORDINATE_MODES)}; {', '.join(NEAREST_MODES)}",
        )
    factor = Fraction(out_size, in_size)
    if scale is not None and np.float32(scale) != np.float32(out_size / in_size):
        factor = Fraction(scale)
    positions = [
        _source_position(i, in_size, out_size, factor, coordinate_mode) for i in range(out_size)
    ]
    last = in_size - 1
    if mode is ResizeMode.NEAREST:
        rounded = NEAREST_MODES[nearest_mode]
        low = tuple(min(max(rounded(x), 0), last) for x in positions)
        return Axis(low, low, (0,) * out_size)
    steps = [round(min(max(x, Fraction(0)), Fraction(last)) * RESIZE_STEPS) for x in positions]
    return Axis(
        tuple(step // RESIZE_STEPS for step in steps),
        tuple(min(step // RESIZE_STEPS + 1, last) for step in steps),
        tuple(step % RESIZE_STEPS for step in steps),
    )


def _source_position(
    index: int, in_size: int, out_size: int, factor: Fraction, coordinate_mode: str
) -> Fraction:
    """Position on the input axis of output `index`, as ONNX Resize defines it."""
    match coordinate_mode:
        case "asymmetric":
            return index / factor
        case "align_corners":
            return Fraction(index * (in_size - 1), out_size - 1) if out_size > 1 else Fraction(0)
        case "pytorch_half_pixel" if out_size == 1:
            return Fraction(0)
        case "half_pixel_symmetric":
            adjustment = out_size / (factor * in_size)
            offset = Fraction(in_size, 2) * (1 - adjustment)
            return offset + (index + _HALF) / factor - _HALF
        case _:
            return (index + _HALF) / factor - _HALF


def roi_axis(first: int, last: int, out_size: int) -> Axis:
    """Source positions and weights of 1/256 when pixels `first` to `last` become `out_size`.

    Centres of pixels keep their proportion (ONNX's half_pixel); a position is rounded half up to
    1/256 and clamped to the region. Whole numbers throughout, since this runs on the board.
    """
    count = last - first + 1
    end = (count - 1) * RESIZE_STEPS
    half = RESIZE_STEPS // 2
    exact = (
        ((2 * i + 1) * count * RESIZE_STEPS + out_size) // (2 * out_size) - half
        for i in range(out_size)
    )
    steps = [min(max(step, 0), end) for step in exact]
    return Axis(
        tuple(first + step // RESIZE_STEPS for step in steps),
        tuple(min(first + step // RESIZE_STEPS + 1, last) for step in steps),
        tuple(step % RESIZE_STEPS for step in steps),
    )
