"""Pictures as the board takes them: RGB to nv12, yuv444 and the rest, and what the network sees.

BT.601 with full range (JPEG), or studio swing for `bt601_video` (Y 16..235, chroma 16..240). nv12
chroma is the mean of each 2x2 block; reading it back replicates each sample. All conversions round
half up and saturate. numpy only; 1/65536 fixed point, exact on every CPU.

Source: docs/arithmetic.md "Colour".
"""

from __future__ import annotations

import numpy as np

from bpu_common.caller import canonical
from bpu_common.errors import InputError
from bpu_common.tensor import I8, I32, U8, AnyArray, InputType, Layout, ModelInput

_BITS = 16

# Rows Y, U, V over columns R, G, B, times 65536: BT.601 (Kr 0.299, Kb 0.114).
_FULL = ((19595, 38470, 7471), (-11058, -21710, 32768), (32768, -27439, -5329))
_VIDEO = ((16829, 33039, 6416), (-9714, -19070, 28784), (28784, -24103, -4681))
_Y_OFFSET = {False: 0, True: 16}


def rgb_to_yuv444(rgb: U8, *, video_range: bool = False) -> U8:
    """RGB uint8 (H, W, 3) to YUV uint8 (H, W, 3)."""
    _check_rgb(rgb)
    red, green, blue = _planes(rgb)
    rows = _VIDEO if video_range else _FULL
    out = np.empty(rgb.shape, np.uint8)
    out[..., 0] = _weighted(red, green, blue, rows[0], _Y_OFFSET[video_range], 0)
    out[..., 1] = _weighted(red, green, blue, rows[1], 128, 0)
    out[..., 2] = _weighted(red, green, blue, rows[2], 128, 0)
    return out


def rgb_to_gray(rgb: U8, *, video_range: bool = False) -> U8:
    """RGB uint8 (H, W, 3) to the Y of YUV: uint8 (H, W, 1)."""
    _check_rgb(rgb)
    red, green, blue = _planes(rgb)
    row = (_VIDEO if video_range else _FULL)[0]
    return _weighted(red, green, blue, row, _Y_OFFSET[video_range], 0)[..., None]


def rgb_to_nv12(rgb: U8, *, video_range: bool = False) -> U8:
    """RGB uint8 (H, W, 3), H and W even, to nv12: uint8 (H*W*3/2,), Y then interleaved UV.

    Chroma is computed from the sum of each 2x2 block and rounded once.
    """
    _check_rgb(rgb)
    height, width, _ = rgb.shape
    if height % 2 or width % 2:
        raise InputError(f"nv12 needs even height and width, the picture is {height} x {width}")
    red, green, blue = _planes(rgb)
    rows = _VIDEO if video_range else _FULL
    out = np.empty(height * width * 3 // 2, np.uint8)
    luma = out[: height * width].reshape(height, width)
    luma[...] = _weighted(red, green, blue, rows[0], _Y_OFFSET[video_range], 0)
    sums = [plane[0::2, 0::2] + plane[0::2, 1::2] for plane in (red, green, blue)]
    for total, plane in zip(sums, (red, green, blue), strict=True):
        total += plane[1::2, 0::2]
        total += plane[1::2, 1::2]
    chroma = out[height * width :].reshape(height // 2, width // 2, 2)
    chroma[..., 0] = _weighted(sums[0], sums[1], sums[2], rows[1], 128, 2)
    chroma[..., 1] = _weighted(sums[0], sums[1], sums[2], rows[2], 128, 2)
    return out


def nv12_to_yuv444(nv12: U8, height: int, width: int) -> U8:
    """nv12 uint8 (H*W*3/2,) to YUV uint8 (H, W, 3), chroma by replication."""
    if height % 2 or width % 2 or nv12.size != height * width * 3 // 2:
        raise InputError(
            f"{nv12.size} bytes are not an nv12 picture of {height} x {width} "
            f"({height * width * 3 // 2} bytes, both even)"
        )
    flat = nv12.reshape(-1)
    out = np.empty((height, width, 3), np.uint8)
    out[..., 0] = flat[: height * width].reshape(height, width)
    chroma = flat[height * width :].reshape(height // 2, width // 2, 2)
    blocks = out.reshape(height // 2, 2, width // 2, 2, 3)
    blocks[..., 1:] = chroma[:, None, :, None, :]
    return out


def encode_rgb(rgb: U8, target: ModelInput) -> U8:
    """An RGB picture, uint8 (H, W, 3) of the input's size, as the caller hands it to the board.

    Returns:
        uint8 array of `target.caller_shape`.

    Raises:
        InputError: not an image input, or a picture of another size.
    """
    _check_rgb(rgb)
    if not target.input_type.is_image:
        raise InputError(
            "a featuremap input takes float values, not a picture", where=_name(target)
        )
    if rgb.shape[:2] != (target.height, target.width):
        raise InputError(
            f"the picture is {rgb.shape[0]} x {rgb.shape[1]}, the input needs "
            f"{target.height} x {target.width} (height x width)",
            where=_name(target),
            hint="resize or crop it first",
        )
    match target.input_type:
        case InputType.NV12 | InputType.NV12_SEPARATE:
            return rgb_to_nv12(rgb, video_range=target.video_range)
        case InputType.YUV444:
            pixels = rgb_to_yuv444(rgb, video_range=target.video_range)
        case InputType.BGR:
            pixels = rgb[..., ::-1]
        case InputType.GRAY:
            pixels = rgb_to_gray(rgb, video_range=target.video_range)
        case _:
            pixels = rgb
    if target.layout is Layout.NCHW:
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None])


def network_input(raw: AnyArray, target: ModelInput) -> I8:
    """What the network sees of the caller's bytes: int8 (1, H, W, C), value - 128.

    Args:
        raw: array that `bpu_common.caller.canonical` takes for this image input.

    Raises:
        InputError: it does not fit.
    """
    codes = canonical(raw, target).view(np.uint8)
    if target.input_type.is_nv12:
        codes = codes.reshape(-1, target.width)
    return picture_codes(codes, target.input_type, target.layout)[None]


def picture_codes(raw: AnyArray, input_type: InputType, layout: Layout) -> I8:
    """A picture of any size as codes: int8 (H, W, C), value - 128.

    Args:
        raw: uint8: nv12 in rows, (H * 3 / 2, W); others (1, H, W, C) or (1, C, H, W) by `layout`.

    Raises:
        InputError: it is no such picture.
    """
    if raw.dtype != np.uint8 or raw.ndim != (2 if input_type.is_nv12 else 4) or 0 in raw.shape:
        raise InputError(
            f"{raw.dtype} {raw.shape} is no {input_type.value} picture",
            hint="nv12 comes in rows, (H * 3 / 2, W), others with their batch of 1 and channels",
        )
    codes = raw.view(np.uint8)
    if input_type.is_nv12:
        pixels = nv12_to_yuv444(codes.reshape(-1), raw.shape[0] * 2 // 3, raw.shape[1])
    else:
        pixels = codes[0].transpose(1, 2, 0) if layout is Layout.NCHW else codes[0]
        if len(raw) != 1 or pixels.shape[2] != input_type.channels:
            raise InputError(f"{raw.shape} is no {input_type.value} picture")
    # Flipping the top bit of an unsigned byte subtracts 128 in two's complement.
    return np.bitwise_xor(np.ascontiguousarray(pixels), np.uint8(0x80)).view(np.int8)


def _planes(rgb: U8) -> tuple[I32, I32, I32]:
    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    return red, green, blue


def _weighted(
    red: I32, green: I32, blue: I32, row: tuple[int, int, int], offset: int, extra: int
) -> U8:
    """(r*a + g*b + b*c) / 2^(16 + extra) + offset, rounded half up and saturated, as uint8.

    Sums of four bytes times 65536 stay below 2^26 in magnitude.
    """
    shift = _BITS + extra
    total = red * row[0]
    total += green * row[1]
    total += blue * row[2]
    total += (offset << shift) + (1 << (shift - 1))
    total >>= shift
    return np.clip(total, 0, 255, out=total).astype(np.uint8)


def _check_rgb(rgb: U8) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(f"a picture is uint8 (H, W, 3), this is {rgb.dtype} {rgb.shape}")


def _name(target: ModelInput) -> str:
    return f"input {target.tensor.name!r}"
