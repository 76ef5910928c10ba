"""Which tensors may have all 256 codes for values from 0 on: stored minus 128 steps.

Those of the BPU alone that are never negative, as their operations show: behind a ReLU, a ReLU6, a
sigmoid, and what pools, moves, joins, adds or multiplies such tensors. Inputs and outputs of the
model and whatever a CPU operator touches stay symmetric. Where results have the codes of what they
read, all of them change or none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from bpu_common.params import ChannelParams
from bpu_common.tensor import I8
from bpu_host.compiler.units.work import (
    AddWork,
    ClampWork,
    ConcatWork,
    ConvWork,
    LutWork,
    MulWork,
    PadWork,
    Unit,
)

_Known: TypeAlias = Callable[[str], bool]
_POINTS = 4096


def offset_tensors(
    units: Sequence[Unit], thresholds: Mapping[str, float], fixed: Collection[str]
) -> frozenset[str]:
    """Names of the tensors.

    Args:
        units: what runs on the BPU, in order.
        thresholds: of every int8 tensor.
        fixed: tensors that stay symmetric, and so does all that shares their codes.
    """
    positive: set[str] = set()
    for unit in units:
        if _never_negative(unit, positive.__contains__, thresholds):
            positive.add(unit.y)
    found = positive.difference(fixed)
    while True:
        apart: set[str] = set()
        for unit in units:
            if unit.keeps_codes or isinstance(unit.work, ConcatWork):
                together = {*unit.xs, unit.y}
                if not together <= found:
                    apart |= together & found
        if not apart:
            return frozenset(found)
        found -= apart


def _never_negative(unit: Unit, known: _Known, thresholds: Mapping[str, float]) -> bool:
    work = unit.work
    of_positive = all(known(x) for x in unit.xs)
    if unit.bounds[0] >= 0:
        return True
    match work:
        case ClampWork(bounds):
            return bounds[0] >= 0
        case LutWork(functions):
            highest = thresholds[unit.xs[0]]
            lowest = 0.0 if of_positive else -highest * 128 / 127
            reals = np.linspace(lowest, highest, _POINTS)
            with np.errstate(all="ignore"):
                return all(bool((np.asarray(f(reals)) >= 0).all()) for f in functions)
        case ConvWork():
            mean = not work.high_precision and not work.bias.any()
            return of_positive and mean and bool((work.weights >= 0).all())
        case AddWork(signs):
            return of_positive and signs == (1, 1)
        case PadWork(_, value):
            return of_positive and value >= 0
        case MulWork() | ConcatWork():
            return of_positive
        case _:
            return of_positive and unit.keeps_codes


def bias_is_coarse(weights: I8, params: ChannelParams, *, int32: bool) -> bool:
    """Whether a rounded bias is off by what could be seen in a convolution's result.

    That is 1/16 of a code; of an int32 result an eighth of the noise that rounded inputs leave.
    """
    error = np.where(params.bias_shift > 0, np.exp2(params.bias_shift - 1.0), 0.0)
    if int32:
        squares = np.square(weights.reshape(len(weights), -1).astype(np.float64)).sum(axis=1)
        return bool((error > np.sqrt(squares / 12) / 8).any())
    ratio = params.multiplier * np.exp2(-1.0 * (params.right_shift + params.out_shift))
    return bool((error * ratio > 1 / 16).any())
