"""A network of U2-Net's form (xuebinqin/U-2-Net): 44 million parameters, 320x320, seven outputs.

Eleven U-blocks stand in a large U. Weights are random; the activations of one frame take about two
gigabytes in float32, which is what makes it a test of conversions.
"""

from __future__ import annotations

import onnx

from benchmarks.networks import INPUT, Builder

SIZE = 320
SEED = 7


class _Net(Builder):
    def layer(self, x: str, channels: int, dilation: int = 1) -> str:
        return self.conv(x, channels, 3, dilation=dilation, act="relu")

    def half(self, x: str) -> str:
        """2x2 maxima."""
        channels, height, width = self.shapes[x]
        shape = (channels, height // 2, width // 2)
        return self._node("MaxPool", [x], shape, kernel_shape=[2, 2], strides=[2, 2])

    def enlarged(self, x: str, like: str) -> str:
        """Bilinear, to the height and width of `like`."""
        factor = self.shapes[like][1] // self.shapes[x][1]
        return self.upsample(x, factor, linear=True) if factor > 1 else x

    def block(self, x: str, depth: int, inner: int, channels: int) -> str:
        """RSU: a U of `depth` layers with a short-cut around it."""
        first = self.layer(x, channels)
        down = [self.layer(first, inner)]
        for _ in range(depth - 2):
            down.append(self.layer(self.half(down[-1]), inner))
        y = self.layer(down[-1], inner, dilation=2)
        for index, short in enumerate(reversed(down)):
            last = index == len(down) - 1
            joined = self.concat(self.enlarged(y, short), short)
            y = self.layer(joined, channels if last else inner)
        return self.add(y, first)

    def flat_block(self, x: str, inner: int, channels: int) -> str:
        """RSU-4F: dilations in place of smaller maps."""
        first = self.layer(x, channels)
        down = [self.layer(first, inner)]
        for dilation in (2, 4):
            down.append(self.layer(down[-1], inner, dilation))
        y = self.layer(down[-1], inner, dilation=8)
        for short, dilation in zip(reversed(down), (4, 2, 1), strict=True):
            y = self.layer(self.concat(y, short), channels if dilation == 1 else inner, dilation)
        return self.add(y, first)


def u2net(size: int = SIZE, seed: int = SEED) -> onnx.ModelProto:
    """The network; `size` is a multiple of 32."""
    net = _Net("u2net", size, seed)
    plan = [(7, 32, 64), (6, 32, 128), (5, 64, 256), (4, 128, 512)]
    x = INPUT
    down = []
    for depth, inner, channels in plan:
        down.append(net.block(x, depth, inner, channels))
        x = net.half(down[-1])
    down.append(net.flat_block(x, 256, 512))
    y = net.flat_block(net.half(down[-1]), 256, 512)
    made = [y]
    y = net.flat_block(net.concat(net.enlarged(y, down[-1]), down.pop()), 256, 512)
    made.append(y)
    for depth, inner, channels in ((4, 128, 256), (5, 64, 128), (6, 32, 64), (7, 16, 64)):
        short = down.pop()
        y = net.block(net.concat(net.enlarged(y, short), short), depth, inner, channels)
        made.append(y)
    sides = [net.enlarged(net.conv(each, 1, 3, norm=False), y) for each in reversed(made)]
    ends = [net.conv(net.concat(*sides), 1, norm=False), *sides]
    return net.model({net.activation(end, "sigmoid"): [1, 1, size, size] for end in ends})
