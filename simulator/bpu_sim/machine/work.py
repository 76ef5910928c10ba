"""Instructions made ready: what depends on nothing but the program is checked and found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from bpu_common.errors import DeviceFault, ModelFormatError
from bpu_common.frame import Roi
from bpu_common.limits import LUT_BYTES
from bpu_common.params import ChannelParams
from bpu_common.program import (
    AwaitStream,
    Conv,
    Eltwise,
    Fill,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Resize,
    RoiInput,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import I8, U8, AnyArray, DType
from bpu_sim import arith
from bpu_sim.machine import kernels
from bpu_sim.machine.access import accesses, constants, image_tiles, weights_shape
from bpu_sim.machine.checks import check_form
from bpu_sim.machine.compiled import Compiled, Work
from bpu_sim.machine.memory import Flags, Memory, Reading, describe
from bpu_sim.machine.operation import Computing

Pictures: TypeAlias = dict[tuple[int, int], tuple[I8, Roi]]
"""By region input and frame: the caller's picture as codes (H, W, C), and the region of it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An instruction with its views of the memories.

    Attributes:
        reads: what it must find written.
        writes: what is defined behind it.
    """

    reads: tuple[Reading, ...]
    writes: tuple[Flags, ...]
    work: Work

    def run(self) -> None:
        """Execute it once; DeviceFault if it reads what nobody wrote."""
        for reading in self.reads:
            reading.check()
        self.work()
        for flags in self.writes:
            flags.fill(True)


class Core:
    """One core with its memories.

    Args:
        rois: of the program.
        pictures: what `LoadRoi` reads; filled by whoever runs frames.
        compiled: what computes; None: numpy.
    """

    def __init__(
        self,
        memories: Mapping[Space, Memory],
        rois: Sequence[RoiInput],
        pictures: Pictures,
        compiled: Compiled | None,
    ) -> None:
        self._memories = memories
        self._rois, self._pictures = rois, pictures
        self._compiled = compiled

    def forget(self) -> None:
        """Make SRAM undefined."""
        self._memories[Space.SRAM].forget()

    def ready(self, op: Instruction) -> Ready:
        """Prepare an instruction.

        Raises:
            DeviceFault: it breaks a rule, whatever the memories hold.
        """
        check_form(op)
        reads, writes = accesses(op)
        readings = (self._memories[tile.space].reading(tile) for tile in reads)
        return Ready(
            tuple(reading for reading in readings if reading is not None),
            tuple(self._memories[tile.space].writing(tile) for tile in writes),
            self._work(op),
        )

    def _work(self, op: Instruction) -> Work:
        match op:
            case Load() | Store():
                return _copy(self._view(op.src), self._view(op.dst))
            case Move():
                return _copy(self._view(op.x), self._view(op.y))
            case LoadConst():
                (source,), (target,) = accesses(op)
                return _copy(self._view(source), self._view(target))
            case LoadImage():
                return self._put(op.dst, lambda: self._picture(op))
            case LoadRoi():
                return self._put(op.dst, lambda: self._region(op))
            case Fill():
                target_view = self._view(op.y)
                return lambda: target_view.fill(op.value)
            case AwaitStream():
                return lambda: None  # the order of execution fulfils it
            case Conv() | MaxPool() | Eltwise() | Lut() | Resize():
                plain = self._put(op.y, self._computed(op))
                if self._compiled is None:
                    return plain
                return self._compiled.work(op, self._memories[Space.SRAM], plain)

    def _computed(self, op: Computing) -> Callable[[], AnyArray]:
        """What numpy makes of it."""
        match op:
            case Conv():
                return self._conv(op)
            case MaxPool():
                x, (rows, columns, _) = self._codes(op.x), op.y.shape_hwc
                return lambda: kernels.max_pool(x, op.kernel_hw, op.stride_hw, op.pads_tlbr)[
                    :rows, :columns
                ]
            case Eltwise():
                a, b = self._codes(op.a), None if op.b is None else self._codes(op.b)
                return lambda: arith.eltwise(
                    op.kind, a, b, entries=op.entries, clamp=op.clamp, zeros=op.zeros
                )
            case Lut():
                source = self._codes(op.x)
                (run,) = constants(op)
                tables = self._view(run).reshape(-1, LUT_BYTES).view(np.int8)
                return lambda: kernels.lut(source, tables)
            case Resize():
                small = self._codes(op.x)
                return lambda: arith.resize(small, op.mode, op.rows, op.columns)

    def _conv(self, op: Conv) -> Callable[[], AnyArray]:
        x, outputs = self._codes(op.x), op.y.shape_hwc[2]
        addend = None if op.addend is None else self._codes(op.addend)
        weights, table = (self._view(tile).reshape(-1) for tile in constants(op))
        shaped = cast("I8", weights.view(np.int8).reshape(weights_shape(op)))

        def compute() -> AnyArray:
            try:
                params = ChannelParams.from_bytes(cast("U8", table), outputs)
            except ModelFormatError as error:
                raise DeviceFault(error.message) from error
            return kernels.conv(x, shaped, params, op, addend)

        return compute

    def _picture(self, op: LoadImage) -> AnyArray:
        """Rows of the picture as (h, w, c) codes, value - 128."""
        image, (rows, width, channels) = op.image, op.dst.shape_hwc
        tiles = image_tiles(image, op.row0, rows, width, channels)
        if not image.input_type.is_nv12:
            pixels = cast("U8", self._view(tiles[0]))
            return np.bitwise_xor(pixels, 0x80).view(np.int8)
        luma, chroma = (cast("U8", self._view(tile)) for tile in tiles)
        chroma_rows = np.arange(op.row0, op.row0 + rows) // 2 - op.row0 // 2
        whole = np.empty((rows, width, 3), np.uint8)
        whole[..., :1] = luma
        whole[..., 1:] = chroma[chroma_rows][:, np.arange(width) // 2]
        return np.bitwise_xor(whole, 0x80).view(np.int8)

    def _region(self, op: LoadRoi) -> AnyArray:
        """Rows of the scaled region as (h, w, c) codes."""
        found = self._pictures.get((op.roi, op.frame))
        if found is None:
            raise DeviceFault(f"there is no picture {op.roi} in frame {op.frame}")
        codes, roi = found
        spec = self._rois[op.roi]
        rows, width, channels = op.dst.shape_hwc
        fits = 0 <= op.row0 <= spec.height - rows and width == spec.width
        if not fits or channels != codes.shape[2] or op.dst.dtype is not DType.INT8:
            raise DeviceFault(
                f"rows [{op.row0}, {op.row0 + rows}) of a region scaled to "
                f"{spec.height}x{spec.width}x{codes.shape[2]} do not become {describe(op.dst)}"
            )
        return arith.resize_roi(codes, roi, (spec.height, spec.width), (op.row0, op.row0 + rows))

    def _view(self, tile: Tile) -> AnyArray:
        return self._memories[tile.space].view(tile)

    def _codes(self, tile: Tile) -> I8:
        return cast("I8", self._view(tile))

    def _put(self, tile: Tile, make: Callable[[], AnyArray]) -> Work:
        """Write what is made to a tile."""
        target = self._view(tile)

        def work() -> None:
            target[...] = make()

        return work


def _copy(source: AnyArray, target: AnyArray) -> Work:
    return lambda: np.copyto(target, source)  # as if through a buffer where they overlap
