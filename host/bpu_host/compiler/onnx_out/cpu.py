"""CPU segments: quantize, dequantize and the float operators that stay on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from bpu_common.errors import CompilerBug
from bpu_common.network import Dequantize, Network, OnnxOp, Operation, Part, Quantize, tensors_read
from bpu_common.tensor import AnyArray, TensorSpec
from bpu_host.compiler.onnx_out.emitter import Emitter, cast, model_bytes, value_info


def quantize_body(
    emitter: Emitter,
    x: str,
    tensor: TensorSpec,
    float_shape: Sequence[int],
    scale: str,
    out: str = "",
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
    emitter: Emitter,
    x: str,
    tensor: TensorSpec,
    float_shape: Sequence[int],
    scale: str,
    out: str = "",
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


def scale_array(tensor: TensorSpec) -> AnyArray:
    """The scale as the bodies want it: a scalar, or (C, 1, 1) per channel."""
    scale = np.array(tensor.scale.values, np.float32)
    return scale.reshape(()) if scale.size == 1 else scale.reshape(-1, 1, 1)


def add_constants(emitter: Emitter, network: Network, ops: Iterable[Operation]) -> None:
    """Initializers for the constants the float operators read."""
    read = dict.fromkeys(name for op in ops for name in tensors_read(op))
    for name in read:
        if name in network.constants:
            emitter.initializer(name, network.constants[name])


def cpu_graph(part: Part, network: Network) -> bytes:
    """ONNX bytes of a CPU part: quantized tensors NHWC at its edges, transposes inside."""
    emitter = Emitter(prefix=".")
    for op in part.ops:
        match op:
            case Quantize():
                tensor = network.tensors[op.y]
                scale = emitter.const(scale_array(tensor))
                shape = network.tensors[op.x].shape
                codes = quantize_body(emitter, op.x, tensor, shape, scale)
                emitter.add("Transpose", codes, out=op.y, perm=[0, 2, 3, 1])
            case Dequantize():
                tensor = network.tensors[op.x]
                nchw = emitter.add("Transpose", op.x, perm=[0, 3, 1, 2])
                scale = emitter.const(scale_array(tensor))
                shape = network.tensors[op.y].shape
                dequantize_body(emitter, nchw, tensor, shape, scale, op.y)
            case OnnxOp():
                emitter.nodes.append(onnx.NodeProto.FromString(op.node))
            case _:
                raise CompilerBug(f"a CPU part with {type(op).__name__} {op.name!r}")
    add_constants(emitter, network, part.ops)
    edges = tuple(
        [
            value_info(name, spec.dtype.value, spec.shape)
            for name in names
            for spec in (network.tensors[name],)
        ]
        for names in (part.inputs, part.outputs)
    )
    return model_bytes(emitter, network.name, (edges[0], edges[1]))
