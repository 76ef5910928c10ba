"""`hb_mapper caldata`: pictures become samples; bad ones cost little; all or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from bpu_host.cli.hb_mapper import cli
from tests.support.nets_front import classifier

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a model and a folder that is not empty."""
    monkeypatch.chdir(tmp_path)
    onnx.save(classifier(), tmp_path / "net.onnx")
    (tmp_path / "cal_f32").mkdir()
    (tmp_path / "cal_f32" / "0.rgb").write_bytes(b"0")
    return tmp_path


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("pixel_type", "layout", "dtype"),
    [("rgb", "NCHW", "float32"), ("bgr", "NHWC", "uint8"), ("gray", "NCHW", "uint8"),
     ("yuv444", "NHWC", "float32")],
)  # fmt: skip
def test_caldata(folder: Path, pixel_type: str, layout: str, dtype: str) -> None:
    photos = folder / "photos"
    photos.mkdir()
    colours = [(200, 100, 50), (10, 20, 30), (90, 80, 70)]
    for index, colour in enumerate(colours):
        Image.new("RGB", (40 + 10 * index, 30), colour).save(photos / f"p{index}.png")
    (photos / "notes.txt").write_text("no picture")
    code, output = call(
        "caldata", "--input", "photos", "--output", "cal", "--size", "16x24", "--short-side", "20",
        "--type", pixel_type, "--layout", layout, "--dtype", dtype, "--every", "2",
    )  # fmt: skip
    assert code == 0, output
    assert "short side to 20 (bilinear), centre crop 16x24" in output
    files = sorted((folder / "cal").iterdir())
    assert [path.name for path in files] == [f"00000_p0.{pixel_type}", f"00001_p2.{pixel_type}"]
    channels = 1 if pixel_type == "gray" else 3
    shape = (channels, 16, 24) if layout == "NCHW" else (16, 24, channels)
    values = np.fromfile(files[0], dtype).reshape(shape)
    first = values[:, 0, 0] if layout == "NCHW" else values[0, 0]
    red, green, blue = colours[0]
    luma = round(0.299 * red + 0.587 * green + 0.114 * blue)
    expected = {
        "rgb": [red, green, blue],
        "bgr": [blue, green, red],
        "gray": [luma],
        "yuv444": [luma, round(128 + (blue - luma) / 1.772), round(128 + (red - luma) / 1.402)],
    }[pixel_type]
    np.testing.assert_allclose(first, expected, atol=1)


def test_caldata_keeps_the_middle_and_the_proportions(folder: Path) -> None:
    (folder / "photos").mkdir()
    picture = Image.new("RGB", (300, 100), (0, 0, 0))
    picture.paste((255, 255, 255), (100, 0, 200, 100))
    picture.save(folder / "photos" / "a.png")
    code, _ = call("caldata", "--input", "photos", "--output", "cal", "--size", "50x50",
                   "--short-side", "50", "--interpolation", "bicubic")  # fmt: skip
    assert code == 0
    values = np.fromfile(next((folder / "cal").iterdir()), np.float32)
    assert values.reshape(3, 50, 50)[:, :, 2:-2].min() >= 254


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--input", "absent", "--output", "o", "--size", "8x8"], "is not a folder of pictures"),
        (["--input", "cal_f32", "--output", "o", "--size", "8x8"], "holds no pictures"),
        (["--input", "broken", "--output", "o", "--size", "8x8"], "cannot be read as a picture"),
        (["--input", "broken", "--output", "cal_f32", "--size", "8x8"], "exists and is not empty"),
        (["--input", "broken", "--output", "o", "--size", "8"], "is not HxW"),
    ],
)
def test_caldata_refuses(folder: Path, arguments: list[str], expected: str) -> None:
    (folder / "broken").mkdir()
    (folder / "broken" / "a.png").write_bytes(b"no picture")
    code, output = call("caldata", *arguments)
    assert code == 2
    assert expected in output
    assert not (folder / "o").exists()
    assert not list(folder.glob(".o-*"))


@pytest.mark.parametrize(("bad", "good"), [(1, 10), (2, 18)])
def test_caldata_leaves_out_a_few_bad_pictures(folder: Path, bad: int, good: int) -> None:
    (folder / "photos").mkdir()
    for index in range(bad + good):
        path = folder / "photos" / f"p{index:02d}.png"
        Image.new("RGB", (20, 20), (index, 0, 0)).save(path)
        if index < bad:
            path.write_bytes(path.read_bytes()[:40])
    code, output = call("caldata", "--input", "photos", "--output", "cal", "--size", "8x8")
    assert code == 0, output
    assert output.count("WARNING left out: photos/p0") == bad
    assert f"{good} samples in cal" in output
    assert len(list((folder / "cal").iterdir())) == good


def test_caldata_stops_at_many_bad_pictures(folder: Path) -> None:
    (folder / "photos").mkdir()
    for index in range(18):
        Image.new("RGB", (20, 20)).save(folder / "photos" / f"p{index:02d}.png")
    for index in range(2):
        (folder / "photos" / f"p{index:02d}.png").write_bytes(b"no picture")
    code, output = call("caldata", "--input", "photos", "--output", "cal", "--size", "8x8")
    assert (code, "p01.png" in output) == (2, True)
    assert not (folder / "cal").exists()
    assert not list(folder.glob(".cal-*"))


@pytest.mark.parametrize("output", ["/proc/cal", "net.onnx/cal"])
def test_caldata_says_that_the_output_cannot_be_written(folder: Path, output: str) -> None:
    (folder / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "photos" / "p.png")
    code, text = call("caldata", "--input", "photos", "--output", output, "--size", "8x8")
    assert (code, "cannot write here" in text) == (2, True)
    assert "fault of OpenBPU" not in text


@pytest.mark.parametrize(
    "command",
    [
        ("hb_mapper", "caldata", "--input", "photos", "--output", "cal", "--size", "32x32"),
        ("hb_mapper", "init", "net.onnx"),
        ("python", "-c", "import openbpu; openbpu.convert('net.onnx', 'photos')"),
    ],
    ids=["caldata", "init", "openbpu"],
)
def test_a_file_that_cannot_grow_is_a_sentence(folder: Path, command: tuple[str, ...]) -> None:
    """The limit of a file's size stands for a full disk: 1 KiB, less than each of them writes."""
    (folder / "photos").mkdir()
    Image.new("RGB", (40, 40), (1, 2, 3)).save(folder / "photos" / "a.png")
    before = {path.name for path in folder.iterdir()}
    limited = ("bash", "-c", 'ulimit -f 1; exec "$0" "$@"', str(SCRIPTS / command[0]), *command[1:])
    done = subprocess.run(limited, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "no space left to write: File too large" in said, said
    left = {path.name for path in folder.iterdir() if path.suffix != ".log"} - before
    assert left <= {"model_output"}, "a part of a file stays"
