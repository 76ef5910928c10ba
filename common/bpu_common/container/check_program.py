"""The rules every program keeps, besides those of its instructions.

Whether `waits` cover all hazards is proved elsewhere (`bpu_sim.machine.check_hazards`).
"""

from __future__ import annotations

from itertools import pairwise

from bpu_common.container.check_instruction import check_instruction
from bpu_common.errors import ModelFormatError
from bpu_common.network.check_numbers import MAX_EXTENT
from bpu_common.plain import has_controls
from bpu_common.program import (
    AwaitStream,
    DeadlockError,
    FunctionCall,
    IoSlot,
    Program,
    RoiInput,
    Space,
    legal_order,
)
from bpu_common.require import BrokenRuleError, in_range, placed, require, unique

MAX_SRAM_BYTES = 64 << 20
MAX_DDR_BYTES = 1 << 30
MAX_STREAMS = 8
MAX_SLOTS = 1 << 12
MAX_INSTRUCTIONS = 1 << 17
"""Of all function calls together: a second or two of reading and costing."""
MAX_WAITS = 64
"""Of one instruction; three queues need no more than one each."""
MAX_FRAMES = 128
"""Frames that one run computes (docs/board.md "Tensors and tasks")."""
SLOT_ALIGN = 64


def check_program(program: Program, weights_bytes: int, operation_count: int, where: str) -> None:
    """Check a whole program.

    Args:
        weights_bytes: size of its weights section.
        operation_count: operations of its part.

    Raises:
        ModelFormatError: `where` is `<where>.call[i].stream[s].instruction[k]` or a part of it.
    """
    sizes = {
        Space.SRAM: program.sram_bytes,
        Space.WEIGHTS: weights_bytes,
        Space.SCRATCH: program.scratch_bytes,
        Space.IO: program.io_bytes,
    }
    with placed(where):
        in_range("on-chip memory", program.sram_bytes, 0, MAX_SRAM_BYTES)
        in_range("scratch memory", program.scratch_bytes, 0, MAX_DDR_BYTES)
        in_range("input and output memory", program.io_bytes, 0, MAX_DDR_BYTES)
        in_range("number of frames", program.frames, 1, MAX_FRAMES, "frames")
        for roi in program.rois:
            _check_roi_input(roi)
        _check_slots((*program.inputs, *program.outputs), program)
        require(bool(program.calls), "a program without function calls")
        count = sum(len(stream.instructions) for call in program.calls for stream in call.streams)
        in_range("number of instructions", count, 0, MAX_INSTRUCTIONS, "calls")
    for index, call in enumerate(program.calls):
        place = f"{where}.call[{index}]"
        with placed(place):
            require(not has_controls(call.name), "a name with control characters", "name")
            in_range("number of streams", len(call.streams), 1, MAX_STREAMS, "streams")
            in_range("predicted cycles", call.predicted_cycles, 0, (1 << 48) - 1)
        for number, stream in enumerate(call.streams):
            at = f"{place}.stream[{number}]"
            with placed(at):
                require(bool(stream.instructions), "a stream without instructions")
            for position, instruction in enumerate(stream.instructions):
                try:
                    in_range("operation", instruction.operation, 0, operation_count - 1)
                    _check_waits(call, number, position)
                    check_instruction(instruction, program, sizes)
                except BrokenRuleError as broken:
                    kind = type(instruction).__name__
                    raise ModelFormatError(
                        f"{kind}: {broken}", where=f"{at}.instruction[{position}]"
                    ) from None
        _check_order(call, place)


def _check_waits(call: FunctionCall, number: int, position: int) -> None:
    """What an instruction waits for comes before it, or in another stream."""
    instruction = call.streams[number].instructions[position]
    waits = instruction.waits
    in_range("number of waits", len(waits), 0, MAX_WAITS)
    if waits and (min(waits) < 0 or max(waits) >= position or len(set(waits)) != len(waits)):
        raise BrokenRuleError(f"waits {waits[:8]} are not different earlier instructions")
    if isinstance(instruction, AwaitStream):
        other = instruction.stream
        in_range("stream", other, 0, len(call.streams) - 1)
        require(other != number, "a stream that awaits itself")
        last = len(call.streams[other].instructions) - 1
        in_range("instruction", instruction.instruction, 0, last)


def _check_order(call: FunctionCall, where: str) -> None:
    try:
        legal_order(call)
    except DeadlockError as deadlock:
        place = f"{where}.stream[{deadlock.stream}].instruction[{deadlock.instruction}]"
        raise ModelFormatError("the streams wait for each other", where=place) from None


def _check_roi_input(roi: RoiInput) -> None:
    require(roi.input_type.is_image, "a region of a featuremap", "rois")
    in_range("height", roi.height, 1, MAX_EXTENT, "rois")
    in_range("width", roi.width, 1, MAX_EXTENT, "rois")


def _check_slots(slots: tuple[IoSlot, ...], program: Program) -> None:
    names = [slot.tensor for slot in slots] + [roi.tensor for roi in program.rois]
    in_range("number of inputs and outputs", len(names), 0, MAX_SLOTS)
    unique("place", names)
    taken: list[tuple[int, int, str]] = []
    for slot in slots:
        pitch, name = slot.frame_pitch_bytes, slot.tensor
        require(slot.offset_bytes % SLOT_ALIGN == 0, f"slot of {name!r} is not aligned")
        require(
            pitch % SLOT_ALIGN == 0 and (pitch > 0) == (program.frames > 1),
            f"frames of {name!r} lie {pitch} bytes apart",
        )
        for frame in range(program.frames):
            start = slot.offset_bytes + frame * pitch
            end = start + slot.size_bytes
            require(
                start >= 0 and slot.size_bytes >= 0 and end <= program.io_bytes,
                f"slot of {name!r}: bytes {start} to {end} of {program.io_bytes}",
            )
            taken.append((start, end, name))
    taken.sort()
    for (_, end, _), (start, _, name) in pairwise(taken):
        require(start >= end, f"slot of {name!r} overlaps another")
