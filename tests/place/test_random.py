"""Random networks on machines with little memory: same bits, proven order, bounds kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.network import Network
from bpu_common.program import EltwiseKind, ResizeMode
from bpu_common.tensor import InputType
from bpu_host.compiler.place import EmitOptions
from tests.support.budget import within
from tests.support.nets_place import LoweredNet, check_program, place_whole, small_machine

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MAX_SIDE = 24
MAX_CHANNELS = 32


def _conv(net: LoweredNet, x: str) -> str:
    random = net.random
    h, w, c = net.shape(x)
    groups = int(random.choice([g for g in (1, 1, 2, 4) if c % g == 0]))
    kernel = tuple(int(k) for k in random.integers(1, 1 + np.minimum(4, (h, w))))
    pads = tuple(int(p) for p in random.integers(0, 3, 4))
    stride = tuple(int(s) for s in random.integers(1, 3, 2))
    channels = groups * int(random.integers(1, MAX_CHANNELS // groups + 1))
    return net.conv(x, channels, kernel, stride=stride, pads=pads, groups=groups)


def _residual(net: LoweredNet, x: str) -> str:
    y = net.conv(net.depthwise(net.conv(x, 24, (1, 1), pads=(0, 0, 0, 0))), net.shape(x)[2])
    return net.eltwise(EltwiseKind.ADD, y, x)


def _gate(net: LoweredNet, x: str) -> str:
    gate = net.depthwise(x)
    while max(net.shape(gate)[:2]) > 1:
        size = net.shape(gate)[:2]
        pool = (min(4, size[0]), min(4, size[1]))
        gate = net.conv(gate, net.shape(x)[2], pool, stride=pool, pads=(0, 0, 0, 0))
    return net.eltwise(EltwiseKind.MUL, x, net.lut(gate))


def _resize(net: LoweredNet, x: str) -> str:
    mode = ResizeMode(int(net.random.integers(0, 2)))
    size = net.random.integers(1, MAX_SIDE, 2)
    return net.resize(x, (int(size[0]), int(size[1])), mode)


def _branches(net: LoweredNet, x: str) -> str:
    return net.concat([net.conv(x, 8), x, net.conv(x, 5, (1, 1), pads=(0, 0, 0, 0))])


def _slice(net: LoweredNet, x: str) -> str:
    h, w, c = net.shape(x)
    start = tuple(int(net.random.integers(0, n // 2 + 1)) for n in (h, w, c))
    step = tuple(int(s) for s in net.random.integers(1, 3, 3))
    shape = tuple((n - a - 1) // s + 1 for n, a, s in zip((h, w, c), start, step, strict=True))
    return net.slice(x, start, shape, step) if min(shape) > 0 else x


def _blocks(net: LoweredNet, x: str) -> str:
    h, w, c = net.shape(x)
    dcr = bool(net.random.integers(0, 2))
    if c % 4 == 0 and max(h, w) * 2 <= MAX_SIDE:
        return net.blocks(x, to_space=True, dcr=dcr)
    if h % 2 == 0 and w % 2 == 0:
        return net.blocks(x, to_space=False, dcr=dcr)
    return x


def _transposed(net: LoweredNet, x: str) -> str:
    if max(net.shape(x)[:2]) * 2 > MAX_SIDE:
        return x
    return net.conv(x, 8, (4, 4), pads=(2, 2, 2, 2), upsample=(2, 2))


STEPS: tuple[Callable[[LoweredNet, str], str], ...] = (
    _conv,
    _conv,
    lambda net, x: net.depthwise(x, 3, int(net.random.integers(1, 3))),
    _residual,
    _gate,
    lambda net, x: net.pool(x),
    lambda net, x: net.lut(x, per_channel=bool(net.random.integers(0, 2))),
    _resize,
    _branches,
    _slice,
    lambda net, x: net.pad(x, tuple(int(p) for p in net.random.integers(0, 3, 4)), 9),
    _blocks,
    _transposed,
)


def random_net(seed: int, steps: list[int]) -> Network:
    """A network of the given steps; some inner results are outputs too."""
    net = LoweredNet(seed)
    side = net.random.integers(6, MAX_SIDE // 2, 2) * 2
    height, width = int(side[0]), int(side[1])
    kinds = (InputType.NV12, InputType.YUV444, None)
    kind = kinds[int(net.random.integers(0, 3))]
    x = net.codes((height, width, 8)) if kind is None else net.image((height, width, 3), kind)
    outputs: list[str] = []
    for step in steps:
        made = STEPS[step](net, x)
        if net.random.integers(0, 4) == 0 and made != x:
            outputs.append(made)
        x = made
    h, w, _ = net.shape(x)
    pads = (0, 0, 0, 0)
    outputs.append(net.conv(x, 10, (min(h, 2), min(w, 2)), pads=pads, int32=True))
    return net.graph(*dict.fromkeys(outputs))


nets = st.builds(
    random_net,
    st.integers(0, 1 << 30),
    st.lists(st.integers(0, len(STEPS) - 1), min_size=1, max_size=7),
)


@pytest.mark.parametrize("level", ["O0", "O1", "O2", "O3"])
def test_levels(level: str) -> None:
    @SETTINGS
    @given(nets, st.sampled_from([8_192, 16_384, 32_768]))
    @within(cpu_seconds=2)
    def check(network: Network, sram_bytes: int) -> None:
        check_program(network, small_machine(sram_bytes), EmitOptions(level))

    check()


@SETTINGS
@given(
    nets,
    st.sampled_from([6_144, 12_288, 24_576, 1 << 20]),
    st.sampled_from(["latency", "bandwidth"]),
)
@within(cpu_seconds=5)
def test_modes(network: Network, sram_bytes: int, mode: str) -> None:
    check_program(network, small_machine(sram_bytes), EmitOptions(compile_mode=mode))


@SETTINGS
@given(nets)
@within(cpu_seconds=2)
def test_same_input_same_program(network: Network) -> None:
    options = EmitOptions()
    first = place_whole(network, small_machine(8_192), options)
    again = place_whole(network, small_machine(8_192), options)
    assert first.program == again.program
    assert first.weights == again.weights
