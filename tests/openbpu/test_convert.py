"""Conversions from Python make what the command makes, from whatever their samples are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

import openbpu
from bpu_common.errors import BpuError, CalibrationError, ConfigError, UsageError
from openbpu.choices import Input
from tests.support.nets_front import Net, classifier, run

SIZE = 16
RANDOM = np.random.default_rng(2)
PHOTOS = [RANDOM.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(4)]
MEAN, SCALE = (120.0, 115.0, 100.0), (0.017, 0.0175, 0.018)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, and photos for it."""
    root = tmp_path_factory.mktemp("convert")
    onnx.save(classifier(SIZE), root / "net.onnx")
    (root / "photos").mkdir()
    for index, photo in enumerate(PHOTOS):
        Image.fromarray(photo).save(root / "photos" / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def converted(folder: Path) -> openbpu.Converted:
    return openbpu.convert(
        folder / "net.onnx",
        folder / "photos",
        Input(mean=MEAN, scale=SCALE),
        output=folder / "out",
        method="max",
    )


def test_the_result_is_near_the_float_model(folder: Path, converted: openbpu.Converted) -> None:
    """Against onnxruntime on the float file; nv12 loses some chroma."""
    photo = np.full((SIZE, SIZE, 3), (90, 140, 200), np.uint8)
    pixels = (photo.astype(np.float32) - np.float32(MEAN)) * np.float32(SCALE)
    data = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    [expected] = run(onnx.load(folder / "net.onnx"), {"data": data})
    found = converted(photo)["logits"]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97


def test_the_guesses(converted: openbpu.Converted) -> None:
    [item] = converted.model.info.inputs
    assert item.input_type.value == "nv12"
    assert converted.cosines["logits"] > 0.9
    for text in (repr(converted), converted._repr_html_()):
        assert "logits" in text


def test_frames_are_the_same_samples_as_files(folder: Path, converted: openbpu.Converted) -> None:
    other = openbpu.convert(
        folder / "net.onnx",
        PHOTOS,
        Input(mean=MEAN, scale=SCALE),
        output=folder / "frames",
        method="max",
    )
    assert other.path.read_bytes() == converted.path.read_bytes()


def test_the_yaml_makes_it_again(folder: Path, converted: openbpu.Converted) -> None:
    before = converted.path.read_bytes()
    code = "from bpu_host.cli.hb_mapper import main; main()"
    command = [sys.executable, "-c", code, "makertbin", "--model-type", "onnx", "-c"]
    done = subprocess.run(
        [*command, str(converted.config_file)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert converted.path.read_bytes() == before
    again = openbpu.convert(converted.config_file)
    assert again.path.read_bytes() == before


def test_featuremaps_and_several_inputs(tmp_path: Path) -> None:
    net = Net([1, 8, 6, 6])
    left = net.conv("data", (8, 8), name="left")
    net.inputs["other"] = [1, 8, 6, 6]
    right = net.conv("other", (8, 8), name="right")
    model = net.model(net.add("Add", left, right, name="join", out="sum"))
    onnx.save(model, tmp_path / "two.onnx")
    numbers = RANDOM.normal(size=(3, 2, 1, 8, 6, 6)).astype(np.float32)
    frames = [(pair[0], pair[1]) for pair in numbers]
    found = openbpu.convert(tmp_path / "two.onnx", frames, output=tmp_path / "out", method="max")
    first, second = frames[0]
    [expected] = run(model, {"data": first, "other": second})
    result = found(first, second)["sum"]
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.99


def test_featuremaps_are_sampled_in_the_type_of_the_model(tmp_path: Path) -> None:
    """Frames are what the model takes, here float16: for samples and for the board."""
    net = Net([1, 8, 6, 6])
    wide = net.add("Cast", "data", name="wide", to=onnx.TensorProto.FLOAT)
    half = net.model(net.conv(wide, (8, 8), name="conv"))
    half.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(half, tmp_path / "half.onnx")
    frames = list(RANDOM.normal(size=(3, 1, 8, 6, 6)).astype(np.float16))
    found = openbpu.convert(tmp_path / "half.onnx", frames, output=tmp_path / "out", method="max")
    [expected] = run(half, {"data": frames[0]})
    assert np.corrcoef(found(frames[0])[0].ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"calibration": None}, UsageError, "needs calibration samples"),
        ({"calibration": []}, CalibrationError, "there are no calibration samples"),
        ({"calibration": 7}, CalibrationError, "given as a int"),
        ({"calibration": "nowhere"}, CalibrationError, "is not a folder"),
        ({"calibration": [b"jpeg"]}, CalibrationError, "given as a value of type bytes"),
        ({"inputs": Input(name="x")}, ConfigError, "no input 'x'"),
        ({"inputs": Input(type="yuv422")}, ConfigError, "input_type_rt"),
        ({"inputs": Input(mean=(1.0, 2.0))}, ConfigError, "2 values"),
        ({"method": "magic"}, ConfigError, "calibration_type"),
    ],
)
def test_wrong_choices(
    folder: Path, tmp_path: Path, change: dict[str, object], kind: type[BpuError], words: str
) -> None:
    given = {"calibration": PHOTOS[:1], "inputs": Input(), "method": "max", **change}
    with pytest.raises(kind, match=words) as caught:
        openbpu.convert(
            folder / "net.onnx",
            given["calibration"],  # type: ignore[arg-type]
            given["inputs"],  # type: ignore[arg-type]
            output=tmp_path / "out",
            method=str(given["method"]),
        )
    assert "Traceback" not in str(caught.value)
    assert not list(tmp_path.glob("out/*.onnx"))


def test_progress_is_told_in_sentences(folder: Path, converted: openbpu.Converted) -> None:
    told: list[str] = []
    openbpu.convert(converted.config_file, progress=told.append)
    assert any("calibrate" in each for each in told)
    with pytest.raises(UsageError, match="the YAML says"):
        openbpu.convert(converted.config_file, PHOTOS)


def test_the_yaml_is_plain(converted: openbpu.Converted) -> None:
    values = yaml.safe_load(converted.config_file.read_text())
    assert values["input_parameters"]["mean_value"] == "120.0 115.0 100.0"
