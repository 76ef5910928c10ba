"""Operations that keep codes keep what they stand for."""

from __future__ import annotations

from collections.abc import Mapping

from bpu_common.network.ops import (
    BpuOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
)
from bpu_common.require import require
from bpu_common.tensor import Scale, TensorSpec

_CHANNELS = 3
"""The axis that scales per channel go along."""


def check_kept_scale(op: BpuOp, tensors: Mapping[str, TensorSpec]) -> None:
    """The result of a copy, a maximum or an interpolation has the scale of what it reads.

    Raises:
        BrokenRuleError: it has another one.
    """
    made = tensors[op.y].scale
    match op:
        case QConv() | QEltwise() | QLut():
            return
        case QMaxPool(x=x) | QPad(x=x) | QResize(x=x):
            kept = tensors[x].scale
        case QDepthToSpace(x=x):
            kept = tensors[x].scale
            require(not kept.is_per_channel, "scales per channel of channels that are mixed", "x")
        case QSlice(x=x):
            start, step, count = op.start_hwc[2], op.step_hwc[2], tensors[op.y].shape_hwc[2]
            kept = _chosen(tensors[x].scale, slice(start, start + count * step, step))
        case QConcat(xs=xs):
            kept = tensors[xs[0]].scale
            if op.axis == 2 and made.is_per_channel:
                kept = _joined([_each(tensors[x]) for x in xs])
            else:
                for x in xs:
                    require(tensors[x].scale == kept, f"{x!r} has a scale of its own", "xs")
    require(made == kept, f"{op.y!r} has another scale than what it is made of", "y")


def _chosen(scale: Scale, channels: slice) -> Scale:
    if scale.axis != _CHANNELS:
        return scale
    values, zeros = scale.values[channels], scale.zero_points[channels]
    return Scale(values, zeros, _CHANNELS) if len(values) > 1 else Scale(values, zeros)


def _each(spec: TensorSpec) -> Scale:
    """The scale with a value for each channel."""
    scale, count = spec.scale, spec.shape[_CHANNELS]
    if scale.is_per_channel:
        return scale
    return Scale(scale.values * count, scale.zero_points * count, _CHANNELS)


def _joined(scales: list[Scale]) -> Scale:
    values = tuple(value for scale in scales for value in scale.values)
    zeros = tuple(
        zero for scale in scales for zero in scale.zero_points or (0,) * len(scale.values)
    )
    return Scale(values, zeros if any(zeros) else (), _CHANNELS)
