"""What a caller gives for the inputs of a frame, as the arrays that a model takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, Union

import numpy as np

from bpu_common.caller import canonical, describe
from bpu_common.errors import InputError
from bpu_common.frame import FrameInput
from bpu_common.input_files import encode_picture, read_input
from bpu_common.pictures import Fit, picture_pixels
from bpu_common.tensor import U8, AnyArray, ModelInput

if TYPE_CHECKING:
    from PIL import Image

Given: TypeAlias = Union[str, os.PathLike[str], "Image.Image", AnyArray, FrameInput]
"""For one input: the path of a picture or array, a picture, an array, or one with a region."""

Frame: TypeAlias = Given | tuple[Given, ...] | Mapping[str, Given]
"""For all inputs of a frame: the only one, all in their order, or all by name."""


def frame_inputs(
    frame: Frame, inputs: tuple[ModelInput, ...], fit: Fit = "stretch"
) -> dict[str, FrameInput]:
    """The inputs of one frame by name, checked.

    Args:
        inputs: of the model, in order.
        fit: how a picture of other proportions becomes an input's.

    Raises:
        InputError: a wrong number of them, a name the model does not have, or a value that does not
            fit; the message names the input.
        UsageError: a picture is given and Pillow is not installed.
    """
    names = [item.tensor.name for item in inputs]
    if isinstance(frame, Mapping):
        given = dict(frame)
    else:
        _refuse_collection(frame, names)
        each = frame if isinstance(frame, tuple) else (frame,)
        if len(each) != len(names):
            raise InputError(
                f"{len(each)} given for {len(names)} inputs",
                hint=f"the inputs are {', '.join(names)}, in this order",
            )
        given = dict(zip(names, each, strict=True))
    if set(given) != set(names):
        wrong = sorted(set(given) ^ set(names))
        kind = "is not an input" if wrong[0] in given else "is missing"
        raise InputError(f"{wrong[0]!r} {kind}", hint=f"the inputs are {', '.join(names)}")
    return {item.tensor.name: frame_input(given[item.tensor.name], item, fit) for item in inputs}


def frame_input(given: Given, target: ModelInput, fit: Fit = "stretch") -> FrameInput:
    """One input in the form that boards and engines take.

    A uint8 array (height, width, 3) for an image input is an RGB picture of any size. Every other
    array is in the input's own form (`ModelInput.caller_shape`).

    Raises:
        InputError: it does not fit.
    """
    if isinstance(given, FrameInput):
        if given.roi is None:
            return FrameInput(canonical(given.array, target))
        return FrameInput(np.ascontiguousarray(given.array), given.roi)
    if isinstance(given, (str, os.PathLike)):
        return FrameInput(read_input(Path(given), target, fit=fit))
    if isinstance(given, np.ndarray):
        if target.input_type.is_image and is_rgb(given):
            return FrameInput(encode_picture(given, target, fit))
        return FrameInput(canonical(given, target))
    if _is_pillow(given):
        name = target.tensor.name
        return FrameInput(encode_picture(picture_pixels(given, f"input {name!r}"), target, fit))
    raise InputError(
        f"input {target.tensor.name!r} is given as {_kind(given)}, {describe(target)} is wanted",
        hint="give a NumPy array, a picture (Pillow image, RGB array) or a path",
    )


def is_rgb(array: AnyArray) -> TypeGuard[U8]:
    """An RGB picture: uint8 (height, width, 3)."""
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3


def _is_pillow(given: object) -> TypeGuard[Image.Image]:
    """A Pillow image; Pillow is not imported, because whoever has one has imported it."""
    return any(
        f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(given).__mro__
    )


def _refuse_collection(frame: object, names: list[str]) -> None:
    """A list may mean frames, inputs or numbers: callers say which."""
    if isinstance(frame, (list, set)):
        order = ", ".join(names)
        raise InputError(
            f"{_kind(frame)} is not a frame",
            hint=f"several frames: batch(...); the inputs of one frame: a tuple ({order}); "
            "numbers: numpy.array(...)",
        )


def _kind(given: object) -> str:
    return "None" if given is None else f"a value of type {type(given).__name__}"
