"""Random function calls and machine descriptions for the tests of timing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from bpu_common.machine import X3M, MachineSpec
from bpu_common.program import (
    AwaitStream,
    Conv,
    Engine,
    FunctionCall,
    Instruction,
    Load,
    LoadConst,
    Move,
    Program,
    Space,
    Store,
    Stream,
    Tile,
)


def tile(space: Space, height: int, width: int, channels: int) -> Tile:
    """A dense int8 tile at offset 0."""
    return Tile(space, 0, (height, width, channels), width * channels, channels)


def sram(height: int, width: int, channels: int) -> Tile:
    return tile(Space.SRAM, height, width, channels)


def conv(
    out_hwc: tuple[int, int, int],
    in_channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    operation: int = 0,
    waits: tuple[int, ...] = (),
) -> Conv:
    """A convolution whose input is as large as its kernel and stride need."""
    height, width, channels = out_hwc
    x = sram((height - 1) * stride + kernel, (width - 1) * stride + kernel, in_channels)
    return Conv(
        operation,
        waits,
        x,
        sram(height, width, channels),
        0,
        0,
        (kernel, kernel),
        (stride, stride),
        (1, 1),
        (0, 0, 0, 0),
        groups,
    )


@st.composite
def calls(draw: st.DrawFn, longest: int = 14) -> FunctionCall:
    """A call of loads, computations and stores with random waits on earlier instructions."""
    count = draw(st.integers(1, longest))
    instructions: list[Instruction] = []
    for index in range(count):
        operation = draw(st.integers(0, 3))
        earlier = st.integers(0, index - 1) if index else st.nothing()
        waits = tuple(sorted(draw(st.sets(earlier, max_size=2)))) if index else ()
        size = draw(st.integers(1, 60))
        match draw(st.sampled_from(["load", "const", "conv", "move", "store"])):
            case "load":
                source = tile(Space.SCRATCH, size, 8, 4)
                instructions.append(Load(operation, waits, source, sram(size, 8, 4)))
            case "const":
                instructions.append(LoadConst(operation, waits, 0, 0, 40 * size))
            case "conv":
                instructions.append(conv((size, 8, 8), 8, operation=operation, waits=waits))
            case "move":
                instructions.append(Move(operation, waits, sram(size, 8, 4), sram(size, 8, 4)))
            case _:
                target = tile(Space.SCRATCH, size, 8, 4)
                instructions.append(Store(operation, waits, sram(size, 8, 4), target))
    return FunctionCall.on_one_core("call", tuple(instructions))


@st.composite
def two_cores(draw: st.DrawFn) -> FunctionCall:
    """Two streams, the second of which may wait for instructions of the first."""
    first, second = (draw(calls(5)).instructions for _ in range(2))
    awaits = tuple(
        AwaitStream(0, (), engine, 0, draw(st.integers(0, len(first) - 1)))
        for engine in draw(st.sets(st.sampled_from(Engine), max_size=2))
    )
    later = tuple(
        replace(each, waits=tuple(wait + len(awaits) for wait in each.waits)) for each in second
    )
    return FunctionCall("call", (Stream(first), Stream((*awaits, *later))))


@st.composite
def specs(draw: st.DrawFn) -> MachineSpec:
    """Machines with other bandwidths, latencies and issue costs than the X3M."""
    port = draw(st.sampled_from([1.0, 2.5, 8.6]))
    return replace(
        X3M,
        ddr_bytes_per_cycle=port,
        ddr_total_bytes_per_cycle=port * draw(st.sampled_from([1.0, 1.5, 2.0, 3.0])),
        ddr_latency_cycles=draw(st.integers(0, 300)),
        instruction_cycles=draw(st.integers(0, 20)),
        dma_issue_cycles=draw(st.integers(0, 20)),
    )


def program(*calls_: FunctionCall) -> Program:
    """A program of these calls, without inputs, outputs or memory."""
    return Program(calls_, (), (), 0, 0, 0)
