"""Operations of a network as one plain ONNX graph: tensors as the network has them at its edges.

int8 operations work on float32 codes in (1, C, H, W) inside. Their weights stay where they are, as
external initializers, int8 OHWI; the graph transposes, casts and scales them, which onnxruntime
does once when it loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bpu_common.errors import ModelFormatError
from bpu_common.network import (
    BPU_OPS,
    BpuOp,
    Cast,
    Dequantize,
    Network,
    OnnxOp,
    Operation,
    QConv,
    Quantize,
    Reshape,
    Softmax,
    Transpose,
    tensors_made,
    tensors_read,
)
from bpu_common.tensor import F64, AnyArray, Layout, TensorSpec
from bpu_sim.engines.onnx.emitter import ELEMENT_TYPES, Emitter, cast, model_bytes, value_info
from bpu_sim.engines.ort.bodies import is_depthwise
from bpu_sim.engines.ort.caches import CacheSizes
from bpu_sim.engines.ort.dispatch import Scene, Value, emit, exact_channels
from bpu_sim.engines.ort.edges import (
    TO_NCHW,
    TO_NHWC,
    dequantize_body,
    quantize_body,
    scale_array,
)
from bpu_sim.engines.ort.plans import Plans
from bpu_sim.engines.ort.requant import spread
from bpu_sim.engines.ort.strips import emit_chain, find_chains

EMBEDDED_BYTES = 1 << 10
"""Constants up to this size (shapes, indices) stand in the graph, where its checks see them."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model for onnxruntime.

    Attributes:
        data: serialized ModelProto.
        externals: arrays of the initializers whose data is not in it, by name.
    """

    data: bytes
    externals: Mapping[str, AnyArray]


@dataclass(frozen=True, slots=True)
class ExternalWeights:
    """Weights of one convolution, outside the graph; `ready` has those that it prepares already."""

    emitter: Emitter
    ready: dict[str, str]
    op: QConv
    in_channels: int
    out_channels: int

    def weights(self, scale: F64 | None) -> str:
        emitter, op = self.emitter, self.op
        if op.y in self.ready:
            return self.ready[op.y]
        name = emitter.external(op.weights, f"{emitter.prefix}{op.y}/weights")
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
        self.ready[op.y] = name
        return name


def write_graph(
    ops: Sequence[Operation],
    network: Network,
    plans: Plans,
    inputs: Sequence[str],
    outputs: Sequence[str],
    sizes: CacheSizes,
) -> Graph:
    """The graph of some operations of a network.

    Args:
        ops: in topological order; no custom ones.
        inputs: tensors read and not made here, without constants.
        outputs: tensors to give, of those made here.
        sizes: how large tensors are cut.

    Raises:
        ModelFormatError: a tensor of an element type that onnxruntime has not.
    """
    writer = _Writer(network, Scene(plans, padded=True), _free_prefix(network), set(inputs))
    writer.write(ops, outputs, sizes)
    edges = [[_info(network.tensors[name]) for name in names] for names in (inputs, outputs)]
    data = model_bytes(writer.emitter, network.name, (edges[0], edges[1]))
    return Graph(data, writer.emitter.externals)


def _info(spec: TensorSpec) -> bytes:
    if spec.dtype.value not in ELEMENT_TYPES:
        raise ModelFormatError(
            f"tensor {spec.name!r} has {spec.dtype.value} elements, which cannot be computed with"
        )
    return value_info(spec.name, spec.dtype.value, spec.shape)


def _free_prefix(network: Network) -> str:
    """What no name of the network begins with."""
    prefix = "."
    while any(name.startswith(prefix) for name in (*network.tensors, *network.constants)):
        prefix += "."
    return prefix


class _Writer:
    """Walks operations and keeps where each tensor is: under its own name, or as float codes."""

    def __init__(self, network: Network, scene: Scene, prefix: str, present: set[str]) -> None:
        self.network = network
        self.scene = scene
        self.emitter = Emitter(prefix=prefix)
        self._present = present
        self._codes: dict[str, Value] = {}
        self._weights: dict[str, str] = {}

    def write(self, ops: Sequence[Operation], outputs: Sequence[str], sizes: CacheSizes) -> None:
        """All operations, in chains where that pays, then the outputs."""
        inner: set[str] = set()  # tensors of chains
        chains = {c.ops[0].y: c for c in find_chains(ops, self.scene, outputs, sizes)}
        for op in ops:
            if not isinstance(op, BPU_OPS):
                self._write_cpu(op)
                self._present.update(tensors_made(op))
            elif op.y in chains:
                chain = chains[op.y]
                x = self._read_codes(chain.ops[0].x)
                last = chain.ops[-1].y
                self._codes[last] = emit_chain(self.emitter, self.scene, chain, x, self._constants)
                inner.update(link.y for link in chain.ops)
            elif op.y not in inner:
                self._write_bpu(op)
        for name in outputs:
            self._read(name)

    def _constants(self, op: QConv, in_channels: int, out_channels: int) -> ExternalWeights:
        return ExternalWeights(self.emitter, self._weights, op, in_channels, out_channels)

    def _write_bpu(self, op: BpuOp) -> None:
        operands = [self._read_codes(name) for name in tensors_read(op)]
        self._codes[op.y] = emit(self.emitter, self.scene, op, operands, self._constants)

    def _write_cpu(self, op: Operation) -> None:
        emitter, tensors = self.emitter, self.network.tensors
        for name in tensors_read(op):
            self._read(name)
        match op:
            case Quantize():
                spec, scale = tensors[op.y], self._scale(tensors[op.y])
                nhwc = spec.layout is Layout.NHWC
                shape, out = tensors[op.x].shape, "" if nhwc else op.y
                codes = quantize_body(emitter, op.x, spec, shape, scale, out)
                if nhwc:
                    emitter.add("Transpose", codes, out=op.y, perm=TO_NHWC)
            case Dequantize():
                spec, x = tensors[op.x], op.x
                if spec.layout is Layout.NHWC:
                    x = emitter.add("Transpose", x, perm=TO_NCHW)
                scale = emitter.const(scale_array(spec))
                dequantize_body(emitter, x, spec, tensors[op.y].shape, scale, op.y)
            case Transpose():
                emitter.add("Transpose", op.x, out=op.y, perm=op.perm)
            case Cast():
                cast(emitter, op.x, op.to.value, op.y)
            case Reshape():
                shape_of_y = emitter.const(np.array(tensors[op.y].shape, np.int64))
                emitter.add("Reshape", op.x, shape_of_y, out=op.y, allowzero=1)
            case Softmax():
                emitter.add("Softmax", op.x, out=op.y, axis=op.axis)
            case OnnxOp():
                emitter.nodes.append(op.node)
            case _:
                raise ModelFormatError(f"onnxruntime cannot run {type(op).__name__} {op.name!r}")

    def _scale(self, spec: TensorSpec) -> str:
        scale = scale_array(spec)
        return self.emitter.const(scale.reshape(-1) if spec.scale.is_per_channel else scale)

    def _read(self, name: str) -> None:
        """Make the tensor or constant stand in the graph under its own name."""
        if name in self._present:
            return
        self._present.add(name)
        if name in self.network.constants:
            array = np.asarray(self.network.constants[name])
            if array.nbytes <= EMBEDDED_BYTES:
                self.emitter.initializer(name, array)
            else:
                self.emitter.external(array, name)
            return
        channels = self.scene.shape_chw(name)[0]
        value = exact_channels(self.emitter, self._codes[name], channels)
        codes = cast(self.emitter, value.name, self.network.tensors[name].dtype.value)
        self.emitter.add("Transpose", codes, out=name, perm=TO_NHWC)

    def _read_codes(self, name: str) -> Value:
        """The tensor as float32 codes (1, C, H, W)."""
        if name not in self._codes:
            transposed = self.emitter.add("Transpose", name, perm=TO_NCHW)
            codes = cast(self.emitter, transposed, "float32")
            self._codes[name] = Value(codes, self.scene.shape_chw(name)[0])
        return self._codes[name]
