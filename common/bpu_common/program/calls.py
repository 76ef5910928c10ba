"""Programs: instructions in streams, streams in function calls, and the memory they need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bpu_common.program.instructions import Instruction
from bpu_common.tensor import InputType


@dataclass(frozen=True, slots=True)
class Stream:
    """What one core executes in a function call."""

    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The unit of execution and of preemption.

    Attributes:
        streams: one for each core that the call occupies, all from its start to its end.
        predicted_cycles: cost of this call alone on the chip, by `bpu_sim.timing`.
    """

    name: str
    streams: tuple[Stream, ...]
    predicted_cycles: int = 0

    @staticmethod
    def on_one_core(
        name: str, instructions: Iterable[Instruction], predicted_cycles: int = 0
    ) -> FunctionCall:
        """A call of one stream."""
        return FunctionCall(name, (Stream(tuple(instructions)),), predicted_cycles)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions, stream after stream."""
        return tuple(each for stream in self.streams for each in stream.instructions)


@dataclass(frozen=True, slots=True)
class IoSlot:
    """Place of one input or output of the program in the IO space (aligned buffer).

    Attributes:
        offset_bytes, size_bytes: of the first frame.
        frame_pitch_bytes: from one frame to the next in a program of several frames, else 0.
    """

    tensor: str
    offset_bytes: int
    size_bytes: int
    frame_pitch_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RoiInput:
    """An input that the resizer makes of a region of the caller's picture.

    Attributes:
        height, width: of the picture that the network sees.
    """

    tensor: str
    input_type: InputType
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Program:
    """What one BPU part executes.

    Attributes:
        inputs: those that lie in the IO space.
        sram_bytes: on-chip memory used (of each core).
        scratch_bytes: DDR scratch per run.
        io_bytes: size of the IO space per run.
        frames: how many frames one run computes; its instructions name each frame's places.
        rois: inputs that lie elsewhere, in pictures of any size.
    """

    calls: tuple[FunctionCall, ...]
    inputs: tuple[IoSlot, ...]
    outputs: tuple[IoSlot, ...]
    sram_bytes: int
    scratch_bytes: int
    io_bytes: int
    frames: int = 1
    rois: tuple[RoiInput, ...] = ()
