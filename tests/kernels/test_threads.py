"""Steps cut into parts, by pixels, rows, channels and blocks, give what they give whole."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import Network, Place, QLut
from bpu_sim.engines import ReferenceEngine
from bpu_sim.kernels.part import KernelPart
from tests.engines.test_engines import feeds_of
from tests.kernels.test_networks import compare
from tests.support.kernels_library import LIBRARY, SETS
from tests.support.nets_codes import NetBuilder


def deep_and_flat(seed: int, channels: int, side: int, kernel: int, stride: int) -> Network:
    """Long enough to be cut, with borders, more channels than pixels or fewer."""
    net = NetBuilder(seed)
    x = net.conv(net.input("x", (side, side, 24)), channels)
    y = net.conv(x, channels, (kernel, kernel), (stride, stride), groups=channels, clamp=(0, 127))
    z = net.conv(y, 72, (3, 3))
    return net.network([net.sum(z, net.conv(z, 72))])


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=8, deadline=None)
@given(
    channels=st.sampled_from([48, 200, 500]),
    side=st.integers(4, 15),
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    threads=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_parts(
    set_name: str, channels: int, side: int, kernel: int, stride: int, threads: int, seed: int
) -> None:
    network = deep_and_flat(seed, channels, side, kernel, stride)
    compare(network, LIBRARY, set_name, threads, seed)


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 150)),
    count=st.sampled_from(["one", "each"]),
    clamp=st.sampled_from([(0, 127), (-128, 127)]),
    seed=st.integers(0, 99),
)
def test_tables(
    set_name: str, shape: tuple[int, int, int], count: str, clamp: tuple[int, int], seed: int
) -> None:
    """Of 256 random entries; codes that are never negative are stored otherwise."""
    net = NetBuilder(seed)
    channels = shape[2]
    x = net.conv(net.input("x", shape), channels, clamp=clamp)
    size = (channels if count == "each" else 1, 256)
    tables = net.rng.integers(-128, 128, size).astype(np.int8)
    y = net.add(QLut("table", x, "y", tables), shape)
    compare(net.network([y]), LIBRARY, set_name, 2, seed)


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=10, deadline=None)
@given(s_x=st.floats(1e-3, 10), s_y=st.floats(1e-3, 10), seed=st.integers(0, 99))
def test_scaled_codes(set_name: str, s_x: float, s_y: float, seed: int) -> None:
    """One code in, one out: a table, where it is not a sum in 16 bits."""
    net = NetBuilder(seed)
    x = net.input("x", (5, 6, 37))
    compare(net.network([net.scale(x, s_x, s_y)]), LIBRARY, set_name, 1, seed)


def test_a_profile_leaves_its_arrays_alone() -> None:
    """Frames look at the callers' arrays once more for each round."""
    network = deep_and_flat(1, 48, 6, 3, 1)
    feeds = feeds_of(network, 1)
    part = next(each for each in network.parts if each.place is Place.BPU)
    runner = KernelPart(LIBRARY, SETS[0], part, network, 1)
    wanted = ReferenceEngine(network).run(feeds)
    for _ in range(20):
        times = runner.plan.profile(feeds, rounds=5)
        gc.collect()
        assert len(times) == len(runner.plan.steps)
        assert all(us >= 0 for us in times)
        for name, array in runner.run(feeds).items():
            np.testing.assert_array_equal(array, wanted[name])


def test_packed_steps_keep_no_weights() -> None:
    """Memory holds them once, as the kernels read them."""
    network = deep_and_flat(1, 48, 6, 3, 1)
    part = next(each for each in network.parts if each.place is Place.BPU)
    steps = KernelPart(LIBRARY, SETS[0], part, network, 1).plan.steps
    assert not any(
        isinstance(value, np.ndarray) for step in steps for value in step.values.values()
    )
