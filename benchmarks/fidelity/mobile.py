"""MobileNetV2 with the strides of the Caffe file that boards were measured with."""

from __future__ import annotations

import onnx

from benchmarks.fidelity.builder import INPUT, NetBuilder


def mobilenet_v2_caffe(size: int = 224, seed: int = 2) -> onnx.ModelProto:
    """shicai's MobileNetV2: every block expands, four 64-channel blocks at 28x28, ReLU."""
    net = NetBuilder("mobilenet_v2_caffe", size, seed)
    x = net.conv(INPUT, 32, 3, 2, act="relu")
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 1)]
    for expand, channels, repeat, stride in [*plan, (6, 96, 3, 2), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for index in range(repeat):
            first = stride if index == 0 else 1
            inner = max(32, net.shapes[x][0] * expand)
            y = net.conv(x, inner, act="relu")
            y = net.conv(net.conv(y, inner, 3, first, groups=inner, act="relu"), channels)
            x = net.add(x, y) if first == 1 and net.shapes[x][0] == channels else y
    return net.classifier(net.conv(x, 1280, act="relu"), fully_connected=False)
