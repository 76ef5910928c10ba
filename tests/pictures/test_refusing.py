"""Files that are no pictures, damaged or too large end in one sentence; no program is started."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, WebPImagePlugin

from bpu_common.errors import InputError, UsageError
from bpu_common.pictures import MAX_PIXELS, read_picture
from tests.support import picture_files as files

RGB = np.random.default_rng(3).integers(0, 256, (12, 10, 3), dtype=np.uint8)


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind, **options)
    return buffer.getvalue()


SAMPLES = {
    "jpeg": files.with_jpeg_exif(saved("JPEG"), files.tiff_orientation(6)),
    "png": files.png(RGB, exif=files.tiff_orientation(3)),
    "palette": files.png(
        RGB[..., :1] & 3, 2, files.PALETTE, palette=RGB[0, :4], transparency=b"\0\x80\xff"
    ),
    "grey 16": files.png(RGB[..., :1].astype(int) * 256, 16, files.GREY, transparency=b"\1\0"),
    "bmp": files.bmp(RGB),
    "webp": saved("WEBP", exif=b"Exif\0\0" + files.tiff_orientation(8)),
    "mpo": saved("MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
}


def refused(path: Path, content: bytes) -> InputError:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_picture(path)
    assert caught.value.where == str(path)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO", "EPS", "PDF", "TGA", "JPEG2000"])
def test_other_formats_are_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content = saved(kind)

    def no_program(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a program is started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", no_program)
    error = refused(tmp_path / "a.jpg", content)
    assert "no JPEG, PNG, BMP or WEBP" in error.message
    assert error.hint


@pytest.mark.parametrize("name", SAMPLES)
def test_half_a_file_and_rubbish(tmp_path: Path, name: str) -> None:
    content = SAMPLES[name]
    for part in (content[: len(content) // 2], content[:20], b"", bytes(100)):
        assert "cannot be read as a picture" in refused(tmp_path / "a", part).message


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8),
    st.integers(0, 300),
)
def test_damage_gives_pixels_or_a_sentence(
    tmp_path: Path, name: str, flips: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(SAMPLES[name])
    for place, value in flips:
        content[place % len(content)] = value
    (tmp_path / "a").write_bytes(content[: max(0, len(content) - cut)] if cut < 100 else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(InputError):
            pixels = read_picture(tmp_path / "a")
            assert (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, np.uint8)


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small file whose header speaks of another size."""
    if kind == "png":
        return files.png(RGB, size_wh=(width, height))
    if kind == "bmp":
        return files.bmp(RGB, size_wh=(width, height))
    if kind == "jpeg":
        content = bytearray(saved("JPEG"))
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        return bytes(content)
    content = bytearray(saved("WEBP"))
    assert content[12:16] == b"VP8 "
    content[26:30] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return bytes(content)


@pytest.mark.parametrize("size_wh", [(16383, 8193), (13378, 13377), (16383, 16383)])
@pytest.mark.parametrize("kind", ["png", "bmp", "jpeg", "webp"])
def test_too_large_is_seen_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, size_wh: tuple[int, int]
) -> None:
    def no_decoding(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    for reader in (ImageFile.ImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(reader, "load", no_decoding)
    message = refused(tmp_path / "a", claiming(kind, *size_wh)).message
    assert f"more than {MAX_PIXELS} pixels" in message


@pytest.mark.parametrize("size_wh", [(12000, 9000), (16383, 8192)])
@pytest.mark.parametrize("kind", ["png", "bmp", "jpeg", "webp"])
def test_the_largest_are_taken_without_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    kind: str,
    size_wh: tuple[int, int],
) -> None:
    class Decoded(Exception):
        pass

    def stop(self: ImageFile.ImageFile) -> None:
        raise Decoded("decoding begins")

    for reader in (ImageFile.ImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(reader, "load", stop)
    assert "decoding begins" in refused(tmp_path / "a", claiming(kind, *size_wh)).message
    assert not list(recwarn)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is not a file"),
        (Path("/dev/zero"), "is not a file"),
        (tmp_path / "absent.png", "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_picture(path)


def test_without_pillow_the_reader_is_there_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match="needs Pillow") as caught:
        read_picture(tmp_path / "a.png")
    assert "pip install" in caught.value.hint
    script = "import sys; sys.modules['PIL'] = None; import bpu_common.input_files"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
