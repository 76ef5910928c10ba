"""Which bytes an instruction reads and writes: one `match` for the executor and the checker."""

from __future__ import annotations

import math

from bpu_common.limits import LUT_BYTES
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    AwaitStream,
    Conv,
    Eltwise,
    Fill,
    Image,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Resize,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import DType


def byte_run(space: Space, offset_bytes: int, size_bytes: int) -> Tile:
    """A stretch of bytes without gaps."""
    return Tile(space, offset_bytes, (1, 1, size_bytes), size_bytes, size_bytes, DType.UINT8)


def image_tiles(image: Image, row0: int, rows: int, width: int, channels: int) -> tuple[Tile, ...]:
    """The bytes of rows [row0, row0 + rows) of a picture: Y and UV of nv12, or pixels."""
    start = image.offset_bytes + row0 * image.stride_bytes
    if not image.input_type.is_nv12:
        shape = (rows, width, channels)
        return (Tile(Space.IO, start, shape, image.stride_bytes, channels, DType.UINT8),)
    first, last = row0 // 2, (row0 + rows - 1) // 2
    chroma = image.offset_bytes + (image.height + first) * image.stride_bytes
    return (
        Tile(Space.IO, start, (rows, width, 1), image.stride_bytes, 1, DType.UINT8),
        Tile(
            Space.IO,
            chroma,
            (last - first + 1, -(-width // 2), 2),
            image.stride_bytes,
            2,
            DType.UINT8,
        ),
    )


def weights_shape(conv: Conv) -> tuple[int, int, int, int]:
    """OHWI shape of a convolution's weights in SRAM."""
    return (conv.y.shape_hwc[2], *conv.kernel_hw, conv.x.shape_hwc[2] // conv.groups)


def constants(instruction: Instruction) -> tuple[Tile, ...]:
    """Bytes of SRAM that it computes with: weights and parameter table, or look-up tables."""
    match instruction:
        case Conv():
            outputs = instruction.y.shape_hwc[2]
            weight_bytes = math.prod(weights_shape(instruction))
            params_bytes = outputs * CHANNEL_PARAM_BYTES
            return (
                byte_run(Space.SRAM, instruction.weights_offset_bytes, weight_bytes),
                byte_run(Space.SRAM, instruction.params_offset_bytes, params_bytes),
            )
        case Lut():
            table_bytes = instruction.table_count * LUT_BYTES
            return (byte_run(Space.SRAM, instruction.table_offset_bytes, table_bytes),)
        case _:
            return ()


def accesses(instruction: Instruction) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    """(reads, writes) of an instruction."""
    match instruction:
        case Load() | Store():
            return (instruction.src,), (instruction.dst,)
        case LoadImage():
            rows, width, channels = instruction.dst.shape_hwc
            source = image_tiles(instruction.image, instruction.row0, rows, width, channels)
            return source, (instruction.dst,)
        case LoadRoi():
            return (), (instruction.dst,)  # pictures of callers are never written
        case LoadConst():
            size_bytes = instruction.size_bytes
            return (
                (byte_run(Space.WEIGHTS, instruction.src_offset_bytes, size_bytes),),
                (byte_run(Space.SRAM, instruction.dst_offset_bytes, size_bytes),),
            )
        case Conv():
            addends = () if instruction.addend is None else (instruction.addend,)
            return (instruction.x, *addends, *constants(instruction)), (instruction.y,)
        case Eltwise():
            operands = (instruction.a,) if instruction.b is None else (instruction.a, instruction.b)
            return operands, (instruction.y,)
        case Lut():
            return (instruction.x, *constants(instruction)), (instruction.y,)
        case MaxPool() | Resize() | Move():
            return (instruction.x,), (instruction.y,)
        case Fill():
            return (), (instruction.y,)
        case AwaitStream():
            return (), ()
