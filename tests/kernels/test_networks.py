"""Compiled kernels against the reference: random networks and every file of the format's tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.network import Network, Place, QConcat
from bpu_sim.engines import ReferenceEngine
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.part import KernelPart
from tests.engines.test_engines import feeds_of
from tests.engines.test_random_networks import networks
from tests.support.kernels_library import LIBRARY, SETS
from tests.support.nets_codes import NetBuilder, mixed_network


def compare(network: Network, library: Library, set_name: str, threads: int, seed: int) -> None:
    """Every tensor of every BPU part, with inner ones asked for and without."""
    feeds = feeds_of(network, seed)
    wanted = ReferenceEngine(network).run(feeds, network.tensors)
    for part in network.parts:
        if part.place is not Place.BPU:
            continue
        runner = KernelPart(library, set_name, part, network, threads)
        given_values = {name: wanted[name] for name in part.inputs}
        found = runner.run(given_values)
        assert found.keys() == set(part.outputs)
        for name, array in (*found.items(), *runner.run(given_values, network.tensors).items()):
            np.testing.assert_array_equal(array, wanted[name], f"{set_name}: {name}")


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=networks(), threads=st.integers(1, 3))
def test_random_networks(set_name: str, made: tuple[NetBuilder, list[str]], threads: int) -> None:
    net, outputs = made
    compare(net.network(outputs), LIBRARY, set_name, threads, net.seed)


@pytest.mark.parametrize("set_name", SETS)
def test_every_kind_of_operation(set_name: str) -> None:
    compare(mixed_network(), LIBRARY, set_name, 2, 0)


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_groups(set_name: str, data: st.DataObject, seed: int) -> None:
    """Channels of a group beside those of the next, in codes and in accumulators."""
    draw = data.draw
    net = NetBuilder(seed)
    groups = draw(st.sampled_from([2, 3, 4, 7, 8, 21]))
    x = net.input(
        "x", (draw(st.integers(1, 5)), draw(st.integers(1, 5)), groups * draw(st.integers(1, 9)))
    )
    x = net.conv(
        x, net.tensors[x].shape_hwc[2], clamp=draw(st.sampled_from([(0, 127), (-128, 127)]))
    )
    outputs = groups * draw(st.integers(1, 20))
    wide = draw(st.booleans())
    y = net.conv(
        x,
        outputs,
        (1, draw(st.integers(1, 3))),
        groups=groups,
        int32=wide,
        pad_code=draw(st.sampled_from([0, -9])),
    )
    compare(net.network([y]), LIBRARY, set_name, draw(st.integers(1, 2)), seed)


@pytest.mark.parametrize("set_name", SETS)
def test_parts_that_are_read_before_their_neighbours_are_made(set_name: str) -> None:
    """Both parts of a concatenation lie in one buffer, and each has readers of its own."""
    net = NetBuilder(5)
    x = net.input("x", (6, 7, 16))
    first = net.conv(x, 32)
    seen = net.conv(first, 16, (3, 3), pads=(1, 1, 1, 1))
    second = net.conv(seen, 48)
    name, y = net.names()
    both = net.add(QConcat(name, (first, second), y, 2), (6, 7, 80))
    ends = [
        net.conv(both, 16, (3, 3), pads=(1, 1, 1, 1)),
        net.conv(second, 16),
        net.conv(first, 16),
    ]
    compare(net.network(ends), LIBRARY, set_name, 2, 0)
