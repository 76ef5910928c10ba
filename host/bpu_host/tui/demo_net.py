"""Networks of random weights for the demo board."""

from __future__ import annotations

import zlib

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from bpu_common.tensor import F64

_CLASSES = 10


def network(name: str, side: int, stages: tuple[tuple[int, int], ...]) -> bytes:
    """An ONNX classifier: float32 `image` (1, 3, side, side) -> `scores` (1, 10, 1, 1).

    Every stage halves the size with a 3x3 convolution and goes on with more of them, each followed
    by a ReLU; the weights keep the variance (He) and depend on `name` only.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []

    def constant(label: str, values: F64) -> str:
        constants.append(numpy_helper.from_array(values.astype(np.float32), label))
        return label

    def conv(x: str, sizes: tuple[int, int], kernel: int = 3, stride: int = 1) -> str:
        inputs, outputs = sizes
        label = f"conv{len(nodes)}"
        deviation = (2 / (inputs * kernel * kernel)) ** 0.5
        weights = random.normal(0, deviation, (outputs, inputs, kernel, kernel))
        nodes.append(
            helper.make_node(
                "Conv",
                [
                    x,
                    constant(f"{label}/weights", weights),
                    constant(f"{label}/bias", random.normal(0, 0.05, outputs)),
                ],
                [f"{label}/out"],
                name=label,
                kernel_shape=[kernel, kernel],
                pads=[kernel // 2] * 4,
                strides=[stride, stride],
            )
        )
        return f"{label}/out"

    def relu(x: str) -> str:
        label = f"relu{len(nodes)}"
        nodes.append(helper.make_node("Relu", [x], [f"{label}/out"], name=label))
        return f"{label}/out"

    x, channels = "image", 3
    for width, count in stages:
        x = relu(conv(x, (channels, width), stride=2))
        channels = width
        for _ in range(count):
            x = relu(conv(x, (channels, channels)))
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"], name="pool"))
    conv("pooled", (channels, _CLASSES), kernel=1)
    nodes[-1].output[0] = "scores"
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, _CLASSES, 1, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()
