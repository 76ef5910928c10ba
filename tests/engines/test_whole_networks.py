"""Networks of known forms give the same bits for ever, whoever computes them.

The reference, both engines, every set of kernels, stock onnxruntime on the quantized model, and the
instructions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnxruntime as ort
import pytest

from bpu_common.machine import X3M
from bpu_common.network import Network, QConcat, QLut, QMaxPool, QResize
from bpu_common.program import Pair, ResizeMode
from bpu_host.compiler.emit import EmitOptions, build_model
from bpu_host.compiler.export import quantized_model
from bpu_sim import arith
from bpu_sim.engines import OrtEngine, ReferenceEngine
from bpu_sim.machine import ExactPart
from tests.support.kernels_library import kernel_engines
from tests.support.nets_codes import NetBuilder, mobilenet_v2

RELU: Pair = (0, 127)
SAME = (1, 1, 1, 1)


def mobile() -> Network:
    """MobileNetV2 at 48x48 and half its width."""
    net, output = mobilenet_v2(2, size=48, classes=50, width=0.5)
    return net.network(output)


def residual() -> Network:
    """A small ResNet: 7x7 stem, pool, blocks with and without a convolution beside them."""
    net = NetBuilder(21, "residual")
    x = net.conv(net.input("image", (56, 48, 3)), 32, (7, 7), (2, 2), (3, 3, 3, 3), clamp=RELU)
    x = pool(net, x, (3, 3), (2, 2), SAME)
    for channels, stride in ((32, 1), (48, 2), (80, 2)):
        y = net.conv(x, channels, (3, 3), (stride, stride), SAME, clamp=RELU)
        y = net.conv(y, channels, (3, 3), pads=SAME)
        side = x if stride == 1 else net.conv(x, channels, stride=(2, 2), pads=(0, 0, 0, 0))
        x = net.sum(y, side, RELU)
    height, width, channels = net.tensors[x].shape_hwc
    x = net.conv(x, channels, (height, width), pads=(0, 0, 0, 0), groups=channels)
    return net.network(net.conv(x, 100, int32=True))


def fires() -> Network:
    """SqueezeNet's modules: squeeze, two expansions, joined."""
    net = NetBuilder(22, "fires")
    x = net.conv(net.input("image", (47, 47, 3)), 48, (3, 3), (2, 2), (0, 0, 0, 0), clamp=RELU)
    for squeeze, expand in ((16, 32), (24, 40)):
        x = pool(net, x, (3, 3), (2, 2), (0, 0, 0, 0))
        x = net.conv(x, squeeze, clamp=RELU)
        both = (net.conv(x, expand, clamp=RELU), net.conv(x, expand, (3, 3), clamp=RELU))
        x = joined(net, *both)
    return net.network(net.conv(x, 30, int32=True))


def detector() -> Network:
    """Look-up activations of 256 codes, spatial pyramid, features of two sizes joined, heads."""
    net = NetBuilder(23, "detector")
    x = looked_up(net, net.conv(net.input("image", (64, 48, 3)), 24, (6, 6), (2, 2), (2, 2, 2, 2)))
    early = x = looked_up(net, net.conv(x, 48, (3, 3), (2, 2), SAME))
    x = looked_up(net, net.conv(x, 64, (3, 3), (2, 2), SAME))
    pooled = [x]
    for _ in range(3):
        pooled.append(pool(net, pooled[-1], (5, 5), (1, 1), (2, 2, 2, 2)))
    x = looked_up(net, net.conv(joined(net, *pooled), 32))
    late = net.conv(x, 27, int32=True)
    height, width, _ = net.tensors[early].shape_hwc
    axes = [
        arith.resize_axis(size, made, ResizeMode.NEAREST)
        for size, made in zip(net.tensors[x].shape_hwc[:2], (height, width), strict=True)
    ]
    name, y = net.names()
    large = net.add(QResize(name, x, y, ResizeMode.NEAREST, *axes), (height, width, 32))
    x = looked_up(net, net.conv(joined(net, large, early), 40, (3, 3), pads=SAME))
    return net.network([late, net.conv(x, 27, int32=True)])


def pool(net: NetBuilder, x: str, kernel: Pair, stride: Pair, pads: tuple[int, ...]) -> str:
    height, width, channels = net.tensors[x].shape_hwc
    made = [
        (size + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1
        for i, size in enumerate((height, width))
    ]
    name, y = net.names()
    return net.add(QMaxPool(name, x, y, kernel, stride, pads), (*made, channels))


def joined(net: NetBuilder, *xs: str) -> str:
    height, width, _ = net.tensors[xs[0]].shape_hwc
    channels = sum(net.tensors[x].shape_hwc[2] for x in xs)
    name, y = net.names()
    return net.add(QConcat(name, xs, y, 2), (height, width, channels))


def looked_up(net: NetBuilder, x: str) -> str:
    """A leaky activation by table."""
    codes = np.arange(-128, 128)
    table = np.where(codes < 0, codes // 8, codes).astype(np.int8)[np.newaxis]
    name, y = net.names()
    return net.add(QLut(name, x, y, table), net.tensors[x].shape_hwc)


def frame(network: Network) -> dict[str, np.ndarray]:
    """Codes that need no random generator."""
    (image,) = network.inputs
    codes = (np.arange(image.tensor.element_count) * 37 % 251 - 125).astype(np.int8)
    return {image.tensor.name: codes.reshape(image.tensor.shape)}


def digest(network: Network, arrays: Mapping[str, np.ndarray]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the outputs in their order."""
    state = hashlib.sha256()
    for output in network.outputs:
        array = np.ascontiguousarray(arrays[output.tensor])
        state.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return state.hexdigest()[:16]


def all_runs(network: Network) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    """Who computes, and the outputs."""
    feeds = frame(network)
    engines = [ReferenceEngine(network), OrtEngine(network, threads=2), *kernel_engines(network)]
    for engine in engines:
        yield engine.name, engine.run(feeds)
    session = ort.InferenceSession(quantized_model(network), providers=["CPUExecutionProvider"])
    names = [output.tensor for output in network.outputs]
    yield "quantized model", dict(zip(names, session.run(names, feeds), strict=True))
    model = build_model(network, X3M, EmitOptions())
    ((part, made),) = model.bpu_parts
    pixels = {name: (x.astype(np.int16) + 128).astype(np.uint8) for name, x in feeds.items()}
    yield "instructions", ExactPart(part.name, made, network.images).run(pixels)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (mobile, "a3a697ebb9bdc073"),
        (residual, "d3a9d7e1373681e9"),
        (fires, "c9f4029f318bf7d0"),
        (detector, "41500370782e72ea"),
    ],
)
def test_the_same_bits(make: Callable[[], Network], wanted: str) -> None:
    network = make()
    found = {name: digest(network, arrays) for name, arrays in all_runs(network)}
    assert found == dict.fromkeys(found, wanted)
