"""Residual networks in the Caffe form: the stride on a block's first convolution."""

from __future__ import annotations

import onnx

from benchmarks.fidelity.builder import INPUT, NetBuilder


def resnet18(size: int = 224, seed: int = 4) -> onnx.ModelProto:
    """HolmesShuan's ResNet-18: a projection in every stage, the first one too."""
    net = NetBuilder("resnet18", size, seed)
    x = net.max_pool(net.conv(INPUT, 64, 7, 2, act="relu"))
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            short = x if block else net.conv(x, channels, 1, stride)
            y = net.conv(x, channels, 3, stride, act="relu")
            x = net.add(short, net.conv(y, channels, 3), "relu")
    return net.classifier(x, fully_connected=True)


def _bottlenecks(net: NetBuilder, *, squeeze: bool) -> str:
    """ResNet-50 up to its last feature map."""
    x = net.max_pool(net.conv(INPUT, 64, 7, 2, act="relu"))
    for stage, (channels, repeat) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(repeat):
            stride = 2 if stage and not block else 1
            short = x if block else net.conv(x, 4 * channels, 1, stride)
            y = net.conv(net.conv(x, channels, 1, stride, act="relu"), channels, 3, act="relu")
            y = net.conv(y, 4 * channels)
            if squeeze:
                gate = net.conv(net.global_pool(y), channels // 4, norm=False, act="relu")
                y = net.mul(y, net.conv(gate, 4 * channels, norm=False, act="sigmoid"))
            x = net.add(short, y, "relu")
    return x


def se_resnet50(size: int = 224, seed: int = 9) -> onnx.ModelProto:
    """SE-ResNet-50 of the Caffe SENet release: gates of 1/16 of the channels."""
    net = NetBuilder("se_resnet50", size, seed)
    return net.classifier(_bottlenecks(net, squeeze=True), fully_connected=True)


def centernet_resnet50(size: int = 512, seed: int = 10) -> onnx.ModelProto:
    """CenterNet: ResNet-50, three transposed convolutions, three heads (neck widths: a guess)."""
    net = NetBuilder("centernet_resnet50", size, seed)
    x = _bottlenecks(net, squeeze=False)
    for channels in (256, 128, 64):
        x = net.transposed(x, channels)
    heads = [
        net.conv(net.conv(x, 64, 3, norm=False, act="relu"), channels, norm=False)
        for channels in (80, 2, 2)
    ]
    return net.nhwc_heads(heads)
