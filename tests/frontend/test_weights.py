"""A model whose large constants lie beside it is the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bpu_host.compiler.floatrun import FloatRunner
from bpu_host.compiler.frontend.onnx import prepare, read_onnx
from bpu_host.compiler.weights import (
    LEAST_BYTES,
    array_of,
    as_inputs,
    bare_proto,
    from_bare,
    is_outside,
    serialized,
    taken_out,
)
from tests.support.nets_front import Net, run


def network(channels: int, *, opset: int = 13) -> onnx.ModelProto:
    """Two convolutions and an Add of a constant, of this many channels each."""
    net = Net([1, 3, 6, 6])
    x = net.conv("data", (3, channels), name="first")
    y = net.conv(x, (channels, channels), name="second")
    ones = net.constant(np.ones((1, channels, 6, 6), np.float32), "ones")
    return net.model(net.add("Add", y, ones, name="last"), opset=opset)


def feeds() -> dict[str, np.ndarray]:
    return {"data": np.random.default_rng(0).normal(size=(1, 3, 6, 6)).astype(np.float32)}


def content(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)


@given(channels=st.integers(1, 130))
@settings(deadline=None, max_examples=20)
def test_there_and_back(channels: int) -> None:
    whole = network(channels)
    bare, weights = taken_out(whole)
    large = [item for item in whole.graph.initializer if 4 * np.prod(item.dims) >= LEAST_BYTES]
    assert [item.name for item in bare.graph.initializer if is_outside(item)] == [
        item.name for item in large
    ]
    assert bare.ByteSize() <= whole.ByteSize() - sum(array.nbytes for array in weights) + 9000
    model = from_bare(bare, weights)
    before = content(model)
    assert before == content(ir.from_proto(whole))
    again, found = bare_proto(model)
    assert content(model) == before == serialized(again, found)
    for one, other in zip(again.graph.initializer, whole.graph.initializer, strict=True):
        np.testing.assert_array_equal(
            array_of(one, found), onnx.numpy_helper.to_array(other), strict=True
        )


def test_weights_in_any_order_of_memory_run() -> None:
    """Passes transpose weights without moving them, as of a MatMul that becomes a convolution."""
    model = ir.from_proto(network(64))
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        array = value.const_value.numpy()
        value.const_value = ir.tensor(np.asfortranarray(array), name=value.name)
    bare, weights = bare_proto(model)
    assert weights
    names = [value.name for value in bare.graph.output]
    found = FloatRunner(bare, names, weights=weights).run(feeds())
    [expected] = run(network(64), feeds())
    np.testing.assert_allclose(found[names[0]], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimize", [True, False])
def test_it_runs(optimize: bool) -> None:
    whole = network(130)
    bare, weights = taken_out(whole)
    assert len(weights) == 2
    found = FloatRunner(bare, ["first_out"], optimize=optimize, weights=weights).run(feeds())
    wanted = FloatRunner(whole, ["first_out"], optimize=optimize).run(feeds())
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_constant_beside_the_model_is_an_output() -> None:
    net = Net([1, 2])
    values = np.arange(LEAST_BYTES, dtype=np.float32)
    net.constant(values, "fixed")
    bare, weights = taken_out(net.model(net.add("Neg", "data"), "fixed"))
    found = FloatRunner(bare, weights=weights).run({"data": np.ones((1, 2), np.float32)})
    np.testing.assert_array_equal(found["fixed"], values)


def test_the_checker_needs_no_values() -> None:
    bare, _ = taken_out(onnx.shape_inference.infer_shapes(network(130)))
    onnx.checker.check_model(as_inputs(bare))
    assert len(as_inputs(bare).graph.input) == 3


@pytest.mark.parametrize("opset", [11, 13, 19])
def test_a_file_is_read_once_and_converted(tmp_path: Path, opset: int) -> None:
    whole = network(128, opset=opset)
    path = tmp_path / "net.onnx"
    onnx.save(whole, path)
    read = read_onnx(path)
    assert read.proto.ByteSize() < whole.ByteSize() / 10
    model = prepare(read.proto, path.name, {}, weights=read.weights)
    (made,) = run(ir.to_proto(model), feeds())
    np.testing.assert_allclose(made, run(whole, feeds())[0], rtol=1e-5, atol=1e-5)
    held = [value.const_value for value in model.graph.initializers.values()]
    for array in read.weights:
        assert any(np.shares_memory(each.numpy(), array) for each in held if each is not None)


def test_damaged_constants_stay_for_the_checks() -> None:
    model = network(4)
    short = helper.make_tensor("short", TensorProto.FLOAT, [1], [0.0])
    short.dims[:] = [LEAST_BYTES]
    both = onnx.numpy_helper.from_array(np.zeros(LEAST_BYTES, np.float32), "both")
    both.float_data.append(1.0)
    model.graph.initializer.extend([short, both])
    bare, weights = taken_out(model)
    assert not weights
    assert [item.name for item in bare.graph.initializer][-2:] == ["short", "both"]
