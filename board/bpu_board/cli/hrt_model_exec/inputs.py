"""Input files of `hrt_model_exec`: pictures, raw bytes, plain numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bpu_board.runtime.executor import describe, from_bytes
from bpu_common.board import ModelInfo
from bpu_common.errors import InputError, UsageError
from bpu_common.image import encode_rgb
from bpu_common.tensor import AnyArray, ModelInput

_PICTURES = {".jpg", ".jpeg", ".png"}
_KINDS = "jpg, jpeg, png, bin or txt"


def split_files(text: str) -> list[Path]:
    """Paths of a comma separated list; blanks around them do not count."""
    return [Path(part.strip()) for part in text.split(",") if part.strip()]


def read_inputs(model: ModelInfo, text: str) -> dict[str, AnyArray]:
    """One array per input of the model, in the caller's form, from a comma separated list.

    Raises:
        InputError: the number of files is wrong, or a file is missing or does not fit its input.
        UsageError: a picture is given and Pillow is not installed.
    """
    files = split_files(text)
    if len(files) != len(model.inputs):
        raise InputError(
            f"model {model.name} has {len(model.inputs)} input(s), {len(files)} file(s) are given",
            hint="give one file per input in --input_file, separated by commas",
        )
    return {
        spec.tensor.name: read_input(model.name, spec, path)
        for spec, path in zip(model.inputs, files, strict=True)
    }


def read_input(model: str, spec: ModelInput, path: Path) -> AnyArray:
    """One input from a file; its kind follows from the suffix, upper or lower case.

    Raises:
        InputError: the file is missing, of an unknown kind, or does not fit.
        UsageError: a picture is given and Pillow is not installed.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".bin":
            return from_bytes(model, spec, path.read_bytes())
        if kind == ".txt":
            return _read_text(model, spec, path)
    except OSError as error:
        raise InputError(f"cannot read the input file: {error.strerror}", where=str(path)) from None
    except InputError as error:
        raise InputError(error.message, where=str(path), hint=error.hint) from None
    if kind in _PICTURES:
        return _read_picture(model, spec, path)
    raise InputError(
        f"input files are {_KINDS}, this one ends in {path.suffix or 'nothing'}", where=str(path)
    )


def _read_text(model: str, spec: ModelInput, path: Path) -> AnyArray:
    if spec.input_type.is_image:
        raise InputError(
            f"input {spec.tensor.name!r} of model {model} takes a picture or raw bytes "
            f"({describe(spec)}), not numbers"
        )
    try:
        words = path.read_text(encoding="ascii").replace(",", " ").split()
        values = np.array([float(word) for word in words], np.float32)
    except ValueError:
        raise InputError("the file holds something that is not a number") from None
    wanted = int(np.prod(spec.caller_shape))
    if values.size != wanted:
        raise InputError(
            f"input {spec.tensor.name!r} of model {model} takes {wanted} numbers, "
            f"the file holds {values.size}"
        )
    return values.reshape(spec.caller_shape)


def _read_picture(model: str, spec: ModelInput, path: Path) -> AnyArray:
    if not spec.input_type.is_image:
        raise InputError(
            f"input {spec.tensor.name!r} of model {model} is a featuremap ({describe(spec)}), "
            "not a picture",
            where=str(path),
            hint="give a .bin file of float32 values or a .txt file of numbers",
        )
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UsageError(
            "reading pictures needs Pillow, which is not installed",
            where=str(path),
            hint="pip install 'openbpu-board[images]', or give raw bytes as a .bin file",
        ) from None
    try:
        with Image.open(path) as picture:
            resized = picture.convert("RGB").resize(
                (spec.width, spec.height), Image.Resampling.BILINEAR
            )
    except UnidentifiedImageError:
        raise InputError("the file is not a picture that can be read", where=str(path)) from None
    except (OSError, Image.DecompressionBombError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read the picture: {reason}", where=str(path)) from None
    return encode_rgb(np.asarray(resized), spec)
