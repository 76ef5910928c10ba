"""CPU segments: quantize, dequantize and the float operators that stay on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from bpu_common.tensor import AnyArray
from bpu_host.compiler.lowered import (
    CpuOp,
    Dequantize,
    LoweredGraph,
    LoweredOp,
    QTensor,
    Quantize,
)
from bpu_host.compiler.onnx_out.emitter import Emitter, cast, model_bytes, value_info


def quantize_body(
    emitter: Emitter, x: str, tensor: QTensor, float_shape: Sequence[int], scale: str, out: str = ""
) -> str:
    """int8 (1, C, H, W) codes of a float tensor of any rank: half to even, saturating."""
    zero = emitter.const(0, "int8")
    height, width, channels = tensor.shape_hwc
    wanted = (1, channels, height, width)
    same = tuple(float_shape) == wanted
    codes = emitter.add("QuantizeLinear", x, scale, zero, out=out if same else "")
    if same:
        return codes
    return emitter.add(
        "Reshape", codes, emitter.param("shape", np.array(wanted, np.int64)), out=out
    )


def dequantize_body(
    emitter: Emitter, x: str, tensor: QTensor, float_shape: Sequence[int], scale: str, out: str = ""
) -> str:
    """float32 of (1, C, H, W) codes; `scale` is a scalar or (C, 1, 1)."""
    height, width, channels = tensor.shape_hwc
    same = tuple(float_shape) == (1, channels, height, width)
    codes = cast(emitter, x, "float32")
    real = emitter.add("Mul", codes, scale, out=out if same else "")
    if same:
        return real
    shape = emitter.param("shape", np.array(float_shape, np.int64))
    return emitter.add("Reshape", real, shape, out=out)


def scale_array(tensor: QTensor) -> AnyArray:
    """The scale as the bodies want it: a scalar, or (C, 1, 1) per channel."""
    scale = np.array(tensor.scale, np.float32)
    return scale.reshape(()) if scale.size == 1 else scale.reshape(-1, 1, 1)


def add_cpu_op(emitter: Emitter, op: CpuOp) -> None:
    """The float operator as it stands in the optimized graph."""
    emitter.nodes.append(ir.to_proto(op.node))


def add_constants(emitter: Emitter, lowered: LoweredGraph, ops: Iterable[LoweredOp]) -> None:
    """Initializers for the constants the float operators read."""
    done: set[str] = set()
    for op in ops:
        for value in op.node.inputs if isinstance(op, CpuOp) else ():
            name = None if value is None else value.name
            if name is not None and name in lowered.constants and name not in done:
                done.add(name)
                emitter.initializer(name, lowered.constants[name])


def cpu_graph(
    ops: Sequence[Quantize | Dequantize | CpuOp],
    lowered: LoweredGraph,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> bytes:
    """ONNX bytes of a CPU segment: quantized tensors NHWC at its edges, transposes inside."""
    emitter = Emitter(prefix=".")
    for op in ops:
        match op:
            case Quantize():
                tensor = lowered.tensors[op.y]
                scale = emitter.const(scale_array(tensor))
                shape = lowered.float_shapes[op.x]
                codes = quantize_body(emitter, op.x, tensor, shape, scale)
                emitter.add("Transpose", codes, out=op.y, perm=[0, 2, 3, 1])
            case Dequantize():
                tensor = lowered.tensors[op.x]
                nchw = emitter.add("Transpose", op.x, perm=[0, 3, 1, 2])
                scale = emitter.const(scale_array(tensor))
                shape = lowered.float_shapes[op.y]
                dequantize_body(emitter, nchw, tensor, shape, scale, op.y)
            case CpuOp():
                add_cpu_op(emitter, op)
    add_constants(emitter, lowered, ops)
    edges = tuple([_edge(lowered, name) for name in names] for names in (inputs, outputs))
    return model_bytes(emitter, lowered.name, (edges[0], edges[1]))


def _edge(lowered: LoweredGraph, name: str) -> onnx.ValueInfoProto:
    if name in lowered.tensors:
        tensor = lowered.tensors[name]
        return value_info(name, tensor.dtype.value, (1, *tensor.shape_hwc))
    return value_info(name, float_dtype(lowered, name), lowered.float_shapes[name])


def float_dtype(lowered: LoweredGraph, name: str) -> str:
    """numpy's name of the element type of a tensor outside the BPU; float32 unless known better."""
    for op in lowered.ops:
        if isinstance(op, CpuOp):
            for value in op.node.outputs:
                if value.name == name and value.dtype is not None:
                    return str(value.dtype.numpy())
    return "float32"
