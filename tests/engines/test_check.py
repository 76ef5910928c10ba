"""Graphs out of a file that anybody may have written."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from bpu_common.errors import ModelFormatError
from bpu_sim.engines.onnx import check_graph
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.caches import machine_sizes
from bpu_sim.engines.ort.graph import write_graph
from tests.support.nets_codes import NetBuilder


def graph_of(*nodes: onnx.NodeProto, initializers=()) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", 1, [1, 4])
    y = helper.make_tensor_value_info("y", 1, [1, 4])
    return helper.make_graph(list(nodes), "g", [x], [y], list(initializers))


def model_of(graph: onnx.GraphProto, opset: int = 19, domain: str = "", ir: int = 10) -> bytes:
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=ir
    )
    return model.SerializeToString()


RELU = helper.make_node("Relu", ["x"], ["y"], name="r")


def external(name: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=3, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def nested(op_type: str) -> bytes:
    inner = helper.make_graph([RELU], "g", [], [])
    return model_of(graph_of(helper.make_node(op_type, ["x"], ["y"], body=inner)))


def huge() -> bytes:
    tensor = onnx.TensorProto(name="t", data_type=1, dims=[1 << 20, 1 << 20])
    return model_of(graph_of(RELU, initializers=[tensor]))


def short() -> bytes:
    tensor = onnx.TensorProto(name="t", data_type=1, dims=[4], raw_data=b"12")
    return model_of(graph_of(RELU, initializers=[tensor]))


def with_function() -> bytes:
    function = helper.make_function("f", "F", ["x"], ["y"], [RELU], [helper.make_opsetid("", 19)])
    model = helper.make_model(
        graph_of(RELU), functions=[function], opset_imports=[helper.make_opsetid("", 19)]
    )
    model.ir_version = 10
    return model.SerializeToString()


BAD = {
    "operator": model_of(graph_of(helper.make_node("PyOp", ["x"], ["y"]))),
    "operator domain": model_of(graph_of(RELU), domain="com.microsoft"),
    "a.Relu": model_of(graph_of(helper.make_node("Relu", ["x"], ["y"], domain="a"))),
    "opset": model_of(graph_of(RELU), opset=99),
    "IR": model_of(graph_of(RELU), ir=99),
    "outside": model_of(graph_of(RELU, initializers=[external("w")])),
    "'Loop' is not one": nested("Loop"),
    "graphs inside a node": nested("Relu"),
    "bytes": huge(),
    "needs": short(),
    "functions": with_function(),
    "0 graphs": b"",
    "strings": model_of(graph_of(RELU, initializers=[numpy_helper.from_array(
        np.array(["a"], object), "s")])),
}  # fmt: skip


def test_good() -> None:
    info = check_graph(model_of(graph_of(RELU)))
    assert (info.inputs, info.outputs, info.node_count, info.external) == (["x"], ["y"], 1, [])
    assert check_graph(memoryview(model_of(graph_of(RELU)))).node_count == 1


@pytest.mark.parametrize("word", BAD)
def test_bad(word: str) -> None:
    with pytest.raises(ModelFormatError) as caught:
        check_graph(BAD[word])
    assert caught.value.where
    assert word in str(caught.value)


def test_external_data_only_where_the_caller_gives_it() -> None:
    data = model_of(graph_of(RELU, initializers=[external("w")]))
    assert check_graph(data, ["w"]).external == ["w"]
    with pytest.raises(ModelFormatError, match="missing"):
        check_graph(data, ["w", "v"])


@pytest.fixture(scope="module")
def graph() -> tuple[bytes, list[str]]:
    net = NetBuilder(0)
    y = net.conv(net.conv(net.input("x", (4, 4, 3)), 16), 4, (3, 3))
    network = net.network(y)
    made = write_graph(network.ops, network, Plans.of(network), ["x"], [y], machine_sizes())
    return made.data, list(made.externals)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_crash(graph: tuple[bytes, list[str]], data: st.DataObject) -> None:
    good, names = graph
    bytes_ = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(bytes_) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "double", "drop"]))
        if kind == "flip":
            bytes_[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            bytes_ = bytes_[: max(place, 1)]
        elif kind == "double":
            bytes_[place:place] = bytes_[place : place + 40]
        else:
            del bytes_[place : place + 3]
            bytes_ = bytes_ or bytearray(b"\x08")
    with contextlib.suppress(ModelFormatError):
        check_graph(bytes(bytes_), names)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_crashes(data: bytes) -> None:
    with pytest.raises(ModelFormatError):
        check_graph(data)
