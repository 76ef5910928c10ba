"""Whole networks in every engine: equal bits of every tensor, parts alone, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import BpuError, DeviceFault, InputError, ModelFormatError, ModelUnsupported
from bpu_common.network import Network, OnnxOp
from bpu_sim.engines import OrtEngine, PartsEngine, ReferenceEngine
from tests.support.nets_codes import NetBuilder, mixed_network, mobilenet_v2
from tests.support.nets_engines import (
    cpu_network,
    custom_op,
    float_spec,
    mixed_cpu_network,
    onnx_op,
)

ENGINES = [ReferenceEngine, OrtEngine]


def feeds_of(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        item.tensor.name: rng.integers(-128, 128, item.tensor.shape).astype(np.int8)
        if item.input_type.is_image
        else rng.normal(0, 1, item.tensor.shape).astype(np.float32)
        for item in network.inputs
    }


@pytest.mark.parametrize("make", [mixed_network, mixed_cpu_network])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_tensor_is_equal(make: Callable[[], Network], threads: int) -> None:
    network = make()
    feeds = feeds_of(network)
    wanted = ReferenceEngine(network).run(feeds, network.tensors)
    assert wanted.keys() == network.tensors.keys()
    engine = OrtEngine(network, threads=threads)
    got = engine.run(feeds, network.tensors)
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array, name)


def test_parts_alone_give_the_whole() -> None:
    network = mixed_cpu_network()
    feeds = feeds_of(network)
    for make in ENGINES:
        engine = make(network)
        whole = engine.run(feeds, network.tensors)
        values = dict(feeds)
        for part in network.parts:
            made = engine.run_part(part, values, network.tensors)
            assert set(part.outputs) <= made.keys()
            values.update(made)
        for name, array in whole.items():
            np.testing.assert_array_equal(values[name], array, name)


def test_keeping_changes_no_output() -> None:
    network = mixed_cpu_network()
    feeds = feeds_of(network)
    for make in ENGINES:
        engine = make(network)
        alone = engine.run(feeds)
        assert alone.keys() == {"out"}
        kept = engine.run(feeds, ["p", "f"])
        assert kept.keys() == {"out", "p", "f"}
        np.testing.assert_array_equal(kept["out"], alone["out"])
        np.testing.assert_array_equal(kept["f"], feeds["f"])


def test_frames_side_by_side() -> None:
    net, y = mobilenet_v2(1, size=32, width=0.25)
    network = net.network(y)
    engine = OrtEngine(network, threads=2)
    frames = [feeds_of(network, seed) for seed in range(8)]
    alone = [engine.run(frame)[y] for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda frame: engine.run(frame, list(network.tensors)[:9]), frames))
    for one, other in zip(alone, kept, strict=True):
        np.testing.assert_array_equal(one, other[y])


def test_an_output_may_be_an_input_or_stand_twice() -> None:
    net = NetBuilder(0)
    y = net.conv(net.input("x", (3, 3, 2)), 2)
    network = net.network(["x", y, y])
    feeds = feeds_of(network)
    for make in ENGINES:
        found = make(network).run(feeds)
        assert found.keys() == {"x", y}
        np.testing.assert_array_equal(found["x"], feeds["x"])


@pytest.mark.parametrize("make", ENGINES)
def test_bad_frames(make: type[PartsEngine]) -> None:
    net = NetBuilder(0)
    network = net.network(net.conv(net.input("x", (3, 3, 2)), 2))
    engine = make(network)
    with pytest.raises(InputError, match="missing"):
        engine.run({})
    with pytest.raises(InputError, match="shape"):
        engine.run({"x": np.zeros((1, 3, 2, 2), np.int8)})
    with pytest.raises(InputError, match="int8"):
        engine.run({"x": np.zeros((1, 3, 3, 2), np.uint8)})
    with pytest.raises(InputError, match="'nothing'"):
        engine.run({"x": np.zeros((1, 3, 3, 2), np.int8)}, ["nothing"])
    with pytest.raises(InputError, match="missing"):
        engine.run_part(network.parts[0], {})


def test_custom_operators() -> None:
    ops = [
        onnx_op("Relu", ["x"], ["a"]),
        custom_op(["a", "k"], ["b"]),
        onnx_op("Neg", ["b"], ["y"]),
    ]
    constants = {"k": np.array([2, 3], np.float32)}
    network = cpu_network(ops, [float_spec(name, (2,)) for name in "xaby"], constants)
    feeds = {"x": np.array([-1, 5], np.float32)}
    for make in ENGINES:
        with pytest.raises(ModelUnsupported, match=r"Twice of module user\.module"):
            make(network)
        engine = make(network, load_custom=lambda op: lambda xs: [xs[0] * xs[1]])
        found = engine.run(feeds, ["b"])
        np.testing.assert_array_equal(found["b"], [0, 15])
        np.testing.assert_array_equal(found["y"], [0, -15])
        for bad in (lambda xs: 1 / 0, lambda xs: [], lambda xs: [xs[0][:1]]):
            broken = make(network, load_custom=lambda op, bad=bad: bad)
            with pytest.raises(DeviceFault):
                broken.run(feeds)


@pytest.mark.parametrize("op_type", ["Loop", "If", "Scan", "RandomNormal", "Foo"])
def test_operators_that_no_board_runs(op_type: str) -> None:
    network = cpu_network([onnx_op(op_type, ["x"], ["y"])], [float_spec(n, (2,)) for n in "xy"])
    for make in ENGINES:
        with pytest.raises(ModelFormatError, match=op_type):
            make(network)


def test_a_node_that_makes_other_shapes_than_the_model_says() -> None:
    network = cpu_network(
        [onnx_op("Concat", ["x", "x"], ["y"], axis=0)],
        [float_spec("x", (2,)), float_spec("y", (3,))],
    )
    for make in ENGINES:
        with pytest.raises(BpuError):
            make(network).run({"x": np.zeros(2, np.float32)})


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_noise_for_a_node(node: bytes) -> None:
    op = OnnxOp("n", "Relu", ("x",), ("y",), node)
    network = cpu_network([op], [float_spec(name, (2,)) for name in "xy"])
    with pytest.raises(BpuError):
        OrtEngine(network).run({"x": np.zeros(2, np.float32)})


def test_operations_of_one_name() -> None:
    """Names of operations are for people; nothing is found by them."""
    net = NetBuilder(4)
    x = net.conv(net.input("x", (5, 5, 16)), 16, (3, 3))
    y = net.sum(net.conv(x, 16, (3, 3)), net.conv(x, 16))
    net.ops = [replace(op, name="same") for op in net.ops]
    network = net.network(y)
    feeds = feeds_of(network)
    one, other = (make(network).run(feeds, network.tensors) for make in ENGINES)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_names_that_look_like_the_engine_s_own() -> None:
    net = NetBuilder(3)
    x = net.input(".v1", (4, 4, 3))
    y = net.conv(net.conv(x, 16, (3, 3)), 8)
    op = net.ops[-1]
    net.ops[-1] = replace(op, y=".conv0/weights")
    net.tensors[".conv0/weights"] = replace(net.tensors.pop(y), name=".conv0/weights")
    network = net.network(".conv0/weights")
    feeds = feeds_of(network)
    one, other = (make(network).run(feeds) for make in ENGINES)
    np.testing.assert_array_equal(one[".conv0/weights"], other[".conv0/weights"])
