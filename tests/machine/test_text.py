"""The listing: one readable line for every kind of instruction."""

from __future__ import annotations

from typing import get_args

from bpu_common.program import (
    AwaitStream,
    Axis,
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Engine,
    Fill,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Requant,
    Resize,
    ResizeMode,
    Store,
)
from bpu_common.tensor import DType, InputType
from bpu_sim.machine.text import line, listing
from tests.support.programs_machine import io_tile, program_of, sram_tile

X, Y = sram_tile(0, (2, 4, 8)), sram_tile(64, (2, 4, 8))
ONE = Axis((0,), (0,), (0,))
LINES: dict[str, Instruction] = {
    "    0 load    load    io+0/128/8[2x4x8] -> sram+0/32/8[2x4x8]": Load(
        0, (), io_tile(0, (2, 4, 8)), X
    ),
    "    0 load    image   nv12 8x6 io+64/16 row 2 -> sram+0/12/3[2x4x3]": LoadImage(
        0, (), Image(64, 8, 6, 16, InputType.NV12), 2, sram_tile(0, (2, 4, 3))
    ),
    "    0 load    region  1 of frame 0 row 2 -> sram+0/12/3[2x4x3]": LoadRoi(
        0, (), 1, 2, sram_tile(0, (2, 4, 3))
    ),
    "    0 store   await   instruction 7 of stream 1": AwaitStream(0, (), Engine.STORE, 1, 7),
    "    0 compute conv    sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8] w sram+1024 p sram+2048 "
    "k1x1 s1x1 p0,0,0,0 pad -128 + sram+64/32/8[2x4x8] k3": Conv(
        0, (), X, Y, 1024, 2048, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1,
        pad_code=-128, addend=Y, factors=(3,),
    ),
    "    0 load    const   weights+128 -> sram+512 99 bytes": LoadConst(0, (), 128, 512, 99),
    "    0 store   store   sram+0/32/8[2x4x8] -> io+0/128/8[2x4x8]  after 1,2": Store(
        0, (1, 2), X, io_tile(0, (2, 4, 8))
    ),
    "    0 compute conv    sram+0/32/8[2x4x8] -> sram+64/128/32[2x4x8 int32] w sram+1024 "
    "p sram+2048 k3x3 s2x1 p1,1,1,1 d2x2 u1x2 depthwise": Conv(
        0, (), X, sram_tile(64, (2, 4, 8), DType.INT32), 1024, 2048,
        (3, 3), (2, 1), (2, 2), (1, 1, 1, 1), 8, (1, 2),
    ),
    "    0 compute conv    sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8] w sram+1024 p sram+2048 "
    "k1x1 s1x1 p0,0,0,0 g2 clamp[0,127]": Conv(
        0, (), X, Y, 1024, 2048, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 2, clamp=(0, 127)
    ),
    "    0 compute maxpool sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8] k2x2 s2x2 p0,0,1,1": MaxPool(
        0, (), X, Y, (2, 2), (2, 2), (0, 0, 1, 1)
    ),
    "    0 compute add     sram+0/32/8[2x4x8], sram+64/32/8[2x4x8] -> sram+0/32/8[2x4x8] k100,-7 "
    "(+60)>>1*17476>>21": Eltwise(
        0, (), EltwiseKind.ADD, X, Y, X, (EltwiseEntry(100, -7, Requant(60, 1, 17476, 21)),)
    ),
    "    0 compute mul     sram+0/32/8[2x4x8], sram+64/32/8[2x4x8] -> sram+0/32/8[2x4x8] "
    "(+60)>>1*17476>>21": Eltwise(
        0, (), EltwiseKind.MUL, X, Y, X, (EltwiseEntry(1, 1, Requant(60, 1, 17476, 21)),)
    ),
    "    0 compute lut     sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8] table sram+256 x1": Lut(
        0, (), X, Y, 256, 1
    ),
    "    0 compute resize  sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8] bilinear": Resize(
        0, (), ResizeMode.BILINEAR, X, Y, ONE, ONE
    ),
    "    0 compute move    sram+0/32/8[2x4x8] -> sram+64/32/8[2x4x8]": Move(0, (), X, Y),
    "    0 compute fill    -3 -> sram+0/32/8[2x4x8]": Fill(0, (), X, -3),
}  # fmt: skip


def test_lines() -> None:
    assert {type(instruction) for instruction in LINES.values()} == set(get_args(Instruction))
    for text, instruction in LINES.items():
        assert line(0, instruction) == text


def test_listing() -> None:
    program = program_of(
        [Fill(0, (), X, 1)],
        [Fill(1, (), Y, 2)],
        inputs=[IoSlot("x", 0, 64)],
        outputs=[IoSlot("y", 64, 128)],
    )
    assert list(listing(program, ("first", "second"))) == [
        "program  sram 4096  scratch 0  io 4096",
        "input    io+0 64 bytes  x",
        "output   io+64 128 bytes  y",
        "call 0  call_0  0 cycles",
        "      0 compute fill    1 -> sram+0/32/8[2x4x8]  ; first",
        "call 1  call_1  0 cycles",
        "      0 compute fill    2 -> sram+64/32/8[2x4x8]  ; second",
    ]
