"""Pictures: their content decides by what they are decoded."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from bpu_common import pictures
from bpu_common.pictures import fitted, read_picture
from tests.fuzz_targets.target import Harm, Target
from tests.hostile.changes import WHOLE, change_bytes
from tests.hostile.picture_files import ENDLESS, POSTSCRIPT, large_png
from tests.support.picture_files import GREY, PALETTE, RGBA, bmp, png, tiff_orientation

_MOST_PIXELS = 1 << 20
"""Instead of the true bound, at which one picture takes a second and a gigabyte."""
_PNG = b"\x89PNG\r\n\x1a\n"


@cache
def seeds() -> Sequence[bytes]:
    """One of each format and kind of samples, and those that are programs."""
    codes = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
    picture = Image.fromarray(codes[..., :3])
    made = [
        png(codes[..., :3], exif=tiff_orientation(6)),
        png(codes, colour=RGBA),
        png(codes[..., :1].astype(np.uint16) * 257, 16, GREY, transparency=b"\0\1"),
        png(codes[..., :1] % 4, 2, PALETTE, palette=codes[0, :4, :3], transparency=b"\x7f"),
        bmp(codes[..., :3]),
        POSTSCRIPT,
        ENDLESS,
        large_png(1025, 1024),
    ]
    for form in ("JPEG", "WEBP", "GIF"):
        packed = io.BytesIO()
        picture.save(packed, form)
        made.append(packed.getvalue())
    packed = io.BytesIO()
    picture.convert("CMYK").save(packed, "JPEG")
    return [*made, packed.getvalue()]


def change(source: random.Random, data: bytes) -> bytes:
    """Another picture; chunks of a PNG keep right checksums."""
    if not data.startswith(_PNG) or source.random() < 0.2:
        return change_bytes(source, data)
    chunks = _chunks(data)
    at = source.randrange(len(chunks))
    kind, content = chunks[at]
    action = source.random()
    if action < 0.1:
        del chunks[at]
    elif action < 0.2:
        chunks.insert(source.randrange(len(chunks)), (kind, content))
    elif kind == b"IHDR" and action < 0.7:
        sizes = [abs(source.choice(WHOLE)) for _ in range(2)]
        chunks[at] = (kind, struct.pack(">II", *sizes) + content[8:])
    else:
        chunks[at] = (kind, change_bytes(source, content))
    return _PNG + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )  # fmt: skip


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(_PNG)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found or [(b"IHDR", bytes(13))]


def run(data: bytes, folder: Path) -> None:
    """Decode, and bring to the size of an input in each way."""
    pictures.MAX_PIXELS = _MOST_PIXELS
    path = folder / "photo.jpg"
    path.write_bytes(data)
    rgb = read_picture(path)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise Harm(f"pictures.py:read_picture: {rgb.dtype} {rgb.shape}")
    fitted(rgb, (4, 6), "crop")
    fitted(rgb, (4, 6), "letterbox")


TARGET = Target("pictures", seeds, run, change)
