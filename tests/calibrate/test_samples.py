"""Samples: files and pictures become what the network will see; bad files give clear errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bpu_common.errors import CalibrationError
from bpu_common.image import nv12_to_yuv444, rgb_to_nv12, rgb_to_yuv444
from bpu_common.tensor import DType, InputType, Layout
from bpu_host.compiler.calibrate import open_samples, settle_sample_types
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.events import Event, Note

H, W = 6, 8


def config_of(
    folder: Path | None,
    train: InputType = InputType.RGB,
    rt: InputType = InputType.NV12,
    *,
    layout: Layout = Layout.NCHW,
    dtype: DType = DType.UINT8,
    pictures: bool = False,
) -> CompileConfig:
    channels = 1 if train is InputType.GRAY else 3
    shape = (1, channels, H, W) if layout is Layout.NCHW else (1, H, W, channels)
    item = InputConfig(
        "data", shape, train, layout, rt, Layout.NHWC, cal_data_dir=folder, cal_data_type=dtype
    )
    return CompileConfig(Path("m.onnx"), "m", Path("out"), (item,), preprocess_on=pictures)


def samples_of(config: CompileConfig) -> list[np.ndarray]:
    inputs = tuple(item.model_input() for item in config.inputs)
    return [sample[config.inputs[0].name] for sample in open_samples(config, inputs)]


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (H, W, 3), dtype=np.uint8)


def centred(hwc: np.ndarray) -> np.ndarray:
    return hwc.astype(np.float32) - 128


@pytest.mark.parametrize("layout", [Layout.NCHW, Layout.NHWC])
@pytest.mark.parametrize("dtype", [DType.UINT8, DType.FLOAT32])
@pytest.mark.parametrize(
    ("train", "rt"),
    [
        (InputType.RGB, InputType.NV12),
        (InputType.BGR, InputType.NV12),
        (InputType.RGB, InputType.YUV444),
        (InputType.BGR, InputType.RGB),
        (InputType.RGB, InputType.RGB),
        (InputType.YUV444, InputType.YUV444),
        (InputType.YUV444, InputType.NV12),
        (InputType.GRAY, InputType.GRAY),
    ],
)
def test_raw_file(
    tmp_path: Path,
    rgb: np.ndarray,
    train: InputType,
    rt: InputType,
    layout: Layout,
    dtype: DType,
) -> None:
    trained = {
        InputType.RGB: rgb,
        InputType.BGR: rgb[..., ::-1],
        InputType.YUV444: rgb_to_yuv444(rgb),
        InputType.GRAY: rgb[..., :1],
    }[train]
    seen = {
        InputType.NV12: nv12_to_yuv444(rgb_to_nv12(rgb), H, W),
        InputType.YUV444: rgb_to_yuv444(rgb),
        InputType.RGB: rgb,
        InputType.GRAY: rgb[..., :1],
    }[rt]
    stored = trained if layout is Layout.NHWC else trained.transpose(2, 0, 1)
    np.ascontiguousarray(stored).astype(dtype.numpy).tofile(tmp_path / "a.bin")
    [found] = samples_of(config_of(tmp_path, train, rt, layout=layout, dtype=dtype))
    assert found.dtype == np.float32
    expected = centred(seen)
    expected = expected[None] if layout is Layout.NHWC else expected.transpose(2, 0, 1)[None]
    # Chroma means of RGB and of rounded YUV may differ by one step.
    tolerance = 1 if (train, rt) == (InputType.YUV444, InputType.NV12) else 0
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_files_come_in_sorted_order_and_can_be_read_again(tmp_path: Path) -> None:
    for value, name in ((3, "c.x"), (1, "a.y"), (2, "b")):
        np.full((1, 3, H, W), value, np.uint8).tofile(tmp_path / name)
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    config = config_of(tmp_path, rt=InputType.RGB)
    inputs = tuple(item.model_input() for item in config.inputs)
    samples = open_samples(config, inputs)
    assert len(samples) == 3
    for _ in range(2):
        assert [s["data"][0, 0, 0, 0] + 128 for s in samples] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "P"])
def test_pictures_are_read_and_resized(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (30, 20), (200, 40, 90)).convert(kind).save(tmp_path / "a.png")
    [found] = samples_of(config_of(tmp_path, rt=InputType.RGB, pictures=True))
    assert found.shape == (1, 3, H, W)
    if kind != "L":
        np.testing.assert_allclose(found[0, :, 2, 3] + 128, [200, 40, 90], atol=8)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2)])
def test_the_smallest_pictures_are_resized(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (200, 40, 90)).save(tmp_path / "a.png")
    [found] = samples_of(config_of(tmp_path, rt=InputType.RGB, pictures=True))
    assert (found[0] + 128 == np.array([200, 40, 90])[:, None, None]).all()


@pytest.mark.parametrize("train", [InputType.BGR, InputType.YUV444, InputType.GRAY])
def test_pictures_in_training_type(tmp_path: Path, train: InputType) -> None:
    Image.new("RGB", (W, H), (200, 40, 90)).save(tmp_path / "a.png")
    rt = InputType.BGR if train is InputType.BGR else train
    config = config_of(tmp_path, train, rt, layout=Layout.NHWC, pictures=True)
    [found] = samples_of(config)
    colour = np.full((1, 1, 3), (200, 40, 90), np.uint8)
    expected = {
        InputType.BGR: np.array([90, 40, 200]),
        InputType.YUV444: rgb_to_yuv444(colour)[0, 0],
        InputType.GRAY: rgb_to_yuv444(colour)[0, 0, :1],  # as the board will be fed
    }[train]
    np.testing.assert_allclose(found[0, 1, 1] + 128, expected, atol=1)


def test_featuremap_is_taken_as_it_is(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1, 3, H, W)).astype(np.float32)
    values.tofile(tmp_path / "f")
    kind = InputType.FEATUREMAP
    [found] = samples_of(config_of(tmp_path, kind, kind, dtype=DType.FLOAT32))
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("ending", ["bin", "npy"])
def test_featuremaps_of_other_types(ending: str, tmp_path: Path) -> None:
    values = np.arange(3 * H * W).reshape(1, 3, H, W)
    values.tofile(tmp_path / "f.bin") if ending == "bin" else np.save(tmp_path / "f.npy", values)
    config = config_of(tmp_path, InputType.FEATUREMAP, InputType.FEATUREMAP)
    item = replace(config.inputs[0], dtype=DType.INT64)
    [found] = samples_of(replace(config, inputs=(item,)))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, values)


def test_wide_samples_of_a_narrow_featuremap_are_to_be_written_anew(tmp_path: Path) -> None:
    """`cal_data_type` is of pixels: no hint may send anybody there."""
    np.zeros((3, H, W), np.float32).tofile(tmp_path / "a.bin")
    config = config_of(tmp_path, train=InputType.FEATUREMAP, rt=InputType.FEATUREMAP)
    config = replace(config, inputs=(replace(config.inputs[0], dtype=DType.FLOAT16),))
    with pytest.raises(CalibrationError) as caught:
        samples_of(config)
    assert caught.value.hint == "the size fits float32: write the samples as float16"


def test_noise_without_folder_is_always_the_same() -> None:
    for kind in (InputType.RGB, InputType.FEATUREMAP):
        rt = InputType.NV12 if kind is InputType.RGB else kind
        [first], [again] = (
            samples_of(config_of(None, kind, rt)),
            samples_of(config_of(None, kind, rt)),
        )
        np.testing.assert_array_equal(first, again)
        assert first.shape == (1, 3, H, W)


def test_wrong_size_names_file_found_and_expected(tmp_path: Path) -> None:
    np.zeros(3 * H * W, np.float32).tofile(tmp_path / "bad.bin")
    with pytest.raises(CalibrationError) as caught:
        samples_of(config_of(tmp_path))
    text = str(caught.value)
    assert "bad.bin" in text
    assert f"{12 * H * W} bytes" in text
    assert f"needs {3 * H * W}" in text
    assert "cal_data_type: 'float32'" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.full((1, 3, H, W), np.nan, np.float32), "not finite"),
        (np.full((1, 3, H, W), 300, np.float32), "not 0 to 255"),
        (np.full((1, 3, H, W), -2.5, np.float32), "not 0 to 255"),
    ],
)
def test_bad_float_pixels(tmp_path: Path, content: np.ndarray, message: str) -> None:
    content.tofile(tmp_path / "bad.bin")
    with pytest.raises(CalibrationError, match=message):
        samples_of(config_of(tmp_path, dtype=DType.FLOAT32))


def test_featuremap_with_nan(tmp_path: Path) -> None:
    np.full((1, 3, H, W), np.inf, np.float32).tofile(tmp_path / "a.bin")
    kind = InputType.FEATUREMAP
    with pytest.raises(CalibrationError, match="not finite"):
        samples_of(config_of(tmp_path, kind, kind, dtype=DType.FLOAT32))


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"this is text")
    with pytest.raises(CalibrationError, match="cannot be read as a picture"):
        samples_of(config_of(tmp_path, pictures=True))


def test_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="is not a folder"):
        samples_of(config_of(tmp_path / "absent"))
    with pytest.raises(CalibrationError, match="no calibration samples"):
        samples_of(config_of(tmp_path))


def test_pictures_for_a_featuremap(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    kind = InputType.FEATUREMAP
    with pytest.raises(CalibrationError, match="is a featuremap"):
        samples_of(config_of(tmp_path, kind, kind, pictures=True))


def test_two_inputs_pair_their_files(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
        np.zeros((1, 3, H, W), np.uint8).tofile(folder / "0")
    base = config_of(folders[0], rt=InputType.RGB)
    second = replace(base.inputs[0], name="other", cal_data_dir=folders[1])
    config = replace(base, inputs=(base.inputs[0], second))
    inputs = tuple(item.model_input() for item in config.inputs)
    [sample] = list(open_samples(config, inputs))
    assert set(sample) == {"data", "other"}
    np.zeros((1, 3, H, W), np.uint8).tofile(folders[1] / "1")
    with pytest.raises(CalibrationError, match="has 1 calibration samples"):
        open_samples(config, inputs)


@pytest.mark.parametrize("name", ["cal_f32", "cal"])
@pytest.mark.parametrize("stored", [DType.UINT8, DType.FLOAT32])
def test_the_size_of_the_files_decides_where_nobody_chose(
    tmp_path: Path, rgb: np.ndarray, name: str, stored: DType
) -> None:
    """The chapter's own script writes uint8 files into calibration_data_bgr_f32."""
    folder = tmp_path / name
    folder.mkdir()
    for index in range(2):
        rgb.transpose(2, 0, 1).astype(stored.numpy).tofile(folder / f"{index}.rgb")
    by_name = DType.FLOAT32 if name.endswith("_f32") else DType.UINT8
    config = config_of(folder, rt=InputType.RGB, dtype=by_name)
    config = replace(config, inputs=(replace(config.inputs[0], dtype_by_suffix=True),))
    told: list[Event] = []
    settled, findings = settle_sample_types(config, told.append)
    assert settled.inputs[0].cal_data_type is stored
    notes = [event.sentence for event in told if isinstance(event, Note)]
    assert bool(findings) == (stored is not by_name)
    [sentence] = [*notes, *map(str, findings)]
    assert stored.value in sentence
    np.testing.assert_array_equal(samples_of(settled)[1][0].transpose(1, 2, 0), centred(rgb))


def test_sizes_that_differ_leave_a_doubt(tmp_path: Path) -> None:
    for size in (3 * H * W, 12 * H * W):
        (tmp_path / str(size)).write_bytes(bytes(size))
    config = config_of(tmp_path, dtype=DType.UINT8)
    config = replace(config, inputs=(replace(config.inputs[0], dtype_by_suffix=True),))
    [item] = settle_sample_types(config)[0].inputs
    assert item.cal_data_type is DType.UINT8
    with pytest.raises(CalibrationError, match="the size fits float32"):
        samples_of(config)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (
            lambda path: np.save(path.with_suffix(".npy"), np.zeros((3, H, W))),
            "(.npy) with a header",
        ),
        (lambda path: Image.new("RGB", (9, 9)).save(path, "JPEG"), "preprocess_on is off"),
        (lambda path: Image.new("RGB", (9, 9)).save(path, "PNG"), "hb_mapper caldata"),
        (lambda path: Image.new("RGB", (9, 9)).save(path, "WEBP"), "this is a picture"),
        (lambda path: path.write_bytes(b""), "raw files hold one sample each"),
    ],
)
def test_files_that_are_no_raw_samples(tmp_path: Path, write: Any, expected: str) -> None:
    write(tmp_path / "a.bin")
    with pytest.raises(CalibrationError) as caught:
        samples_of(config_of(tmp_path))
    assert expected in caught.value.hint
