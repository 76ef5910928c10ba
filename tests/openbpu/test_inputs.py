"""Every way to give an input means the same arrays, and every wrong kind is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_common.errors import BpuError, InputError
from bpu_common.frame import FrameInput
from bpu_common.image import encode_rgb
from bpu_common.input_files import read_input
from bpu_common.pictures import fitted
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec
from openbpu.inputs import frame_input, frame_inputs
from tests.support.models_board import HEIGHT, WIDTH, image_input

RGB = np.random.default_rng(5).integers(0, 256, (3 * HEIGHT, 2 * WIDTH, 3), np.uint8)
FEATURES = ModelInput(TensorSpec("x", (1, 8), DType.FLOAT32), InputType.FEATUREMAP, Layout.NONE)
IMAGES = [kind for kind in InputType if kind.is_image and kind is not InputType.GRAY]


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("kind", IMAGES)
def test_a_picture_in_every_form(tmp_path: Path, kind: InputType, fit: str) -> None:
    target = image_input(kind)
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    expected = encode_rgb(fitted(RGB, (HEIGHT, WIDTH), fit), target)
    for given in (path, str(path), RGB, Image.fromarray(RGB), Image.open(path)):
        np.testing.assert_array_equal(frame_input(given, target, fit).array, expected)


def test_an_array_in_the_inputs_own_form_is_taken_as_it_is() -> None:
    target = image_input(InputType.BGR)
    raw = np.random.default_rng(1).integers(0, 256, target.caller_shape, np.uint8)
    np.testing.assert_array_equal(frame_input(raw, target).array, raw)
    np.testing.assert_array_equal(frame_input(FrameInput(raw), target).array, raw)
    picture = frame_input(raw[0], target).array  # height, width, 3: an RGB picture
    np.testing.assert_array_equal(picture, raw[..., ::-1])


def test_letterbox_keeps_the_whole_picture() -> None:
    wide = np.full((10, 40, 3), 200, np.uint8)
    made = fitted(wide, (40, 40), "letterbox")
    assert (made[15:25] == 200).all()
    assert (made[:15] == 114).all()
    assert (made[25:] == 114).all()


def test_pictures_in_memory_follow_the_rules_of_files(tmp_path: Path) -> None:
    layer = Image.fromarray(np.dstack([RGB, np.full(RGB.shape[:2], 40, np.uint8)]), "RGBA")
    layer.save(tmp_path / "a.png")
    target = image_input(InputType.RGB)
    by_file = read_input(tmp_path / "a.png", target)
    np.testing.assert_array_equal(frame_input(layer, target).array, by_file)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "as None"),
        (b"\xff\xd8", "type bytes"),
        (3, "type int"),
        (np.zeros(5, np.uint8), "has shape"),
        (np.zeros((8, 16, 3), np.float32), "is float32"),
        ("no-such.jpg", "cannot"),
        ("clip.gif", "not a kind of picture"),
    ],
)
def test_wrong_kinds(given: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        frame_input(given, image_input())  # type: ignore[arg-type]
    assert caught.value.hint or caught.value.where


def test_a_picture_for_a_featuremap() -> None:
    with pytest.raises(InputError, match="is a featuremap"):
        frame_input(Image.fromarray(RGB), FEATURES)


def test_a_list_is_not_guessed_at() -> None:
    with pytest.raises(InputError, match="type list is not a frame") as caught:
        frame_inputs([RGB], (image_input(),))  # type: ignore[arg-type]
    assert "batch" in caught.value.hint


def test_several_inputs_in_order_and_by_name() -> None:
    pair = (image_input(name="left"), image_input(name="right"))
    first, second = RGB, RGB[::-1]
    by_order = frame_inputs((first, second), pair)
    by_name = frame_inputs({"right": second, "left": first}, pair)
    for name in ("left", "right"):
        np.testing.assert_array_equal(by_order[name].array, by_name[name].array)
    for frame in ((first,), (first,) * 3, {"left": first}, {"left": first, "middle": second}):
        with pytest.raises(BpuError) as caught:
            frame_inputs(frame, pair)
        assert "left, right" in caught.value.hint
