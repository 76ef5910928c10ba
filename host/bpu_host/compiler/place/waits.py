"""The waits of a function call: every dependency between queues, and no more than needed.

Memory is kept as a map of disjoint stretches, each with the last reader and writer on every queue.
Queues run in order, so the last one of each queue stands for all before it; a wait that follows
from other waits is left out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    Conv,
    Eltwise,
    Engine,
    Fill,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Move,
    Resize,
    Space,
    Store,
    Tile,
    engine_of,
)

_QUEUES = (Engine.LOAD, Engine.COMPUTE, Engine.STORE)
_NEVER = -1
LUT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes [start, end) of a space that an instruction reads or writes."""

    space: Space
    start: int
    end: int
    write: bool


def _tile(tile: Tile, write: bool) -> Access:
    return Access(tile.space, tile.offset_bytes, tile.end_bytes, write)


def _table(start: int, size_bytes: int) -> Access:
    return Access(Space.SRAM, start, start + size_bytes, write=False)


def accesses(instruction: Instruction) -> tuple[Access, ...]:
    """What an instruction touches, except pictures and the weights section (never written)."""
    match instruction:
        case Load(src=x, dst=y) | Store(src=x, dst=y):
            return (_tile(x, False), _tile(y, True))
        case MaxPool(x=x, y=y) | Move(x=x, y=y) | Resize(x=x, y=y):
            return (_tile(x, False), _tile(y, True))
        case LoadImage(dst=y) | Fill(y=y):
            return (_tile(y, True),)
        case LoadConst(dst_offset_bytes=at, size_bytes=size):
            return (Access(Space.SRAM, at, at + size, write=True),)
        case Conv(x=x, y=y):
            channels = y.shape_hwc[2]
            taps = instruction.kernel_hw[0] * instruction.kernel_hw[1]
            weights = channels * taps * (x.shape_hwc[2] // instruction.groups)
            return (
                _tile(x, False),
                _table(instruction.weights_offset_bytes, weights),
                _table(instruction.params_offset_bytes, channels * CHANNEL_PARAM_BYTES),
                _tile(y, True),
            )
        case Eltwise(a=a, b=b, y=y):
            second = () if b is None else (_tile(b, False),)
            return (_tile(a, False), *second, _tile(y, True))
        case Lut(x=x, y=y, table_offset_bytes=at, table_count=count):
            return (_tile(x, False), _table(at, count * LUT_BYTES), _tile(y, True))


@dataclass(slots=True)
class _Stretch:
    """Last reader and writer of a stretch of memory on each queue (instruction indices)."""

    readers: tuple[int, int, int] = (_NEVER, _NEVER, _NEVER)
    writers: tuple[int, int, int] = (_NEVER, _NEVER, _NEVER)


@dataclass(slots=True)
class _Memory:
    """Disjoint stretches that cover an address space; `starts[i]` begins `stretches[i]`."""

    starts: list[int] = field(default_factory=lambda: [0])
    stretches: list[_Stretch] = field(default_factory=lambda: [_Stretch()])

    def covered(self, start: int, end: int) -> Iterator[_Stretch]:
        """Stretches of exactly [start, end); existing ones are cut where needed."""
        self._cut(start)
        self._cut(end)
        low, high = bisect_left(self.starts, start), bisect_left(self.starts, end)
        return iter(self.stretches[low:high])

    def merge(self, start: int, end: int) -> _Stretch:
        """One stretch for all of [start, end), which `covered` has cut before."""
        low, high = bisect_left(self.starts, start), bisect_left(self.starts, end)
        del self.starts[low + 1 : high], self.stretches[low + 1 : high]
        return self.stretches[low]

    def _cut(self, at: int) -> None:
        index = bisect_right(self.starts, at) - 1
        if self.starts[index] != at:
            old = self.stretches[index]
            self.starts.insert(index + 1, at)
            self.stretches.insert(index + 1, _Stretch(old.readers, old.writers))


def _with(values: tuple[int, int, int], queue: int, index: int) -> tuple[int, int, int]:
    changed = list(values)
    changed[queue] = index
    return (changed[0], changed[1], changed[2])


def add_waits(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """The instructions of one call with their `waits` filled in."""
    memories: dict[Space, _Memory] = {}
    done: list[tuple[int, int, int]] = []
    last = [_NEVER, _NEVER, _NEVER]
    result: list[Instruction] = []
    for index, instruction in enumerate(instructions):
        queue = _QUEUES.index(engine_of(instruction))
        needed = _needed(memories, instruction, queue, index)
        known = list(done[last[queue]]) if last[queue] >= 0 else [_NEVER, _NEVER, _NEVER]
        known[queue] = last[queue]
        waits: list[int] = []
        for other in sorted(needed, reverse=True):
            at = _QUEUES.index(engine_of(instructions[other]))
            if known[at] >= other:
                continue
            waits.append(other)
            known = [max(pair) for pair in zip(known, done[other], strict=True)]
            known[at] = max(known[at], other)
        done.append((known[0], known[1], known[2]))
        last[queue] = index
        result.append(replace(instruction, waits=tuple(sorted(waits))))
    return tuple(result)


def _needed(
    memories: dict[Space, _Memory], instruction: Instruction, queue: int, index: int
) -> set[int]:
    """Last conflicting instruction on each other queue; notes this one's own accesses."""
    needed: set[int] = set()
    touched = accesses(instruction)
    for access in touched:
        memory = memories.setdefault(access.space, _Memory())
        for stretch in memory.covered(access.start, access.end):
            needed.update(stretch.writers[q] for q in range(3) if q != queue)
            if access.write:
                needed.update(stretch.readers[q] for q in range(3) if q != queue)
    for access in touched:
        memory = memories[access.space]
        if access.write:
            kept = memory.merge(access.start, access.end)
            kept.readers = (_NEVER, _NEVER, _NEVER)
            kept.writers = _with((_NEVER, _NEVER, _NEVER), queue, index)
            continue
        for stretch in memory.covered(access.start, access.end):
            stretch.readers = _with(stretch.readers, queue, index)
    needed.discard(_NEVER)
    return needed
