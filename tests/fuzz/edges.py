"""Networks at the edges of exactness: sums around 2^24, codes of +-127 and -128, saturation.

Featuremaps whose calibration ends at 127 have scale 1, and weights whose largest is 127 as well, so
that float values are codes and every sum can be chosen to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from bpu_host.compiler.config.values import WeightRounding
from tests.fuzz.case import Case, Frames, featuremap, options
from tests.fuzz.net import Bounds, Net

EDGE = 1 << 24
LARGEST = 127 * 127
_BOUNDS = Bounds(elements=1 << 20, macs=1 << 30, channels=1 << 14)


def case_of(seed: int) -> Case:
    """The case of a seed."""
    net = Net(seed, _BOUNDS)
    family = net.choose.choice(list(FAMILIES))
    return FAMILIES[family](net, seed, f"edge: {family}")


def taps_for(total: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and inputs, int8 (count,) each, whose products sum to `total`.

    `count` must be two more than |total| / 127^2.
    """
    weights, inputs = np.zeros(count, np.int8), np.full(count, 127, np.int8)
    full, rest = divmod(abs(total), LARGEST)
    weights[:full] = 127
    weights[full], ones = divmod(rest, 127)
    weights[full + 1] = 1
    inputs[full + 1] = ones
    return weights * np.int8(1 if total > 0 else -1), inputs


def _case(
    net: Net, seed: int, kind: str, model: onnx.ModelProto, shape: tuple[int, ...], frames: list
) -> Case:
    """A case of one featuremap with scale 1."""
    sample = np.zeros(shape, np.float32)
    sample.flat[0] = 127
    given: Frames = [{"in0": frame.astype(np.float32)} for frame in frames]
    inputs = (featuremap("in0", shape),)
    chosen = {**options(net.choose), "max_percentile": 1.0}
    chosen["weight_rounding"] = WeightRounding.NEAREST  # every code is chosen here
    return Case(seed, kind, model, inputs, {"in0": [sample]}, chosen, given)


def _codes(net: Net, shape: tuple[int, ...]) -> np.ndarray:
    """Codes that are all at an end of their range, or all odd."""
    kind = net.choose.choice(["127", "-128", "odd", "ends", "any"])
    odd = net.values.integers(-64, 64, shape) * 2 + 1
    ends = net.values.choice([-128, 127], shape)
    return {
        "127": np.full(shape, 127),
        "-128": np.full(shape, -128),
        "odd": odd,
        "ends": ends,
        "any": net.values.integers(-128, 128, shape),
    }[kind]


def _depth(net: Net, seed: int, kind: str) -> Case:
    """One convolution over all of its input, whose sum is 2^24 - 1, 2^24 or 2^24 + 1."""
    channels, kernel = net.choose.choice(
        [(1100, (1, 1)), (512, (3, 3)), (128, (3, 3)), (64, (7, 7))]
    )
    shape = (1, channels, *kernel)
    total = net.choose.choice([1, -1]) * (EDGE + net.choose.choice([-1, 0, 1]))
    flat, inputs = taps_for(total, channels * kernel[0] * kernel[1])
    order = net.values.permutation(flat.size)
    outputs = net.choose.choice([1, 3, 16])
    weights = np.repeat(flat[order].reshape(1, *shape[1:]), outputs, axis=0).astype(np.float32)
    weights *= net.values.choice([1.0, 0.5, 2.0], (outputs, 1, 1, 1))
    x = net.input("in0", shape)
    net.shapes[x] = (channels, *kernel)
    bias = net.constant(net.values.choice([-EDGE, EDGE, 0], outputs).astype(np.float32))
    y = net.node("Conv", [x, net.constant(weights), bias], (outputs, 1, 1), kernel_shape=kernel)
    if net.chance(0.5):  # int8 instead of int32 at the end
        head = net.constant(np.ones((2, outputs, 1, 1)))
        y = net.node("Conv", [y, head], (2, 1, 1), kernel_shape=(1, 1))
    frames = [inputs[order].reshape(shape), _codes(net, shape)]
    return _case(net, seed, kind, net.model([y]), shape, frames)


def _window(net: Net, seed: int, kind: str) -> Case:
    """Global average pooling, some of it of windows whose sum passes 2^24."""
    height, width = net.choose.choice([(32, 32), (33, 33), (64, 64), (16, 80), (1, 1500), (90, 91)])
    channels = net.choose.choice([1, 4, 16])
    shape = (1, channels, height, width)
    x = net.input("in0", shape)
    net.shapes[x] = (channels, height, width)
    identity = net.constant(np.eye(channels).reshape(channels, channels, 1, 1) * 127)
    y = net.node("Conv", [x, identity], (channels, height, width), kernel_shape=(1, 1))
    y = net.node("Relu", [y], net.shapes[y]) if net.chance(0.3) else y
    y = net.node("GlobalAveragePool", [y], (channels, 1, 1))
    head = net.constant(net.values.normal(0, 1, (3, channels, 1, 1)))
    y = net.node("Conv", [y, head], (3, 1, 1), kernel_shape=(1, 1))
    near = net.choose.randint(60, 127) + np.zeros(shape)  # means on a step of the result
    near.flat[net.values.permutation(near.size)[: net.choose.randint(1, near.size)]] += -1
    return _case(net, seed, kind, net.model([y]), shape, [near, _codes(net, shape)])


def _saturation(net: Net, seed: int, kind: str) -> Case:
    """Weights of +-127, biases and factors that leave int16 and int8 in both directions."""
    channels, size = net.choose.choice([8, 16, 40]), net.choose.choice([4, 9, 16])
    shape = (1, channels, size, size)
    x = net.input("in0", shape)
    net.shapes[x] = (channels, size, size)
    for _ in range(net.choose.randint(1, 4)):
        kernel = net.choose.choice([1, 3])
        weights = net.values.choice([-127.0, 127.0], (channels, channels, kernel, kernel))
        weights *= np.exp(net.values.normal(0, 4, (channels, 1, 1, 1)))
        bias = net.values.normal(0, 1, channels) * 10.0 ** net.values.integers(-3, 8, channels)
        constants = [net.constant(weights / 1e4), net.constant(bias)]
        pads = [kernel // 2] * 4
        y = net.node("Conv", [x, *constants], net.shapes[x], pads=pads, kernel_shape=[kernel] * 2)
        if net.chance(0.5):
            y = net.node("Clip", [y, net.constant(-1.0), net.constant(1.0)], net.shapes[y])
        if net.chance(0.5):
            y = net.node(net.choose.choice(["Add", "Add", "Sub"]), [y, x], net.shapes[y])
        x = y
    frames = [_codes(net, shape) for _ in range(2)]
    return _case(net, seed, kind, net.model([x]), shape, frames)


def _transposed(net: Net, seed: int, kind: str) -> Case:
    """A transposed convolution whose phases sum to about 2^24, weights all +-127."""
    channels, size = net.choose.choice([256, 300, 512]), net.choose.choice([2, 3])
    shape = (1, channels, size, size)
    x = net.input("in0", shape)
    net.shapes[x] = (channels, size, size)
    outputs = net.choose.choice([1, 2, 16])
    sign = net.values.choice([-1.0, 1.0], (1, outputs, 1, 1))
    weights = np.full((channels, outputs, 4, 4), 127.0) * sign
    weights[net.values.random(weights.shape) < 0.02] *= -1
    made: dict[str, object] = {"kernel_shape": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    y = net.node("ConvTranspose", [x, net.constant(weights)], (outputs, 2 * size, 2 * size), **made)
    if net.chance(0.5):
        head = net.constant(net.values.normal(0, 1, (2, outputs, 1, 1)))
        y = net.node("Conv", [y, head], (2, 2 * size, 2 * size), kernel_shape=(1, 1))
    frames = [_codes(net, shape) for _ in range(2)]
    return _case(net, seed, kind, net.model([y]), shape, frames)


def _elementwise(net: Net, seed: int, kind: str) -> Case:
    """Sums, products and differences of tensors whose scales are far apart."""
    channels, size = net.choose.choice([3, 16, 20]), net.choose.choice([3, 8])
    shape = (1, channels, size, size)
    x = net.input("in0", shape)
    net.shapes[x] = (channels, size, size)
    identity = np.eye(channels).reshape(channels, channels, 1, 1)
    factors = 10.0 ** net.values.uniform(-4, 4, 2)
    a, b = (
        net.node("Conv", [x, net.constant(identity * f)], net.shapes[x], kernel_shape=(1, 1))
        for f in factors
    )
    y = net.node(net.choose.choice(["Add", "Mul", "Sub"]), [a, b], net.shapes[x])
    y = net.node("Relu", [y], net.shapes[x]) if net.chance(0.3) else y
    head = net.constant(identity[:2] / factors.max())
    y = net.node("Conv", [y, head], (2, size, size), kernel_shape=(1, 1))
    frames = [_codes(net, shape) for _ in range(2)]
    return _case(net, seed, kind, net.model([y]), shape, frames)


FAMILIES: dict[str, Callable[[Net, int, str], Case]] = {
    "depth": _depth,
    "window": _window,
    "saturation": _saturation,
    "transposed": _transposed,
    "elementwise": _elementwise,
}
