"""The waits of a function call: every dependency between queues, and no more than needed.

Memory is kept as a map of disjoint stretches, each with the last reader and writer on every queue.
Queues run in order, so the last one of each queue stands for all before it. A writer stands for
everything before it: it has waited for the stretch's readers and writers itself, so whoever waits
for it waits for them.

A wait that follows from others is left out. `done[i]` is what has finished when instruction i
starts: the latest index on each queue, by its own queue's order and by its waits and theirs (a
vector clock). It knows of earlier instructions only, so waits are looked at latest first: no wait
that has been taken can follow from one that is taken after it.

A strided tile counts with the gaps between its rows and pixels. That is never a wait too few, but
can be one too many, where two queues fill neighbouring channels of a tensor. In exchange a
tile is one stretch of the map, not one for each of its pixels.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bpu_common.program import Engine, Instruction, Space, engine_of
from bpu_sim.machine.access import accesses

_QUEUES = (Engine.LOAD, Engine.COMPUTE, Engine.STORE)
_NEVER = -1


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
    reads, writes = accesses(instruction)
    for tile in (*reads, *writes):
        memory = memories.setdefault(tile.space, _Memory())
        for stretch in memory.covered(tile.offset_bytes, tile.end_bytes):
            needed.update(stretch.writers[q] for q in range(3) if q != queue)
            if tile in writes:
                needed.update(stretch.readers[q] for q in range(3) if q != queue)
    for tile in reads:
        for stretch in memories[tile.space].covered(tile.offset_bytes, tile.end_bytes):
            stretch.readers = _with(stretch.readers, queue, index)
    for tile in writes:
        kept = memories[tile.space].merge(tile.offset_bytes, tile.end_bytes)
        kept.readers = (_NEVER, _NEVER, _NEVER)
        kept.writers = _with((_NEVER, _NEVER, _NEVER), queue, index)
    needed.discard(_NEVER)
    return needed
