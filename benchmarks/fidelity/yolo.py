"""Detectors of the YOLO family with raw heads in the chip's own order (NHWC)."""

from __future__ import annotations

import math

import onnx

from benchmarks.fidelity.builder import INPUT, NetBuilder
from benchmarks.networks import yolov3_heads


def yolov3(size: int = 416, seed: int = 6) -> onnx.ModelProto:
    """YOLOv3, its heads in NHWC."""
    net = NetBuilder("yolov3", size, seed)
    return net.nhwc_heads(yolov3_heads(net))


class _Yolo(NetBuilder):
    def c3(self, x: str, channels: int, repeat: int, *, shortcut: bool = True) -> str:
        """YOLOv5's C3: half of the channels through bottlenecks, half beside them."""
        half = channels // 2
        y = self.conv_silu(x, half)
        for _ in range(repeat):
            inner = self.conv_silu(self.conv_silu(y, half), half, 3)
            y = self.add(y, inner) if shortcut else inner
        return self.conv_silu(self.concat(y, self.conv_silu(x, half)), channels)

    def c2f(self, x: str, channels: int, repeat: int, *, shortcut: bool = True) -> str:
        """YOLOv8's C2f: every bottleneck's result is joined."""
        parts = list(self.split(self.conv_silu(x, channels)))
        for _ in range(repeat):
            y = self.conv_silu(self.conv_silu(parts[-1], channels // 2, 3), channels // 2, 3)
            parts.append(self.add(parts[-1], y) if shortcut else y)
        return self.conv_silu(self.concat(*parts), channels)

    def sppf(self, x: str, channels: int) -> str:
        pools = [self.conv_silu(x, self.shapes[x][0] // 2)]
        for _ in range(3):
            pools.append(self.smooth_pool(pools[-1], 5))
        return self.conv_silu(self.concat(*pools), channels)


def yolov5(name: str, width: float, depth: float, size: int = 640) -> onnx.ModelProto:
    """YOLOv5 of release 7: SiLU, C3, SPPF, three heads of 255 channels."""
    net = _Yolo(name, size, seed=11)
    wide = [math.ceil(width * channels / 8) * 8 for channels in (64, 128, 256, 512, 1024)]
    deep = [max(1, round(depth * repeat)) for repeat in (3, 6, 9, 3)]
    x = net.silu(net.conv(INPUT, wide[0], 6, 2, norm=False, same=True))
    routes = []
    for channels, repeat in zip(wide[1:], deep, strict=True):
        x = net.c3(net.conv_silu(x, channels, 3, 2), channels, repeat)
        routes.append(x)
    x = net.sppf(x, wide[4])
    laterals = []
    for channels, route in ((wide[3], routes[2]), (wide[2], routes[1])):
        laterals.append(net.conv_silu(x, channels))
        joined = net.concat(net.upsample(laterals[-1]), route)
        x = net.c3(joined, channels, deep[0], shortcut=False)
    found = [x]
    for channels, lateral in ((wide[3], laterals[1]), (wide[4], laterals[0])):
        down = net.conv_silu(x, net.shapes[x][0], 3, 2)
        x = net.c3(net.concat(down, lateral), channels, deep[0], shortcut=False)
        found.append(x)
    return net.nhwc_heads([net.conv(each, 255, norm=False) for each in found])


def yolov8n(size: int = 640, seed: int = 12) -> onnx.ModelProto:
    """YOLOv8n: SiLU, C2f, six raw heads (80 classes, 64 box bins) without dequantize."""
    net = _Yolo("yolov8n", size, seed)
    wide, deep = (16, 32, 64, 128, 256), (1, 2, 2, 1)
    x = net.conv_silu(INPUT, wide[0], 3, 2)
    routes = []
    for channels, repeat in zip(wide[1:], deep, strict=True):
        x = net.c2f(net.conv_silu(x, channels, 3, 2), channels, repeat)
        routes.append(x)
    x = routes[3] = net.sppf(x, wide[4])
    for index, channels in ((2, wide[3]), (1, wide[2])):
        joined = net.concat(net.upsample(x), routes[index])
        x = routes[index] = net.c2f(joined, channels, 1, shortcut=False)
    found = [x]
    for index, channels in ((2, wide[3]), (3, wide[4])):
        down = net.conv_silu(x, net.shapes[x][0], 3, 2)
        x = net.c2f(net.concat(down, routes[index]), channels, 1, shortcut=False)
        found.append(x)
    heads = []
    for each in found:
        for inner, channels in ((80, 80), (64, 64)):
            y = net.conv_silu(net.conv_silu(each, inner, 3), inner, 3)
            heads.append(net.conv(y, channels, norm=False))
    return net.nhwc_heads(heads)
