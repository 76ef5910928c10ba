"""Files in: what is read, what is brought to form, and what is refused with which sentence."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bpu_common.errors import BpuError, ModelFormatError, ModelUnsupported
from bpu_host.compiler.frontend.onnx import read_onnx
from tests.support.nets_front import Net, classifier, load, run


def saved(folder: Path, model: onnx.ModelProto, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("opset", [7, 8, 9, 11, 13, 17, 19, 21])
def test_opsets(tmp_path: Path, opset: int) -> None:
    net = Net([1, 3, 8, 8])
    x = net.add("Relu", net.conv("data", (3, 4)))
    y = net.add("MaxPool", net.add("Add", x, x), kernel_shape=[2, 2], strides=[2, 2])
    proto = net.model(y, opset=opset, ir_version=10 if opset > 19 else 8)
    model = load(saved(tmp_path, proto))
    assert model.opset_imports[""] == 19
    feeds = {"data": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    np.testing.assert_allclose(
        run(proto, feeds)[0], run(ir.to_proto(model), feeds)[0], rtol=1e-6, atol=1e-6
    )


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    proto = classifier()
    for constant in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
        )
    proto.graph.initializer.append(
        numpy_helper.from_array(np.array(7, np.int64), "norm.num_batches_tracked")
    )
    proto.graph.input.append(
        helper.make_tensor_value_info("norm.num_batches_tracked", TensorProto.INT64, [])
    )
    proto.ir_version = 3
    path = saved(tmp_path, proto)
    assert [name for name, _ in read_onnx(path).inputs] == ["data"]
    model = load(path)
    assert [value.name for value in model.graph.inputs] == ["data"]
    assert "norm.num_batches_tracked" not in model.graph.initializers


def test_shapes_can_be_given(tmp_path: Path) -> None:
    net = Net(["N", 3, "H", "W"])
    path = saved(tmp_path, net.model(net.conv("data", (3, 4)), opset=11))
    assert read_onnx(path).inputs == (("data", ("N", 3, "H", "W")),)
    with pytest.raises(ModelUnsupported, match="dynamic shape") as caught:
        load(path)
    assert "--input-shape data" in caught.value.hint
    model = load(path, {"data": (1, 3, 20, 24)})
    assert list(model.graph.outputs[0].shape or ()) == [1, 4, 20, 24]
    with pytest.raises(ModelUnsupported, match="4 dimensions, the given shape has 3"):
        load(path, {"data": (1, 3, 20)})
    with pytest.raises(ModelUnsupported, match="no input 'image'"):
        load(path, {"image": (1, 3, 20, 24)})
    with pytest.raises(ModelUnsupported, match="shapes do not fit"):
        load(path, {"data": (1, 5, 20, 24)})


def test_batch_zero_becomes_one(tmp_path: Path) -> None:
    net = Net([0, 3, 4, 4])
    model = load(saved(tmp_path, net.model(net.add("Relu", "data"))))
    assert list(model.graph.inputs[0].shape or ()) == [1, 3, 4, 4]


def test_nodes_get_unique_names(tmp_path: Path) -> None:
    net = Net([1, 3, 4, 4])
    proto = net.model(net.add("Relu", net.add("Neg", net.add("Abs", "data"))))
    for node, name in zip(proto.graph.node, ["same", "same", ""], strict=True):
        node.name = name
    names = [node.name for node in load(saved(tmp_path, proto)).graph]
    assert names == ["same", "same_1", "Relu_2"]


def test_output_nodes_cut_the_model(tmp_path: Path) -> None:
    path = saved(tmp_path, classifier())
    model = load(path, output_nodes=("pool", "stem_relu"))
    assert [value.name for value in model.graph.outputs] == ["pool_out", "stem_relu_out"]
    assert "fc" not in [node.name for node in model.graph]
    with pytest.raises(ModelUnsupported, match="output_nodes names 'nothing'"):
        load(path, output_nodes=("nothing",))


def test_model_local_functions_are_inlined(tmp_path: Path) -> None:
    body = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])]
    function = helper.make_function(
        "local", "Twist", ["x"], ["y"], body, [helper.make_opsetid("", 13)]
    )
    net = Net([1, 2, 3, 3])
    net.nodes.append(helper.make_node("Twist", ["data"], ["out"], "twist", domain="local"))
    proto = net.model("out", functions=[function])
    proto.opset_import.append(helper.make_opsetid("local", 1))
    model = load(saved(tmp_path, proto))
    assert [node.op_type for node in model.graph] == ["Relu", "Neg"]


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        (
            lambda p: p.graph.node[0].ClearField("input"),
            ModelFormatError,
            "has 0 inputs; the operator takes 2 to 3",
        ),
        (lambda p: setattr(p.graph.node[0], "op_type", "Nonsense"), ModelUnsupported, "Nonsense"),
        (lambda p: setattr(p.graph.node[0], "domain", "my.ops"), ModelUnsupported, "my.ops::Conv"),
        (lambda p: setattr(p.opset_import[0], "version", 6), ModelUnsupported, "opset 6"),
        (lambda p: setattr(p.opset_import[0], "version", 99), ModelUnsupported, "opset 99"),
        (lambda p: p.graph.ClearField("node"), ModelFormatError, "no nodes"),
        (lambda p: p.ClearField("graph"), ModelFormatError, "no graph"),
        (
            lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64),
            ModelUnsupported,
            "is int64; Conv takes",
        ),
    ],
)
def test_bad_models(tmp_path: Path, change: object, kind: type[BpuError], expected: str) -> None:
    proto = classifier()
    change(proto)  # type: ignore[operator]
    with pytest.raises(kind, match=expected) as caught:
        load(saved(tmp_path, proto))
    assert "net.onnx" in str(caught.value)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="cannot read the model"):
        load(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("this is no model")
    with pytest.raises(ModelFormatError):
        load(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelFormatError, match="no graph"):
        load(tmp_path / "empty.onnx")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncated_and_flipped_files_give_clear_errors(data: st.DataObject) -> None:
    whole = bytearray(classifier(8).SerializeToString())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        position = data.draw(st.integers(0, len(whole) - 1))
        whole[position] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(whole)
        with contextlib.suppress(BpuError):  # anything else fails the test
            load(path)


def external(folder: Path, location: str, length: int | None = None) -> Path:
    proto = classifier()
    tensor = proto.graph.initializer[0]
    data = numpy_helper.to_array(tensor).tobytes()
    (folder / "weights.data").write_bytes(data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(length or len(data)))):
        tensor.external_data.add(key=key, value=value)
    return saved(folder, proto)


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    model = load(external(tmp_path, "weights.data"))
    feeds = {"data": np.ones((1, 3, 16, 16), np.float32)}
    np.testing.assert_array_equal(
        run(ir.to_proto(model), feeds)[0],
        run(ir.to_proto(load(saved(tmp_path, classifier(), "b.onnx"))), feeds)[0],
    )


@pytest.mark.parametrize("location", ["../weights.data", "/etc/hostname", "link", "absent.data"])
def test_external_data_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.data").write_bytes(b"x" * 100_000)
    (folder / "link").symlink_to(tmp_path / "weights.data")
    with pytest.raises(ModelFormatError, match=r"outside the model's folder|is missing"):
        load(external(folder, location))
    with pytest.raises(ModelFormatError, match="the tensor needs bytes"):
        load(external(folder, "weights.data", 10_000_000))
