"""From a model to a `.bin` with nothing but what the commands say: init, caldata, makertbin."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from bpu_common import container
from bpu_host.cli.hb_mapper import cli
from tests.support.nets_front import Net, classifier


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def photos() -> None:
    Path("photos").mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"photos/{index}.png")


def nhwc(size: int | str) -> onnx.ModelProto:
    net = Net(["batch", size, size, 3], name="images:0")
    x = net.add("Transpose", "images:0", perm=[0, 3, 1, 2])
    return net.model(net.conv(x, (3, 8), name="only"))


def follow_the_words(output: str) -> None:
    """Run the commands that `init` printed."""
    for line in output.splitlines():
        _, found, command = line.partition("calibration samples: hb_mapper ")
        if found:
            code, text = call(*shlex.split(command))
            assert code == 0, text
    (then,) = [
        line.partition("then: hb_mapper ")[2] for line in output.splitlines() if "then:" in line
    ]
    code, text = call(*shlex.split(then))
    assert code == 0, text


@pytest.mark.parametrize(
    "model", [classifier(), nhwc(16), nhwc("size")], ids=["nchw", "nhwc", "open"]
)
def test_pictures(model: onnx.ModelProto) -> None:
    photos()
    onnx.save(model, "my net.onnx")
    code, output = call("init", "my net.onnx")
    assert code == 0, output
    follow_the_words(output)
    (made,) = container.load(Path("model_output/my_net.bin"))
    assert [item.input_type.value for item in made.inputs] == ["nv12"]


def test_two_inputs() -> None:
    photos()
    net = Net([1, 3, 16, 16], name="image")
    net.inputs["po;ints"] = [1, 8, 16, 16]
    y = net.add("Add", net.conv("image", (3, 8)), net.conv("po;ints", (8, 8)))
    onnx.save(net.model(net.conv(y, (8, 2))), "net.onnx")
    code, output = call("init", "net.onnx", "--output", "other.yaml")
    assert code == 0, output
    Path("calibration_data_1_featuremap_f32").mkdir()
    for index in range(3):
        values = np.random.default_rng(index).normal(size=(1, 8, 16, 16)).astype(np.float32)
        values.tofile(f"calibration_data_1_featuremap_f32/{index}.bin")
    follow_the_words(output)


def test_what_is_there_stays(folder: Path) -> None:
    onnx.save(classifier(), "net.onnx")
    Path("net.yaml").write_text("mine")
    code, output = call("init", "net.onnx")
    assert (code, "is there already and stays as it is" in output) == (2, True)
    assert Path("net.yaml").read_text() == "mine"
    code, output = call("init", "net.onnx", "-o", "absent/net.yaml")
    assert (code, "cannot write here: No such file" in output) == (2, True)
    code, output = call("init", "absent.onnx")
    assert (code, "cannot read the model" in output) == (1, True)


@pytest.mark.parametrize(
    ("channels", "said"),
    [(1, "look at its line marked CHECK"), (4, "no line of it is marked CHECK")],
)
def test_what_is_said_of_the_marks(channels: int, said: str) -> None:
    net = Net([1, channels, 16, 16])
    onnx.save(net.model(net.conv("data", (channels, 4), name="only")), "net.onnx")
    code, output = call("init", "net.onnx")
    assert code == 0, output
    assert said in output
    marks = Path("net.yaml").read_text().count("CHECK: ")
    assert marks == (1 if channels == 1 else 0)
