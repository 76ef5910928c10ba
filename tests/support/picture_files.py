"""Picture files written byte by byte, so that what a reader makes of them has an oracle."""

from __future__ import annotations

import struct
import zlib

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types of PNG."""
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}


def png(
    codes: np.ndarray,
    bits: int = 8,
    colour: int = RGB,
    *,
    palette: np.ndarray | None = None,
    transparency: bytes = b"",
    exif: bytes = b"",
    size_wh: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of integer samples (H, W, samples of its colour type), each of `bits` bits.

    Args:
        palette: uint8 (N, 3).
        transparency: content of tRNS.
        exif: content of eXIf.
        size_wh: what the header claims, if not the truth.
    """
    height, width = codes.shape[:2]
    assert codes.reshape(height, width, -1).shape[2] == _SAMPLES[colour]
    header = struct.pack(">IIBBBBB", *(size_wh or (width, height)), bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header)]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette.astype(np.uint8).tobytes()))
    for kind, content in ((b"tRNS", transparency), (b"eXIf", exif)):
        if content:
            parts.append(chunk(kind, content))
    rows = codes.reshape(height, -1)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8)
    elif bits == 8:
        packed = rows.astype(np.uint8)
    else:
        places = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        packed = np.packbits(places.astype(np.uint8).reshape(height, -1), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in packed)
    parts += [chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(rgb: np.ndarray, *, size_wh: tuple[int, int] | None = None) -> bytes:
    """A BMP of 24 bits, rows from the bottom."""
    height, width, _ = rgb.shape
    pad = -width * 3 % 4
    rows = b"".join(row.tobytes() + bytes(pad) for row in rgb[::-1, :, ::-1])
    claimed = size_wh or (width, height)
    header = struct.pack("<IiiHHIIiiII", 40, *claimed, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def tiff_orientation(orientation: int, *, order: str = "<") -> bytes:
    """EXIF data with nothing but an orientation, little (`<`) or big endian (`>`)."""
    mark = {"<": b"II", ">": b"MM"}[order]
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    head = mark + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", 1) + entry + bytes(4)


def with_jpeg_exif(jpeg: bytes, exif: bytes) -> bytes:
    """The JPEG with an APP1 segment after its first marker."""
    content = b"Exif\0\0" + exif
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Real values 0..255 mixed with white, rounded to the nearest (255 is odd: no ties)."""
    share = alpha.astype(np.float64) / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


def displayed(stored: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF says that a viewer shows, pixel by pixel: where its first row and column belong."""
    row_side, column_side = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    height, width = stored.shape[:2]
    if row_side in ("left", "right"):
        height, width = width, height
    shown = np.empty((height, width, 3), np.uint8)
    for row in range(stored.shape[0]):
        for column in range(stored.shape[1]):
            place = {row_side: row, column_side: column}
            y = place["top"] if "top" in place else height - 1 - place["bottom"]
            x = place["left"] if "left" in place else width - 1 - place["right"]
            shown[y, x] = stored[row, column]
    return shown


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG: length, kind, content, checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
