"""What cannot be converted is said in sentences of ours, with the place and the next step."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bpu_common.errors import BpuError, CompilerBug
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.frontend.onnx import read_onnx
from tests.support.convert_net import convert
from tests.support.graphs_typed import Graph, cast, node

FLOAT = TensorProto.FLOAT
Change = Callable[[onnx.ModelProto], object]
LIBRARY_TEXT = re.compile(
    r"ONNXRuntimeError|InferenceError|ShapeInference|/project|onnxruntime_src|Value\(name|Context:"
    r"|\w+Error:|elem type"
)


def plain() -> onnx.ModelProto:
    g = Graph()
    g.constant("k", g.normal(1, 4, 10, 10))
    nodes = [g.first, node("Add", "a k", "b"), node("Relu", "b", "r"), g.last]
    return g.model(nodes, {"y": FLOAT})


def named(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(each for each in model.graph.node if each.name == name)


def input_type(model: onnx.ModelProto, kind: onnx.TypeProto) -> None:
    model.graph.input[0].type.CopyFrom(kind)


def output_of(model: onnx.ModelProto, made: onnx.NodeProto) -> None:
    made.name = "made"
    model.graph.node.append(made)
    model.graph.output.add().name = made.output[0]


TENSOR = helper.make_tensor_type_proto(FLOAT, [1])
CASES: dict[str, tuple[Change, str]] = {
    "text input": (lambda m: input_type(m, helper.make_tensor_type_proto(8, [1])), "input 'x'"),
    "complex input": (lambda m: input_type(m, helper.make_tensor_type_proto(14, [1])), "input 'x'"),
    "int4 input": (lambda m: input_type(m, helper.make_tensor_type_proto(22, [1])), "input 'x'"),
    "sequence": (lambda m: input_type(m, helper.make_sequence_type_proto(TENSOR)), "input 'x'"),
    "optional": (lambda m: input_type(m, helper.make_optional_type_proto(TENSOR)), "input 'x'"),
    "no type": (lambda m: m.graph.input[0].ClearField("type"), "input 'x'"),
    "text output": (lambda m: output_of(m, cast("y", "t", TensorProto.STRING)), "made"),
    "sequence output": (lambda m: output_of(m, node("SequenceConstruct", "y y", "t")), "made"),
    "empty output": (lambda m: output_of(m, node("Slice", "y zero zero one", "t")), "'t'"),
    "missing output": (lambda m: setattr(m.graph.output[0], "name", "other"), "'other'"),
    "made twice": (lambda m: named(m, "n1").output.__setitem__(0, "r"), "n2|n1"),
    "made of nothing": (lambda m: named(m, "n1").input.__setitem__(0, "nothing"), "n1"),
    "circle": (lambda m: named(m, "n1").input.__setitem__(0, "r"), "n1|n2"),
    "unknown operator": (lambda m: setattr(named(m, "n2"), "op_type", "Foo"), "n2"),
    "past operator": (lambda m: setattr(named(m, "n1"), "op_type", "Upsample"), "n1"),
    "foreign operator": (lambda m: setattr(named(m, "n2"), "domain", "my"), "n2"),
    "unknown attribute": (lambda m: named(m, "n2").attribute.add(name="foo", type=2), "n2.*'foo'"),
    "attribute of another type": (
        lambda m: named(m, "conv_a").attribute.add(name="group", type=1, f=1.0),
        "conv_a.*'group'",
    ),
    "missing attribute": (lambda m: setattr(named(m, "n2"), "op_type", "Cast"), "n2.*'to'"),
    "too many inputs": (lambda m: named(m, "n2").input.append("a"), "n2.*2 inputs"),
    "shapes": (lambda m: m.graph.initializer[2].dims.__setitem__(1, 3), "n1|'k'|k"),
    "types": (lambda m: named(m, "n1").input.__setitem__(1, "one"), "n1.*int64"),
    "damaged constant": (lambda m: setattr(m.graph.initializer[2], "raw_data", b"1234"), "k"),
    "no standard operators": (lambda m: setattr(m.opset_import[0], "domain", "x"), "opset 0"),
}


@pytest.mark.parametrize("name", CASES)
def test_sentence(name: str, tmp_path: Path) -> None:
    change, expected = CASES[name]
    model = plain()
    for constant, value in (("zero", [0]), ("one", [1])):
        model.graph.initializer.append(helper.make_tensor(constant, TensorProto.INT64, [1], value))
    change(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BpuError) as caught:
        prepare(read_onnx(path).proto, path.name, {})
    text = str(caught.value)
    assert not isinstance(caught.value, CompilerBug)
    assert not LIBRARY_TEXT.search(text)
    assert text.startswith("net.onnx")
    assert re.search(expected, text, re.DOTALL), text
    assert caught.value.hint


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64"])
def test_what_onnxruntime_does_not_compute(dtype: str, tmp_path: Path) -> None:
    g = Graph()
    g.constant("e", g.small(dtype, 1, 4, 1, 1))
    model = g.model([g.first, node("Pow", "a e", "r"), g.last], {"y": FLOAT})
    with pytest.raises(BpuError, match="does not compute this operator") as caught:
        convert(tmp_path, model, samples=[g.sample])
    assert caught.value.where == "node n1 (Pow)"
    assert not LIBRARY_TEXT.search(str(caught.value))
