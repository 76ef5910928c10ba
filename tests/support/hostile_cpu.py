"""Models that keep every rule of the format and do harm with their float operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from bpu_common.model import BpuModel
from bpu_common.network import Network, OnnxOp
from bpu_common.tensor import DType
from tests.support.models_board import feature_model
from tests.support.nets_engines import cpu_network, float_spec, onnx_op

LEAST = -(1 << 31)


def cpu_model(name: str, network: Network) -> BpuModel:
    """A model of CPU parts alone."""
    return replace(feature_model(), network=replace(network, name=name))


def dividing_model() -> BpuModel:
    """y = a / b of one int32 each: a scalar division, which traps on some processors."""
    specs = [float_spec(name, (1,), DType.INT32) for name in "aby"]
    return cpu_model("dividing", cpu_network([onnx_op("Div", ["a", "b"], ["y"])], specs))


def folded_model() -> BpuModel:
    """The trap among constants: it is met when the graph is opened."""
    ops = [onnx_op("Div", ["low", "minus"], ["c"]), onnx_op("Add", ["a", "c"], ["y"])]
    specs = [float_spec(name, (1,), DType.INT32) for name in "acy"]
    constants = {"low": np.array([LEAST], np.int32), "minus": np.array([-1], np.int32)}
    return cpu_model("folded", cpu_network(ops, specs, constants))


def endless_model(side_bits: int = 12, rounds: int = 40) -> BpuModel:
    """Products of matrices of n x n, n an input: nothing for 0, minutes for thousands."""
    ops = [onnx_op("Concat", ["n", "n"], ["shape"], axis=0)]
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [0.0])
    ops.append(onnx_op("ConstantOfShape", ["shape"], ["m0"], value=one))
    ops += [onnx_op("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(rounds)]
    ops.append(onnx_op("ReduceSum", [f"m{rounds}", "axes"], ["y"], keepdims=0))
    side = 1 << side_bits
    specs = [float_spec("n", (1,), DType.INT64), float_spec("shape", (2,), DType.INT64)]
    specs += [float_spec(f"m{i}", (side, side)) for i in range(rounds + 1)]
    specs.append(float_spec("y", ()))
    constants = {"axes": np.array([0, 1], np.int64)}
    return cpu_model("endless", cpu_network(ops, specs, constants))


def large_model(size_bytes: int) -> BpuModel:
    """One value that is computed by way of tensors of so many bytes."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    shape = (size_bytes >> 22, 1 << 20)
    ops = [
        onnx_op("ConstantOfShape", ["shape"], ["large"], value=one),
        onnx_op("Mul", ["large", "x"], ["product"]),
        onnx_op("ReduceSum", ["product", "axes"], ["y"], keepdims=1),
    ]
    specs = [float_spec(name, shape) for name in ("large", "product")]
    specs += [float_spec(name, (1, 1)) for name in "xy"]
    constants = {"shape": np.array(shape, np.int64), "axes": np.array([0, 1], np.int64)}
    return cpu_model("large", cpu_network(ops, specs, constants))


def looping_op(name: str, inputs: Sequence[str]) -> OnnxOp:
    """A `Loop` of very many rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    return onnx_op("Loop", inputs, [name], body=body)


def declaring_model(dtype: DType, shape: Sequence[int]) -> BpuModel:
    """It declares this result for the sigmoid of (1, 4) float32 values, which it is not."""
    ops = [onnx_op("Sigmoid", ["x"], ["y"])]
    specs = [float_spec("x", (1, 4)), float_spec("y", shape, dtype)]
    return cpu_model("declaring", cpu_network(ops, specs))
