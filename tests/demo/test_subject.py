"""The demonstration understands models as people export them, and asks where the file is silent."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bpu_common.errors import BpuError, InputError, UsageError
from bpu_host.compiler.config import load_config
from demo.run import write_config
from demo.subject import Wishes, parse_size, read_subject


def model(folder: Path, shape: list[int | str], *others: str) -> Path:
    """A file whose first input has this shape; `others` are further inputs."""
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    values += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in others]
    nodes = [helper.make_node("Relu", [each.name], [f"{each.name}_out"]) for each in values]
    outputs = [helper.make_tensor_value_info("x_out", TensorProto.FLOAT, None)]
    path = folder / "net.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", values, outputs)), path)
    return path


@pytest.mark.parametrize(
    ("declared", "wishes", "shape", "layout", "train", "runtime"),
    [
        ([1, 3, 224, 224], Wishes(), (1, 3, 224, 224), "NCHW", "rgb", "nv12"),
        ([1, 224, 224, 3], Wishes(), (1, 224, 224, 3), "NHWC", "rgb", "nv12"),
        ([-1, 3, 224, 224], Wishes(), (1, 3, 224, 224), "NCHW", "rgb", "nv12"),
        (["n", 3, "h", "w"], Wishes((320, 640)), (1, 3, 320, 640), "NCHW", "rgb", "nv12"),
        (["n", "h", "w", 3], Wishes((320, 640)), (1, 320, 640, 3), "NHWC", "rgb", "nv12"),
        ([-1, -1, -1, -1], Wishes((48, 48)), (1, 3, 48, 48), "NCHW", "rgb", "nv12"),
        ([1, 3, 33, 32], Wishes(train_type="bgr"), (1, 3, 33, 32), "NCHW", "bgr", "rgb"),
        ([1, 1, 28, 28], Wishes(), (1, 1, 28, 28), "NCHW", "gray", "gray"),
        ([1, 28, 28, 1], Wishes(), (1, 28, 28, 1), "NHWC", "gray", "gray"),
        ([8, "c", 28, 28], Wishes(train_type="gray"), (1, 1, 28, 28), "NCHW", "gray", "gray"),
    ],
)
def test_forms(
    tmp_path: Path, declared, wishes: Wishes, shape, layout: str, train: str, runtime: str
) -> None:
    found = read_subject(model(tmp_path, declared), wishes)
    assert (found.shape, found.layout) == (shape, layout)
    assert (found.train_type, found.runtime_type) == (train, runtime)
    assert found.size_hw == (shape[2:] if layout == "NCHW" else shape[1:3])
    [item] = load_config(write_config(found, tmp_path)).inputs
    assert item.shape == shape
    assert (item.train_layout.value, item.rt_type.value) == (layout, runtime)


@pytest.mark.parametrize(
    ("declared", "wishes", "kind", "words"),
    [
        (["n", 3, "h", "w"], Wishes(), UsageError, "leaves the size of its input open"),
        ([1, 3, 224, 224], Wishes((320, 320)), UsageError, "but the model takes 224x224"),
        ([1, 12, 64, 64], Wishes(), InputError, "has 12 channels"),
        ([1, 3, 64, 64], Wishes(train_type="gray"), InputError, "gray has 1"),
        ([1, 10], Wishes(), InputError, "one input with 4 axes"),
    ],
)
def test_what_cannot_be_guessed(
    tmp_path: Path, declared, wishes: Wishes, kind: type[BpuError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read_subject(model(tmp_path, declared), wishes)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x \(4 axes\), y \(4 axes\)"):
        read_subject(model(tmp_path, [1, 3, 8, 8], "y"), Wishes())
    path = tmp_path / "photo.onnx"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="is not an ONNX model"):
        read_subject(path, Wishes())


@pytest.mark.parametrize(("text", "size"), [("320", (320, 320)), ("240X320", (240, 320))])
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "0x3", "1x2x3", "-1x4", "wide"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="HEIGHTxWIDTH"):
        parse_size(text)
