"""Executes a program's instructions one by one; a fault names call, instruction and operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np

from bpu_common.errors import DeviceFault, ModelFormatError
from bpu_common.frame import Roi
from bpu_common.limits import LUT_BYTES, RESIZE_STEPS
from bpu_common.params import ChannelParams
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    AwaitStream,
    Axis,
    Conv,
    DeadlockError,
    Eltwise,
    Fill,
    FunctionCall,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Program,
    Resize,
    Space,
    Store,
    Tile,
    legal_order,
)
from bpu_common.stop import Stop
from bpu_common.tensor import I8, U8, AnyArray, DType
from bpu_sim import arith
from bpu_sim.machine import kernels
from bpu_sim.machine.access import accesses, byte_run, image_tiles, weights_shape
from bpu_sim.machine.memory import Memory, describe


class Executor:
    """The cores that a program occupies with their memories.

    SRAM is undefined at the start of every call, scratch and IO at the start of every run.

    Args:
        weights: the part's weights section, read-only.
        operations: names of the part's operations, for faults.
    """

    def __init__(
        self, program: Program, weights: bytes | memoryview, operations: Sequence[str] = ()
    ) -> None:
        section = np.frombuffer(weights, np.uint8)
        section.flags.writeable = False
        self._program = program
        self._operations = operations
        cores = max((len(call.streams) for call in program.calls), default=0)
        self._srams = tuple(
            Memory(Space.SRAM, np.zeros(program.sram_bytes, np.uint8)) for _ in range(cores)
        )
        shared = {
            Space.WEIGHTS: Memory(Space.WEIGHTS, section),
            Space.SCRATCH: Memory(Space.SCRATCH, np.zeros(program.scratch_bytes, np.uint8)),
            Space.IO: Memory(Space.IO, np.zeros(program.io_bytes, np.uint8)),
        }
        self._memories = shared
        self._pictures: dict[tuple[int, int], tuple[I8, Roi]] = {}

    def begin(self) -> None:
        """Forget the previous run."""
        self._memories[Space.SCRATCH].forget()
        self._memories[Space.IO].forget()
        self._pictures = {}

    def set_picture(self, roi_input: int, frame: int, codes: I8, roi: Roi) -> None:
        """What `LoadRoi` reads: the caller's picture as codes (H, W, C), and the region of it."""
        self._pictures[roi_input, frame] = codes, roi

    def write(self, tile: Tile, values: AnyArray) -> None:
        """Put values (H, W, C) into a tile, as an instruction would."""
        memory = self._memories[tile.space]
        memory.check_write(tile)
        memory.view(tile)[...] = values
        memory.mark_written(tile)

    def read(self, tile: Tile) -> AnyArray:
        """A copy of a tile's values (H, W, C); DeviceFault if some were never written."""
        memory = self._memories[tile.space]
        memory.check_read(tile)
        return memory.view(tile).copy()

    def run(self, stop: Stop | None = None) -> None:
        """Execute all calls in order.

        Args:
            stop: when it has to end; looked at before each instruction.

        Raises:
            DeviceFault: as `run_call`.
            Cancelled, DeadlineExceeded: `stop`.
        """
        for index in range(len(self._program.calls)):
            self.run_call(index, stop=stop)

    def run_call(
        self,
        index: int,
        order: Iterable[tuple[int, int]] | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Execute one call, one instruction at a time.

        Args:
            order: (stream, instruction) of all; any legal order gives the same bits. None: each
                stream in list order.
            stop: when it has to end.

        Raises:
            DeviceFault: an instruction reads or writes where it must not, or the streams wait for
                each other.
        """
        call = self._program.calls[index]
        for memory in self._srams:
            memory.forget()
        try:
            for stream, position in legal_order(call) if order is None else order:
                if stop is not None:
                    stop.check()
                self._memories[Space.SRAM] = self._srams[stream]
                instruction = call.streams[stream].instructions[position]
                try:
                    self._step(instruction)
                except DeviceFault as fault:
                    where = self._place(index, call, stream, position)
                    raise DeviceFault(fault.message, where=where, hint=fault.hint) from fault
        except DeadlockError as deadlock:
            raise DeviceFault(str(deadlock), where=f"call {index} '{call.name}'") from None

    def _place(self, index: int, call: FunctionCall, stream: int, position: int) -> str:
        instruction = call.streams[stream].instructions[position]
        number = instruction.operation
        named = 0 <= number < len(self._operations)
        operation = f"'{self._operations[number]}'" if named else str(number)
        core = f"stream {stream}, " if len(call.streams) > 1 else ""
        kind = type(instruction).__name__
        return (
            f"call {index} '{call.name}', {core}instruction {position} ({kind}), "
            f"operation {operation}"
        )

    def _step(self, instruction: Instruction) -> None:
        if isinstance(instruction, LoadImage):
            _require_picture(instruction)
        reads, writes = accesses(instruction)
        for tile in reads:
            self._memories[tile.space].check_read(tile)
        for tile in writes:
            self._memories[tile.space].check_write(tile)
        self._execute(instruction)
        for tile in writes:
            self._memories[tile.space].mark_written(tile)

    def _execute(self, instruction: Instruction) -> None:
        match instruction:
            case Load() | Store():
                _require_same_form(instruction.src, instruction.dst)
                on_chip = instruction.dst if isinstance(instruction, Load) else instruction.src
                if (
                    on_chip.space is not Space.SRAM
                    or instruction.src.space is instruction.dst.space
                ):
                    raise DeviceFault(
                        f"cannot copy {describe(instruction.src)} to {describe(instruction.dst)}"
                    )
                self._put(instruction.dst, self._view(instruction.src))
            case LoadImage():
                self._put(instruction.dst, self._picture(instruction))
            case LoadRoi():
                self._put(instruction.dst, self._region(instruction))
            case AwaitStream():
                pass  # the order of execution fulfils it
            case LoadConst():
                source = byte_run(
                    Space.WEIGHTS, instruction.src_offset_bytes, instruction.size_bytes
                )
                target = byte_run(Space.SRAM, instruction.dst_offset_bytes, instruction.size_bytes)
                self._put(target, self._view(source))
            case Move():
                _require_same_form(instruction.x, instruction.y)
                _require_result(instruction)
                self._put(instruction.y, self._codes(instruction.x).copy())
            case Fill():
                _require_result(instruction)
                self._put(instruction.y, np.array(instruction.value, np.int8))
            case Conv() | MaxPool() | Eltwise() | Lut() | Resize():
                _require_result(instruction)
                self._put(instruction.y, self._compute(instruction))

    def _compute(self, instruction: Conv | MaxPool | Eltwise | Lut | Resize) -> AnyArray:
        match instruction:
            case Conv():
                return self._conv(instruction)
            case MaxPool():
                return self._max_pool(instruction)
            case Eltwise():
                return self._eltwise(instruction)
            case Lut():
                _require_same_form(instruction.x, instruction.y)
                if instruction.table_count not in (1, instruction.x.shape_hwc[2]):
                    raise DeviceFault(
                        f"{instruction.table_count} look-up tables for "
                        f"{instruction.x.shape_hwc[2]} channels"
                    )
                return kernels.lut(
                    self._codes(instruction.x),
                    self._bytes(instruction.table_offset_bytes, instruction.table_count * LUT_BYTES)
                    .view(np.int8)
                    .reshape(-1, LUT_BYTES),
                )
            case Resize():
                _require_axis(instruction.rows, instruction.x, instruction.y, 0)
                _require_axis(instruction.columns, instruction.x, instruction.y, 1)
                _require_channels(instruction.x, instruction.y)
                return arith.resize(
                    self._codes(instruction.x),
                    instruction.mode,
                    instruction.rows,
                    instruction.columns,
                )

    def _conv(self, op: Conv) -> AnyArray:
        channels, outputs = op.x.shape_hwc[2], op.y.shape_hwc[2]
        if op.groups < 1 or channels % op.groups or outputs % op.groups:
            raise DeviceFault(f"{op.groups} groups of {channels} to {outputs} channels")
        spread = tuple((op.x.shape_hwc[i] - 1) * op.upsample_hw[i] + 1 for i in (0, 1))
        reach = tuple((op.kernel_hw[i] - 1) * op.dilation_hw[i] + 1 for i in (0, 1))
        _require_windows(op, (spread[0], spread[1]), (reach[0], reach[1]))
        if op.params_offset_bytes % CHANNEL_PARAM_BYTES:
            raise DeviceFault(f"parameter table at {op.params_offset_bytes} is misaligned")
        shape = weights_shape(op)
        weights = self._bytes(op.weights_offset_bytes, int(np.prod(shape))).view(np.int8)
        table = self._bytes(op.params_offset_bytes, outputs * CHANNEL_PARAM_BYTES)
        try:
            params = ChannelParams.from_bytes(table, outputs)
        except ModelFormatError as error:
            raise DeviceFault(error.message) from error
        addend = None
        if op.addend is not None:
            _require_same_shape(op.addend, op.y)
            if len(op.factors) not in (1, outputs):
                raise DeviceFault(f"{len(op.factors)} factors for {outputs} channels")
            addend = self._codes(op.addend)
        return kernels.conv(self._codes(op.x), weights.reshape(shape), params, op, addend)

    def _max_pool(self, op: MaxPool) -> AnyArray:
        _require_channels(op.x, op.y)
        _require_windows(op, op.x.shape_hwc[:2], op.kernel_hw)
        rows, columns, _ = op.y.shape_hwc
        pooled = kernels.max_pool(self._codes(op.x), op.kernel_hw, op.stride_hw, op.pads_tlbr)
        return pooled[:rows, :columns]

    def _eltwise(self, op: Eltwise) -> AnyArray:
        _require_same_form(op.a, op.y)
        if op.b is not None and op.b.shape_hwc not in {
            op.a.shape_hwc,
            (1, 1, op.a.shape_hwc[2]),
            (1, 1, 1),
        }:
            raise DeviceFault(f"operand {op.b.shape_hwc} does not broadcast to {op.a.shape_hwc}")
        b = None if op.b is None else self._codes(op.b)
        return arith.eltwise(
            op.kind,
            self._codes(op.a),
            b,
            entries=op.entries,
            clamp=op.clamp,
            zeros=op.zeros,
        )

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
        spec = self._program.rois[op.roi]
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
        if tile.dtype is not DType.INT8 or tile.space is not Space.SRAM:
            raise DeviceFault(f"computes on {describe(tile)}; operands are int8 in SRAM")
        return cast("I8", self._view(tile))

    def _bytes(self, offset_bytes: int, size_bytes: int) -> U8:
        """A copy of a stretch of SRAM."""
        view = self._view(byte_run(Space.SRAM, offset_bytes, size_bytes))
        return cast("U8", view.reshape(-1).copy())

    def _put(self, tile: Tile, values: AnyArray) -> None:
        self._view(tile)[...] = values


def _require_picture(op: LoadImage) -> None:
    image, (rows, width, channels) = op.image, op.dst.shape_hwc
    if op.row0 < 0 or op.row0 + rows > image.height or width > image.width:
        raise DeviceFault(
            f"reads rows [{op.row0}, {op.row0 + rows}) and {width} columns of a picture of "
            f"{image.height}x{image.width}"
        )
    if image.input_type.is_nv12 and channels != 3:
        raise DeviceFault(f"an nv12 picture has 3 channels, not {channels}")
    if op.dst.dtype is not DType.INT8 or op.dst.space is not Space.SRAM:
        raise DeviceFault(f"reads a picture to {describe(op.dst)}; it becomes int8 in SRAM")


def _require_result(op: Conv | MaxPool | Eltwise | Lut | Resize | Move | Fill) -> None:
    """Results are int8 in SRAM; a convolution may leave int32 accumulators there."""
    wide = isinstance(op, Conv) and op.y.dtype is DType.INT32
    if op.y.space is not Space.SRAM or not (wide or op.y.dtype is DType.INT8):
        raise DeviceFault(f"computes {describe(op.y)}; results are int8 in SRAM")


def _require_same_shape(x: Tile, y: Tile) -> None:
    if x.shape_hwc != y.shape_hwc:
        raise DeviceFault(f"{describe(x)} and {describe(y)} differ in shape")


def _require_same_form(x: Tile, y: Tile) -> None:
    if x.shape_hwc != y.shape_hwc or x.dtype is not y.dtype:
        raise DeviceFault(f"{describe(x)} and {describe(y)} differ in shape or type")


def _require_channels(x: Tile, y: Tile) -> None:
    if x.shape_hwc[2] != y.shape_hwc[2]:
        raise DeviceFault(f"{describe(x)} and {describe(y)} differ in channels")


def _require_windows(op: Conv | MaxPool, size_hw: tuple[int, int], reach: tuple[int, int]) -> None:
    """Every window of the output lies in the padded input."""
    top, left, bottom, right = op.pads_tlbr
    if min(op.pads_tlbr) < 0 or min(op.stride_hw) < 1:
        raise DeviceFault(f"pads {op.pads_tlbr} or strides {op.stride_hw} out of range")
    padded = (size_hw[0] + top + bottom, size_hw[1] + left + right)
    for axis, name in enumerate(("rows", "columns")):
        needed = (op.y.shape_hwc[axis] - 1) * op.stride_hw[axis] + reach[axis]
        if needed > padded[axis]:
            raise DeviceFault(
                f"the output needs {needed} {name} of padded input, there are {padded[axis]}"
            )


def _require_axis(axis: Axis, x: Tile, y: Tile, dimension: int) -> None:
    count, size = y.shape_hwc[dimension], x.shape_hwc[dimension]
    if not len(axis.low) == len(axis.high) == len(axis.frac) == count:
        raise DeviceFault(f"a resize axis has {len(axis.low)} positions, the output {count}")
    if min(axis.low) < 0 or max(*axis.low, *axis.high) >= size:
        raise DeviceFault(f"a resize axis leaves its input of {size} positions")
    if min(axis.frac) < 0 or max(axis.frac) >= RESIZE_STEPS:
        raise DeviceFault(f"a resize weight lies outside 0..{RESIZE_STEPS - 1}")
