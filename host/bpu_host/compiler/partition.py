"""Cut the lowered graph into parts that run on the BPU or on the CPU.

A part is a set of operations of one kind; parts form a sequence in which every part reads only
model inputs and results of earlier parts, so cycles between parts cannot arise. Operations are
taken greedily: everything of one kind that is ready, transitively, then everything of the other
kind. That gives the fewest parts any such sequence can have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpu_common.errors import CompilerBug
from bpu_host.compiler.lowered import (
    BPU_OPS,
    CpuOp,
    Dequantize,
    LoweredGraph,
    LoweredOp,
    Quantize,
    op_inputs,
)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Operations that run together, in topological order.

    Attributes:
        name: `<graph>_subgraph_<k>` on the BPU, `<graph>_cpu_<k>` on the CPU; k counts each kind.
        on: "BPU" or "CPU".
        inputs: tensors read and not made here, in order of first use.
        outputs: tensors made here that a later part reads or the model returns.
    """

    name: str
    on: str
    ops: tuple[LoweredOp, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def runs_on_bpu(op: LoweredOp) -> bool:
    """Whether the operation belongs into a BPU part."""
    return isinstance(op, BPU_OPS)


def tensors_read(op: LoweredOp) -> tuple[str, ...]:
    """Names of the activations an operation reads, without constants, each once."""
    match op:
        case Quantize() | Dequantize():
            names: tuple[str, ...] = (op.x,)
        case CpuOp():
            names = tuple(v.name for v in op.node.inputs if v is not None and v.name)
        case _:
            names = op_inputs(op)
    return tuple(dict.fromkeys(names))


def tensors_made(op: LoweredOp) -> tuple[str, ...]:
    """Names of the tensors an operation makes."""
    if isinstance(op, CpuOp):
        return tuple(v.name for v in op.node.outputs if v.name)
    return (op.y,)


def split(lowered: LoweredGraph) -> tuple[Part, ...]:
    """Parts of the graph in execution order.

    Raises:
        CompilerBug: the operations are not in an order in which inputs precede their readers.
    """
    groups = min((_group(lowered, first_bpu) for first_bpu in (True, False)), key=len)
    made_by = {name: i for i, ops in enumerate(groups) for op in ops for name in tensors_made(op)}
    read_by: dict[str, set[int]] = {}
    for i, ops in enumerate(groups):
        for op in ops:
            for name in tensors_read(op):
                read_by.setdefault(name, set()).add(i)
    parts: list[Part] = []
    counts = {"BPU": 0, "CPU": 0}
    for i, ops in enumerate(groups):
        on = "BPU" if runs_on_bpu(ops[0]) else "CPU"
        label = "subgraph" if on == "BPU" else "cpu"
        inputs = _part_inputs(ops, lowered)
        outputs = tuple(
            name
            for op in ops
            for name in tensors_made(op)
            if name in lowered.outputs or any(j != i for j in read_by.get(name, ()))
        )
        if any(made_by.get(name, -1) > i for name in inputs):
            raise CompilerBug(f"partition: part {i} of {lowered.name} reads a later part's result")
        parts.append(Part(f"{lowered.name}_{label}_{counts[on]}", on, tuple(ops), inputs, outputs))
        counts[on] += 1
    return tuple(parts)


def _part_inputs(ops: Sequence[LoweredOp], lowered: LoweredGraph) -> tuple[str, ...]:
    own = {name for op in ops for name in tensors_made(op)}
    names = (name for op in ops for name in tensors_read(op))
    return tuple(dict.fromkeys(n for n in names if n not in own and n not in lowered.constants))


def _group(lowered: LoweredGraph, bpu: bool) -> list[list[LoweredOp]]:
    """Greedy groups, beginning with kind `bpu`; empty groups are left out."""
    made = {name for op in lowered.ops for name in tensors_made(op)}
    done: set[str] = set()
    waiting = list(lowered.ops)
    groups: list[list[LoweredOp]] = []
    idle = 0
    while waiting:
        taken: list[LoweredOp] = []
        left: list[LoweredOp] = []
        for op in waiting:
            ready = all(n in done or n not in made for n in tensors_read(op))
            if ready and runs_on_bpu(op) == bpu:
                taken.append(op)
                done.update(tensors_made(op))
            else:
                left.append(op)
        if taken:
            groups.append(taken)
        idle = 0 if taken else idle + 1
        if idle == 2:
            raise CompilerBug(
                f"partition: {len(left)} operations of {lowered.name} wait for each other",
                where=left[0].name,
            )
        waiting = left
        bpu = not bpu
    return groups
