"""Files as inputs: what their ending says, and files that do not hold what it says."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.errors import InputError
from bpu_common.image import encode_rgb
from bpu_common.input_files import read_input
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from tests.support import picture_files as files
from tests.support.models_board import HEIGHT, WIDTH, image_input

FEATURE = ModelInput(TensorSpec("x", (1, 2, 3), DType.FLOAT32), InputType.FEATUREMAP, Layout.NONE)
VALUES = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 4
RGB = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", npy(VALUES)),
        ("a.NPY", npy(VALUES[0])),
        ("a.bin", VALUES.tobytes()),
        ("a.raw", VALUES.tobytes()),
        ("a.txt", b"0 0.25 0.5\n0.75, 1,\t1.25\n"),
    ],
)
def test_featuremap(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_input(tmp_path / name, FEATURE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("kind", [each for each in InputType if each.is_image])
def test_image(tmp_path: Path, kind: InputType) -> None:
    channels = 1 if kind is InputType.GRAY else 3
    spec = TensorSpec("data", (1, HEIGHT, WIDTH, channels), DType.INT8, Layout.NHWC)
    target = ModelInput(spec, kind, Layout.NHWC)
    wanted = encode_rgb(RGB, target)
    for name, content in (
        ("a.Png", files.png(RGB)),
        ("a.npy", npy(wanted)),
        (f"a.{kind.value}", wanted.tobytes()),
    ):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_input(tmp_path / name, target), wanted)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gif", b"GIF89a", ".gif is not a kind of picture"),
        ("a", b"x", "do not end in nothing"),
        ("a.npy", b"", "is not a NumPy array file"),
        ("a.npy", b"text", "is not a NumPy array file"),
        ("a.npy", npy(VALUES)[:-1], "is not a NumPy array file"),
        ("a.npy", npy(VALUES).replace(b"(1, 2, 3)", b"(9**9**9)"), "is not a NumPy array file"),
        (
            "a.npy",
            npy(VALUES).replace(b"(1, 2, 3), }    ", b"(99999, 99999,)}"),
            "NumPy array file",
        ),
        ("a.npy", npy(np.array([{}], object)), "is not a NumPy array file"),
        ("a.bin", bytes(23), "holds 23 bytes, input 'x' takes featuremap 1x2x3 (24 bytes"),
        ("a.txt", b"1 2 3", "takes 6 numbers, the file holds 3"),
        ("a.txt", b"1 2 3 4 5 six", "not a number"),
        ("a.txt", b"\xff", "not a number"),
        ("a.png", files.png(RGB), "is a featuremap"),
        ("absent.bin", None, "No such file"),
        ("absent.npy", None, "No such file"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_input(tmp_path / name, FEATURE)
    assert message in caught.value.message
    assert caught.value.where == str(tmp_path / name)


def test_numbers_are_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(InputError, match="takes a picture or raw bytes"):
        read_input(tmp_path / "a.txt", image_input())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 159), st.integers(0, 255)), max_size=6), st.integers(0, 160)
)
def test_a_damaged_array_file_gives_an_array_or_a_sentence(
    tmp_path: Path, flips: list[tuple[int, int]], size_bytes: int
) -> None:
    content = bytearray(npy(VALUES))
    for place, value in flips:
        content[place % len(content)] = value
    (tmp_path / "a.npy").write_bytes(content[: size_bytes if size_bytes % 2 else len(content)])
    try:
        found = read_input(tmp_path / "a.npy", FEATURE)
    except InputError:
        return
    assert (found.shape, found.dtype) == (VALUES.shape, np.float32)
