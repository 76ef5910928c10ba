"""Rebuilt networks of the published latency tables, as float ONNX models with random weights.

The architectures are the public ones (variant named at each builder); weights are He-normal from a
fixed seed, and every convolution that has batch norm in the original has one here, so that folding
is exercised. Latency does not depend on the values of the weights.

    from benchmarks.networks import NETWORKS
    model = NETWORKS["mobilenet_v1"]()          # onnx.ModelProto, input "data" (1, 3, 224, 224)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
INPUT = "data"


class Builder:
    """Appends layers to an ONNX graph, tracking (channels, height, width) of each tensor."""

    def __init__(self, name: str, size: int, seed: int) -> None:
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._size = size
        self.shapes: dict[str, tuple[int, int, int]] = {INPUT: (3, size, size)}

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        dilation: int = 1,
        norm: bool = True,
        act: str = "",
        same: bool = False,
    ) -> str:
        """Convolution, batch norm (else a bias) and activation.

        Args:
            act: "", "relu", "relu6", "leaky" or "sigmoid".
            same: TensorFlow's SAME padding (more at the bottom and right) instead of kernel // 2.
        """
        in_channels, height, width = self.shapes[x]
        extent = (kernel - 1) * dilation + 1
        pads = self._pads(x, extent, stride, same)
        name = f"conv{len(self._nodes)}"
        fan_in = in_channels // groups * kernel * kernel
        shape = (channels, in_channels // groups, kernel, kernel)
        weights = self._rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        inputs = [x, self._constant(f"{name}.weight", weights)]
        if not norm:
            inputs.append(self._constant(f"{name}.bias", self._normal(channels, 0.05)))
        out_hw = (
            (height + pads[0] + pads[2] - extent) // stride + 1,
            (width + pads[1] + pads[3] - extent) // stride + 1,
        )
        attributes: dict[str, Any] = {
            "kernel_shape": [kernel, kernel],
            "strides": [stride, stride],
            "pads": list(pads),
            "group": groups,
        }
        if dilation > 1:
            attributes["dilations"] = [dilation, dilation]
        y = self._node("Conv", inputs, (channels, *out_hw), name, **attributes)
        if norm:
            y = self._norm(y, name)
        return self.activation(y, act)

    def activation(self, x: str, act: str) -> str:
        if act == "relu":
            return self._node("Relu", [x], self.shapes[x])
        if act == "sigmoid":
            return self._node("Sigmoid", [x], self.shapes[x])
        if act == "leaky":
            return self._node("LeakyRelu", [x], self.shapes[x], alpha=0.1)
        if act == "relu6":
            bounds = [self._scalar("zero", 0.0), self._scalar("six", 6.0)]
            return self._node("Clip", [x, *bounds], self.shapes[x])
        return x

    def add(self, a: str, b: str, act: str = "") -> str:
        return self.activation(self._node("Add", [a, b], self.shapes[a]), act)

    def concat(self, *xs: str) -> str:
        channels = sum(self.shapes[x][0] for x in xs)
        return self._node("Concat", list(xs), (channels, *self.shapes[xs[0]][1:]), axis=1)

    def upsample(self, x: str, factor: int = 2, *, linear: bool = False) -> str:
        """Nearest, or bilinear as PyTorch does without aligned corners."""
        channels, height, width = self.shapes[x]
        factors = np.array([1, 1, factor, factor], np.float32)
        scales = self._constant(f"scales{len(self._nodes)}", factors)
        attributes: dict[str, Any] = {
            "mode": "linear" if linear else "nearest",
            "coordinate_transformation_mode": "half_pixel" if linear else "asymmetric",
        }
        if not linear:
            attributes["nearest_mode"] = "floor"
        shape = (channels, factor * height, factor * width)
        return self._node("Resize", [x, "", scales], shape, **attributes)

    def max_pool(self, x: str) -> str:
        """3x3, stride 2, Caffe's ceil rounding without padding."""
        channels, height, width = self.shapes[x]
        out_hw = (math.ceil((height - 3) / 2) + 1, math.ceil((width - 3) / 2) + 1)
        return self._node(
            "MaxPool", [x], (channels, *out_hw), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1
        )

    def classifier(self, x: str, *, fully_connected: bool) -> onnx.ModelProto:
        """Global average pooling, 1,000 classes (Gemm or 1x1 convolution), softmax."""
        channels = self.shapes[x][0]
        pooled = self._node("GlobalAveragePool", [x], (channels, 1, 1))
        if fully_connected:
            flat = self._node("Flatten", [pooled], (channels, 1, 1), axis=1)
            weights = self._normal((1000, channels), (1 / channels) ** 0.5)
            inputs = [flat, self._constant("fc.weight", weights)]
            inputs.append(self._constant("fc.bias", self._normal(1000, 0.05)))
            logits = self._node("Gemm", inputs, (1000, 1, 1), "fc", transB=1)
        else:
            conv = self.conv(pooled, 1000, norm=False)
            logits = self._node("Flatten", [conv], (1000, 1, 1), axis=1)
        y = self._node("Softmax", [logits], (1000, 1, 1), "prob", axis=1)
        return self.model({y: [1, 1000]})

    def model(self, outputs: dict[str, list[int]]) -> onnx.ModelProto:
        """The finished model with the given output tensors and shapes."""
        data = helper.make_tensor_value_info(
            INPUT, TensorProto.FLOAT, [1, 3, self._size, self._size]
        )
        results = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, self._name, [data], results, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        return model

    def _pads(self, x: str, kernel: int, stride: int, same: bool) -> tuple[int, int, int, int]:
        if not same:
            return (kernel // 2,) * 4
        each = []
        for size in self.shapes[x][1:]:
            total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            each.append((total // 2, total - total // 2))
        return (each[0][0], each[1][0], each[0][1], each[1][1])

    def _norm(self, x: str, name: str) -> str:
        channels = self.shapes[x][0]
        values = {
            "gamma": self._rng.uniform(0.8, 1.2, channels),
            "beta": self._rng.normal(0, 0.1, channels),
            "mean": self._rng.normal(0, 0.1, channels),
            "var": self._rng.uniform(0.8, 1.2, channels),
        }
        inputs = [
            self._constant(f"{name}.bn.{key}", value.astype(np.float32))
            for key, value in values.items()
        ]
        return self._node("BatchNormalization", [x, *inputs], self.shapes[x], epsilon=1e-5)

    def _normal(self, shape: int | tuple[int, ...], deviation: float) -> NDArray[np.float32]:
        return self._rng.standard_normal(shape, np.float32) * np.float32(deviation)

    def _scalar(self, name: str, value: float) -> str:
        if any(t.name == name for t in self._weights):
            return name
        return self._constant(name, np.array(value, np.float32))

    def _constant(self, name: str, value: NDArray[np.float32]) -> str:
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def _node(
        self,
        op_type: str,
        inputs: list[str],
        shape: tuple[int, int, int],
        name: str = "",
        **attributes: Any,
    ) -> str:
        name = name or f"{op_type.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, inputs, [name], name, **attributes))
        self.shapes[name] = shape
        return name


def mobilenet_v1(size: int = 224, seed: int = 1) -> onnx.ModelProto:
    """MobileNetV1 1.0 as in shicai/MobileNet-Caffe: ReLU, fc7 as a 1x1 convolution."""
    net = Builder("mobilenet_v1", size, seed)
    x = net.conv(INPUT, 32, 3, 2, act="relu")
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for channels, stride in [*plan, (1024, 2), (1024, 1)]:
        x = net.conv(x, net.shapes[x][0], 3, stride, groups=net.shapes[x][0], act="relu")
        x = net.conv(x, channels, act="relu")
    return net.classifier(x, fully_connected=False)


def mobilenet_v2(size: int = 224, seed: int = 2) -> onnx.ModelProto:
    """MobileNetV2 1.0 as in shicai/MobileNet-Caffe: ReLU instead of ReLU6, classifier as 1x1."""
    net = Builder("mobilenet_v2", size, seed)
    x = net.conv(INPUT, 32, 3, 2, act="relu")
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    for expand, channels, repeat, stride in [*plan, (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for index in range(repeat):
            first = stride if index == 0 else 1
            x = _inverted_residual(net, x, channels, 3, first, expand, "relu", same=False)
    return net.classifier(net.conv(x, 1280, act="relu"), fully_connected=False)


def efficientnet_lite(variant: int, size: int | None = None, seed: int = 3) -> onnx.ModelProto:
    """EfficientNet-Lite0 to 4 as in tensorflow/tpu: ReLU6, no squeeze-excite, SAME padding."""
    width, depth, default = [
        (1.0, 1.0, 224),
        (1.0, 1.1, 240),
        (1.1, 1.2, 260),
        (1.2, 1.4, 280),
        (1.4, 1.8, 300),
    ][variant]
    net = Builder(f"efficientnet_lite{variant}", size or default, seed)
    x = net.conv(INPUT, 32, 3, 2, act="relu6", same=True)
    plan = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)]
    plan += [(6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    for stage, (expand, channels, repeat, stride, kernel) in enumerate(plan):
        scaled = repeat if stage in {0, len(plan) - 1} else math.ceil(repeat * depth)
        channels = _round_filters(channels * width)
        for index in range(scaled):
            first = stride if index == 0 else 1
            x = _inverted_residual(net, x, channels, kernel, first, expand, "relu6", same=True)
    return net.classifier(net.conv(x, 1280, act="relu6"), fully_connected=True)


def resnet18(size: int = 224, seed: int = 4) -> onnx.ModelProto:
    """ResNet-18 as in the Caffe model: projection shortcuts at the strides, ceil-mode pooling."""
    net = Builder("resnet18", size, seed)
    x = net.max_pool(net.conv(INPUT, 64, 7, 2, act="relu"))
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            short = x
            if stride == 2:
                short = net.conv(x, channels, 1, stride)
            y = net.conv(x, channels, 3, stride, act="relu")
            x = net.add(short, net.conv(y, channels, 3), "relu")
    return net.classifier(x, fully_connected=True)


def repvgg_a1(size: int = 224, seed: int = 5) -> onnx.ModelProto:
    """RepVGG-A1 in its deployed form: plain 3x3 convolutions with bias."""
    net = Builder("repvgg_a1", size, seed)
    x = net.conv(INPUT, 64, 3, 2, norm=False, act="relu")
    for channels, repeat in ((64, 2), (128, 4), (256, 14), (1280, 1)):
        for index in range(repeat):
            x = net.conv(x, channels, 3, 2 if index == 0 else 1, norm=False, act="relu")
    return net.classifier(x, fully_connected=True)


def yolov3(size: int = 416, seed: int = 6) -> onnx.ModelProto:
    """YOLOv3, its heads as the exporter has them."""
    net = Builder("yolov3", size, seed)
    return net.model({head: [1, *net.shapes[head]] for head in yolov3_heads(net)})


def yolov3_heads(net: Builder) -> list[str]:
    """YOLOv3 on Darknet-53, 80 classes: LeakyReLU, three heads of 255 channels."""
    x = net.conv(INPUT, 32, 3, act="leaky")
    routes = []
    for channels, repeat in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        x = net.conv(x, channels, 3, 2, act="leaky")
        for _ in range(repeat):
            y = net.conv(x, channels // 2, act="leaky")
            x = net.add(x, net.conv(y, channels, 3, act="leaky"))
        routes.append(x)
    heads = []
    for index, channels in enumerate((1024, 512, 256)):
        if index:
            x = net.upsample(net.conv(x, channels // 2, act="leaky"))
            x = net.concat(x, routes[-1 - index])
        for _ in range(2):
            x = net.conv(x, channels // 2, act="leaky")
            x = net.conv(x, channels, 3, act="leaky")
        x = net.conv(x, channels // 2, act="leaky")
        heads.append(net.conv(net.conv(x, channels, 3, act="leaky"), 255, norm=False))
    return heads


def _inverted_residual(
    net: Builder, x: str, channels: int, kernel: int, stride: int, expand: int, act: str, same: bool
) -> str:
    y = x
    if expand != 1:
        y = net.conv(y, net.shapes[x][0] * expand, act=act)
    inner = net.shapes[y][0]
    y = net.conv(y, inner, kernel, stride, groups=inner, act=act, same=same)
    y = net.conv(y, channels)
    return net.add(x, y) if stride == 1 and net.shapes[x][0] == channels else y


def _round_filters(value: float) -> int:
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


NETWORKS: dict[str, Callable[..., onnx.ModelProto]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "repvgg_a1": repvgg_a1,
    "yolov3": yolov3,
    **{f"efficientnet_lite{i}": partial(efficientnet_lite, i) for i in range(5)},
}
