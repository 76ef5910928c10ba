"""Proof that a program's waits and in-order queues cover every dependency between queues.

For each byte of each memory the checker keeps the last instruction of every queue that wrote and
read it. Queues are in order, so an instruction is safe if the *last* conflicting access of each
other queue is known to have finished before it starts; what is known follows from its queue's
predecessor and its waits, transitively (a vector clock per instruction). Calls are barriers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bpu_common.errors import CompilerBug
from bpu_common.program import (
    Eltwise,
    Engine,
    Instruction,
    Lut,
    Move,
    Program,
    Space,
    Tile,
    engine_of,
)
from bpu_common.tensor import I32
from bpu_sim.machine.access import accesses
from bpu_sim.machine.memory import byte_view, describe

_ENGINES = tuple(Engine)


@dataclass(frozen=True, slots=True)
class Hazard:
    """Two instructions of one call whose order nothing ensures, though they share bytes.

    Attributes:
        kind: "RAW", "WAR" or "WAW"; "WAIT" for a wait on no earlier instruction; "ALIAS" for an
            instruction that overwrites an input it is still reading.
        tile: the region of `later` that is concerned.
    """

    call: int
    earlier: int
    later: int
    kind: str
    tile: Tile

    def __str__(self) -> str:
        return (
            f"call {self.call}: instruction {self.later} and instruction {self.earlier} are not "
            f"ordered ({self.kind} on {describe(self.tile)})"
        )


class _History:
    """Sequence number of the last access to each byte of one space, per engine; -1 = none."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._last: dict[tuple[Engine, bool], I32] = {}

    def last(self, engine: Engine, write: bool, tile: Tile) -> int:
        table = self._last.get((engine, write))
        return -1 if table is None else int(byte_view(table, tile).max())

    def note(self, engine: Engine, write: bool, tile: Tile, number: int) -> None:
        table = self._last.get((engine, write))
        if table is None:
            table = np.full(self._size_bytes, -1, np.int32)
            self._last[engine, write] = table
        byte_view(table, tile)[...] = number


def check_hazards(program: Program) -> None:
    """Raise CompilerBug if any two conflicting instructions of a call are not ordered."""
    found = list(find_hazards(program))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        layer = program.calls[found[0].call].instructions[found[0].later].layer
        raise CompilerBug(f"{found[0]}{more}", where=f"layer '{program.layers[layer]}'")


def find_hazards(program: Program) -> Iterator[Hazard]:
    """Every unordered conflict, each with the last conflicting instruction of the other queue."""
    histories = {
        Space.SRAM: _History(program.sram_bytes),
        Space.SCRATCH: _History(program.scratch_bytes),
        Space.IO: _History(program.io_bytes),
    }
    first = 0  # sequence number of the call's first instruction
    for call_index, call in enumerate(program.calls):
        done_before = _clocks(call.instructions)
        for index, instruction in enumerate(call.instructions):
            yield from _broken_waits(call_index, index, instruction)
            yield from _aliases(call_index, index, instruction)
            engine = engine_of(instruction)
            for tile, write in _regions(instruction):
                history = histories[tile.space]
                for other, other_write, kind in _conflicts(engine, write):
                    last = history.last(other, other_write, tile) - first
                    if last > done_before[index][other]:
                        yield Hazard(call_index, last, index, kind, tile)
            for tile, write in _regions(instruction):
                histories[tile.space].note(engine, write, tile, first + index)
        first += len(call.instructions)


def _clocks(instructions: tuple[Instruction, ...]) -> list[dict[Engine, int]]:
    """For each instruction the highest index of each queue that is finished before it starts.

    Indices are in the call's list; a queue's instructions finish in order, so all of that queue's
    up to the index are finished. -1: none is known to be.
    """
    clocks: list[dict[Engine, int]] = []
    previous: dict[Engine, int] = {}
    for index, instruction in enumerate(instructions):
        clock = dict.fromkeys(_ENGINES, -1)
        engine = engine_of(instruction)
        before = [wait for wait in instruction.waits if 0 <= wait < index]
        if engine in previous:
            before.append(previous[engine])
        for source in before:
            for other in _ENGINES:
                clock[other] = max(clock[other], clocks[source][other])
            finished = engine_of(instructions[source])
            clock[finished] = max(clock[finished], source)
        clocks.append(clock)
        previous[engine] = index
    return clocks


def _regions(instruction: Instruction) -> list[tuple[Tile, bool]]:
    """(tile, is a write) of every access to a memory that can change."""
    reads, writes = accesses(instruction)
    both = [(tile, False) for tile in reads] + [(tile, True) for tile in writes]
    return [(tile, write) for tile, write in both if tile.space is not Space.WEIGHTS]


def _conflicts(engine: Engine, write: bool) -> Iterator[tuple[Engine, bool, str]]:
    for other in _ENGINES:
        if other is not engine:
            yield other, True, "WAW" if write else "RAW"
            if write:
                yield other, False, "WAR"


def _broken_waits(call: int, index: int, instruction: Instruction) -> Iterator[Hazard]:
    for wait in instruction.waits:
        if not 0 <= wait < index:
            yield Hazard(call, wait, index, "WAIT", accesses(instruction)[1][0])


def _aliases(call: int, index: int, instruction: Instruction) -> Iterator[Hazard]:
    """An output may share bytes with an input only element by element: the very same tile."""
    reads, writes = accesses(instruction)
    elementwise = isinstance(instruction, Eltwise | Lut | Move)
    for read in reads:
        for write in writes:
            in_place = elementwise and read == write
            if read.space is write.space and not in_place and _overlap(read, write):
                yield Hazard(call, index, index, "ALIAS", write)


def _overlap(a: Tile, b: Tile) -> bool:
    """Whether two tiles of one space share a byte."""
    if a.end_bytes <= b.offset_bytes or b.end_bytes <= a.offset_bytes:
        return False
    touched = np.zeros(max(a.end_bytes, b.end_bytes), np.bool_)
    byte_view(touched, a)[...] = True
    return bool(byte_view(touched, b).any())
