"""A BPU part run by its instructions: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bpu_common.caller import canonical
from bpu_common.errors import CapacityError, DeviceFault, InputError
from bpu_common.frame import Given, as_frame_inputs
from bpu_common.image import resizer_codes
from bpu_common.model import PartProgram
from bpu_common.program import IoSlot, Program, Space, Store, Tile
from bpu_common.stop import Stop
from bpu_common.tensor import (
    DDR_WIDTH_ALIGN,
    AnyArray,
    DType,
    Layout,
    ModelInput,
    align_up,
)
from bpu_sim.machine.executor import Executor

MAX_MEMORY_BYTES = 512 << 20
"""Modelled memories of a part that runs instruction by instruction."""


class ExactPart:
    """Executes a part's program instruction by instruction.

    Args:
        name: of the part.
        inputs: the model's image inputs among the part's inputs, by tensor name; they are fed with
            raw uint8 in the caller's form.
        operations: names of the part's operations, for faults.
        prefer: what computes: see `machine.compiled.compiled_for`.

    Raises:
        DeviceFault: nothing stores an output.
        UsageError: kernels that this machine cannot run.
        CapacityError: its memories are larger than what one instruction after the other is for.
    """

    def __init__(
        self,
        name: str,
        made: PartProgram,
        inputs: Mapping[str, ModelInput],
        operations: Sequence[str] = (),
        prefer: str = "auto",
    ) -> None:
        self._name, self._program = name, made.program
        memory_bytes = _memory_bytes(made.program)
        if memory_bytes > MAX_MEMORY_BYTES:
            raise CapacityError(
                f"its instructions need {memory_bytes} bytes of memory, at most "
                f"{MAX_MEMORY_BYTES} are given for running them one by one",
                where=f"part '{name}'",
            )
        self._images = {
            name: model_input
            for name, model_input in inputs.items()
            if model_input.input_type.is_image
        }
        self._executor = Executor(made.program, made.weights, operations, prefer)
        self._outputs = {
            slot.tensor: (output_tile(slot, name, made.program), slot.frame_pitch_bytes)
            for slot in made.program.outputs
        }

    def run(self, arrays: Given, stop: Stop | None = None) -> dict[str, AnyArray]:
        """One frame, see `run_frames`; a program of several frames computes it as often."""
        return self.run_frames([arrays] * self._program.frames, stop)[0]

    def run_frames(
        self, frames: Sequence[Given], stop: Stop | None = None
    ) -> list[dict[str, AnyArray]]:
        """As many frames as the program computes in one run.

        Args:
            frames: images in the caller's form, or int8 (1, H, W, C); regions come with a picture
                of any size.
            stop: when it has to end; looked at before each instruction.

        Returns:
            For each frame its outputs, (1, H, W, C).

        Raises:
            InputError: an input is missing or of the wrong shape or type.
            DeviceFault: the program reads or writes where it must not, or computes another number
                of frames.
            Cancelled, DeadlineExceeded: `stop`.
        """
        if len(frames) != self._program.frames:
            raise DeviceFault(
                f"{len(frames)} frames for a program of {self._program.frames}",
                where=f"part '{self._name}'",
            )
        self._executor.begin()
        for number, given in enumerate(frames):
            self._place_inputs(number, given)
        self._executor.run(stop)
        return [
            {
                name: self._executor.read(shifted(tile, number * pitch))[np.newaxis]
                for name, (tile, pitch) in self._outputs.items()
            }
            for number in range(len(frames))
        ]

    def _place_inputs(self, number: int, given: Given) -> None:
        inputs = as_frame_inputs(given)
        program = self._program
        for tensor in (
            *(slot.tensor for slot in program.inputs),
            *(r.tensor for r in program.rois),
        ):
            if tensor not in inputs:
                raise InputError(f"no value for input '{tensor}' of {self._name}")
        for slot in program.inputs:
            for tile, values in self._placed(slot, np.asarray(inputs[slot.tensor].array)):
                self._executor.write(shifted(tile, number * slot.frame_pitch_bytes), values)
        for index, spec in enumerate(program.rois):
            item = inputs[spec.tensor]
            if item.roi is None:
                raise InputError(f"input '{spec.tensor}' of {self._name} needs a region")
            codes = resizer_codes(item.array, self._images[spec.tensor])
            self._executor.set_picture(index, number, codes, item.roi)

    def _placed(self, slot: IoSlot, array: AnyArray) -> list[tuple[Tile, AnyArray]]:
        """Where the values of an input go in the IO space."""
        image = self._images.get(slot.tensor)
        if image is None:
            if array.ndim != 4 or array.shape[0] != 1 or array.dtype != np.int8:
                raise InputError(
                    f"input '{slot.tensor}' is {array.dtype} {array.shape}, "
                    "not int8 (1, H, W, C) as another part makes it"
                )
            return [(_io_tile(slot, array[0]), array[0])]
        array = canonical(array, image)
        if not image.input_type.is_nv12:
            channels_first = image.layout is Layout.NCHW
            pixels = array[0].transpose(1, 2, 0) if channels_first else array[0]
            return [(_io_tile(slot, pixels), pixels)]
        stride = align_up(image.width, DDR_WIDTH_ALIGN)
        planes = array.reshape(-1, image.width, 1)  # H rows of Y, then H / 2 rows of UV
        return [(Tile(Space.IO, slot.offset_bytes, planes.shape, stride, 1, DType.UINT8), planes)]


def _memory_bytes(program: Program) -> int:
    """Of the modelled memories, each byte with a mark that it has been written."""
    cores = max(len(call.streams) for call in program.calls)
    return 2 * (cores * program.sram_bytes + program.scratch_bytes + program.io_bytes)


def shifted(tile: Tile, bytes_on: int) -> Tile:
    """The same tile further on: another frame's."""
    return replace(tile, offset_bytes=tile.offset_bytes + bytes_on) if bytes_on else tile


def _io_tile(slot: IoSlot, values: AnyArray) -> Tile:
    """The slot of an (H, W, C) tensor: rows padded to a multiple of 16 pixels."""
    height, width, channels = values.shape
    pixel = channels * values.dtype.itemsize
    row = align_up(width, DDR_WIDTH_ALIGN) * pixel
    if height * row > slot.size_bytes:
        raise InputError(
            f"input '{slot.tensor}' of {height}x{width}x{channels} {values.dtype} does not fit its "
            f"{slot.size_bytes} bytes"
        )
    shape = (height, width, channels)
    return Tile(Space.IO, slot.offset_bytes, shape, row, pixel, DType(values.dtype.name))


def output_tile(slot: IoSlot, part: str, program: Program) -> Tile:
    """The whole valid tensor in an output's slot, as the program's stores span it.

    Raises:
        DeviceFault: no store reaches the slot, or they disagree about its form.
    """
    tiles = [tile for tile in _stores(program) if _inside(tile, slot)]
    if not tiles:
        raise DeviceFault(f"nothing stores output '{slot.tensor}'", where=f"part '{part}'")
    forms = {(tile.row_pitch_bytes, tile.pixel_pitch_bytes, tile.dtype) for tile in tiles}
    if len(forms) > 1:
        raise DeviceFault(
            f"stores of output '{slot.tensor}' differ in pitch or type",
            where=f"part '{part}'",
        )
    row, pixel, dtype = forms.pop()
    height = width = 0
    for tile in tiles:
        row0, rest = divmod(tile.offset_bytes - slot.offset_bytes, row)
        height = max(height, row0 + tile.shape_hwc[0])
        width = max(width, rest // pixel + tile.shape_hwc[1])
    shape = (height, width, pixel // dtype.size_bytes)
    return Tile(Space.IO, slot.offset_bytes, shape, row, pixel, dtype)


def _stores(program: Program) -> list[Tile]:
    return [
        instruction.dst
        for call in program.calls
        for instruction in call.instructions
        if isinstance(instruction, Store) and instruction.dst.space is Space.IO
    ]


def _inside(tile: Tile, slot: IoSlot) -> bool:
    return slot.offset_bytes <= tile.offset_bytes < slot.offset_bytes + slot.size_bytes
