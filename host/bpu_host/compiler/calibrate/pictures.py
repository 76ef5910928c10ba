"""Picture files as training pixels: read and resized as skimage does (`preprocess_on`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage import color, io, transform, util

from bpu_common.errors import CalibrationError
from bpu_common.image import rgb_to_yuv444
from bpu_common.tensor import F64, U8, AnyArray, InputType, Layout
from bpu_host.compiler.config.values import InputConfig

# skimage has no annotations for these.
_imread: Callable[..., AnyArray] = io.imread
_img_as_float: Callable[..., F64] = util.img_as_float
_gray2rgb: Callable[..., F64] = color.gray2rgb
_rgba2rgb: Callable[..., F64] = color.rgba2rgb
_rgb2gray: Callable[..., F64] = color.rgb2gray
_resize: Callable[..., F64] = transform.resize


def read_picture(path: Path, config: InputConfig) -> U8:
    """A picture in training type, size and layout: uint8 of `config.shape`.

    skimage's defaults decide: real values 0..1, linear resize with anti-aliasing when shrinking.

    Raises:
        CalibrationError: a file that is no still picture.
    """
    picture = _rgb(path)
    if config.train_type is InputType.GRAY:
        picture = _rgb2gray(picture)[..., None]
    height, width, _ = config.shape_hwc
    resized = _resize(picture, (height, width))
    pixels: U8 = np.rint(resized * 255).clip(0, 255).astype(np.uint8)
    if config.train_type is InputType.BGR:
        pixels = pixels[..., ::-1]
    elif config.train_type is InputType.YUV444:
        pixels = rgb_to_yuv444(pixels)
    nhwc = config.train_layout is Layout.NHWC
    return np.ascontiguousarray((pixels if nhwc else pixels.transpose(2, 0, 1))[None])


def _rgb(path: Path) -> F64:
    """(H, W, 3) real values 0..1."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = _img_as_float(_imread(path))
    except Exception as error:  # readers raise whatever their plug-in raises
        raise CalibrationError(
            f"cannot be read as a picture ({type(error).__name__})",
            where=str(path),
            hint="with preprocess_on the folder holds jpg, png or bmp files only",
        ) from error
    if picture.ndim == 2:
        return _gray2rgb(picture)
    if picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise CalibrationError(
            f"is no still picture: its shape is {picture.shape}", where=str(path)
        )
    return picture if picture.shape[2] == 3 else _rgba2rgb(picture)
