"""One BPU operation to its ONNX body: which operands, which form, which channel padding.

Channel counts are padded to whole blocks, because only then onnxruntime keeps a tensor in its
blocked layout from one convolution to the next, and the requantization between them runs as fused
1x1 depthwise convolutions in it. Padding channels hold finite numbers that nobody reads: weights
for them are 0, and they are cut off before an operation that would move them (`exact_channels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bpu_common.network import (
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
    tensors_read,
)
from bpu_common.program import Pair
from bpu_common.tensor import I8, DType, align_up
from bpu_sim.engines.onnx.emitter import Emitter
from bpu_sim.engines.ort import bodies, phases
from bpu_sim.engines.ort.bodies import Shape
from bpu_sim.engines.ort.plans import ConvPlan, Plans
from bpu_sim.engines.ort.requant import BLOCK, Form

LEAST_PADDED = 8
"""Tensors with fewer channels are not padded: the padding would cost more than it saves."""


SimpleOp: TypeAlias = QMaxPool | QLut | QResize | QConcat | QSlice | QPad | QDepthToSpace


@dataclass(frozen=True, slots=True)
class Value:
    """A (1, C, H, W) tensor of codes in a graph; `channels` may exceed the real number."""

    name: str
    channels: int


MakeConstants = Callable[[QConv, int, int], bodies.ConvConstants]
"""(op, input channels, output channels, both with padding) to where its constants come from."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the bodies must know about the whole graph.

    Attributes:
        padded: channel counts may be padded to fill blocks.
    """

    plans: Plans
    padded: bool

    def shape_chw(self, name: str) -> Shape:
        h, w, c = self.plans.tensors[name].shape_hwc
        return c, h, w

    def padded_channels(self, channels: int) -> int:
        if self.padded and channels >= LEAST_PADDED:
            return align_up(channels, BLOCK)
        return channels


def exact_channels(emitter: Emitter, value: Value, channels: int) -> Value:
    """The value without padding channels."""
    if value.channels == channels:
        return value
    bounds = ([0], [channels], [1])
    names = [emitter.const(bound, "int64") for bound in bounds]
    return Value(emitter.add("Slice", value.name, *names), channels)


def _fitted(emitter: Emitter, value: Value, real: int, wanted: int) -> Value:
    """The value with `wanted` channels, of which `real` count."""
    if value.channels == wanted:
        return value
    value = exact_channels(emitter, value, real)
    more = emitter.param("more", np.array([0, 0, 0, 0, 0, wanted - real, 0, 0], np.int64))
    return Value(emitter.add("Pad", value.name, more, emitter.const(0.0)), wanted)


def plan_channels(scene: Scene, op: QConv, plan: ConvPlan, x: Value) -> tuple[int, int]:
    """(input channels, output channels) a convolution is computed with."""
    in_channels = scene.shape_chw(op.x)[0]
    out_channels = op.weights.shape[0]
    if bodies.is_depthwise(op) and plan.stage is not None:
        return x.channels, x.channels
    if op.groups > 1:
        return in_channels, out_channels
    wide = plan.parts is not None
    if plan.stage is None:
        return (in_channels if wide else x.channels), out_channels
    return x.channels, scene.padded_channels(out_channels)


def emit(
    emitter: Emitter, scene: Scene, op: BpuOp, operands: list[Value], make: MakeConstants
) -> Value:
    """The body of one operation; the result of an int32 convolution is its float accumulator."""
    match op:
        case QConv():
            return emit_conv(emitter, scene, op, operands, make)
        case QEltwise():
            return _emit_eltwise(emitter, scene, op, operands)
        case _:
            return _emit_simple(emitter, scene, op, operands)


def emit_conv(
    emitter: Emitter, scene: Scene, op: QConv, operands: Sequence[Value], make: MakeConstants
) -> Value:
    """A convolution in the form and with the channel padding that suit it."""
    plan, x = scene.plans.conv(op), operands[0]
    in_channels, out_channels = plan_channels(scene, op, plan, x)
    if x.channels != in_channels:
        x = exact_channels(emitter, x, in_channels)
    channels = scene.shape_chw(op.y)[0]
    addends = [_fitted(emitter, each, channels, out_channels).name for each in operands[1:]]
    constants = make(op, in_channels, out_channels)
    y = _emit_windows(
        emitter, scene, op, [x.name, *addends], (out_channels, in_channels), constants
    )
    return Value(y, out_channels)


def _emit_windows(
    emitter: Emitter,
    scene: Scene,
    op: QConv,
    operands: list[str],
    channels: Pair,
    constants: bodies.ConvConstants,
) -> str:
    """The windows of a convolution over zeros, over codes that stand for zero, or by phases."""
    plan, form = scene.plans.conv(op), Form(channels[0])
    in_hw, out_hw = scene.plans.tensors[op.x].shape_hwc[:2], scene.plans.tensors[op.y].shape_hwc[:2]
    plain = plan.parts is None and op.addend is None and op.pad_code == 0
    found = phases.find_phases(op, in_hw, out_hw) if plain else None
    if found is not None:
        gathered = phases.PhasedConstants(emitter, constants, found, op.kernel_hw, channels)
        form = Form(channels[0] * found.repeat)
        each, repeated = phases.phased_op(op, found), phases.phased_plan(plan, found)
        y = bodies.conv(emitter, each, repeated, operands, form, gathered)
        return phases.unfold(emitter, y, found)
    if op.upsample_hw != (1, 1):
        operands[0] = bodies.zeros_between(emitter, operands[0], op.upsample_hw, in_hw, op.pad_code)
    if op.pad_code and any(op.pads_tlbr):
        operands[0] = bodies.framed(emitter, operands[0], op.pads_tlbr, op.pad_code)
        op = replace(op, pads_tlbr=(0, 0, 0, 0))
    return bodies.conv(emitter, op, plan, operands, form, constants)


def _emit_eltwise(emitter: Emitter, scene: Scene, op: QEltwise, operands: list[Value]) -> Value:
    """ADD, MUL, SCALE: padded and depthwise where the operands are of one shape."""
    names = [op.a] if op.b is None else [op.a, op.b]
    plan = scene.plans.eltwise(op)
    shapes = [scene.shape_chw(name) for name in names]
    broadcast = len(set(shapes)) > 1
    if broadcast or len({value.channels for value in operands}) > 1 or plan.stage is None:
        operands = [
            exact_channels(emitter, value, shape[0])
            for value, shape in zip(operands, shapes, strict=True)
        ]
    channels = operands[0].channels
    if broadcast and len(op.entries) > 1:
        shape = emitter.param("shape", np.array([1, *shapes[0]], np.int64))
        operands[1] = Value(emitter.add("Expand", operands[1].name, shape), channels)
        broadcast = False
    # scalar constants: 1 stands for element-wise operators
    form = Form(1 if broadcast else channels)
    y = bodies.eltwise(emitter, op, plan, [value.name for value in operands], form)
    return Value(y, channels)


def _emit_simple(emitter: Emitter, scene: Scene, op: SimpleOp, operands: list[Value]) -> Value:
    """Every operation but convolution and element-wise."""
    out_channels = scene.shape_chw(op.y)[0]
    first = operands[0]
    exact = [
        exact_channels(emitter, value, scene.shape_chw(name)[0]).name
        for value, name in zip(operands, tensors_read(op), strict=True)
        if not isinstance(op, QMaxPool | QResize)  # which keep padding channels
    ]
    match op:
        case QMaxPool():
            return Value(bodies.max_pool(emitter, op, first.name), first.channels)
        case QResize():
            in_hw = scene.plans.tensors[op.x].shape_hwc[:2]
            return Value(bodies.resize(emitter, op, first.name, in_hw), first.channels)
        case QLut():
            y = bodies.lut(emitter, op, exact[0], scene.shape_chw(op.x))
        case QConcat():
            y = emitter.add("Concat", *exact, axis=NCHW_AXIS[op.axis])
        case QSlice():
            y = bodies.slice_box(emitter, op, exact[0], scene.shape_chw(op.y))
        case QPad():
            y = bodies.framed(emitter, exact[0], op.pads_tlbr, op.value)
        case QDepthToSpace():
            y = bodies.space_depth(emitter, op, exact[0], scene.shape_chw(op.x))
    return Value(y, out_channels)


NCHW_AXIS = (2, 3, 1)
"""Axis of (1, C, H, W) for each axis of (H, W, C)."""


def is_int32(scene: Scene, op: QConv) -> bool:
    """The operation's result is an int32 accumulator."""
    return scene.plans.tensors[op.y].dtype is DType.INT32


def oihw(weights: I8) -> I8:
    """OHWI to OIHW; depthwise (C, kh, kw, 1) to (C, 1, kh, kw)."""
    return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))
