"""The fast path of one BPU segment: a plain ONNX graph, NHWC at its edges, float32 codes inside.

Weights are external initializers `<op name>/weights`, int8 OHWI as `QConv.weights`; the graph
transposes, casts and scales them, which onnxruntime does once when it loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from bpu_common.network import BpuOp, Network, QConv, tensors_read
from bpu_common.tensor import F64
from bpu_host.compiler.onnx_out.bodies import is_depthwise
from bpu_host.compiler.onnx_out.dispatch import Scene, Value, emit, exact_channels
from bpu_host.compiler.onnx_out.emitter import Emitter, cast, model_bytes, value_info
from bpu_host.compiler.onnx_out.ranges import code_ranges
from bpu_host.compiler.onnx_out.requant import spread
from bpu_host.compiler.onnx_out.strips import emit_chain, find_chains


@dataclass(frozen=True, slots=True)
class ExternalWeights:
    """Weights of one convolution, from the loader; `ready` has those that are in the graph."""

    emitter: Emitter
    ready: dict[str, str]
    op: QConv
    in_channels: int
    out_channels: int

    def weights(self, scale: F64 | None) -> str:
        emitter, op = self.emitter, self.op
        if op.name in self.ready:
            return self.ready[op.name]
        name = emitter.external(f"{op.name}/weights", TensorProto.INT8, op.weights.shape)
        name = emitter.add("Transpose", name, perm=[0, 3, 1, 2])
        depth = 0 if is_depthwise(op) or op.groups > 1 else self.in_channels - op.weights.shape[3]
        more = self.out_channels - op.weights.shape[0]
        if depth or more:
            ends = emitter.const([0, 0, 0, 0, more, depth, 0, 0], "int64")
            name = emitter.add("Pad", name, ends, emitter.const(0, "int8"))
        name = cast(emitter, name, "float32")
        if scale is not None and np.any(scale != 1):
            factor = emitter.const(spread(scale, self.out_channels).reshape(-1, 1, 1, 1))
            name = emitter.add("Mul", name, factor)
        self.ready[op.name] = name
        return name


def fast_path(
    ops: Sequence[BpuOp], network: Network, inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    """ONNX bytes of a BPU segment, for `bpu_sim.fastpath.FastSegment`.

    Args:
        ops: the segment's operations in topological order.
        inputs: names of the int8 NHWC tensors it reads.
        outputs: names of the int8 or int32 NHWC tensors it gives, unpadded.
    """
    scene = Scene(network.tensors, code_ranges(network.ops, network.tensors), padded=True)
    emitter = Emitter(prefix=".")  # no tensor of a network can collide with "<.number>"
    values = {name: _read(emitter, scene, name) for name in inputs}

    ready: dict[str, str] = {}

    def make(op: QConv, in_channels: int, out_channels: int) -> ExternalWeights:
        return ExternalWeights(emitter, ready, op, in_channels, out_channels)

    chains = {chain.ops[0].name: chain for chain in find_chains(ops, scene, outputs)}
    done: set[str] = set()
    for op in ops:
        if op.name in done:
            continue
        operands = [values[name] for name in tensors_read(op)]
        chain = chains.get(op.name)
        if chain is None:
            values[op.y] = emit(emitter, scene, op, operands, make)
        else:
            values[chain.ops[-1].y] = emit_chain(emitter, scene, chain, operands[0], make)
            done |= {link.name for link in chain.ops}
    for name in outputs:
        _write(emitter, scene, values, name, name in inputs)
    return model_bytes(
        emitter,
        network.name,
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
