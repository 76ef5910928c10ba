"""Files as inputs of a model: pictures, arrays, raw bytes, folders of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bpu_common.board import ModelInfo
from bpu_common.errors import InputError
from bpu_common.image import check_caller_array, encode_rgb
from bpu_common.tensor import U8, AnyArray, ModelInput

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_KNOWN = PICTURES | {".npy", ".bin", ".raw", ".nv12", ".yuv"}


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """The files of one frame, one per input; they are read when `arrays` is called."""

    name: str
    inputs: tuple[ModelInput, ...]
    paths: tuple[Path, ...]
    crop: bool

    def arrays(self) -> dict[str, AnyArray]:
        """The frame's arrays by input name, in the caller's form.

        Raises:
            InputError: a file cannot be read or does not fit; `where` is the file.
        """
        return {
            value.tensor.name: read_input(path, value, crop=self.crop)
            for value, path in zip(self.inputs, self.paths, strict=True)
        }


def frames_of(
    info: ModelInfo, given: Sequence[str], *, crop: bool = False
) -> tuple[FrameFiles, ...]:
    """The frames that files and folders make for a model.

    A model with one input gets a frame per file; one with several gets its first input from the
    first of `given` and so on, file by file where these are folders.

    Raises:
        InputError: a missing file, an empty folder, or numbers that do not fit.
    """
    groups = [_expand(Path(text)) for text in given]
    inputs = info.inputs
    if len(inputs) == 1:
        paths = [(path,) for group in groups for path in group]
    else:
        if len(groups) != len(inputs):
            names = ", ".join(value.tensor.name for value in inputs)
            raise InputError(
                f"{len(groups)} inputs given, the model has {len(inputs)}: {names}",
                where=f"model {info.name}",
            )
        if len({len(group) for group in groups}) != 1:
            counts = ", ".join(str(len(group)) for group in groups)
            raise InputError(f"the folders hold different numbers of files: {counts}")
        paths = list(zip(*groups, strict=True))
    labels = _distinct([each[0] for each in paths])
    return tuple(
        FrameFiles(name, inputs, each, crop) for name, each in zip(labels, paths, strict=True)
    )


def read_input(path: Path, target: ModelInput, *, crop: bool = False) -> AnyArray:
    """One file as the array that an input takes.

    Raises:
        InputError: it cannot be read or does not fit.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICTURES:
            return encode_rgb(_picture(path, target, crop), target)
        if suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            array = np.frombuffer(_whole(path, target), target.caller_dtype.numpy)
        check_caller_array(array, target)
        return np.ascontiguousarray(array).reshape(target.caller_shape)
    except InputError as error:
        raise InputError(error.message, where=str(path), hint=error.hint) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read the file: {reason}", where=str(path)) from None
    except ValueError as error:
        raise InputError(f"not a NumPy array file: {error}", where=str(path)) from None


def _whole(path: Path, target: ModelInput) -> bytes:
    size_bytes = path.stat().st_size
    if size_bytes != target.caller_size_bytes:
        raise InputError(
            f"{size_bytes} bytes, the input {target.tensor.name!r} takes "
            f"{target.caller_size_bytes} ({target.input_type.value}, {target.caller_dtype.value})"
        )
    return path.read_bytes()


def _picture(path: Path, target: ModelInput, crop: bool) -> U8:
    """RGB uint8 (H, W, 3) of the input's size; EXIF orientation applied, bilinear."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not target.input_type.is_image:
        raise InputError(
            f"the input {target.tensor.name!r} takes float values, not a picture",
            hint="give a .npy or .bin file of float32",
        )
    size = (target.width, target.height)
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"not a picture that can be read ({error})") from None
    if picture.size != size:
        bilinear = Image.Resampling.BILINEAR
        picture = ImageOps.fit(picture, size, bilinear) if crop else picture.resize(size, bilinear)
    return np.asarray(picture)


def _expand(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        if not path.exists():
            raise InputError("no such file or folder", where=str(path))
        return (path,)
    files = tuple(
        sorted(each for each in path.iterdir() if each.is_file() and each.suffix.lower() in _KNOWN)
    )
    if not files:
        raise InputError(
            "no pictures or arrays in this folder",
            where=str(path),
            hint=f"files that end in {', '.join(sorted(_KNOWN))} are taken",
        )
    return files


def _distinct(paths: Sequence[Path]) -> list[str]:
    """File names without suffix, with it where two would be the same, else numbered."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{index}_{path.stem}" for index, path in enumerate(paths)]
