"""`hb_mapper caldata`: calibration samples from a folder of pictures.

A sample file holds the raw values of one picture, without header, as `cal_data_dir` wants it:
training type and layout, 0..255, mean and scale not applied.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bpu_common.errors import InputError, UsageError
from bpu_common.files import writing
from bpu_common.image import rgb_to_gray, rgb_to_yuv444
from bpu_common.pictures import MAX_PIXELS, PICTURE_SUFFIXES, Interpolation, read_picture, resize
from bpu_common.tensor import U8
from bpu_host.cli.mapper_log import Progress, logger
from bpu_host.compiler.events import Advanced

MAX_BAD_SHARE = 0.1
"""Of the files of a folder: so many that cannot be read are left out; more are a mistake."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture becomes a sample.

    Attributes:
        short_side: length of the short side before the crop; None: 256/224 of the smaller size.
        pixel_type: "rgb", "bgr", "yuv444" (BT.601 full range) or "gray" (ITU-R 601 luma).
        layout: "NCHW" or "NHWC".
        dtype: "float32" or "uint8".
    """

    size_hw: tuple[int, int]
    short_side: int | None = None
    interpolation: Interpolation = "bilinear"
    pixel_type: str = "rgb"
    layout: str = "NCHW"
    dtype: str = "float32"


def run(source: Path, target: Path, recipe: Recipe, every: int, progress: Progress) -> None:
    """Write one sample per picture; the folder appears when all are done.

    Raises:
        UsageError: no such folder, no pictures, a target that holds files already or cannot be
            written.
        CapacityError: the disk is full.
        InputError: more than `MAX_BAD_SHARE` of the files are no pictures.
    """
    if not source.is_dir():
        raise UsageError("is not a folder of pictures", where=str(source))
    pictures = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    files = pictures[::every]
    if not files:
        raise UsageError(
            "holds no pictures",
            where=str(source),
            hint=f"known are {', '.join(sorted(PICTURE_SUFFIXES))}",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError("exists and is not empty", where=str(target), hint="name a new folder")
    with writing(target, otherwise="name another folder"):
        left_out = _write(files, target, recipe, progress)
    height, width = recipe.size_hw
    logger.info(
        "%d samples in %s: short side to %d (%s), centre crop %dx%d, %s %s %s",
        len(files) - len(left_out),
        target,
        _short_side(recipe),
        recipe.interpolation,
        height,
        width,
        recipe.pixel_type,
        recipe.layout,
        recipe.dtype,
    )
    logger.info("in the YAML: cal_data_dir: '%s' and cal_data_type: '%s'", target, recipe.dtype)
    for each in left_out:
        logger.warning("left out: %s: %s", each.where, each.message)


def _write(
    files: Sequence[Path], target: Path, recipe: Recipe, progress: Progress
) -> list[InputError]:
    """Write the samples of all files that are pictures; returns why the others are none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    bad: list[InputError] = []
    try:
        staging.chmod(0o755)
        for index, path in enumerate(files):
            try:
                sample = make_sample(path, recipe)
            except InputError as error:
                bad.append(error)
                if len(bad) > len(files) * MAX_BAD_SHARE:
                    raise
            else:
                file = staging / f"{index:05d}_{path.stem}.{recipe.pixel_type}"
                file.write_bytes(sample.tobytes())
            progress.show(Advanced("pictures", index + 1, len(files)))
        if target.exists():
            target.rmdir()
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return bad


def make_sample(path: Path, recipe: Recipe) -> np.ndarray:
    """One picture as the array whose bytes are the sample.

    Raises:
        InputError: not a picture that can be read.
    """
    pixels = crop(path, recipe)
    if recipe.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None].astype(recipe.dtype))


def crop(path: Path, recipe: Recipe) -> U8:
    """The picture resized and cropped: uint8 (H, W, channels) in the recipe's pixel type."""
    height, width = recipe.size_hw
    whole = read_picture(path)
    short_side = _short_side(recipe)
    ratio = max(short_side / min(whole.shape[:2]), height / whole.shape[0], width / whole.shape[1])
    size_hw = (
        max(height, round(whole.shape[0] * ratio)),
        max(width, round(whole.shape[1] * ratio)),
    )
    if size_hw[0] * size_hw[1] > MAX_PIXELS:
        raise InputError(
            f"would be resized to {size_hw[0]} x {size_hw[1]} pixels, too many",
            where=str(path),
            hint="cut it to the part that matters, or give a smaller --size or --short-side",
        )
    resized = resize(whole, size_hw, recipe.interpolation)
    top, left = (size_hw[0] - height) // 2, (size_hw[1] - width) // 2
    rgb = resized[top : top + height, left : left + width]
    match recipe.pixel_type:
        case "bgr":
            return rgb[..., ::-1]
        case "gray":
            return rgb_to_gray(rgb)
        case "yuv444":
            return rgb_to_yuv444(rgb)
        case _:
            return rgb


def _short_side(recipe: Recipe) -> int:
    if recipe.short_side is not None:
        return recipe.short_side
    return round(min(recipe.size_hw) * 256 / 224)
