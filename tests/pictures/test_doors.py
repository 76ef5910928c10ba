"""One file gives the same pixels wherever it enters: commands, calibration, the demonstration."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_board.cli.hrt_model_exec.inputs import read_inputs
from bpu_common.board import ModelInfo
from bpu_common.errors import BpuError, InputError
from bpu_common.pictures import Fit
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from bpu_host.cli import caldata
from bpu_host.compiler.calibrate import open_samples
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.remote.inputs import frames_of
from tests.support import picture_files as files
from tests.support.models_board import tiny_model, with_inputs

Size = tuple[int, int]
Door = Callable[[Path, InputType, Size], np.ndarray]
"""File, what the network takes, (height, width) -> uint8 (H, W, C)."""


def target(kind: InputType, size_hw: Size) -> ModelInput:
    channels = 1 if kind is InputType.GRAY else 3
    spec = TensorSpec("data", (1, *size_hw, channels), DType.INT8, Layout.NHWC)
    return ModelInput(spec, kind, Layout.NHWC)


def by_hrt_model_exec(path: Path, kind: InputType, size_hw: Size) -> np.ndarray:
    model = with_inputs(tiny_model(), target(kind, size_hw))
    return read_inputs(model, str(path))["data"][0]


def by_bpu_run(path: Path, kind: InputType, size_hw: Size, fit: Fit = "stretch") -> np.ndarray:
    info = ModelInfo("net", "bernoulli2", "x3m", (target(kind, size_hw),), outputs=(), parts=())
    [frame] = frames_of(info, [str(path)], fit=fit)
    return frame.arrays()["data"][0]


def by_calibration(path: Path, kind: InputType, size_hw: Size) -> np.ndarray:
    folder = path.parent / "calibration"
    folder.mkdir(exist_ok=True)
    (folder / "sample").write_bytes(path.read_bytes())
    channels = 1 if kind is InputType.GRAY else 3
    item = InputConfig(
        "data", (1, *size_hw, channels), kind, Layout.NHWC, kind, Layout.NHWC, cal_data_dir=folder
    )
    config = CompileConfig(Path("m.onnx"), "m", Path("out"), (item,), preprocess_on=True)
    [sample] = open_samples(config, (item.model_input(),))
    return (sample["data"][0] + 128).astype(np.uint8)


def by_caldata(path: Path, kind: InputType, size_hw: Size) -> np.ndarray:
    recipe = caldata.Recipe(
        size_hw, min(size_hw), pixel_type=kind.value, layout="NHWC", dtype="uint8"
    )
    return caldata.make_sample(path, recipe)[0]


DOORS: dict[str, Door] = {
    "hrt_model_exec": by_hrt_model_exec,
    "bpu run": by_bpu_run,
    "bpu run --fit crop": partial(by_bpu_run, fit="crop"),
    "bpu run --fit letterbox": partial(by_bpu_run, fit="letterbox"),
    "preprocess_on": by_calibration,
    "caldata": by_caldata,
}
SIZE = (20, 30)
RANDOM = np.random.default_rng(7)
COLOURS = RANDOM.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, SIZE)
ALPHA = RANDOM.integers(0, 256, SIZE)
INK = np.full((*SIZE, 4), (200, 100, 30, 60), np.uint8)


def jpeg(codes: np.ndarray, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(codes, mode).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def webp(codes: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(codes).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


PICTURES = {
    "plain": (files.png(COLOURS), COLOURS),
    "bmp": (files.bmp(COLOURS), COLOURS),
    "webp": (webp(COLOURS), COLOURS),
    "16 bit": (
        files.png(DEEP, 16, files.GREY),
        np.repeat((DEEP >> 8).astype(np.uint8)[..., None], 3, axis=2),
    ),
    "alpha": (
        files.png(np.dstack([COLOURS, ALPHA]), 8, files.RGBA),
        files.over_white(COLOURS, ALPHA[..., None]),
    ),
    **{
        f"orientation {turn}": (
            files.png(COLOURS, exif=files.tiff_orientation(turn)),
            files.displayed(COLOURS, turn),
        )
        for turn in range(1, 9)
    },
}


@pytest.mark.parametrize("kind", [InputType.RGB, InputType.BGR, InputType.GRAY, InputType.YUV444])
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_shows_the_same(tmp_path: Path, door: str, name: str, kind: InputType) -> None:
    content, rgb = PICTURES[name]
    (tmp_path / "a.png").write_bytes(content)
    found = DOORS[door](tmp_path / "a.png", kind, rgb.shape[:2])
    luma = np.rint(rgb @ (0.299, 0.587, 0.114))
    if kind is InputType.RGB:
        np.testing.assert_array_equal(found, rgb)
    elif kind is InputType.BGR:
        np.testing.assert_array_equal(found, rgb[..., ::-1])
    else:
        np.testing.assert_allclose(found[..., 0], luma, atol=1)


def test_doors_agree_on_what_only_the_decoder_knows(tmp_path: Path) -> None:
    turned = files.with_jpeg_exif(jpeg(COLOURS, "RGB"), files.tiff_orientation(6))
    for content, size_hw in ((turned, SIZE[::-1]), (jpeg(INK, "CMYK"), SIZE)):
        (tmp_path / "a.jpg").write_bytes(content)
        first, *others = (
            door(tmp_path / "a.jpg", InputType.RGB, size_hw) for door in DOORS.values()
        )
        for other in others:
            np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n", b"GIF89a" + bytes(20)])
def test_every_door_refuses_in_a_sentence(tmp_path: Path, door: str, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BpuError, match="no JPEG, PNG, BMP or WEBP") as caught:
        DOORS[door](tmp_path / "a.jpg", InputType.RGB, SIZE)
    assert Path(caught.value.where).read_bytes() == content


def test_a_picture_too_narrow_for_a_short_side_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(files.png(np.zeros((1, 60000, 3), np.uint8)))
    assert by_bpu_run(tmp_path / "a.png", InputType.RGB, SIZE, fit="crop").shape == (*SIZE, 3)
    with pytest.raises(InputError, match="256 x 15360000 pixels"):
        caldata.crop(tmp_path / "a.png", caldata.Recipe((224, 224)))


def test_nothing_else_opens_pictures() -> None:
    """Of packages, demonstration and benchmarks; drawing and saving are theirs."""
    root = Path(__file__).parents[2]
    opening = re.compile(r"\b(?i:image)\.open\(|\bimread\b|import_module\(.PIL")
    found = {
        str(path.relative_to(root))
        for folder in ("common", "simulator", "board", "host", "demo", "benchmarks")
        for path in (root / folder).rglob("*.py")
        if opening.search(path.read_text())
    }
    assert found == {"common/bpu_common/pictures.py"}
