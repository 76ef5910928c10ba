"""Regions of interest: the resize in integers, and the machine that applies it while it loads."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import DeviceFault, InputError
from bpu_common.frame import FrameInput, Roi
from bpu_common.program import FunctionCall, IoSlot, LoadRoi, Program, RoiInput, Store
from bpu_common.tensor import (
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    TensorSpec,
)
from bpu_sim import arith
from tests.support.programs_machine import exact_part, io_tile, slot_bytes, sram_tile

HEIGHT, WIDTH = 6, 5


def scalar_resize(pixels: np.ndarray, roi: Roi, out_hw: tuple[int, int]) -> np.ndarray:
    """One result at a time, positions as fractions; pixels (H, W, C) uint8, result likewise."""

    def position(index: int, first: int, last: int, size: int) -> Fraction:
        count = last - first + 1
        exact = (index + Fraction(1, 2)) * count / size - Fraction(1, 2)
        step = Fraction(floor(exact * 256 + Fraction(1, 2)), 256)
        return first + min(max(step, Fraction(0)), Fraction(count - 1))

    result = np.zeros((*out_hw, pixels.shape[2]), np.uint8)
    for i in range(out_hw[0]):
        y = position(i, roi.top, roi.bottom, out_hw[0])
        for j in range(out_hw[1]):
            x = position(j, roi.left, roi.right, out_hw[1])
            for c in range(pixels.shape[2]):
                total = Fraction(0)
                for row, of_row in ((floor(y), 1 - y % 1), (min(floor(y) + 1, roi.bottom), y % 1)):
                    for col, share in (
                        (floor(x), 1 - x % 1),
                        (min(floor(x) + 1, roi.right), x % 1),
                    ):
                        total += of_row * share * int(pixels[row, col, c])
                result[i, j, c] = floor(total + Fraction(1, 2))
    return result


@st.composite
def regions(draw: st.DrawFn, height: int, width: int) -> Roi:
    left, right = sorted(draw(st.tuples(*(st.integers(0, width - 1),) * 2)))
    top, bottom = sorted(draw(st.tuples(*(st.integers(0, height - 1),) * 2)))
    return Roi(left, top, right, bottom)


@given(regions(9, 11), st.tuples(st.integers(1, 14), st.integers(1, 14)), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_resize_of_a_region_equals_fractions(roi: Roi, out_hw: tuple[int, int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, 2), np.uint8)
    codes = (pixels.astype(np.int16) - 128).astype(np.int8)
    wanted = scalar_resize(pixels, roi, out_hw).astype(np.int16) - 128
    found = arith.resize_roi(codes, roi, out_hw)
    assert np.array_equal(found, wanted)
    part = arith.resize_roi(codes, roi, out_hw, (out_hw[0] // 2, out_hw[0]))
    assert np.array_equal(part, wanted[out_hw[0] // 2 :])


def test_a_region_of_the_size_itself_is_a_copy() -> None:
    codes = np.arange(-60, 60, dtype=np.int8).reshape(6, 20, 1)
    found = arith.resize_roi(codes, Roi(3, 1, 10, 4), (4, 8))
    assert np.array_equal(found, codes[1:5, 3:11])


@pytest.mark.parametrize("roi", [Roi(-1, 0, 3, 3), Roi(0, 0, 11, 3), Roi(4, 0, 3, 3)])
def test_a_region_outside_of_the_picture_is_refused(roi: Roi) -> None:
    with pytest.raises(InputError, match="does not lie in a picture of 9x11"):
        arith.resize_roi(np.zeros((9, 11, 3), np.int8), roi, (4, 4))


def target(input_type: InputType) -> ModelInput:
    shape = (1, HEIGHT, WIDTH + 1, 3)
    spec = TensorSpec("picture", shape, DType.INT8, Layout.NHWC)
    return ModelInput(spec, input_type, Layout.NHWC, InputSource.RESIZER)


def region_program(input_type: InputType, frames: int = 1) -> Program:
    """Each frame's region in two pieces, to the frame's output."""
    out = io_tile(0, (HEIGHT, WIDTH + 1, 3))
    pitch = slot_bytes(out)
    body: list[LoadRoi | Store] = []
    for frame in range(frames):
        for row0, rows in ((0, 4), (4, HEIGHT - 4)):
            chip = sram_tile(row0 * 64, (rows, WIDTH + 1, 3))
            there = io_tile(frame * pitch + row0 * out.row_pitch_bytes, (rows, WIDTH + 1, 3))
            body.append(LoadRoi(0, (), 0, row0, chip, frame))
            body.append(Store(0, (len(body) - 1,), chip, there))
    return Program(
        (FunctionCall.on_one_core("call", body),),
        inputs=(),
        outputs=(IoSlot("codes", 0, pitch, pitch if frames > 1 else 0),),
        sram_bytes=1024,
        scratch_bytes=0,
        io_bytes=frames * pitch,
        frames=frames,
        rois=(RoiInput("picture", input_type, HEIGHT, WIDTH + 1),),
    )


def nv12_as_yuv(raw: np.ndarray) -> np.ndarray:
    height, width = raw.shape[0] * 2 // 3, raw.shape[1]
    chroma = raw[height:].reshape(height // 2, width // 2, 2).repeat(2, 0).repeat(2, 1)
    return np.concatenate([raw[:height, :, None], chroma], axis=2)


@given(regions(8, 10), regions(8, 10), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_machine_scales_each_frame_s_region(first: Roi, second: Roi, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raws = rng.integers(0, 256, (2, 12, 10), np.uint8)
    images = {"picture": target(InputType.NV12)}
    machine = exact_part(region_program(InputType.NV12, frames=2), images=images)
    frames = [
        {"picture": FrameInput(raw, roi)} for raw, roi in zip(raws, (first, second), strict=True)
    ]
    found = machine.run_frames(frames)
    for raw, roi, outputs in zip(raws, (first, second), found, strict=True):
        wanted = scalar_resize(nv12_as_yuv(raw), roi, (HEIGHT, WIDTH + 1)).astype(np.int16) - 128
        assert np.array_equal(outputs["codes"][0], wanted)


def test_what_a_region_needs_is_said() -> None:
    machine = exact_part(region_program(InputType.RGB), images={"picture": target(InputType.RGB)})
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="needs a region"):
        machine.run({"picture": picture})
    with pytest.raises(InputError, match="no value for input 'picture'"):
        machine.run({})
    with pytest.raises(InputError, match="no rgb picture"):
        machine.run({"picture": FrameInput(picture[..., :2], Roi(0, 0, 3, 3))})
    with pytest.raises(DeviceFault, match="2 frames for a program of 1"):
        machine.run_frames([{}, {}])
