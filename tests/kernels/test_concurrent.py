"""Frames that run at once, of one model and of several, give the bits of single ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.network import Network, Place
from bpu_sim.engines import ReferenceEngine
from bpu_sim.engines.kernel_engine import KernelEngine
from bpu_sim.kernels.plan import Plan
from tests.engines.test_engines import feeds_of
from tests.engines.test_random_networks import networks
from tests.support.kernels_library import LIBRARY, SETS
from tests.support.nets_codes import NetBuilder, mixed_network, mobilenet_v2

FRAMES = 24


def small_mobilenet() -> Network:
    net, output = mobilenet_v2(1, size=32, classes=10, width=0.5)
    return net.network(output)


@pytest.mark.parametrize("set_name", SETS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_model_and_several(set_name: str, threads: int) -> None:
    models = [mixed_network(), small_mobilenet()]
    engines = [KernelEngine(each, LIBRARY, set_name, threads=threads) for each in models]
    feeds = [[feeds_of(each, seed) for seed in range(FRAMES)] for each in models]
    alone = [
        [engine.run(frame) for frame in frames]
        for engine, frames in zip(engines, feeds, strict=True)
    ]
    jobs = [(model, frame) for frame in range(FRAMES) for model in range(len(models))]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            runs = pool.map(lambda job: engines[job[0]].run(feeds[job[0]][job[1]]), jobs)
            for (model, frame), made in zip(jobs, runs, strict=True):
                for name, array in alone[model][frame].items():
                    np.testing.assert_array_equal(made[name], array, name)


@pytest.mark.parametrize("set_name", SETS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    made=networks(), frames=st.integers(2, 5), threads=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_frames_of_a_call(
    set_name: str, made: tuple[NetBuilder, list[str]], frames: int, threads: int, seed: int
) -> None:
    """Several frames in one call, by as many threads, against the reference one by one."""
    net, outputs = made
    network = net.network(outputs)
    engine = ReferenceEngine(network)
    each = [feeds_of(network, seed + k) for k in range(frames)]
    wanted = [engine.run(feeds, network.tensors) for feeds in each]
    for part in network.parts:
        assert part.place is Place.BPU
        plan = Plan(LIBRARY, set_name, part.ops, network.tensors, part.inputs, part.outputs)
        given_values = {name: np.concatenate([w[name] for w in wanted]) for name in part.inputs}
        found = plan.run(given_values, threads=threads, frames=frames)
        for name in part.outputs:
            whole = np.concatenate([values[name] for values in wanted])
            np.testing.assert_array_equal(found[name], whole, name)
