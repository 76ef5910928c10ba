"""The fast path of one BPU segment: a plain ONNX graph, NHWC at its edges, float32 codes inside.

Weights are external initializers `<op name>/weights`, int8 OHWI as `QConv.weights`; the graph
transposes, casts and scales them, which onnxruntime does once when it loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from bpu_common.tensor import F64
from bpu_host.compiler.lowered import BpuOp, LoweredGraph, QConv, op_inputs
from bpu_host.compiler.onnx_out.bodies import is_depthwise
from bpu_host.compiler.onnx_out.dispatch import Scene, Value, emit, exact_channels
from bpu_host.compiler.onnx_out.emitter import Emitter, cast, model_bytes, value_info
from bpu_host.compiler.onnx_out.ranges import code_ranges
from bpu_host.compiler.onnx_out.requant import spread


@dataclass(frozen=True, slots=True)
class ExternalWeights:
    """Constants of one convolution: weights from the loader, bias computed here."""

    emitter: Emitter
    op: QConv
    in_channels: int
    out_channels: int

    def weights(self, scale: F64 | None) -> str:
        emitter, op = self.emitter, self.op
        name = emitter.external(f"{op.name}/weights", TensorProto.INT8, op.weights.shape)
        name = emitter.add("Transpose", name, perm=[0, 3, 1, 2])
        depth = 0 if is_depthwise(op) or op.groups > 1 else self.in_channels - op.weights.shape[3]
        more = self.out_channels - op.weights.shape[0]
        if depth or more:
            ends = emitter.const([0, 0, 0, 0, more, depth, 0, 0], "int64")
            name = emitter.add("Pad", name, ends, emitter.const(0, "int8"))
        name = cast(emitter, name, "float32")
        if scale is None or np.all(scale == 1):
            return name
        factor = emitter.const(spread(scale, self.out_channels).reshape(-1, 1, 1, 1))
        return emitter.add("Mul", name, factor)


def fast_path(
    ops: Sequence[BpuOp], lowered: LoweredGraph, inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    """ONNX bytes of a BPU segment, for `bpu_sim.fastpath.FastSegment`.

    Args:
        ops: the segment's operations in topological order.
        inputs: names of the int8 NHWC tensors it reads.
        outputs: names of the int8 or int32 NHWC tensors it gives, unpadded.
    """
    scene = Scene(lowered.tensors, code_ranges(lowered.ops, lowered.tensors), padded=True)
    emitter = Emitter(prefix=".")  # no tensor of a network can collide with "<.number>"
    values = {name: _read(emitter, scene, name) for name in inputs}

    def make(op: QConv, in_channels: int, out_channels: int) -> ExternalWeights:
        return ExternalWeights(emitter, op, in_channels, out_channels)

    for op in ops:
        operands = [values[name] for name in op_inputs(op)]
        values[op.y] = emit(emitter, scene, op, operands, make)
    for name in outputs:
        _write(emitter, scene, values, name, name in inputs)
    return model_bytes(
        emitter,
        lowered.name,
        (
            [value_info(name, "int8", _nhwc(scene, name)) for name in inputs],
            [
                value_info(name, scene.tensors[name].dtype.value, _nhwc(scene, name))
                for name in outputs
            ],
        ),
    )


def _nhwc(scene: Scene, name: str) -> tuple[int, int, int, int]:
    return (1, *scene.tensors[name].shape_hwc)


def _read(emitter: Emitter, scene: Scene, name: str) -> Value:
    transposed = emitter.add("Transpose", name, perm=[0, 3, 1, 2])
    return Value(cast(emitter, transposed, "float32"), scene.shape_chw(name)[0])


def _write(
    emitter: Emitter, scene: Scene, values: Mapping[str, Value], name: str, is_input: bool
) -> None:
    if is_input:
        return
    value = exact_channels(emitter, values[name], scene.shape_chw(name)[0])
    codes = cast(emitter, value.name, scene.tensors[name].dtype.value)
    emitter.add("Transpose", codes, out=name, perm=[0, 2, 3, 1])
