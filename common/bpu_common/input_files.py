"""Files as inputs of a model: pictures, arrays, raw bytes, numbers; told apart by their ending."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bpu_common.caller import canonical, describe, size_hint
from bpu_common.errors import InputError
from bpu_common.image import encode_rgb
from bpu_common.pictures import PICTURE_SUFFIXES, Fit, fitted, read_picture
from bpu_common.tensor import U8, AnyArray, InputType, ModelInput

RAW_SUFFIXES = frozenset({".bin", ".raw", ".yuv"}) | {
    f".{each.value}" for each in InputType if each.is_image
}
NUMPY_SUFFIX = ".npy"
FOLDER_SUFFIXES = PICTURE_SUFFIXES | RAW_SUFFIXES | {NUMPY_SUFFIX}
"""Endings of files that are taken out of a folder; a .txt there is rather a note."""

_OTHER_PICTURES = frozenset({".avif", ".gif", ".heic", ".heif", ".jp2", ".svg", ".tif", ".tiff"})
_ENDINGS = ", ".join(sorted(suffix.lstrip(".") for suffix in FOLDER_SUFFIXES | {".txt"}))


def read_input(path: Path, target: ModelInput, *, fit: Fit = "stretch") -> AnyArray:
    """One file as the array that an input takes, in the caller's form.

    The ending, upper or lower case, tells a picture (resized bilinearly to the input and converted
    to what it takes), a NumPy array (.npy), numbers separated by blanks or commas (.txt, for
    featuremaps) or raw bytes (the rest of `FOLDER_SUFFIXES`).

    Args:
        fit: how a picture of other proportions becomes the input's.

    Returns:
        An array of `target.caller_shape` and `target.caller_dtype`.

    Raises:
        InputError: missing, of an unknown kind, unreadable, or it does not fit; `where` is the
            file.
        UsageError: a picture is given and Pillow is not installed.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURE_SUFFIXES:
            return encode_picture(read_picture(path), target, fit)
        if suffix == NUMPY_SUFFIX:
            return canonical(_npy(path), target)
        if suffix == ".txt":
            return _numbers(path, target)
        if suffix in RAW_SUFFIXES:
            return _raw(path, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read the input file: {reason}", where=str(path)) from None
    except InputError as error:
        raise InputError(error.message, where=str(path), hint=error.hint) from None
    if suffix in _OTHER_PICTURES:
        raise InputError(
            f"{suffix} is not a kind of picture that is read",
            where=str(path),
            hint="save it as JPEG, PNG, BMP or WEBP first",
        )
    raise InputError(
        f"input files do not end in {path.suffix or 'nothing'}",
        where=str(path),
        hint=f"known endings: {_ENDINGS}",
    )


def encode_picture(rgb: U8, target: ModelInput, fit: Fit = "stretch") -> U8:
    """An RGB picture of any size, uint8 (H, W, 3), as the array that an input takes.

    Returns:
        uint8 array of `target.caller_shape`.

    Raises:
        InputError: the input is a featuremap.
        UsageError: Pillow is not installed, and the picture has another size.
    """
    if not target.input_type.is_image:
        raise InputError(
            f"input {target.tensor.name!r} is a featuremap ({describe(target)}), not a picture",
            hint=f"give a .npy or .bin file of {target.caller_dtype.value} values or a .txt file",
        )
    return encode_rgb(fitted(rgb, (target.height, target.width), fit), target)


def _npy(path: Path) -> AnyArray:
    """The array of a .npy file; mapped, because its header may promise more than the file holds."""
    try:
        return np.array(np.lib.format.open_memmap(path, mode="r"))
    except OSError:
        raise
    except Exception as error:  # its header is Python text: whatever reading that raises
        raise InputError(f"is not a NumPy array file: {error}") from error


def _numbers(path: Path, target: ModelInput) -> AnyArray:
    name = target.tensor.name
    if target.input_type.is_image:
        raise InputError(
            f"input {name!r} takes a picture or raw bytes ({describe(target)}), not numbers"
        )
    try:
        words = path.read_text(encoding="ascii").replace(",", " ").split()
        values = np.array([float(word) for word in words], np.float32)
    except ValueError:
        raise InputError("the file holds something that is not a number") from None
    wanted = target.caller_size_bytes // target.caller_dtype.size_bytes
    if values.size != wanted:
        raise InputError(f"input {name!r} takes {wanted} numbers, the file holds {values.size}")
    return canonical(values, target)


def _raw(path: Path, target: ModelInput) -> AnyArray:
    size_bytes = path.stat().st_size
    if size_bytes != target.caller_size_bytes:
        raise InputError(
            f"the file holds {size_bytes} bytes, input {target.tensor.name!r} takes "
            f"{describe(target)}",
            hint=size_hint(target),
        )
    return canonical(np.fromfile(path, target.caller_dtype.numpy), target)
