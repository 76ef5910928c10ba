"""Samples that are few, copies, of one colour, saturated or of 0..1 are noticed, once each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bpu_common.tensor import DType, InputType, Layout
from bpu_host.compiler.calibrate import open_samples
from bpu_host.compiler.config.doubts import doubts
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.findings import Finding

H, W = 8, 10
Array = np.ndarray


def photo(random: np.random.Generator) -> Array:
    return random.integers(0, 256, (1, 3, H, W), dtype=np.uint8)


def input_of(
    folder: Path,
    *,
    dtype: DType = DType.UINT8,
    kind: InputType = InputType.RGB,
    mean: tuple[float, ...] = (),
    scale: tuple[float, ...] = (),
) -> InputConfig:
    return InputConfig(
        "data", (1, 3, H, W), kind, Layout.NCHW, kind, Layout.NCHW,
        mean=mean, scale=scale, cal_data_dir=folder, cal_data_type=dtype,
    )  # fmt: skip


def findings_of(*items: InputConfig, passes: int = 2) -> tuple[Finding, ...]:
    config = CompileConfig(Path("m.onnx"), "m", Path("out"), items)
    samples = open_samples(config, tuple(item.model_input() for item in items))
    for _ in range(passes):
        for _sample in samples:
            pass
    return samples.findings()


def write(folder: Path, arrays: list[Array]) -> None:
    folder.mkdir(exist_ok=True)
    for index, array in enumerate(arrays):
        array.tofile(folder / f"{index:03}.rgb")


def some(count: int) -> list[Array]:
    random = np.random.default_rng(count)
    return [photo(random) for _ in range(count)]


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 different sample;"), (49, "49 different samples;"), (50, ""), (60, "")],
)
def test_few_samples(tmp_path: Path, count: int, words: str) -> None:
    write(tmp_path, some(count))
    sentences = [finding.sentence for finding in findings_of(input_of(tmp_path))]
    assert len(sentences) == (1 if words else 0)
    assert all(sentence.startswith(words) for sentence in sentences)


def test_copies_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, some(45) + some(45)[:15])
    few, copies = findings_of(input_of(tmp_path))
    assert few.sentence.startswith("45 different samples;")
    assert copies.sentence == "15 of 60 samples are copies (045.rgb is 000.rgb)"
    assert copies.subject == str(tmp_path)


ODD: dict[str, tuple[Callable[[Array], Array], str]] = {
    "one colour": (
        lambda x: np.broadcast_to(np.array([9, 8, 7], np.uint8)[:, None, None], x.shape),
        "have a single colour",
    ),
    "one colour, from JPEG": (lambda x: x % 2 + np.uint8(80), "have a single colour"),
    "white": (
        lambda x: np.where(np.arange(W) < W - (np.arange(H) == 0)[:, None] * 3, 255, x // 2)
        .astype(np.uint8),
        "are black or white almost everywhere",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures(tmp_path: Path, name: str) -> None:
    change, words = ODD[name]
    pictures = some(60)
    for index in (7, 30):
        pictures[index] = np.ascontiguousarray(change(pictures[index]))
    pictures[30][0, 0, 0, 0] ^= 1  # no copy
    write(tmp_path, pictures)
    (finding,) = findings_of(input_of(tmp_path))
    assert finding.sentence == f"2 of 60 pictures (007.rgb first) {words}"


def test_pixels_within_one_are_said_once_for_the_set(tmp_path: Path) -> None:
    write(tmp_path, [(picture / 255).astype(np.float32) for picture in some(60)])
    (finding,) = findings_of(input_of(tmp_path, dtype=DType.FLOAT32), passes=3)
    assert finding.sentence == "60 of 60 pictures (000.rgb first) hold values within 0..1 only"


def test_black_float_pictures_are_of_one_colour(tmp_path: Path) -> None:
    write(tmp_path, [np.zeros((1, 3, H, W), np.float32)])
    assert "single colour" in findings_of(input_of(tmp_path, dtype=DType.FLOAT32))[1].sentence


def test_featuremaps_may_hold_anything_but_copies(tmp_path: Path) -> None:
    write(tmp_path, [np.full((1, 3, H, W), index / 100, np.float32) for index in range(60)])
    item = input_of(tmp_path, dtype=DType.FLOAT32, kind=InputType.FEATUREMAP)
    assert findings_of(item) == ()


def test_a_sample_is_a_copy_if_all_its_inputs_are(tmp_path: Path) -> None:
    """An input that is always the same beside pictures that differ."""
    write(tmp_path / "a", some(60))
    write(tmp_path / "b", [np.ones((1, 3, H, W), np.float32)] * 60)
    second = input_of(tmp_path / "b", dtype=DType.FLOAT32, kind=InputType.FEATUREMAP)
    assert findings_of(input_of(tmp_path / "a"), replace(second, name="other")) == ()


@pytest.mark.parametrize(
    ("mean", "scale", "hints"),
    [
        ((), (), []),
        ((127.0,), (1 / 128,), []),
        ((123.675, 116.28, 103.53), (0.01712, 0.0175, 0.01743), []),
        ((0.0,), (1.0,), []),
        ((127.5,), (127.5,), ["write 0.007843"]),
        (
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
            ["write 0.01712 0.01751 0.01743"],
        ),
        ((127.5,), (0.5,), ["write 0.007843"]),
        (
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
            ["write 123.7 116.3 103.5", "write 0.01712 0.01751 0.01743"],
        ),
    ],
)
def test_mean_and_scale_in_other_units(
    mean: tuple[float, ...], scale: tuple[float, ...], hints: list[str]
) -> None:
    item = input_of(Path("cal"), mean=mean, scale=scale)
    found = doubts(CompileConfig(Path("m.onnx"), "m", Path("out"), (item,)))
    assert len(found) == len(hints)
    for finding, hint in zip(found, hints, strict=True):
        assert finding.hint.endswith(hint)


def test_featuremaps_may_have_any_scale() -> None:
    item = input_of(Path("cal"), kind=InputType.FEATUREMAP, mean=(0.5,), scale=(40.0,))
    assert doubts(CompileConfig(Path("m.onnx"), "m", Path("out"), (item,))) == ()
