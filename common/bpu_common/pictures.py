"""Picture files as pixels: the one reader of photos, wherever one enters.

A file gives the same RGB pixels for `bpu run`, `hrt_model_exec`, `hb_mapper caldata`, calibration
with `preprocess_on` and the demonstration:

- JPEG, PNG, BMP and WEBP, recognised by content, whatever the file is called. No other decoder is
  tried, so that a "photo" cannot start a program (PostScript).
- The first picture of an animation or of a JPEG with several.
- Turned upright as its EXIF orientation says.
- Transparent parts show white, as in a viewer and in skimage's `rgba2rgb`: the colour hidden below
  them was never meant to be seen. A half transparent value is mixed and rounded to the nearest.
- 16 bit samples become their upper 8 bits (value >> 8).
- Grey, 1-bit and palette pictures become the colours they show; CMYK becomes
  (255 - ink) * (255 - black) / 255. Colour profiles and gamma are not applied.
- At most `MAX_PIXELS`, checked before anything is decoded.

Pillow decodes. It is imported when a picture is read: the board's wheel works without it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from bpu_common.errors import InputError, UsageError
from bpu_common.tensor import U8

if TYPE_CHECKING:
    from types import ModuleType

    from PIL import Image

MAX_PIXELS = 1 << 27
"""134 million: the largest phone sensors have 108; decoding takes up to 10 bytes a pixel."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""Lower case endings of the names of picture files; what a file holds is told by its content."""

Interpolation = Literal["bilinear", "bicubic"]
Fit = Literal["stretch", "crop", "letterbox"]
"""How a picture gets other proportions: stretched; its middle part; whole, with grey bars."""

FITS: tuple[Fit, ...] = get_args(Fit)

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_ORIENTATION = 0x0112
_WHITE = 255
_BARS = 114
"""The grey beside a letterboxed picture, as the common detectors are trained with."""
_BLOCK = 1024
_FACTORS = {"L;2": 85, "L;4": 17}
"""Pillow spreads grey samples of 2 and 4 bits over 0..255, but not the key that is compared."""

# `warnings.catch_warnings` is not safe in threads; two readers must not undo each other's filters.
_quiet = threading.Lock()


def read_picture(path: str | Path) -> U8:
    """The pixels of a picture file, by the rules above.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous, writable, the caller's own.

    Raises:
        InputError: missing, no picture of these formats, damaged or too large; `where` is the file.
        UsageError: Pillow is not installed.
    """
    path = Path(path)
    image = _pillow(path)
    with _told(str(path)):
        if path.exists() and not path.is_file():
            raise InputError("is not a file")
        with path.open("rb") as file, image.open(file, formats=_FORMATS) as picture:
            return _pixels(picture)


def picture_pixels(picture: Image.Image, where: str = "picture") -> U8:
    """The pixels of a Pillow image, by the same rules; it may still be undecoded.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous, writable, the caller's own.

    Raises:
        InputError: damaged or too large; `where` says which picture.
    """
    with _told(where):
        return _pixels(picture)


def resize(rgb: U8, size_hw: tuple[int, int], interpolation: Interpolation = "bilinear") -> U8:
    """A picture in another size; when it shrinks, the filter widens and every pixel counts.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        RGB uint8 (height, width, 3); `rgb` itself when it has that size.

    Raises:
        UsageError: Pillow is not installed.
    """
    if rgb.shape[:2] == size_hw:
        return rgb
    image = _pillow()
    method = image.Resampling[interpolation.upper()]
    return np.array(image.fromarray(rgb).resize(size_hw[::-1], method))


def fitted(rgb: U8, size_hw: tuple[int, int], fit: Fit = "stretch") -> U8:
    """A picture in the size of an input (bilinear).

    Args:
        rgb: uint8 (H, W, 3).
        fit: `stretch`: as `resize`; `crop`: the largest middle part with the proportions of
            `size_hw`; `letterbox`: all of it in the middle, with grey bars where it ends.

    Returns:
        RGB uint8 (height, width, 3).

    Raises:
        UsageError: no such way to fit, or Pillow is not installed.
    """
    if fit not in FITS:
        raise UsageError(f"pictures cannot be fitted by {fit!r}", hint=f"ways: {', '.join(FITS)}")
    if fit == "stretch":
        return resize(rgb, size_hw)
    image = _pillow()
    from PIL import ImageOps

    whole, size_wh, method = image.fromarray(rgb), size_hw[::-1], image.Resampling.BILINEAR
    if fit == "crop":
        return np.array(ImageOps.fit(whole, size_wh, method))
    return np.array(ImageOps.pad(whole, size_wh, method, (_BARS, _BARS, _BARS)))


def _pillow(path: Path | None = None) -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise UsageError(
            "reading pictures needs Pillow, which is not installed",
            where="" if path is None else str(path),
            hint="pip install 'openbpu-board[images]', or give raw bytes as a .bin file",
        ) from None
    return Image


def _pixels(picture: Image.Image) -> U8:
    """RGB uint8 (H, W, 3) of an opened picture, upright."""
    from PIL import Image

    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    key = _colour_key(picture)
    picture.load()
    orientation = _orientation(picture)
    pixels = np.empty((height, width, 3), np.uint8)
    # In blocks: a 108 megapixel photo with alpha would be 2.4 GB of intermediate copies.
    for top, left in product(range(0, height, _BLOCK), range(0, width, _BLOCK)):
        bottom, right = min(top + _BLOCK, height), min(left + _BLOCK, width)
        block = picture.crop((left, top, right, bottom))
        pixels[top:bottom, left:right] = _rgb(block, key)
    return np.ascontiguousarray(_upright(pixels, orientation))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Whatever the decoder warns of or ends with, as one sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError as error:
        raise InputError(error.message, where=where, hint=error.hint) from None
    except UnidentifiedImageError:
        raise InputError(
            "cannot be read as a picture: it is no JPEG, PNG, BMP or WEBP",
            where=where,
            hint="save it in one of these formats first",
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"cannot be read as a picture: it has more than {MAX_PIXELS} pixels",
            where=where,
            hint="make it smaller first",
        ) from None
    except Exception as error:  # decoders raise whatever their format's code raises
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"cannot be read as a picture: {reason}", where=where) from error


def _colour_key(picture: Image.Image) -> int | None:
    """The grey value that a PNG calls transparent, in the samples' own range; before loading.

    Raises:
        InputError: a key in 16 bit colour, of which the decoder keeps the upper 8 bits only.
    """
    key = picture.info.get("transparency")
    tile = getattr(picture, "tile", None)  # only files have tiles, before they are loaded
    if key is None or not tile:
        return None
    raw_mode = str(tile[0][3])
    if raw_mode == "RGB;16B":
        raise InputError(
            "cannot be read as a picture: 16 bit colours with one that stands for transparency",
            hint="save it with an alpha channel, or with 8 bits",
        )
    if picture.mode == "L":
        picture.info["transparency"] = key * _FACTORS.get(raw_mode, 1)
    return key if picture.mode.startswith("I") else None


def _rgb(picture: Image.Image, key: int | None) -> U8:
    """RGB uint8 (H, W, 3) of a decoded picture, as it is stored.

    Args:
        key: the transparent value of a 16 bit grey picture.
    """
    if picture.mode.startswith("I"):
        codes = np.asarray(picture)
        grey = (codes >> 8).astype(np.uint8)
        if key is not None:
            grey[codes == key] = _WHITE
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        from PIL import Image

        layer = picture.convert("RGBA")
        picture = Image.new("RGB", picture.size, (_WHITE, _WHITE, _WHITE))
        picture.paste(layer, mask=layer)
    return np.asarray(picture.convert("RGB"))


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation 1..8; 1 where there is none that can be read, as viewers do."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  a damaged tag says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _upright(pixels: U8, orientation: int) -> U8:
    """The stored pixels as they are to be seen.

    EXIF names the sides where the first row and the first column belong: 1 top left, 2 top right,
    3 bottom right, 4 bottom left; 5 to 8 the same with rows and columns exchanged: left top,
    right top, right bottom, left bottom.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
