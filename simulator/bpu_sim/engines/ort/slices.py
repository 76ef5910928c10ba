"""A convolution and the depthwise one behind it, computed for a few channels at a time.

The tensor between them never exists as a whole: for each slice of channels both convolutions and
their requantizations run while the slice is in the cache. Nothing is computed twice, unlike in
strips of rows, but the first convolution reads its whole input once for each slice; it is the
narrow side of an inverted bottleneck, which is what makes that cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bpu_common.network import QConv
from bpu_common.program import Quad
from bpu_common.tensor import F64
from bpu_sim.engines.onnx.emitter import Emitter
from bpu_sim.engines.ort.bodies import ConvConstants, conv, is_depthwise
from bpu_sim.engines.ort.dispatch import MakeConstants, Scene, Value, plan_channels
from bpu_sim.engines.ort.plans import ConvPlan
from bpu_sim.engines.ort.requant import BLOCK, Form, accumulator_scale


@dataclass(slots=True)
class SliceWeights:
    """Rows [start, stop) of a convolution's weights; `ready` has those that are in the graph."""

    emitter: Emitter
    inner: ConvConstants
    ready: dict[tuple[str, int, int], str]
    key: tuple[str, int, int]
    scale: F64

    def weights(self, scale: F64 | None) -> str:
        del scale  # that of the slice; the whole tensor is scaled once
        if self.key not in self.ready:
            whole = self.inner.weights(self.scale)
            bounds = [self.emitter.const([v], "int64") for v in (*self.key[1:], 0)]
            self.ready[self.key] = self.emitter.add("Slice", whole, *bounds)
        return self.ready[self.key]


def can_slice(scene: Scene, first: QConv, second: QConv) -> bool:
    """The pair is an ordinary convolution and a depthwise one, both in the blocked form."""
    plans = [scene.plans.conv(op) for op in (first, second)]
    return (
        first.groups == 1
        and is_depthwise(second)
        and all(plan.stage is not None for plan in plans)
        and scene.padded_channels(first.weights.shape[0]) % BLOCK == 0
    )


def emit_slices(
    emitter: Emitter,
    scene: Scene,
    pair: tuple[tuple[QConv, Quad], tuple[QConv, Quad]],
    x: Value,
    make: MakeConstants,
    width: int,
    ready: dict[tuple[str, int, int], str],
) -> Value:
    """Both convolutions, `width` channels at a time.

    Args:
        pair: the convolutions, each with its padding here.
        ready: slices of weights that are in the graph already.
    """
    channels = plan_channels(scene, pair[0][0], scene.plans.conv(pair[0][0]), x)[1]
    inputs = (x.channels, channels)
    made = []
    for start in range(0, channels, width):
        stop = min(start + width, channels)
        y = x.name
        for (op, pads), depth in zip(pair, inputs, strict=True):
            plan, part = _part(scene.plans.conv(op), start, stop), _part_op(op, pads, start, stop)
            stage = scene.plans.conv(op).stage
            assert stage is not None
            scale = accumulator_scale(stage, Form(BLOCK), op.params.right_shift.astype("int64"))
            key = (op.y, start, stop)
            weights = SliceWeights(emitter, make(op, depth, channels), ready, key, scale)
            y = conv(emitter, part, plan, [y], Form(stop - start), weights)
        made.append(y)
    joined = emitter.add("Concat", *made, axis=1) if len(made) > 1 else made[0]
    return Value(joined, channels)


def _part(plan: ConvPlan, start: int, stop: int) -> ConvPlan:
    stage = plan.stage
    assert stage is not None
    split = stage.split
    return ConvPlan(
        replace(
            stage,
            slope=stage.slope[start:stop],
            offset=stage.offset[start:stop],
            split=None if split is None else (split[0][start:stop], split[1][start:stop]),
        ),
        None,
    )


def _part_op(op: QConv, pads: Quad, start: int, stop: int) -> QConv:
    return replace(
        op,
        weights=op.weights[start:stop],
        params=op.params.slice(start, stop),
        pads_tlbr=pads,
        groups=stop - start if op.groups > 1 else 1,
    )
