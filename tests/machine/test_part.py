"""Inputs and outputs of a part: pictures of every type, padded rows, int32 results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bpu_common import image as pictures
from bpu_common.container.check_program import check_program
from bpu_common.errors import InputError
from bpu_common.program import (
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    Program,
    Store,
)
from bpu_common.tensor import DType, InputType, Layout, ModelInput, TensorSpec, align_up
from bpu_sim.machine import check_hazards
from bpu_sim.machine.part import shifted
from tests.support.programs_machine import exact_part, io_tile, program_of, slot_bytes, sram_tile

HEIGHT, WIDTH = 10, 22
IMAGE_TYPES = [kind for kind in InputType if kind.is_image]


def picture_program(kind: InputType, channels: int, strip: int) -> Program:
    """Reads the picture in strips of rows and stores them as codes."""
    stride = align_up(WIDTH, 16) * (1 if kind.is_nv12 else channels)
    rows = HEIGHT * 3 // 2 if kind.is_nv12 else HEIGHT
    start = align_up(rows * stride, 64)
    y = io_tile(start, (HEIGHT, WIDTH, channels))
    image = Image(0, HEIGHT, WIDTH, stride, kind)
    body: list[Instruction] = []
    for row in range(0, HEIGHT, strip):
        count = min(strip, HEIGHT - row)
        tile = sram_tile(0, (count, WIDTH, channels))
        target = io_tile(start + row * y.row_pitch_bytes, tile.shape_hwc)
        body.append(LoadImage(0, (len(body) - 1,) if body else (), image, row, tile))
        body.append(Store(0, (len(body) - 1,), tile, target))
    program = program_of(
        body,
        inputs=[IoSlot("picture", 0, start)],
        outputs=[IoSlot("codes", start, slot_bytes(y))],
        io=start + slot_bytes(y),
    )
    check_hazards(program)
    return program


def model_input(kind: InputType, channels: int, layout: Layout) -> ModelInput:
    spec = TensorSpec("picture", (1, HEIGHT, WIDTH, channels), DType.INT8, Layout.NHWC)
    return ModelInput(spec, kind, layout)


@pytest.mark.parametrize("kind", IMAGE_TYPES)
@pytest.mark.parametrize("layout", [Layout.NHWC, Layout.NCHW])
@pytest.mark.parametrize("strip", [1, 3, 10])
def test_picture_is_what_the_network_sees(kind: InputType, layout: Layout, strip: int) -> None:
    channels = 1 if kind is InputType.GRAY else 3
    target = model_input(kind, channels, layout)
    rng = np.random.default_rng(strip)
    raw = rng.integers(0, 256, target.caller_shape).astype(np.uint8)
    part = exact_part(picture_program(kind, channels, strip), images={"picture": target})
    codes = part.run({"picture": raw})["codes"]
    assert codes.dtype == np.int8
    assert (codes == pictures.network_input(raw, target)).all()


def test_picture_of_the_wrong_size_is_an_input_error() -> None:
    target = model_input(InputType.NV12, 3, Layout.NHWC)
    part = exact_part(picture_program(InputType.NV12, 3, 5), images={"picture": target})
    with pytest.raises(InputError, match="330"):
        part.run({"picture": np.zeros(331, np.uint8)})
    with pytest.raises(InputError, match="uint8"):
        part.run({"picture": np.zeros(330, np.int8)})


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT32])
def test_rows_are_padded_in_ddr_and_unpadded_outside(dtype: DType) -> None:
    """Two strips and two channel halves make one output; nothing but valid data is touched."""
    shape = (4, 5, 6)
    x = io_tile(0, shape, dtype)
    y = io_tile(slot_bytes(x), shape, dtype)
    body: list[Instruction] = []
    for row in (0, 2):
        for channel in (0, 3):
            shift = row * x.row_pitch_bytes + channel * dtype.size_bytes
            source, target = (
                type(t)(
                    t.space, t.offset_bytes + shift, (2, 5, 3), t.row_pitch_bytes,
                    t.pixel_pitch_bytes, dtype,
                )
                for t in (x, y)
            )  # fmt: skip
            tile = sram_tile(len(body) * 512, (2, 5, 3), dtype)
            body += [Load(0, (), source, tile), Store(0, (len(body),), tile, target)]
    program = program_of(
        body,
        inputs=[IoSlot("x", 0, slot_bytes(x))],
        outputs=[IoSlot("y", slot_bytes(x), slot_bytes(y))],
        io=slot_bytes(x) + slot_bytes(y),
    )
    check_hazards(program)
    part = exact_part(program)
    values = np.random.default_rng(0).integers(-128, 128, (1, *shape)).astype(dtype.value)
    if dtype is DType.INT8:
        assert (part.run({"x": values})["y"] == values).all()
        return
    with pytest.raises(InputError, match="int8"):
        part.run({"x": values})


def test_frames_are_independent() -> None:
    """Nothing of an earlier frame is visible; the same input gives the same output."""
    target = model_input(InputType.GRAY, 1, Layout.NHWC)
    part = exact_part(picture_program(InputType.GRAY, 1, 4), images={"picture": target})
    frames = np.random.default_rng(3).integers(0, 256, (2, *target.caller_shape)).astype(np.uint8)
    results = [part.run({"picture": frames[k]})["codes"] for k in (0, 1, 0)]
    assert (results[0] == results[2]).all()
    assert (results[0] != results[1]).any()


def test_frames_share_what_is_loaded_once() -> None:
    """Three frames in one run, their tables loaded with the first: as three runs of one frame."""

    def program(frames: int) -> Program:
        source, target = io_tile(0, (2, 4, 8)), io_tile(4096, (2, 4, 8))
        pitch = slot_bytes(source)
        chip, made = sram_tile(0, (2, 4, 8)), sram_tile(64, (2, 4, 8))
        body: list[Instruction] = [LoadConst(0, (), 0, 256, 256)]
        for frame in range(frames):
            at = len(body)
            body += [
                Load(0, (at - 2,) if frame else (), shifted(source, frame * pitch), chip),
                Lut(0, (0, at, at - 1) if frame else (0, at), chip, made, 256, 1),
                Store(0, (at + 1,), made, shifted(target, frame * pitch)),
            ]
        gap = pitch if frames > 1 else 0
        return replace(
            program_of(
                body,
                inputs=[IoSlot("x", 0, pitch, gap)],
                outputs=[IoSlot("y", 4096, pitch, gap)],
                io=8192,
            ),
            frames=frames,
        )

    rng = np.random.default_rng(3)
    table = rng.integers(-128, 128, 256, np.int8).tobytes()
    frames = [{"x": rng.integers(-128, 128, (1, 2, 4, 8), np.int8)} for _ in range(3)]
    check_hazards(program(3))
    check_program(program(3), len(table), 1, "program")
    together = exact_part(program(3), table).run_frames(frames)
    alone = exact_part(program(1), table)
    for given, found in zip(frames, together, strict=True):
        assert np.array_equal(found["y"], alone.run(given)["y"])
