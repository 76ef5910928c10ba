"""Sums around 2^24, where float32 stops counting, against plain int64: windows, depths, biases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import Network, QEltwise
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseEntry, EltwiseKind, Requant
from bpu_host.compiler.export import quantized_model
from bpu_sim.engines import OrtEngine
from tests.support.kernels_library import kernel_engines
from tests.support.nets_codes import NetBuilder

EDGE = 1 << 24
LARGEST = 127 * 127
SUMS = [sign * (EDGE + step) for sign in (1, -1) for step in (-1, 0, 1)]
WINDOWS = [(33, 33), (64, 64), (1, 2000), (1500, 1), (90, 91)]
DEPTHS = [1100, 2048, 16384]
ONE = 1 << 14
"""Multiplier that, shifted by 14, changes nothing."""


def run_both(network: Network, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The one output (H, W, C) of the quantized ONNX and of the engines."""
    name = network.outputs[0].tensor
    session = ort.InferenceSession(quantized_model(network), providers=["CPUExecutionProvider"])
    return [
        session.run([name], feeds)[0][0],
        OrtEngine(network).run(feeds)[name][0],
        *(engine.run(feeds)[name][0] for engine in kernel_engines(network)),
    ]


def taps_for(total: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and inputs, int8 (count,) each, whose products sum to `total`."""
    weights, inputs = np.zeros(count, np.int8), np.full(count, 127, np.int8)
    full, rest = divmod(abs(total), LARGEST)
    weights[:full] = 127
    weights[full], ones = divmod(rest, 127)
    weights[full + 1] = 1
    inputs[full + 1] = ones
    return weights * np.int8(1 if total > 0 else -1), inputs


def params(channels: int, bias: int, right_shift: int = 0, out_shift: int = 14) -> ChannelParams:
    """The same for all channels; `bias` must be a multiple of 2^10 or small."""
    bias_shift = 10 if bias % 1024 == 0 else 0
    values = (bias >> bias_shift, bias_shift, right_shift, ONE, out_shift)
    return ChannelParams(*(np.full(channels, value, np.int32) for value in values))


def convolved(x: np.ndarray, weights: np.ndarray, groups: int) -> np.ndarray:
    """int64 (O,): sums of a convolution whose window is the whole of x (H, W, I)."""
    outputs, _, _, depth = weights.shape
    wide, found = x.astype(np.int64), np.zeros(outputs, np.int64)
    for o in range(outputs):
        first = o * groups // outputs * depth
        found[o] = (wide[:, :, first : first + depth] * weights[o].astype(np.int64)).sum()
    return found


def check_window(x: np.ndarray, weights: np.ndarray, groups: int, bias: int) -> None:
    """One window over all of x: the int32 sums, and the codes after `bias`."""
    sums, channels = convolved(x, weights, groups) + bias, len(weights)
    for int32 in (True, False):
        net = NetBuilder()
        source = net.input("x", x.shape)
        y = net.conv(
            source,
            channels,
            weights.shape[1:3],
            pads=(0, 0, 0, 0),
            groups=groups,
            params=params(channels, bias),
            weights=weights,
            int32=int32,
        )
        wanted = sums if int32 else np.clip(sums, -128, 127)
        for got in run_both(net.network(y), {"x": x[None]}):
            np.testing.assert_array_equal(got[0, 0], wanted)


def shuffled(seed: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays in one random order."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    return [array[order] for array in arrays]


@pytest.mark.parametrize("total", SUMS)
@pytest.mark.parametrize("window", WINDOWS)
def test_depthwise_windows(window: tuple[int, int], total: int) -> None:
    channels = 3
    weights, x = taps_for(total, window[0] * window[1])
    weights, x = shuffled(abs(total), weights, x)
    maps = np.repeat(x.reshape(*window, 1), channels, axis=2)
    stacked = np.repeat(weights.reshape(1, *window, 1), channels, axis=0)
    check_window(maps, stacked, channels, -EDGE if total > 0 else EDGE)


@pytest.mark.parametrize("total", SUMS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_dense_depths(depth: int, total: int) -> None:
    weights, x = shuffled(depth, *taps_for(total, depth))
    stacked = np.repeat(weights.reshape(1, 1, 1, depth), 4, axis=0)
    check_window(x.reshape(1, 1, depth), stacked, 1, -EDGE if total > 0 else EDGE)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    window=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    depth=st.sampled_from([1, 2, 7]),
    fill=st.sampled_from(["127", "odd", "-128", "any"]),
)
def test_windows_of_extremes(seed: int, window: tuple[int, int], depth: int, fill: str) -> None:
    """All 127, all odd, all -128: what any order of float32 additions would lose."""
    random = np.random.default_rng(seed)
    shape = (*window, depth)

    def draw(size: Sequence[int]) -> np.ndarray:
        odd = random.integers(0, 64, size) * 2 + 1
        made = {"127": np.full(size, 127), "odd": odd, "-128": np.full(size, -128),
                "any": random.integers(-128, 128, size)}[fill]  # fmt: skip
        return made.astype(np.int8)

    weights = np.maximum(np.abs(draw((2, *shape)).astype(np.int16)).clip(1, 127), 1).astype(np.int8)
    check_window(draw(shape), weights, 1, 0)
    depthwise = np.ascontiguousarray(weights.transpose(3, 1, 2, 0)[:, :, :, :1])
    check_window(draw(shape), depthwise, depth, 0)


@pytest.mark.parametrize("kind", list(EltwiseKind))
@pytest.mark.parametrize("edge", [EDGE, -EDGE])
@pytest.mark.parametrize("channels", [3, 16])
def test_eltwise(kind: EltwiseKind, edge: int, channels: int) -> None:
    """Sums with the bias one below, on and one above 2^24, where the first shift is a step."""
    x = np.arange(-128, 128).astype(np.int8).repeat(channels).reshape(16, 16, channels)
    other = x[::-1, ::-1].copy()
    acc = {
        EltwiseKind.ADD: x.astype(np.int64) * 127 + other.astype(np.int64) * 101,
        EltwiseKind.MUL: x.astype(np.int64) * other,
        EltwiseKind.SCALE: x.astype(np.int64) * 127,
    }[kind]
    for step in (-1, 0, 1):
        bias = edge + step - int(np.unique(acc)[100])
        net = NetBuilder()
        a, b = net.input("a", x.shape), net.input("b", x.shape)
        second = None if kind is EltwiseKind.SCALE else b
        requant = Requant(bias, 12, ONE, 20)
        op = QEltwise("e", kind, a, second, "y", (EltwiseEntry(127, 101, requant),))
        network = net.network(net.add(op, x.shape))
        first = ((acc + bias) >> 12).clip(-(1 << 15), (1 << 15) - 1)
        wanted = ((first * ONE) >> 20).clip(-128, 127)
        for got in run_both(network, {"a": x[None], "b": other[None]}):
            np.testing.assert_array_equal(got, wanted)
