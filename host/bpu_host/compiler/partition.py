"""Cut the operations of a network into parts that run on the BPU or on the CPU.

A part is a set of operations of one kind; parts form a sequence in which every part reads only
model inputs and results of earlier parts, so cycles between parts cannot arise. Operations are
taken greedily: everything of one kind that is ready, transitively, then everything of the other
kind. That gives the fewest parts any such sequence can have.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bpu_common.errors import CompilerBug
from bpu_common.network import BPU_OPS, Operation, Part, Place, tensors_made, tensors_read

_LABELS = {Place.BPU: "subgraph", Place.CPU: "cpu"}


def split(
    name: str,
    ops: Sequence[Operation],
    outputs: Collection[str],
    constants: Collection[str],
    on_cpu: Collection[str] = (),
) -> tuple[Part, ...]:
    """Parts of a network in execution order, called `<name>_subgraph_<k>` and `<name>_cpu_<k>`.

    Args:
        ops: in topological order.
        outputs: tensors the model returns.
        constants: names that are no tensors.
        on_cpu: names of int8 operations that run on the CPU.

    Raises:
        CompilerBug: the operations are not in an order in which inputs precede their readers.
    """
    groups = min((_group(name, ops, first, on_cpu) for first in Place), key=len)
    made_by = {
        made: i for i, group in enumerate(groups) for op in group for made in tensors_made(op)
    }
    read_by: dict[str, set[int]] = {}
    for i, group in enumerate(groups):
        for op in group:
            for read in tensors_read(op):
                read_by.setdefault(read, set()).add(i)
    parts: list[Part] = []
    counts = dict.fromkeys(Place, 0)
    for i, group in enumerate(groups):
        place = _place(group[0], on_cpu)
        inputs = _part_inputs(group, constants)
        leaving = tuple(
            made
            for op in group
            for made in tensors_made(op)
            if made in outputs or any(j != i for j in read_by.get(made, ()))
        )
        if any(made_by.get(read, -1) > i for read in inputs):
            raise CompilerBug(f"partition: part {i} of {name} reads a later part's result")
        label = f"{name}_{_LABELS[place]}_{counts[place]}"
        parts.append(Part(label, place, tuple(group), inputs, leaving))
        counts[place] += 1
    return tuple(parts)


def _place(op: Operation, on_cpu: Collection[str]) -> Place:
    return Place.BPU if isinstance(op, BPU_OPS) and op.name not in on_cpu else Place.CPU


def _part_inputs(ops: Sequence[Operation], constants: Collection[str]) -> tuple[str, ...]:
    own = {name for op in ops for name in tensors_made(op)}
    names = (name for op in ops for name in tensors_read(op))
    return tuple(dict.fromkeys(n for n in names if n not in own and n not in constants))


def _group(
    name: str, ops: Sequence[Operation], place: Place, on_cpu: Collection[str]
) -> list[list[Operation]]:
    """Greedy groups, beginning with kind `place`; empty groups are left out."""
    made = {tensor for op in ops for tensor in tensors_made(op)}
    done: set[str] = set()
    waiting = list(ops)
    groups: list[list[Operation]] = []
    idle = 0
    while waiting:
        taken: list[Operation] = []
        left: list[Operation] = []
        for op in waiting:
            ready = all(n in done or n not in made for n in tensors_read(op))
            if ready and _place(op, on_cpu) is place:
                taken.append(op)
                done.update(tensors_made(op))
            else:
                left.append(op)
        if taken:
            groups.append(taken)
        idle = 0 if taken else idle + 1
        if idle == len(Place):
            raise CompilerBug(
                f"partition: {len(left)} operations of {name} wait for each other",
                where=left[0].name,
            )
        waiting = left
        place = Place.CPU if place is Place.BPU else Place.BPU
    return groups
