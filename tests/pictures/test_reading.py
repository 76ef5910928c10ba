"""What is in a picture file against numpy formulas; the files are written byte by byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bpu_common.errors import InputError
from bpu_common.pictures import read_picture
from tests.support import picture_files as files

RANDOM = np.random.default_rng(11)


def read(tmp_path: Path, content: bytes, name: str = "a.png") -> np.ndarray:
    (tmp_path / name).write_bytes(content)
    pixels = read_picture(tmp_path / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    return pixels


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("key", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_fills_the_range(tmp_path: Path, bits: int, key: bool) -> None:
    codes = RANDOM.integers(0, 2**bits, (7, 9))
    transparent = int(codes[3, 4])
    content = files.png(
        codes, bits, files.GREY, transparency=struct.pack(">H", transparent) if key else b""
    )
    shown = codes * 255 // (2**bits - 1)
    if key:
        shown[codes == transparent] = 255
    np.testing.assert_array_equal(read(tmp_path, content), grey(shown))


@pytest.mark.parametrize("key", [False, True])
def test_grey_of_16_bits_keeps_the_upper_8(tmp_path: Path, key: bool) -> None:
    codes = RANDOM.integers(0, 65536, (5, 6))
    codes[0, :3] = 0x12FE, 0x12FF, 0x1300
    content = files.png(codes, 16, files.GREY, transparency=b"\x12\xff" if key else b"")
    shown = codes >> 8
    if key:
        shown[0, 1] = 255
    np.testing.assert_array_equal(read(tmp_path, content), grey(shown))


@pytest.mark.parametrize("bits", [8, 16])
def test_colours(tmp_path: Path, bits: int) -> None:
    codes = RANDOM.integers(0, 2**bits, (5, 6, 3))
    np.testing.assert_array_equal(
        read(tmp_path, files.png(codes, bits, files.RGB)), codes >> bits - 8
    )


def test_large_pictures_are_whole(tmp_path: Path) -> None:
    """They are converted block by block."""
    codes = RANDOM.integers(0, 256, (1100, 2050, 4))
    expected = files.over_white(codes[..., :3], codes[..., 3:])
    np.testing.assert_array_equal(read(tmp_path, files.png(codes, 8, files.RGBA)), expected)
    deep = RANDOM.integers(0, 65536, (2049, 3))
    content = files.png(deep, 16, files.GREY, transparency=struct.pack(">H", deep[2048, 2]))
    shown = np.where(deep == deep[2048, 2], 255, deep >> 8)
    np.testing.assert_array_equal(read(tmp_path, content), grey(shown))
    palette = RANDOM.integers(0, 256, (256, 3))
    indexes = RANDOM.integers(0, 256, (4, 1300))
    content = files.png(indexes, 8, files.PALETTE, palette=palette, transparency=b"\0" * 9)
    expected = np.where(indexes[..., None] < 9, 255, palette[indexes])
    np.testing.assert_array_equal(read(tmp_path, content), expected)


def test_colour_key(tmp_path: Path) -> None:
    codes = RANDOM.integers(0, 2, (8, 8, 3)) * 7
    content = files.png(codes, 8, files.RGB, transparency=struct.pack(">3H", 0, 7, 7))
    shown = np.where((codes == (0, 7, 7)).all(-1, keepdims=True), 255, codes)
    np.testing.assert_array_equal(read(tmp_path, content), shown)


def test_colour_key_of_16_bits_is_refused(tmp_path: Path) -> None:
    codes = np.zeros((2, 2, 3), np.int64)
    with pytest.raises(InputError, match="16 bit colours") as caught:
        read(tmp_path, files.png(codes, 16, files.RGB, transparency=bytes(6)))
    assert "alpha" in caught.value.hint
    assert caught.value.where == str(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [8, 16])
def test_every_value_over_white_at_every_alpha(tmp_path: Path, bits: int) -> None:
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    low = RANDOM.integers(0, 256, (256, 256, 2)) if bits == 16 else 0
    codes = np.stack([value, alpha], -1) * (256 if bits == 16 else 1) + low
    expected = files.over_white(value, alpha)
    for colour, stored in (
        (files.GREY_ALPHA, codes),
        (files.RGBA, codes[..., [0, 0, 0, 1]]),
    ):
        shown = read(tmp_path, files.png(stored, bits, colour))
        np.testing.assert_array_equal(shown, grey(expected))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["opaque", "one entry", "alphas"])
def test_palette(tmp_path: Path, bits: int, kind: str) -> None:
    count = 2**bits
    palette = RANDOM.integers(0, 256, (count, 3))
    codes = RANDOM.integers(0, count, (6, 9))
    alphas = np.full(count, 255)
    if kind == "one entry":
        alphas[1] = 0
    elif kind == "alphas":
        alphas = RANDOM.integers(0, 256, count)
    content = files.png(
        codes,
        bits,
        files.PALETTE,
        palette=palette,
        transparency=b"" if kind == "opaque" else alphas.astype(np.uint8).tobytes(),
    )
    expected = files.over_white(palette, alphas[:, None])[codes]
    np.testing.assert_array_equal(read(tmp_path, content), expected)


def test_bmp(tmp_path: Path) -> None:
    rgb = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(tmp_path, files.bmp(rgb), "a.bmp"), rgb)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_without_loss(tmp_path: Path, mode: str) -> None:
    codes = RANDOM.integers(0, 256, (9, 8, len(mode)), dtype=np.uint8)
    content = saved(Image.fromarray(codes, mode), "WEBP", lossless=True, exact=True)
    expected = codes if mode == "RGB" else files.over_white(codes[..., :3], codes[..., 3:])
    np.testing.assert_array_equal(read(tmp_path, content, "a.webp"), expected)


def test_jpeg_of_three_inks_and_black(tmp_path: Path) -> None:
    ink = np.array([200, 100, 30, 60])
    flat = np.broadcast_to(ink.astype(np.uint8), (16, 16, 4))
    content = saved(Image.fromarray(np.ascontiguousarray(flat), "CMYK"), "JPEG", quality=100)
    shown = read(tmp_path, content, "a.jpg")
    np.testing.assert_allclose(shown[8, 8], (255 - ink[:3]) * (255 - ink[3]) / 255, atol=2)


def test_jpeg_in_grey_and_colour(tmp_path: Path) -> None:
    for mode, value in (("L", 99), ("RGB", (200, 40, 90))):
        content = saved(Image.new(mode, (16, 16), value), "JPEG", quality=100)
        shown = read(tmp_path, content, "a.jpg")
        np.testing.assert_allclose(shown[8, 8], np.broadcast_to(value, 3), atol=2)


def test_the_first_picture_of_several(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("#c83200", "#0032c8"))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("MPO", {"quality": 100})):
        content = saved(first, kind, save_all=True, append_images=[second], **options)
        shown = read(tmp_path, content)
        np.testing.assert_allclose(shown[8, 8], (0xC8, 0x32, 0), atol=2)


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "a.webp", "a"])
def test_content_tells_the_format(tmp_path: Path, name: str) -> None:
    rgb = RANDOM.integers(0, 256, (2, 3, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(tmp_path, files.png(rgb), name), rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    stored = RANDOM.integers(0, 256, (8, 16, 3), dtype=np.uint8)
    expected = files.displayed(stored, orientation)
    for order in "<>":
        exif = files.tiff_orientation(orientation, order=order)
        np.testing.assert_array_equal(read(tmp_path, files.png(stored, exif=exif)), expected)
    exif = files.tiff_orientation(orientation)
    webp = saved(Image.fromarray(stored), "WEBP", lossless=True, exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(read(tmp_path, webp), expected)
    jpeg = saved(Image.fromarray(stored), "JPEG")
    np.testing.assert_array_equal(
        read(tmp_path, files.with_jpeg_exif(jpeg, exif)),
        files.displayed(read(tmp_path, jpeg), orientation),
    )
    deep = files.png(stored.astype(np.int64)[..., :1] * 257, 16, files.GREY, exif=exif)
    np.testing.assert_array_equal(read(tmp_path, deep), grey(expected[..., 0]))


@pytest.mark.parametrize(
    "exif",
    [
        files.tiff_orientation(0),
        files.tiff_orientation(9),
        files.tiff_orientation(6)[:-8],
        files.tiff_orientation(6).replace(b"\x03\x00\x01", b"\x02\x00\x01"),
        b"II*\0\xff\xff\xff\xff",
        b"rubbish",
    ],
)
def test_exif_that_cannot_be_read_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    stored = RANDOM.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(tmp_path, files.png(stored, exif=exif)), stored)
