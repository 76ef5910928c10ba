"""Networks of CPU parts, and mixed ones, for tests of the engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import helper

from bpu_common.network import (
    CustomOp,
    Dequantize,
    ModelOutput,
    Network,
    OnnxOp,
    Operation,
    Part,
    Place,
    QLut,
    Quantize,
    tensors_made,
    tensors_read,
)
from bpu_common.tensor import DType, InputType, Layout, ModelInput, Scale, TensorSpec
from bpu_host.compiler.partition import split
from tests.support.nets_codes import NetBuilder


def onnx_op(op_type: str, xs: Sequence[str], ys: Sequence[str], **attributes: object) -> OnnxOp:
    """A float operator named after its first result."""
    node = helper.make_node(op_type, xs, ys, **attributes)
    return OnnxOp(f"{op_type}_{ys[0]}", op_type, tuple(xs), tuple(ys), node.SerializeToString())


def float_spec(name: str, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> TensorSpec:
    return TensorSpec(name, tuple(shape), dtype)


def cpu_network(
    ops: Sequence[Operation],
    specs: Sequence[TensorSpec],
    constants: dict[str, np.ndarray] | None = None,
) -> Network:
    """One CPU part; what nobody makes is an input, what nobody reads an output."""
    constants = constants or {}
    made = [name for op in ops for name in tensors_made(op)]
    read = [name for op in ops for name in tensors_read(op) if name not in constants]
    inputs = tuple(dict.fromkeys(name for name in read if name not in made))
    outputs = tuple(name for name in made if name not in read)
    tensors = {spec.name: spec for spec in specs}
    part = Part("net_cpu_0", Place.CPU, tuple(ops), inputs, outputs)
    items = tuple(ModelInput(tensors[name], InputType.FEATUREMAP, Layout.NONE) for name in inputs)
    shown = tuple(ModelOutput(name, name) for name in outputs)
    return Network("net", tensors, items, shown, (part,), constants)


def mixed_cpu_network() -> Network:
    """Quantize -> conv -> Dequantize, Sigmoid, Mul by a constant, Quantize, and a look-up."""
    net = NetBuilder(2)
    net.input("f", (6, 4, 3), InputType.FEATUREMAP)
    net.tensors["f"] = float_spec("f", (1, 3, 6, 4))
    net.inputs[0] = replace(net.inputs[0], tensor=net.tensors["f"])
    net.tensor("f_quantized", (6, 4, 3), 0.02)
    net.ops.append(Quantize("q", "f", "f_quantized"))
    y = net.conv("f_quantized", 5, (3, 3), int32=True)
    net.tensor(y, (6, 4, 5), 1e-4, DType.INT32)
    net.ops.append(Dequantize("d", y, "real"))
    net.ops.append(onnx_op("Sigmoid", ["real"], ["p"]))
    net.ops.append(onnx_op("Mul", ["p", "weights"], ["m"]))
    net.tensor("codes", (6, 4, 5), 0.01)
    net.ops.append(Quantize("q2", "m", "codes"))
    table = np.random.default_rng(0).integers(-128, 128, (1, 256)).astype(np.int8)
    net.ops.append(QLut("lut", "codes", "out", table))
    net.tensor("out", (6, 4, 5))
    for name in ("real", "p", "m"):
        net.tensors[name] = float_spec(name, (1, 5, 6, 4))
    constants = {"weights": np.random.default_rng(1).normal(0, 1, (1, 5, 6, 4)).astype(np.float32)}
    parts = split(net.name, net.ops, ("out",), constants)
    outputs = (ModelOutput("out", "out"),)
    return Network(net.name, net.tensors, tuple(net.inputs), outputs, parts, constants)


def custom_op(xs: Sequence[str], ys: Sequence[str]) -> CustomOp:
    return CustomOp("c", "Custom", tuple(xs), tuple(ys), "user.module", "Twice", {}, "0" * 64)


def codes_spec(name: str, shape: Sequence[int], scale: Scale, dtype: DType) -> TensorSpec:
    return TensorSpec(name, tuple(shape), dtype, Layout.NHWC, scale=scale)
