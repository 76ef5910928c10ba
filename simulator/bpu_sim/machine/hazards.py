"""Proof that a program's waits and in-order queues cover every dependency between queues.

For each byte of each memory the checker keeps the last instruction of every queue of every core
that wrote and read it. Queues are in order, so an instruction is safe if the *last* conflicting
access of each other queue is known to have finished before it starts; what is known follows from
its queue's predecessor, its waits and the other stream it awaits, transitively (a vector clock per
instruction). Instructions are looked at in a legal order, so a conflict is found at the later of
the two. Each core has an SRAM of its own. Calls are barriers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bpu_common.errors import CompilerBug
from bpu_common.program import (
    AwaitStream,
    Eltwise,
    Engine,
    FunctionCall,
    Instruction,
    Lut,
    Move,
    Program,
    Space,
    Tile,
    engine_of,
    legal_order,
)
from bpu_common.tensor import I32
from bpu_sim.machine.access import accesses
from bpu_sim.machine.memory import byte_view, describe

Queue: TypeAlias = tuple[int, Engine]
"""A queue of the core that runs a stream of this index."""
Place: TypeAlias = tuple[int, int]
"""An instruction: stream, and index in it."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """Two instructions of one call whose order nothing ensures, though they share bytes.

    Attributes:
        kind: "RAW", "WAR" or "WAW"; "WAIT" for a wait on no earlier instruction; "ALIAS" for an
            instruction that overwrites an input it is still reading.
        tile: the region of `later` that is concerned, None for a wait.
    """

    call: int
    earlier: Place
    later: Place
    kind: str
    tile: Tile | None

    def __str__(self) -> str:
        on = "" if self.tile is None else f" on {describe(self.tile)}"
        return (
            f"call {self.call}: instruction {_name(self.later)} and instruction "
            f"{_name(self.earlier)} are not ordered ({self.kind}{on})"
        )


def _name(place: Place) -> str:
    return f"{place[1]} of stream {place[0]}" if place[0] else str(place[1])


class _History:
    """Sequence number of the last access to each byte of one space, per queue; -1 = none."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._last: dict[tuple[Queue, bool], I32] = {}

    def last(self, queue: Queue, write: bool, tile: Tile) -> int:
        table = self._last.get((queue, write))
        return -1 if table is None else int(byte_view(table, tile).max())

    def note(self, queue: Queue, write: bool, tile: Tile, number: int) -> None:
        table = self._last.get((queue, write))
        if table is None:
            table = np.full(self._size_bytes, -1, np.int32)
            self._last[queue, write] = table
        byte_view(table, tile)[...] = number


def check_hazards(program: Program, operations: Sequence[str] = ()) -> None:
    """Raise CompilerBug if any two conflicting instructions of a call are not ordered.

    Args:
        operations: names of the part's operations.
    """
    found = list(find_hazards(program))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        stream, index = found[0].later
        call = program.calls[found[0].call]
        number = call.streams[stream].instructions[index].operation
        name = operations[number] if number < len(operations) else str(number)
        raise CompilerBug(f"{found[0]}{more}", where=f"operation '{name}'")


def find_hazards(program: Program) -> Iterator[Hazard]:
    """Every unordered conflict, each with the last conflicting instruction of the other queue.

    Raises:
        DeadlockError: streams that wait for each other.
    """
    cores = range(max((len(call.streams) for call in program.calls), default=0))
    queues = tuple((core, engine) for core in cores for engine in Engine)
    srams = [_History(program.sram_bytes) for _ in cores]
    shared = {
        Space.SCRATCH: _History(program.scratch_bytes),
        Space.IO: _History(program.io_bytes),
    }
    first = 0  # sequence number of the call's first instruction
    for call_index, call in enumerate(program.calls):
        order = legal_order(call)
        done_before = _clocks(call, order, queues)
        for number, (stream, index) in enumerate(order):
            instruction = call.streams[stream].instructions[index]
            yield from _broken_waits(call_index, stream, index, instruction)
            yield from _aliases(call_index, (stream, index), instruction)
            queue = stream, engine_of(instruction)
            histories = {Space.SRAM: srams[stream], **shared}
            for tile, write in _regions(instruction):
                for other, other_write, kind in _conflicts(queue, queues, write):
                    last = histories[tile.space].last(other, other_write, tile) - first
                    if last >= 0 and order[last][1] > done_before[number][other]:
                        yield Hazard(call_index, order[last], (stream, index), kind, tile)
            for tile, write in _regions(instruction):
                histories[tile.space].note(queue, write, tile, first + number)
        first += len(order)


def _clocks(
    call: FunctionCall, order: Sequence[Place], queues: tuple[Queue, ...]
) -> list[dict[Queue, int]]:
    """For each instruction the highest index of each queue that is finished before it starts.

    Indices are in the streams' lists; a queue's instructions finish in order, so all of that
    queue's up to the index are finished. -1: none is known to be.
    """
    clocks: list[dict[Queue, int]] = []
    numbers = {place: number for number, place in enumerate(order)}
    previous: dict[Queue, int] = {}
    for stream, index in order:
        instruction = call.streams[stream].instructions[index]
        queue = stream, engine_of(instruction)
        before = [(stream, wait) for wait in instruction.waits if 0 <= wait < index]
        if isinstance(instruction, AwaitStream):
            before.append((instruction.stream, instruction.instruction))
        if queue in previous:
            before.append((stream, previous[queue]))
        clock = dict.fromkeys(queues, -1)
        for source in before:
            known = clocks[numbers[source]]
            for other in queues:
                clock[other] = max(clock[other], known[other])
            at, done = source
            finished = at, engine_of(call.streams[at].instructions[done])
            clock[finished] = max(clock[finished], done)
        clocks.append(clock)
        previous[queue] = index
    return clocks


def _regions(instruction: Instruction) -> list[tuple[Tile, bool]]:
    """(tile, is a write) of every access to a memory that can change."""
    reads, writes = accesses(instruction)
    both = [(tile, False) for tile in reads] + [(tile, True) for tile in writes]
    return [(tile, write) for tile, write in both if tile.space is not Space.WEIGHTS]


def _conflicts(
    queue: Queue, queues: tuple[Queue, ...], write: bool
) -> Iterator[tuple[Queue, bool, str]]:
    for other in queues:
        if other != queue:
            yield other, True, "WAW" if write else "RAW"
            if write:
                yield other, False, "WAR"


def _broken_waits(call: int, stream: int, index: int, instruction: Instruction) -> Iterator[Hazard]:
    for wait in instruction.waits:
        if not 0 <= wait < index:
            yield Hazard(call, (stream, wait), (stream, index), "WAIT", None)


def _aliases(call: int, place: Place, instruction: Instruction) -> Iterator[Hazard]:
    """An output may share bytes with an input only element by element: the very same tile."""
    reads, writes = accesses(instruction)
    elementwise = isinstance(instruction, Eltwise | Lut | Move)
    for read in reads:
        for write in writes:
            in_place = elementwise and read == write
            if read.space is write.space and not in_place and _overlap(read, write):
                yield Hazard(call, place, place, "ALIAS", write)


def _overlap(a: Tile, b: Tile) -> bool:
    """Whether two tiles of one space share a byte."""
    if a.end_bytes <= b.offset_bytes or b.end_bytes <= a.offset_bytes:
        return False
    touched = np.zeros(max(a.end_bytes, b.end_bytes), np.bool_)
    byte_view(touched, a)[...] = True
    return bool(byte_view(touched, b).any())
