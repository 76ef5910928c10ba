"""Names are text and tensors are whole, whatever protobuf and ONNX's checker let through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bpu_common.errors import BpuError, ModelFormatError
from bpu_host.compiler.frontend import contents
from bpu_host.compiler.frontend.onnx import prepare, read_onnx
from tests.hostile.onnx_files import REFUSED, named
from tests.support.nets_front import Net


def read(folder: Path, model: onnx.ModelProto | bytes) -> None:
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    found = read_onnx(path)
    prepare(found.proto, found.file, {})


@pytest.mark.parametrize(("make", "answer"), REFUSED.values(), ids=REFUSED)
def test_refused(make: Callable[[], onnx.ModelProto | bytes], answer: str, tmp_path: Path) -> None:
    with pytest.raises(BpuError, match=answer):
        read(tmp_path, make())


@pytest.mark.parametrize("data_type", sorted(TensorProto.DataType.values()))
@pytest.mark.parametrize("raw", [False, True])
def test_whole_tensors_of_all_types(data_type: int, *, raw: bool) -> None:
    """ONNX's own writer is the oracle: what it makes of three values is whole."""
    if data_type == TensorProto.UNDEFINED or (raw and data_type == TensorProto.STRING):
        return
    values = [b"a", b"b", b"c"] if data_type == TensorProto.STRING else [0, 1, 1]
    if raw:
        kind = helper.tensor_dtype_to_np_dtype(data_type)
        tensor = numpy_helper.from_array(np.array(values).astype(kind), "t")
    else:
        tensor = helper.make_tensor("t", data_type, [3], values)
    assert contents._problem(tensor) == ""
    tensor.dims[0] = 7
    assert "of shape [7]" in contents._problem(tensor)


@pytest.mark.parametrize("name", ["ö/é 名", "a b", "\u3000", "a.b:0", "~!@#"])
def test_names_of_all_languages_pass(name: str, tmp_path: Path) -> None:
    read(tmp_path, named(name))


@pytest.mark.parametrize("place", ["node", "value", "input", "graph", "function"])
def test_control_characters_are_found_wherever_they_are(place: str, tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8], "da\x9bta" if place == "input" else "data")
    (source,) = net.inputs
    model = net.model(
        net.add("Relu", source, name="a\x1bb" if place == "node" else "a",
                out="v\x7f" if place == "value" else "v")
    )  # fmt: skip
    if place == "graph":
        model.graph.name = "\u202e"
    if place == "function":
        imports = [helper.make_opsetid("", 13)]
        nodes = [helper.make_node("Relu", ["x\x07"], ["y"])]
        made = helper.make_function("local", "f", ["x\x07"], ["y"], nodes, imports)
        model.functions.append(made)
    with pytest.raises(ModelFormatError, match="control characters") as caught:
        read(tmp_path, model)
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
