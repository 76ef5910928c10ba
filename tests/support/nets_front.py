"""Small ONNX networks for the tests of the frontend, the passes, the rules and the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.frontend.onnx import read_onnx

Array = np.ndarray


class Net:
    """Collects nodes and constants, then gives a model.

    `add` returns the output name, so that calls nest; constants are float32 unless int64 is given.
    """

    def __init__(self, shape: Sequence[int | str], name: str = "data", seed: int = 0) -> None:
        self.inputs = {name: list(shape)}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def constant(self, array: Array | Sequence[float] | float, name: str | None = None) -> str:
        values = np.asarray(array)
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weights(self, *shape: int) -> str:
        fan_in = max(1, int(np.prod(shape[1:])))
        return self.constant(self.random.normal(0, fan_in**-0.5, shape).astype(np.float32))

    def add(
        self, op_type: str, *inputs: str, name: str = "", out: str = "", **attributes: Any
    ) -> str:
        node_name = name or f"{op_type.lower()}{len(self.nodes)}"
        output = out or f"{node_name}_out"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [output], name=node_name, **attributes)
        )
        return output

    def conv(
        self, x: str, channels: tuple[int, int], kernel: int = 3, name: str = "", **more: Any
    ) -> str:
        """Conv with bias; `channels` is (in, out)."""
        group = more.get("group", 1)
        weight = self.weights(channels[1], channels[0] // group, kernel, kernel)
        more.setdefault("pads", [kernel // 2] * 4)
        return self.add("Conv", x, weight, self.weights(channels[1]), name=name, **more)

    def model(
        self, *outputs: str, opset: int = 13, ir_version: int = 8, **extra: Any
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in self.inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
            **extra,
        )


def load(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    output_nodes: Sequence[str] = (),
) -> ir.Model:
    """An ONNX file as the passes get it."""
    read = read_onnx(path)
    return prepare(read.proto, path.name, shapes or {}, output_nodes, weights=read.weights)


def run(model: onnx.ModelProto | bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """All outputs, by onnxruntime without optimizations."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what a test expects to be refused says nothing
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [np.asarray(item) for item in session.run(None, dict(feeds))]


def classifier(size: int = 16) -> onnx.ModelProto:
    """Conv, BatchNorm, Relu, residual Add, MaxPool, mean, Gemm: a little of everything."""
    net = Net([1, 3, size, size])
    x = net.conv("data", (3, 8), name="stem", strides=[2, 2])
    statistics = [net.constant(net.random.uniform(0.5, 1.5, 8)) for _ in range(4)]
    x = net.add("BatchNormalization", x, *statistics, name="norm")
    x = net.add("Relu", x, name="stem_relu")
    y = net.conv(x, (8, 8), name="branch", group=8)
    x = net.add("Add", x, y, name="join")
    x = net.add("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Relu", net.conv(x, (8, 16), 1, name="wide"), name="wide_relu")
    x = net.add("GlobalAveragePool", x, name="mean")
    x = net.add("Flatten", x, name="flat")
    x = net.add("Gemm", x, net.weights(10, 16), net.weights(10), name="fc", transB=1, out="logits")
    return net.model("logits")
