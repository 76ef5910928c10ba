"""Operations whose result has the scale of what they read lose nothing by sharing it.

Those that select values (pooling maximum, slice, pad, nearest resize, blocks, concat) give the very
codes of the float result. A linear resize mixes values: it may cut off nothing of what it reads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import Network
from bpu_common.tensor import DType, Scale
from bpu_host.compiler.quantize import lower
from bpu_sim import arith
from bpu_sim.engines import open_engine
from tests.support.nets_quant import (
    Net,
    Thresholds,
    all_tensors,
    feature_input,
    max_thresholds,
    placed,
    sqnr_db,
)

SHAPE = (1, 8, 12, 10)
Array = np.ndarray
Body = Callable[[Net, str], str]

DATA: dict[str, Callable[[np.random.Generator], Array]] = {
    "gaussian": lambda r: r.normal(0, 1, SHAPE),
    "sparse": lambda r: r.normal(0, 10, SHAPE) * (r.random(SHAPE) < 0.02),
    "offset": lambda r: r.normal(5, 0.5, SHAPE),
    "negative": lambda r: r.normal(-5, 0.5, SHAPE),
    "tailed": lambda r: r.standard_t(2, SHAPE),
    "channels apart": lambda r: r.normal(0, 1, SHAPE) * np.geomspace(0.01, 10, 8)[:, None, None],
}


def resize(net: Net, x: str, factors: tuple[float, float], mode: str, coordinates: str) -> str:
    scales = net.constant(np.array([1, 1, *factors], np.float32))
    return net.node(
        "Resize", [x, "", scales], mode=mode, coordinate_transformation_mode=coordinates
    )


def part(net: Net, x: str, start: int, stop: int, axis: int = 1, step: int = 1) -> str:
    bounds = [net.constant(np.array([value])) for value in (start, stop, axis, step)]
    return net.node("Slice", [x, *bounds])


def padded(net: Net, x: str, value: float) -> str:
    pads = net.constant(np.array([0, 0, 1, 2, 0, 0, 3, 1]))
    return net.node("Pad", [x, pads, net.constant(np.float32(value))])


def pooled(net: Net, x: str, **attributes: object) -> str:
    return net.node("MaxPool", [x], kernel_shape=[3, 3], **attributes)


SELECTING: dict[str, Body] = {
    "max pool": lambda n, x: pooled(n, x, strides=[2, 2]),
    "max pool with gaps": lambda n, x: pooled(n, x, strides=[4, 5]),
    "padded max pool": lambda n, x: pooled(n, x, pads=[1, 1, 1, 1]),
    "global max pool": lambda n, x: n.node("GlobalMaxPool", [x]),
    "slice of channels": lambda n, x: part(n, x, 0, 3),
    "slice with steps": lambda n, x: part(n, x, 1, 12, axis=2, step=3),
    "pad": lambda n, x: padded(n, x, 0.0),
    "pad with a great value": lambda n, x: padded(n, x, -90.0),
    "pad that a pool removes": lambda n, x: pooled(n, padded(n, x, -1000.0), strides=[1, 1]),
    "depth to space": lambda n, x: n.node("DepthToSpace", [x], blocksize=2),
    "space to depth": lambda n, x: n.node("SpaceToDepth", [x], blocksize=2),
    "nearest up": lambda n, x: resize(n, x, (2, 2), "nearest", "asymmetric"),
    "nearest down": lambda n, x: resize(n, x, (0.5, 0.5), "nearest", "half_pixel"),
    "concat": lambda n, x: n.node("Concat", [part(n, x, 0, 2), part(n, x, 5, 8)], axis=1),
    "concat of pools": lambda n, x: n.node(
        "Concat", [part(n, x, 0, 6), pooled(n, part(n, x, 2, 8), pads=[1, 1, 1, 1])], axis=1
    ),
    "chain": lambda n, x: part(n, padded(n, pooled(n, x), 2.0), 2, 6, axis=3),
}

MIXING: dict[str, Body] = {
    "half": lambda n, x: resize(n, x, (0.5, 0.5), "linear", "half_pixel"),
    "half, corners": lambda n, x: resize(n, x, (0.5, 0.5), "linear", "align_corners"),
    "double": lambda n, x: resize(n, x, (2, 2), "linear", "half_pixel"),
    "double, asymmetric": lambda n, x: resize(n, x, (2, 2), "linear", "asymmetric"),
    "rows only": lambda n, x: resize(n, x, (0.25, 1), "linear", "half_pixel"),
    "twice": lambda n, x: resize(
        n, resize(n, x, (0.5, 0.5), "linear", "half_pixel"), (2, 2), "linear", "half_pixel"
    ),
    "before a pool": lambda n, x: pooled(n, resize(n, x, (0.5, 1), "linear", "half_pixel")),
    "behind a pool": lambda n, x: resize(n, pooled(n, x), (0.5, 0.5), "linear", "half_pixel"),
    "before a concat": lambda n, x: n.node(
        "Concat",
        [resize(n, part(n, x, 0, 4), (0.5, 0.5), "linear", "half_pixel"),
         resize(n, part(n, x, 4, 8), (0.5, 0.5), "nearest", "half_pixel")],
        axis=1,
    ),
}  # fmt: skip


def run(body: Body, values: Array, shrink: float = 1.0) -> tuple[Network, Array, Array, Scale]:
    """(network, float result, codes of the result, their scale) of `body` between BPU operators.

    Args:
        shrink: every threshold times this: as a method that cuts values off would choose.
    """
    net = Net(*SHAPE)
    y = body(net, "data")
    channels = net.model(y).graph.outputs[0].shape[1]
    model = net.model(net.conv(y, channels, 4, 1))
    sample = {"data": values.astype(np.float32)}
    thresholds = max_thresholds(model, [sample]).thresholds
    given = Thresholds({name: value * shrink for name, value in thresholds.items()})
    network = lower(placed(model, feature_input(*SHAPE)), given, "net").network
    engine, _ = open_engine(network, prefer="reference")
    codes = engine.run(sample, keep=[y])[y]
    real = all_tensors(model, sample)[y].transpose(0, 2, 3, 1)
    return network, real, codes, network.tensors[y].scale


@pytest.mark.parametrize("name", SELECTING)
@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(sorted(DATA)),
    seed=st.integers(0, 2**32 - 1),
    shrink=st.floats(0.2, 1.0),
)
def test_selected_values_have_the_codes_of_the_float_result(
    name: str, kind: str, seed: int, shrink: float
) -> None:
    values = DATA[kind](np.random.default_rng(seed))
    _, real, codes, scale = run(SELECTING[name], values, shrink)
    np.testing.assert_array_equal(codes, arith.quantize(real, scale.value))


@pytest.mark.parametrize("name", MIXING)
@settings(max_examples=8, deadline=None)
@given(kind=st.sampled_from(sorted(DATA)), seed=st.integers(0, 2**32 - 1))
def test_mixed_values_are_within_two_steps(name: str, kind: str, seed: int) -> None:
    """Half a step of what is read, half of each rounded result, and weights of 1/256 an axis."""
    values = DATA[kind](np.random.default_rng(seed))
    network, real, codes, scale = run(MIXING[name], values)
    int8 = [each for each in network.tensors.values() if each.dtype is DType.INT8]
    step = max(each.scale.value for each in int8)  # a concat rescales a branch to finer steps
    rounded = 2 if name in ("twice", "before a concat") else 1
    weights = 127 * 2 / 256  # steps: positions are off by 1/512 an axis, values by up to 254 steps
    allowed = (0.5 + rounded * (0.5 + weights)) * step
    assert np.abs(codes * scale.value - real).max() <= allowed * (1 + 1e-5)


def test_a_branch_that_is_read_twice_keeps_its_own_precision() -> None:
    """A small map beside a large one: the concat rescales it, the other reader has it as it is."""
    net = Net(*SHAPE)
    x = pooled(net, "data", pads=[1, 1, 1, 1])
    y = net.conv(x, 8, 8, 1, gain=0.01, bias=0.0)
    both = net.node("Concat", [x, y], axis=1)
    model = net.model(net.conv(both, 16, 4, 1), net.conv(y, 8, 4, 1))
    sample = {"data": np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)}
    thresholds = max_thresholds(model, [sample])
    network = lower(placed(model, feature_input(*SHAPE)), thresholds, "net").network
    assert network.tensors[y].scale.value == pytest.approx(thresholds.thresholds[y] / 127)
    engine, _ = open_engine(network, prefer="reference")
    made = engine.run(sample, keep=[y, both])
    real = all_tensors(model, sample)
    for name in (y, both):
        turned = real[name].transpose(0, 2, 3, 1)
        assert sqnr_db(turned, made[name] * network.tensors[name].scale.value) > 30
