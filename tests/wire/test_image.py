"""Picture conversions against float arithmetic of the standard, written independently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import InputError
from bpu_common.image import (
    encode_rgb,
    network_input,
    nv12_to_yuv444,
    rgb_to_nv12,
    rgb_to_yuv444,
)
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec


def target(
    kind: InputType, height: int, width: int, layout: Layout = Layout.NHWC, video: bool = False
) -> ModelInput:
    channels = 1 if kind is InputType.GRAY else 3
    spec = TensorSpec("data", (1, height, width, channels), DType.INT8, Layout.NHWC)
    return ModelInput(spec, kind, layout, video_range=video)


def reference_yuv(rgb: np.ndarray, video: bool) -> np.ndarray:
    """BT.601 from its definition, in float64, not rounded; (..., 3) of real numbers."""
    red, green, blue = (rgb[..., k].astype(np.float64) / 255 for k in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    blue_difference = (blue - luma) / 1.772
    red_difference = (red - luma) / 1.402
    if video:
        return np.stack(
            [16 + 219 * luma, 128 + 224 * blue_difference, 128 + 224 * red_difference], -1
        )
    return np.stack([255 * luma, 128 + 255 * blue_difference, 128 + 255 * red_difference], -1)


PICTURES = st.builds(
    lambda h, w, seed: np.random.default_rng(seed).integers(0, 256, (2 * h, 2 * w, 3), np.uint8),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)


@given(PICTURES, st.booleans())
def test_yuv444_is_the_standard_rounded(rgb: np.ndarray, video: bool) -> None:
    exact = np.clip(reference_yuv(rgb, video), 0, 255)
    # Coefficients are multiples of 1/65536: at most 0.01 away from the real number.
    assert np.abs(rgb_to_yuv444(rgb, video_range=video) - exact).max() <= 0.51


@given(PICTURES, st.booleans())
def test_nv12_chroma_is_the_mean_of_blocks(rgb: np.ndarray, video: bool) -> None:
    height, width, _ = rgb.shape
    flat = rgb_to_nv12(rgb, video_range=video)
    luma = flat[: height * width].reshape(height, width)
    np.testing.assert_array_equal(luma, rgb_to_yuv444(rgb, video_range=video)[..., 0])
    blocks = rgb.reshape(height // 2, 2, width // 2, 2, 3).astype(np.float64).mean((1, 3))
    exact = np.clip(reference_yuv(blocks, video)[..., 1:], 0, 255)
    chroma = flat[height * width :].reshape(height // 2, width // 2, 2)
    assert np.abs(chroma - exact).max() <= 0.51


@given(PICTURES)
def test_nv12_comes_back_by_replication(rgb: np.ndarray) -> None:
    height, width, _ = rgb.shape
    flat = rgb_to_nv12(rgb)
    back = nv12_to_yuv444(flat, height, width)
    for row in range(height):
        for column in range(width):
            at = height * width + (row // 2) * width + (column // 2) * 2
            assert tuple(back[row, column]) == (flat[row * width + column], *flat[at : at + 2])


def test_known_colours() -> None:
    colours = np.array(
        [[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8
    )
    full = [[0, 128, 128], [255, 128, 128], [76, 85, 255], [150, 44, 21], [29, 255, 107]]
    video = [[16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]]
    assert rgb_to_yuv444(colours)[0].tolist() == full
    assert rgb_to_yuv444(colours, video_range=True)[0].tolist() == video


@given(PICTURES, st.sampled_from([k for k in InputType if k.is_image]), st.booleans())
@settings(max_examples=60)
def test_encoding_and_what_the_network_sees(rgb: np.ndarray, kind: InputType, nchw: bool) -> None:
    height, width, _ = rgb.shape
    layout = Layout.NCHW if nchw and not kind.is_nv12 else Layout.NHWC
    value = target(kind, height, width, layout)
    raw = encode_rgb(rgb, value)
    assert raw.shape == value.caller_shape
    assert raw.flags.c_contiguous
    seen = network_input(raw, value)
    assert (seen.dtype, seen.shape) == (np.int8, value.tensor.shape)
    pixels = {
        InputType.NV12: lambda: nv12_to_yuv444(rgb_to_nv12(rgb), height, width),
        InputType.NV12_SEPARATE: lambda: nv12_to_yuv444(rgb_to_nv12(rgb), height, width),
        InputType.YUV444: lambda: rgb_to_yuv444(rgb),
        InputType.RGB: lambda: rgb,
        InputType.BGR: lambda: rgb[..., ::-1],
        InputType.GRAY: lambda: rgb_to_yuv444(rgb)[..., :1],
    }[kind]()
    np.testing.assert_array_equal(seen[0].astype(np.int64), pixels.astype(np.int64) - 128)
    np.testing.assert_array_equal(network_input(raw.reshape(-1), value), seen)


def test_pictures_that_do_not_fit() -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    for bad in (np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), rgb.astype(np.int16)):
        with pytest.raises(InputError):
            rgb_to_nv12(bad)
    with pytest.raises(InputError, match="even"):
        rgb_to_nv12(rgb[:3])
    with pytest.raises(InputError, match="4 x 6"):
        encode_rgb(rgb, target(InputType.RGB, 6, 4))
    with pytest.raises(InputError, match="bytes"):
        nv12_to_yuv444(np.zeros(35, np.uint8), 4, 6)
    feature = ModelInput(
        TensorSpec("f", (1, 3, 4, 6), DType.FLOAT32), InputType.FEATUREMAP, Layout.NCHW
    )
    with pytest.raises(InputError, match="featuremap"):
        encode_rgb(rgb, feature)
    with pytest.raises(InputError, match="shape"):
        network_input(rgb.transpose(1, 0, 2), target(InputType.RGB, 4, 6))
