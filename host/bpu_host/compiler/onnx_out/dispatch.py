"""One BPU operation to its ONNX body: which operands, which form, which channel padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bpu_common.errors import CompilerBug
from bpu_common.network import (
    FULL_RANGE,
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
from bpu_common.program import Pair
from bpu_common.tensor import I8, DType, TensorSpec, align_up
from bpu_host.compiler.onnx_out import bodies, phases
from bpu_host.compiler.onnx_out.emitter import Emitter
from bpu_host.compiler.onnx_out.requant import BLOCK, Form

LEAST_PADDED = 8
"""Tensors with fewer channels are not padded: the padding would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class Value:
    """A (1, C, H, W) tensor of codes in a graph; `channels` may exceed the real number (zeros)."""

    name: str
    channels: int


MakeConstants = Callable[[QConv, int, int], bodies.ConvConstants]
"""(op, input channels, output channels, both with padding) to where its constants come from."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the bodies must know about the whole graph.

    Attributes:
        ranges: inclusive bounds of codes, by tensor.
        padded: channel counts may be padded to fill blocks.
        plans: how each convolution is computed, once it has been decided.
    """

    tensors: Mapping[str, TensorSpec]
    ranges: Mapping[str, Pair]
    padded: bool
    plans: dict[str, bodies.ConvPlan] = field(default_factory=dict)

    def range_of(self, name: str) -> Pair:
        return self.ranges.get(name, FULL_RANGE)

    def plan(self, op: QConv) -> bodies.ConvPlan:
        if op.name not in self.plans:
            dtype = self.tensors[op.y].dtype
            self.plans[op.name] = bodies.plan_conv(op, self.range_of(op.x), dtype)
        return self.plans[op.name]

    def shape_chw(self, name: str) -> tuple[int, int, int]:
        h, w, c = self.tensors[name].shape_hwc
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


def plan_channels(scene: Scene, op: QConv, plan: bodies.ConvPlan, x: Value) -> tuple[int, int]:
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
            return emit_conv(emitter, scene, op, operands[0], make)
        case QEltwise():
            return emit_eltwise(emitter, scene, op, operands)
        case _:
            return emit_simple(emitter, scene, op, operands)


def emit_conv(emitter: Emitter, scene: Scene, op: QConv, x: Value, make: MakeConstants) -> Value:
    """A convolution in the form and with the channel padding that suit it."""
    plan = scene.plan(op)
    in_channels, out_channels = plan_channels(scene, op, plan, x)
    if x.channels != in_channels:
        x = exact_channels(emitter, x, in_channels)
    constants = make(op, in_channels, out_channels)
    if op.upsample_hw != (1, 1):
        y = _emit_upsampled(
            emitter, scene, op, plan, x.name, (out_channels, in_channels), constants
        )
    else:
        y = bodies.conv(emitter, op, plan, x.name, Form(out_channels), constants)
    return Value(y, out_channels)


def _emit_upsampled(
    emitter: Emitter,
    scene: Scene,
    op: QConv,
    plan: bodies.ConvPlan,
    x: str,
    channels: Pair,
    constants: bodies.ConvConstants,
) -> str:
    """A transposed convolution: by phases where it has them, else with zeros between pixels."""
    (_, *in_hw), (_, *out_hw) = scene.shape_chw(op.x), scene.shape_chw(op.y)
    found = phases.find_phases(op, (in_hw[0], in_hw[1]), (out_hw[0], out_hw[1]))
    if found is None or plan.parts is not None:
        spread = bodies.zeros_between(emitter, x, op.upsample_hw, (in_hw[0], in_hw[1]))
        return bodies.conv(emitter, op, plan, spread, Form(channels[0]), constants)
    each = phases.phased_op(op, found)
    repeated = phases.phased_plan(plan, found)
    gathered = phases.PhasedConstants(emitter, constants, found, op.kernel_hw, channels)
    form = Form(channels[0] * found.repeat)
    y = bodies.conv(emitter, each, repeated, x, form, gathered)
    return phases.unfold(emitter, y, found)


def emit_eltwise(emitter: Emitter, scene: Scene, op: QEltwise, operands: list[Value]) -> Value:
    """ADD, MUL, SCALE: padded and depthwise where the operands are of one shape."""
    names = [op.a] if op.b is None else [op.a, op.b]
    range_b = FULL_RANGE if op.b is None else scene.range_of(op.b)
    stage = bodies.eltwise_stage(op, scene.range_of(op.a), range_b)
    shapes = {scene.shape_chw(name) for name in names}
    channels = operands[0].channels
    if len(shapes) > 1 or len({value.channels for value in operands}) > 1 or stage is None:
        operands = [
            exact_channels(emitter, value, scene.shape_chw(name)[0])
            for value, name in zip(operands, names, strict=True)
        ]
        channels = operands[0].channels
    # scalar constants: 1 stands for element-wise operators
    form = Form(channels if len(shapes) == 1 else 1)
    y = bodies.eltwise(emitter, op, stage, tuple(value.name for value in operands), form)
    return Value(y, channels)


def emit_simple(emitter: Emitter, scene: Scene, op: BpuOp, operands: list[Value]) -> Value:
    """Every operation but convolution and element-wise."""
    out_channels = scene.shape_chw(op.y)[0]
    first = operands[0]
    match op:
        case QMaxPool():
            return Value(bodies.max_pool(emitter, op, first.name), first.channels)
        case QResize():
            _, *in_hw = scene.shape_chw(op.x)
            y = bodies.resize(emitter, op, first.name, (in_hw[0], in_hw[1]))
            return Value(y, first.channels)
        case _:
            pass
    names = op.xs if isinstance(op, QConcat) else (op.x,)  # type: ignore[union-attr]
    exact = [
        exact_channels(emitter, value, scene.shape_chw(name)[0])
        for value, name in zip(operands, names, strict=True)
    ]
    x = exact[0].name
    match op:
        case QLut():
            y = bodies.lut(emitter, op, x, scene.shape_chw(op.x))
        case QConcat():
            y = emitter.add("Concat", *(value.name for value in exact), axis=NCHW_AXIS[op.axis])
        case QSlice():
            y = bodies.slice_box(emitter, op, x, scene.shape_chw(op.y))
        case QPad():
            y = bodies.pad(emitter, op, x)
        case QDepthToSpace():
            y = bodies.space_depth(emitter, op, x, scene.shape_chw(op.x))
        case _:
            raise CompilerBug(f"onnx_out has no body for {type(op).__name__} {op.name!r}")
    return Value(y, out_channels)


NCHW_AXIS = (2, 3, 1)
"""Axis of (1, C, H, W) for each axis of (H, W, C)."""


def is_int32(scene: Scene, op: BpuOp) -> bool:
    """The operation's result is an int32 accumulator."""
    return scene.tensors[op.y].dtype is DType.INT32


def oihw(weights: I8) -> I8:
    """OHWI to OIHW; depthwise (C, kh, kw, 1) to (C, 1, kh, kw)."""
    return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))
