"""The rules that tie the program of a part to the part's operations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpu_common.container.weights import Spans, covers, spans
from bpu_common.errors import ModelFormatError
from bpu_common.model import BpuModel, PartProgram
from bpu_common.network import (
    Operation,
    Part,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
)
from bpu_common.program import (
    Conv,
    Eltwise,
    Instruction,
    LoadConst,
    Lut,
    MaxPool,
    Resize,
)
from bpu_common.require import BrokenRuleError, placed, require
from bpu_common.tensor import U8, InputSource

_SAME: Mapping[type, tuple[type, tuple[str, ...]]] = {
    Conv: (QConv, ("kernel_hw", "stride_hw", "dilation_hw", "upsample_hw", "clamp", "pad_code")),
    MaxPool: (QMaxPool, ("kernel_hw", "stride_hw")),
    Eltwise: (QEltwise, ("kind", "clamp", "zeros")),
    Lut: (QLut, ()),
    Resize: (QResize, ("mode",)),
}
"""Instruction that computes -> what it may work for, and what is the same in both."""


def check_agreement(model: BpuModel, index: int, where: str) -> None:
    """The program of a part has its inputs, outputs and arrays, and works for its operations.

    Args:
        index: of a BPU part; the network and the program alone have been checked.

    Raises:
        ModelFormatError: `where` is `<where>.part[k].op[m].weights` or
            `<where>.program 'p'.call[c].stream[s].instruction[i]`.
    """
    part = model.network.parts[index]
    made = model.programs[part.name]
    with placed(f"{where}.program {part.name!r}"):
        _check_edges(model, part, made)
    _check_arrays(part, made, f"{where}.part[{index}]")
    with placed(f"{where}.program {part.name!r}"):
        own = [each for op, at in zip(part.ops, made.places, strict=True) for each in spans(op, at)]
        require(covers(own, made.weights), "the weights are not those of the operations alone")
    _check_work(part, made, f"{where}.program {part.name!r}")


def _check_arrays(part: Part, made: PartProgram, where: str) -> None:
    with placed(where):
        require(
            len(made.places) == len(part.ops),
            f"places of {len(made.places)} operations instead of {len(part.ops)}",
        )
    section = np.frombuffer(made.weights, np.uint8)
    for index, (op, at) in enumerate(zip(part.ops, made.places, strict=True)):
        with placed(f"{where}.op[{index}]"):
            for (start, end), (field, array) in zip(spans(op, at), _arrays(op), strict=True):
                known = start >= 0 and end <= section.size
                same = known and _is_same(section[start:end], array)
                require(same, "the weights section holds other values", field)


def _check_work(part: Part, made: PartProgram, where: str) -> None:
    own = [spans(op, at) for op, at in zip(part.ops, made.places, strict=True)]
    for number, call in enumerate(made.program.calls):
        for core, stream in enumerate(call.streams):
            for index, instruction in enumerate(stream.instructions):
                operation = instruction.operation
                try:
                    _check_instruction(instruction, part.ops[operation], own[operation])
                except BrokenRuleError as broken:
                    raise ModelFormatError(
                        str(broken),
                        where=f"{where}.call[{number}].stream[{core}].instruction[{index}]",
                    ) from None


def _check_edges(model: BpuModel, part: Part, made: PartProgram) -> None:
    program, network = made.program, model.network
    images = network.images
    rois = {roi.tensor: roi for roi in program.rois}
    inputs = [slot.tensor for slot in program.inputs]
    for names, found, what in (
        (part.inputs, [*inputs, *rois], "inputs"),
        (part.outputs, [slot.tensor for slot in program.outputs], "outputs"),
    ):
        require(
            sorted(names) == sorted(found), f"the program's {what} are not those of the part", what
        )
    for slot in (*program.inputs, *program.outputs):
        spec, image = network.tensors[slot.tensor], images.get(slot.tensor)
        needed = spec.size_bytes if image is None else image.caller_size_bytes
        require(
            slot.size_bytes >= needed,
            f"the slot of {slot.tensor!r} has {slot.size_bytes} bytes, {needed} are needed",
        )
    for name in part.inputs:
        image = images.get(name)
        scaled = image is not None and image.source is InputSource.RESIZER
        require(scaled == (name in rois), f"{name!r} comes from the resizer, or does not", "rois")
        if image is not None and name in rois:
            roi = rois[name]
            wanted = (image.input_type, image.height, image.width)
            require(
                (roi.input_type, roi.height, roi.width) == wanted,
                f"the region {name!r} is not made as the input is",
                "rois",
            )


def _arrays(op: Operation) -> tuple[tuple[str, U8], ...]:
    """What the spans of an operation hold, by field."""
    match op:
        case QConv():
            table = np.frombuffer(op.params.to_bytes(), np.uint8)
            return (("weights", op.weights.view(np.uint8).reshape(-1)), ("params", table))
        case QLut():
            return (("tables", op.tables.view(np.uint8).reshape(-1)),)
        case _:
            return ()


def _is_same(stored: U8, array: U8) -> bool:
    """Equal bytes; not looked at where both are the same memory, as in a model out of a file."""
    return stored.ctypes.data == array.ctypes.data or np.array_equal(stored, array)


def _check_instruction(instruction: Instruction, op: Operation, own: Spans) -> None:
    if isinstance(instruction, LoadConst):
        start = instruction.src_offset_bytes
        end = start + instruction.size_bytes
        first, last = (min(own)[0], max(at for _, at in own)) if own else (0, -1)
        inside = first <= start and end <= last
        require(inside, f"LoadConst: bytes {start} to {end} are not those of {op.name!r}")
    kind, fields = _SAME.get(type(instruction), (None, ()))
    if kind is None:
        return
    name = type(instruction).__name__
    require(isinstance(op, kind), f"{name}: works for {op.name!r}, which is none")
    for field in fields:
        mine, its = getattr(instruction, field), getattr(op, field)
        require(mine == its, f"{name}: {field} {mine}, that of {op.name!r} is {its}")
