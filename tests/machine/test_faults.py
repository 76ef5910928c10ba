"""What a program must not do ends in a DeviceFault that names call, instruction and layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bpu_common.errors import DeviceFault, InputError
from bpu_common.program import (
    Axis,
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Fill,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Move,
    Requant,
    Resize,
    ResizeMode,
    Space,
    Store,
)
from bpu_common.tensor import DType, InputType
from bpu_sim.machine import Executor
from tests.support.programs_machine import exact_part, io_tile, program_of, sram_tile

SHAPE = (2, 4, 8)
X, Y = sram_tile(0, SHAPE), sram_tile(512, SHAPE)
FILL = Fill(0, (), X, 3)
CONV = Conv(
    0, (), X, Y, 2048, 3072, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1
)  # weights 64 bytes, parameters 64 bytes
CONSTANTS = (LoadConst(0, (), 0, 2048, 64), LoadConst(0, (), 64, 3072, 64))
UNIT = Requant(0, 0, 1 << 14, 14)
ENTRY = (EltwiseEntry(1, 1, UNIT),)
WEIGHTS = bytes(64) + np.array([(0, 0, 16384, 14)] * 8, "<i2,<u2,<u2,<u2").tobytes()
LINE = Axis((0, 1), (0, 1), (0, 0))


OPERATIONS = ("first", "second")


def fault_of(*calls: Sequence[Instruction], weights: bytes = WEIGHTS) -> str:
    program = program_of(*calls, scratch=256)
    with pytest.raises(DeviceFault) as caught:
        Executor(program, weights, OPERATIONS).run()
    return str(caught.value)


def test_the_healthy_program_runs() -> None:
    executor = Executor(program_of([FILL, *CONSTANTS, CONV], scratch=256), WEIGHTS)
    executor.run()
    assert (executor.read(Y) == 0).all()


def test_a_fault_names_call_instruction_and_operation() -> None:
    text = fault_of([FILL], [FILL, replace(CONV, operation=1)])
    assert "call 1 'call_1', instruction 1 (Conv), operation 'second'" in text
    assert "SRAM" in text


def test_sram_does_not_survive_a_call() -> None:
    text = fault_of([FILL], [Move(0, (), X, Y)])
    assert "64 bytes were never written" in text
    assert "call 1" in text


FAULTS: dict[str, tuple[str, list[Instruction]]] = {
    "read past the end": ("has 4096 bytes", [Move(0, (), sram_tile(4090, SHAPE), Y)]),
    "write past the end": ("has 4096 bytes", [Fill(0, (), sram_tile(4090, SHAPE), 0)]),
    "negative offset": ("negative", [Fill(0, (), sram_tile(-8, SHAPE), 0)]),
    "empty tile": ("empty", [Fill(0, (), sram_tile(0, (0, 4, 8)), 0)]),
    "partly written": ("32 bytes were never", [Fill(0, (), sram_tile(0, (1, 4, 8)), 0),
                                              Move(0, (), X, Y)]),
    "unwritten scratch": ("SCRATCH", [Load(0, (), replace(X, space=Space.SCRATCH), X)]),
    "constants past the end": ("WEIGHTS has 128", [LoadConst(0, (), 100, 0, 64)]),
    "writing weights": ("read-only", [FILL, Store(0, (), X, replace(X, space=Space.WEIGHTS))]),
    "overlapping rows": ("overlap", [Fill(0, (), replace(X, row_pitch_bytes=8), 0)]),
    "overlapping pixels": ("overlap", [Fill(0, (), replace(X, pixel_pitch_bytes=4), 0)]),
    "load between DDR spaces": ("cannot copy", [
        FILL, Store(0, (), X, replace(X, space=Space.SCRATCH)),
        Load(0, (), replace(X, space=Space.SCRATCH), replace(X, space=Space.IO))]),
    "load of another shape": ("differ in shape", [
        FILL, Store(0, (), X, replace(X, space=Space.SCRATCH)),
        Load(0, (), replace(X, space=Space.SCRATCH), sram_tile(0, (4, 2, 8)))]),
    "misaligned int32": ("misaligned", [
        FILL, *CONSTANTS, replace(CONV, y=sram_tile(513, SHAPE, DType.INT32))]),
    "unwritten weights": ("never written", [FILL, CONSTANTS[1], CONV]),
    "unwritten parameters": ("never written", [FILL, CONSTANTS[0], CONV]),
    "misaligned parameters": ("misaligned", [
        FILL, *CONSTANTS, LoadConst(0, (), 0, 3136, 8), replace(CONV, params_offset_bytes=3076)]),
    "groups": ("3 groups", [FILL, *CONSTANTS, replace(CONV, groups=3)]),
    "window outside": ("5 columns of padded input", [
        FILL, *CONSTANTS, replace(CONV, pads_tlbr=(0, 0, 0, 0), y=sram_tile(512, (2, 5, 8)))]),
    "negative pads": ("out of range", [FILL, *CONSTANTS, replace(CONV, pads_tlbr=(0, -1, 0, 2))]),
    "result in DDR": ("results are int8 in SRAM", [
        Fill(0, (), replace(X, space=Space.SCRATCH), 0)]),
    "int32 pooling": ("results are int8", [
        FILL, MaxPool(0, (), X, sram_tile(512, SHAPE, DType.INT32), (1, 1), (1, 1), (0,) * 4)]),
    "pooling channels": ("differ in channels", [
        FILL, MaxPool(0, (), X, sram_tile(512, (2, 4, 4)), (1, 1), (1, 1), (0,) * 4)]),
    "broadcast": ("does not broadcast", [
        FILL, Eltwise(0, (), EltwiseKind.ADD, X, sram_tile(0, (1, 4, 8)), Y, ENTRY)]),
    "one operand": ("has only one", [
        FILL, Eltwise(0, (), EltwiseKind.ADD, X, None, Y, ENTRY)]),
    "table count": ("3 look-up tables", [
        FILL, Fill(0, (), sram_tile(1024, (3, 1, 256)), 0), Lut(0, (), X, Y, 1024, 3)]),
    "axis length": ("2 positions, the output 4", [
        FILL, Resize(0, (), ResizeMode.NEAREST, X, Y, LINE, LINE)]),
    "axis position": ("leaves its input of 2", [
        FILL, Resize(0, (), ResizeMode.NEAREST, X, sram_tile(512, (2, 2, 8)),
                     Axis((0, 2), (0, 1), (0, 0)), LINE)]),
    "axis weight": ("0..255", [
        FILL, Resize(0, (), ResizeMode.NEAREST, X, sram_tile(512, (2, 2, 8)),
                     Axis((0, 1), (0, 1), (0, 256)), LINE)]),
    "picture rows": ("reads rows [6, 10)", [
        LoadImage(0, (), Image(0, 8, 4, 16, InputType.RGB), 6, sram_tile(0, (4, 4, 3)))]),
    "nv12 channels": ("3 channels", [
        LoadImage(0, (), Image(0, 8, 4, 16, InputType.NV12), 0, sram_tile(0, (4, 4, 1)))]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FAULTS))
def test_fault(name: str) -> None:
    message, body = FAULTS[name]
    text = fault_of(body)
    assert message in text
    assert "operation 'first'" in text


def test_bad_parameter_table_is_a_fault() -> None:
    weights = bytes(64) + bytes([0, 0, 0, 99, 0, 64, 14, 0]) * 8
    assert "shift out of range" in fault_of([FILL, *CONSTANTS, CONV], weights=weights)


def test_output_that_is_not_wholly_stored_faults() -> None:
    y = io_tile(0, SHAPE)
    half = replace(X, shape_hwc=(1, 4, 8))
    body = [Fill(0, (), X, 1), Store(0, (0,), half, replace(y, offset_bytes=y.row_pitch_bytes,
                                                             shape_hwc=(1, 4, 8)))]  # fmt: skip
    program = program_of(body, outputs=[IoSlot("y", 0, 2 * y.row_pitch_bytes)])
    with pytest.raises(DeviceFault, match="never written"):
        exact_part(program).run({})


def test_output_that_nothing_stores_faults() -> None:
    program = program_of([FILL], outputs=[IoSlot("y", 0, 512)])
    with pytest.raises(DeviceFault, match="nothing stores output 'y'"):
        exact_part(program)


def test_wrong_inputs_are_input_errors() -> None:
    source, target = io_tile(0, SHAPE), io_tile(512, SHAPE)
    body = [Load(0, (), source, X), Store(0, (0,), X, target)]
    program = program_of(body, inputs=[IoSlot("x", 0, 512)], outputs=[IoSlot("y", 512, 512)])
    part = exact_part(program)
    good = np.ones((1, *SHAPE), np.int8)
    assert (part.run({"x": good})["y"] == good).all()
    for bad in (good[0], good.astype(np.float32), np.ones((2, *SHAPE), np.int8)):
        with pytest.raises(InputError, match="'x'"):
            part.run({"x": bad})
    with pytest.raises(InputError, match="does not fit"):
        part.run({"x": np.ones((1, 40, 4, 8), np.int8)})
    with pytest.raises(InputError, match="no value"):
        part.run({})
