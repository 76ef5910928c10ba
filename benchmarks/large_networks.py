"""Networks of the fast path's benchmark that no published latency belongs to."""

from __future__ import annotations

import onnx

from benchmarks.networks import INPUT, Builder


class _Builder(Builder):
    def smooth_pool(self, x: str, kernel: int) -> str:
        """Maximum over a window around each pixel."""
        half = kernel // 2
        return self._node(
            "MaxPool", [x], self.shapes[x], kernel_shape=[kernel, kernel], pads=[half] * 4
        )

    def c3(self, x: str, channels: int, repeat: int, *, shortcut: bool = True) -> str:
        """Half of the channels through bottlenecks, half beside them, joined."""
        y = self.conv(x, channels // 2, act="leaky")
        for _ in range(repeat):
            inner = self.conv(y, channels // 2, act="leaky")
            inner = self.conv(inner, channels // 2, 3, act="leaky")
            y = self.add(y, inner) if shortcut else inner
        beside = self.conv(x, channels // 2, act="leaky")
        return self.conv(self.concat(y, beside), channels, act="leaky")


def resnet50(size: int = 224, seed: int = 7) -> onnx.ModelProto:
    """ResNet-50, strides in the 3x3 convolutions, ceil-mode pooling as in the Caffe model."""
    net = _Builder("resnet50", size, seed)
    x = net.max_pool(net.conv(INPUT, 64, 7, 2, act="relu"))
    for stage, (channels, repeat) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(repeat):
            stride = 2 if stage and not block else 1
            short = x if block else net.conv(x, 4 * channels, 1, stride)
            y = net.conv(net.conv(x, channels, act="relu"), channels, 3, stride, act="relu")
            x = net.add(short, net.conv(y, 4 * channels), "relu")
    return net.classifier(x, fully_connected=True)


def yolov5s(size: int = 416, seed: int = 8) -> onnx.ModelProto:
    """YOLOv5s in the form of release 6, LeakyReLU instead of SiLU, three heads of 255 channels."""
    net = _Builder("yolov5s", size, seed)
    x = net.conv(INPUT, 32, 6, 2, act="leaky", same=True)
    routes = []
    for channels, repeat in ((64, 1), (128, 2), (256, 3), (512, 1)):
        x = net.c3(net.conv(x, channels, 3, 2, act="leaky"), channels, repeat)
        routes.append(x)
    x = net.conv(x, 256, act="leaky")
    pools = [x]
    for _ in range(3):
        pools.append(net.smooth_pool(pools[-1], 5))
    joined = pools[0]
    for pooled in pools[1:]:
        joined = net.concat(joined, pooled)
    x = net.conv(joined, 512, act="leaky")
    laterals = []
    for channels, route in ((256, routes[2]), (128, routes[1])):
        laterals.append(net.conv(x, channels, act="leaky"))
        x = net.c3(net.concat(net.upsample(laterals[-1]), route), channels, 1, shortcut=False)
    found = [x]
    for channels, lateral in ((256, laterals[1]), (512, laterals[0])):
        down = net.conv(x, channels // 2, 3, 2, act="leaky")
        x = net.c3(net.concat(down, lateral), channels, 1, shortcut=False)
        found.append(x)
    heads = [net.conv(each, 255, norm=False) for each in found]
    return net.model({head: [1, *net.shapes[head]] for head in heads})
