"""Pictures that are programs, and pictures that are far larger than their file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from bpu_common import container
from tests.hostile.row import Row
from tests.support.models_board import tiny_model
from tests.support.picture_files import GREY, chunk

POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n"
    b"(was_run) (w) file closefile\nshowpage\n%%EOF\n"
)
ENDLESS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"


def large_png(width: int, height: int) -> bytes:
    """A grey PNG of one value: a thousandth of its pixels in bytes."""
    packer = zlib.compressobj()
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, GREY, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def _maker(content: Callable[[], bytes]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        photos = folder / "photos"
        photos.mkdir()
        (photos / "photo.jpg").write_bytes(content())
        (folder / "model.bin").write_bytes(container.dump([tiny_model()]))

    return make


INFER = (
    *("hrt_model_exec", "infer", "--model_file", "model.bin"),
    *("--input_file", "photos/photo.jpg"),
)
CALDATA = (
    *("hb_mapper", "caldata", "--input", "photos", "--output", "samples"),
    *("--size", "8x16"),
)
_FILES: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("PostScript", lambda: POSTSCRIPT, "no JPEG, PNG, BMP or WEBP"),
    ("endless PostScript", lambda: ENDLESS, "no JPEG, PNG, BMP or WEBP"),
    ("178 megapixels", lambda: large_png(13_345, 13_345), "more than 134217728 pixels"),
)

ROWS = tuple(
    Row(f"{name}, {command[1]}", _maker(content), command, answer, 2)
    for name, content, answer in _FILES
    for command in (INFER, CALDATA)
)
