"""Small programs written by hand for tests of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bpu_common.model import PartProgram
from bpu_common.program import (
    FunctionCall,
    Instruction,
    IoSlot,
    Load,
    Program,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import DType, ModelInput, align_up
from bpu_sim.machine import ExactPart
from bpu_sim.machine.compiled import NUMPY
from tests.support.kernels_library import SETS

COMPUTING = (NUMPY, *SETS)
"""What can compute instructions on this machine."""


def io_tile(offset: int, shape_hwc: tuple[int, int, int], dtype: DType = DType.INT8) -> Tile:
    """A whole tensor in the IO space, rows padded to 16 pixels."""
    pixel = shape_hwc[2] * dtype.size_bytes
    row = align_up(shape_hwc[1], 16) * pixel
    return Tile(Space.IO, offset, shape_hwc, row, pixel, dtype)


def sram_tile(
    offset: int,
    shape_hwc: tuple[int, int, int],
    dtype: DType = DType.INT8,
    gaps: tuple[int, int] = (0, 0),
) -> Tile:
    """A tile in SRAM; `gaps` elements are left free behind each row and each pixel."""
    pixel = (shape_hwc[2] + gaps[1]) * dtype.size_bytes
    row = shape_hwc[1] * pixel + gaps[0] * dtype.size_bytes
    return Tile(Space.SRAM, offset, shape_hwc, row, pixel, dtype)


def slot_bytes(tile: Tile) -> int:
    return align_up(tile.shape_hwc[0] * tile.row_pitch_bytes, 64)


def program_of(
    *calls: Sequence[Instruction],
    inputs: Sequence[IoSlot] = (),
    outputs: Sequence[IoSlot] = (),
    sram: int = 4096,
    scratch: int = 0,
    io: int = 4096,
) -> Program:
    return Program(
        calls=tuple(FunctionCall.on_one_core(f"call_{k}", body) for k, body in enumerate(calls)),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        sram_bytes=sram,
        scratch_bytes=scratch,
        io_bytes=io,
    )


def exact_part(
    program: Program,
    weights: bytes = b"",
    images: Mapping[str, ModelInput] | None = None,
    prefer: str = "auto",
) -> ExactPart:
    return ExactPart("g_subgraph_0", PartProgram(program, weights), images or {}, prefer=prefer)


def run_one(
    body: Sequence[Instruction],
    operands: Sequence[tuple[Tile, np.ndarray]],
    y: Tile,
    weights: bytes = b"",
) -> np.ndarray:
    """Load operands to their SRAM tiles, run `body` (waits are filled in), store y; (H, W, C).

    Whatever computes here runs it, each twice, and all must make the same.
    """
    loads: list[Instruction] = []
    slots: list[IoSlot] = []
    arrays: dict[str, np.ndarray] = {}
    offset = 0
    for number, (tile, values) in enumerate(operands):
        source = io_tile(offset, tile.shape_hwc, tile.dtype)
        slots.append(IoSlot(f"x{number}", offset, slot_bytes(source)))
        loads.append(Load(0, (), source, tile))
        arrays[f"x{number}"] = values[np.newaxis]
        offset += slot_bytes(source)
    target = io_tile(offset, y.shape_hwc, y.dtype)
    everything = [*loads, *body, Store(1, (), y, target)]
    chained = [
        replace(instruction, waits=(index - 1,) if index else ())
        for index, instruction in enumerate(everything)
    ]
    program = program_of(
        chained,
        inputs=slots,
        outputs=[IoSlot("y", offset, slot_bytes(target))],
        sram=1 << 16,
        io=offset + slot_bytes(target),
    )
    found = []
    for prefer in COMPUTING:
        part = exact_part(program, weights, prefer=prefer)
        found += [part.run(arrays)["y"][0], part.run(arrays)["y"][0]]
    for other in found:
        np.testing.assert_array_equal(other, found[0], f"by one of {COMPUTING}")
    return found[0]
