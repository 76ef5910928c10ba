"""A model in this process gives the board's numbers and the board's time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import openbpu
from bpu_common import container
from bpu_common.device_kind import DeviceKind
from bpu_common.errors import BpuError, InputError, UsageError
from bpu_common.tensor import InputType
from openbpu.results import Result, html_table
from tests.support.models_board import (
    HEIGHT,
    WIDTH,
    expected_codes,
    image_input,
    tiny_model,
)

RGB = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.bin"
    file.write_bytes(container.dump([tiny_model()]))
    return file


def test_the_numbers(path: Path) -> None:
    model = openbpu.Model(path)
    result = model(RGB)
    np.testing.assert_array_equal(result[0], expected_codes(RGB[None], image_input()))
    assert list(result) == [spec.name for spec in model.info.outputs]
    assert len(model.batch([RGB, (RGB,), {"data": RGB}])) == 3


def test_any_thread_may_call(path: Path) -> None:
    model = openbpu.Model(path)
    frames = [np.roll(RGB, shift) for shift in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model, frames))
    for frame, result in zip(frames, found, strict=True):
        np.testing.assert_array_equal(result[0], expected_codes(frame[None], image_input()))


def test_one_line_and_one_table(path: Path) -> None:
    model = openbpu.Model(path)
    result = model(RGB)
    for text in (repr(model), repr(result)):
        assert len(text.splitlines()) == 1
    assert "simulated" in repr(result)
    assert f"[{result[0].min()}, {result[0].max()}]" in repr(result)
    for html in (model._repr_html_(), result._repr_html_()):
        assert html.startswith("<table>")


def test_names_are_escaped_in_tables() -> None:
    assert "<script>" not in html_table("<script>", ["<script>"], [["<script>"]])


def test_the_best_values() -> None:
    result = Result(
        "net", {"scores": np.array([[0.1, 0.7, 0.2]], np.float32)}, 1.0, DeviceKind.SIMULATED
    )
    assert [label for label, _ in result.top(2)] == [1, 2]
    assert [label for label, _ in result.top(2, labels=["a", "b", "c"])] == ["b", "c"]
    with pytest.raises(UsageError, match="2 labels for 3 values"):
        result.top(labels=["a", "b"])


def test_files_with_several_models(tmp_path: Path) -> None:
    file = tmp_path / "two.bin"
    models = [tiny_model("a"), tiny_model("b", InputType.NV12, seed=1)]
    file.write_bytes(container.dump(models))
    assert openbpu.Model(file, name="b").name == "b"
    with pytest.raises(UsageError, match="holds 2 models") as caught:
        openbpu.Model(file)
    assert "a, b" in caught.value.hint
    with pytest.raises(UsageError, match="no model 'c'"):
        openbpu.Model(file, name="c")


@pytest.mark.parametrize("content", [None, b"", b"\x08\x07not a model"])
def test_no_model(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "net.bin"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BpuError) as caught:
        openbpu.Model(file)
    assert str(file) in str(caught.value)


def test_inputs_are_checked(path: Path) -> None:
    model = openbpu.Model(path)
    with pytest.raises(InputError, match="2 given for 1 input"):
        model(RGB, RGB)
    with pytest.raises(InputError, match="as None"):
        model(None)  # type: ignore[arg-type]
