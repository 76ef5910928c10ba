"""A BPU part run by its instructions: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bpu_common.caller import canonical
from bpu_common.errors import DeviceFault, InputError
from bpu_common.model import PartProgram
from bpu_common.program import IoSlot, Program, Space, Store, Tile
from bpu_common.tensor import (
    DDR_WIDTH_ALIGN,
    AnyArray,
    DType,
    Layout,
    ModelInput,
    align_up,
)
from bpu_sim.machine.executor import Executor


class ExactPart:
    """Executes a part's program instruction by instruction.

    Args:
        name: of the part.
        inputs: the model's image inputs among the part's inputs, by tensor name; they are fed with
            raw uint8 in the caller's form.
    """

    def __init__(self, name: str, made: PartProgram, inputs: Mapping[str, ModelInput]) -> None:
        self._name, self._program = name, made.program
        self._images = {
            name: model_input
            for name, model_input in inputs.items()
            if model_input.input_type.is_image
        }
        self._executor = Executor(made.program, made.weights)
        self._outputs = {
            slot.tensor: output_tile(slot, name, made.program) for slot in made.program.outputs
        }

    def run(self, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """One frame. Inputs: images in the caller's form, or int8 (1, H, W, C); outputs
        (1, H, W, C).

        Raises:
            InputError: an input is missing or of the wrong shape or type.
            DeviceFault: the program reads or writes where it must not.
        """
        self._executor.begin_frame()
        for slot in self._program.inputs:
            if slot.tensor not in arrays:
                raise InputError(f"no value for input '{slot.tensor}' of {self._name}")
            for tile, values in self._placed(slot, np.asarray(arrays[slot.tensor])):
                self._executor.write(tile, values)
        self._executor.run()
        return {name: self._executor.read(tile)[np.newaxis] for name, tile in self._outputs.items()}

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
