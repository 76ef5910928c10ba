"""Picture files as training pixels, resized as skimage does (`preprocess_on`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage import transform, util

from bpu_common.errors import CalibrationError, InputError
from bpu_common.image import rgb_to_gray, rgb_to_yuv444
from bpu_common.pictures import read_picture
from bpu_common.tensor import F64, U8, InputType, Layout
from bpu_host.compiler.config.values import InputConfig

# skimage has no annotations for these.
_img_as_float: Callable[..., F64] = util.img_as_float
_resize: Callable[..., F64] = transform.resize


def training_pixels(path: Path, config: InputConfig) -> U8:
    """A picture in training type, size and layout: uint8 of `config.shape`.

    The file is read as every picture is (`bpu_common.pictures`). skimage's defaults decide how it
    is resized: real values 0..1, linear, with anti-aliasing when shrinking.

    Raises:
        CalibrationError: a file that is no picture of a known format, or is damaged or too large.
    """
    try:
        rgb = read_picture(path)
    except InputError as error:
        raise CalibrationError(error.message, where=error.where, hint=error.hint) from None
    height, width, _ = config.shape_hwc
    resized = _resize(_img_as_float(rgb), (height, width))
    pixels: U8 = np.rint(resized * 255).clip(0, 255).astype(np.uint8)
    match config.train_type:
        case InputType.BGR:
            pixels = pixels[..., ::-1]
        case InputType.GRAY:
            pixels = rgb_to_gray(pixels)
        case InputType.YUV444:
            pixels = rgb_to_yuv444(pixels)
        case _:
            pass
    nhwc = config.train_layout is Layout.NHWC
    return np.ascontiguousarray((pixels if nhwc else pixels.transpose(2, 0, 1))[None])
