"""Graphs that ONNX accepts but nobody can convert: refused early, with the node or tensor named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from bpu_common.errors import BpuError, ModelFormatError, ModelUnsupported
from tests.support.nets_front import Net, load


def not_finite(net: Net) -> str:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[1, 2, 0, 0] = np.nan
    return net.add("Conv", "data", net.constant(weight, "w"), name="first")


def negative_variance(net: Net) -> str:
    ones, wrong = net.constant(np.ones(3)), net.constant(-np.ones(3), "var")
    return net.add("BatchNormalization", "data", ones, ones, ones, wrong, name="first")


def double_precision(net: Net) -> str:
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3)), "w")
    net.constants.append(weight)
    y = net.add("Conv", net.add("Cast", "data", to=TensorProto.DOUBLE), "w", name="first")
    return net.add("Cast", y, to=TensorProto.FLOAT)


def whole_numbers(net: Net) -> str:
    weight = net.constant(np.ones((4, 3, 3, 3), np.int64))
    return net.add("Conv", net.add("Cast", "data", to=TensorProto.INT64), weight, name="first")


def two_types(net: Net) -> str:
    return net.add("Add", "data", net.add("Cast", "data", to=TensorProto.INT64), name="first")


def text(net: Net) -> str:
    return net.add("Cast", net.conv("data", (3, 4)), name="first", to=TensorProto.STRING)


def sequence(net: Net) -> str:
    return net.add("SplitToSequence", net.conv("data", (3, 4)), name="first", axis=1)


def enlarged(net: Net) -> str:
    scales = net.constant(np.array([1, 1, 3000, 3000], np.float32))
    return net.add("Resize", net.conv("data", (3, 4)), "", scales, name="first")


def huge_constant(net: Net) -> str:
    shape = net.constant(np.array([1, 4, 100_000, 100_000], np.int64))
    y = net.add("ReduceMax", net.add("ConstantOfShape", shape, name="first"))
    return net.add("Add", net.conv("data", (3, 4)), y)


def larger_window_than_picture(net: Net) -> str:
    return net.conv("data", (3, 4), kernel=17, pads=[0, 0, 0, 0], name="first")


def no_output_channels(net: Net) -> str:
    return net.add("Conv", "data", net.constant(np.ones((0, 3, 3, 3))), name="first")


def a_circle(net: Net) -> str:
    y = net.add("Add", "data", "late", name="first")
    return net.add("Relu", y, out="late")


@pytest.mark.parametrize(
    ("make", "kind", "expected"),
    [
        (not_finite, ModelUnsupported, "constant 'w' holds values that are not finite"),
        (negative_variance, ModelUnsupported, "constant 'var' holds variances below 0"),
        (double_precision, ModelUnsupported, "is double; convolutions are computed in float"),
        (whole_numbers, ModelUnsupported, "is int64; Conv takes double, float, float16"),
        (two_types, ModelUnsupported, "is int64, 'data' is float; both must be the same"),
        (text, ModelUnsupported, "is a tensor of string; a board has tensors of numbers"),
        (sequence, ModelUnsupported, "is no tensor but a sequence"),
        (enlarged, ModelUnsupported, r"\[1, 4, 24000, 24000\] is too large"),
        (huge_constant, ModelUnsupported, r"\[1, 4, 100000, 100000\] is too large"),
        (larger_window_than_picture, ModelUnsupported, "is empty"),
        (no_output_channels, ModelUnsupported, "is empty"),
        (a_circle, ModelFormatError, "no node before it makes its input 'late'"),
    ],
)
def test_the_node_is_named(
    tmp_path: Path, make: Callable[[Net], str], kind: type[BpuError], expected: str
) -> None:
    net = Net([1, 3, 8, 8])
    path = tmp_path / "net.onnx"
    onnx.save(net.model(make(net)), path)
    with pytest.raises(kind, match=expected) as caught:
        load(path)
    assert caught.value.where.startswith("net.onnx: node first (")
    assert caught.value.hint


def test_a_huge_input(tmp_path: Path) -> None:
    net = Net([1, 3, 1 << 20, 1 << 20])
    onnx.save(net.model(net.conv("data", (3, 4))), tmp_path / "net.onnx")
    with pytest.raises(ModelUnsupported, match="too large") as caught:
        load(tmp_path / "net.onnx")
    assert caught.value.where == "net.onnx: input 'data'"


def test_infinite_constants_of_other_operators_are_fine(tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8])
    highest = net.constant(np.array(np.inf, np.float32))
    y = net.add("Clip", net.conv("data", (3, 4)), net.constant(np.array(0, np.float32)), highest)
    onnx.save(net.model(y), tmp_path / "net.onnx")
    assert load(tmp_path / "net.onnx").graph.num_nodes() == 2


def test_no_waiting_for_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelFormatError, match="no regular file"):
        load(tmp_path / "pipe.onnx")


def test_external_data_with_an_impossible_name(tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8])
    proto = net.model(net.conv("data", (3, 4)))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="a" * 5000)
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFormatError, match="cannot be opened: File name too long"):
        load(tmp_path / "net.onnx")
