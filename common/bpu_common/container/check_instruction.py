"""The rules every instruction keeps: each access lies within its memory and each shape fits.

They make sure that executing a program needs no further bounds check.
"""

from __future__ import annotations

from bpu_common import limits
from bpu_common.network.check_numbers import (
    MAX_EXTENT,
    check_axis,
    check_clamp,
    check_entries,
    check_factors,
    check_groups,
    check_operands,
    check_pool_pads,
    check_windows,
)
from bpu_common.network.rules import window_extent, windows
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    FULL_RANGE,
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
    Pair,
    Program,
    Quad,
    Resize,
    Space,
    Store,
    Tile,
)
from bpu_common.require import BrokenRuleError, in_range, require
from bpu_common.tensor import DType

_ELEMENT_BYTES = {dtype: dtype.size_bits // 8 for dtype in DType if dtype.size_bits >= 8}

Sizes = dict[Space, int]
"""Bytes of each memory."""


def check_instruction(instruction: Instruction, program: Program, sizes: Sizes) -> None:
    """Check one instruction; whom it waits for is checked with its stream.

    Raises:
        BrokenRuleError: which rule it breaks.
    """
    match instruction:
        case Load(src=src, dst=dst):
            require(src.space is not Space.SRAM, "source is not in DDR")
            _tile("source", src, sizes)
            _written("destination", dst, sizes, Space.SRAM)
            _same(src, dst)
        case LoadImage(image=image, row0=row0, dst=dst):
            _written("destination", dst, sizes, Space.SRAM)
            _check_image(image, row0, dst, sizes[Space.IO])
        case LoadRoi():
            _check_roi(instruction, program, sizes)
        case LoadConst(src_offset_bytes=start, dst_offset_bytes=target, size_bytes=size):
            _span("source", start, size, sizes[Space.WEIGHTS])
            _span("destination", target, size, sizes[Space.SRAM])
        case Store(src=src, dst=dst):
            require(dst.space in {Space.SCRATCH, Space.IO}, "destination cannot be written")
            _on_chip("source", src, sizes)
            _written("destination", dst, sizes, dst.space)
            _same(src, dst)
        case Move(x=x, y=y):
            _on_chip("x", x, sizes)
            _written("y", y, sizes, Space.SRAM)
            _same(x, y)
        case Fill(y=y, value=value):
            _made("y", y, sizes)
            in_range("value", value, *FULL_RANGE)
        case Conv() | MaxPool() | Eltwise() | Lut() | Resize():
            _check_compute(instruction, sizes)
        case AwaitStream():
            pass


def _check_compute(instruction: Conv | MaxPool | Eltwise | Lut | Resize, sizes: Sizes) -> None:
    match instruction:
        case Conv():
            _check_conv(instruction, sizes)
        case MaxPool(x=x, y=y, kernel_hw=kernel, stride_hw=stride, pads_tlbr=pads):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            require(x.shape_hwc[2] == y.shape_hwc[2], "channels of x and y differ")
            check_pool_pads(kernel, pads)
            _check_windows(x, y, kernel, stride, (1, 1), pads, (1, 1))
        case Eltwise(a=a, b=b, y=y):
            _int8("a", a, sizes)
            _made("y", y, sizes)
            _same(a, y)
            if b is not None:
                _int8("b", b, sizes)
            check_operands(instruction.kind, a.shape_hwc, None if b is None else b.shape_hwc)
            check_entries(instruction.kind, instruction.entries, a.shape_hwc[2], instruction.zeros)
            check_clamp(instruction.clamp)
        case Lut(x=x, y=y, table_offset_bytes=table, table_count=count):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            _same(x, y)
            require(count in {1, x.shape_hwc[2]}, f"{count} tables for {x.shape_hwc[2]} channels")
            _span("tables", table, count * limits.LUT_BYTES, sizes[Space.SRAM])
        case Resize(x=x, y=y, rows=rows, columns=columns):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            require(x.shape_hwc[2] == y.shape_hwc[2], "channels of x and y differ")
            check_axis("rows", rows, x.shape_hwc[0], y.shape_hwc[0])
            check_axis("columns", columns, x.shape_hwc[1], y.shape_hwc[1])


def _check_conv(conv: Conv, sizes: Sizes) -> None:
    _int8("x", conv.x, sizes)
    require(conv.y.dtype in {DType.INT8, DType.INT32}, f"y is {conv.y.dtype.value}")
    _written("y", conv.y, sizes, Space.SRAM)
    channels, outputs = conv.x.shape_hwc[2], conv.y.shape_hwc[2]
    check_groups(channels, outputs, conv.groups)
    _check_windows(
        conv.x,
        conv.y,
        conv.kernel_hw,
        conv.stride_hw,
        conv.dilation_hw,
        conv.pads_tlbr,
        conv.upsample_hw,
    )
    kernel_h, kernel_w = conv.kernel_hw
    weights_bytes = outputs * kernel_h * kernel_w * (channels // conv.groups)
    _span("weights", conv.weights_offset_bytes, weights_bytes, sizes[Space.SRAM])
    _span("parameters", conv.params_offset_bytes, outputs * CHANNEL_PARAM_BYTES, sizes[Space.SRAM])
    check_clamp(conv.clamp)
    in_range("pad code", conv.pad_code, *FULL_RANGE)
    if conv.addend is None:
        require(not conv.factors, "factors without an addend")
    else:
        _int8("addend", conv.addend, sizes)
        require(
            conv.addend.shape_hwc == conv.y.shape_hwc,
            f"an addend of {conv.addend.shape_hwc} for {conv.y.shape_hwc}",
        )
        check_factors(conv.factors, outputs, "")


def _check_image(image: Image, row0: int, dst: Tile, io_bytes: int) -> None:
    require(image.input_type.is_image, "a featuremap is not a picture")
    nv12 = image.input_type.is_nv12
    in_range("height", image.height, 1, MAX_EXTENT)
    in_range("width", image.width, 1, MAX_EXTENT)
    channels = image.input_type.channels
    row_bytes = image.width * (1 if nv12 else channels)
    in_range("stride", image.stride_bytes, row_bytes, MAX_EXTENT * 4)
    if nv12:
        require(image.height % 2 == image.width % 2 == 0, "nv12 of odd height or width")
    rows = image.height + (image.height // 2 if nv12 else 0)
    _span("picture", image.offset_bytes, (rows - 1) * image.stride_bytes + row_bytes, io_bytes)
    require(dst.dtype is DType.INT8, f"destination is {dst.dtype.value}")
    height, width, depth = dst.shape_hwc
    require(
        row0 >= 0 and row0 + height <= image.height and width == image.width and depth == channels,
        f"rows {row0} to {row0 + height} of {width} x {depth} from a picture of "
        f"{image.height} x {image.width} x {channels}",
    )


def _check_roi(load: LoadRoi, program: Program, sizes: Sizes) -> None:
    _made("destination", load.dst, sizes)
    in_range("region", load.roi, 0, len(program.rois) - 1)
    in_range("frame", load.frame, 0, program.frames - 1)
    spec = program.rois[load.roi]
    height, width, depth = load.dst.shape_hwc
    wanted = (spec.width, spec.input_type.channels)
    require(
        load.row0 >= 0 and load.row0 + height <= spec.height and (width, depth) == wanted,
        f"rows {load.row0} to {load.row0 + height} of {width} x {depth} from a region scaled to "
        f"{spec.height} x {spec.width} x {spec.input_type.channels}",
    )


def _check_windows(
    x: Tile, y: Tile, kernel: Pair, stride: Pair, dilation: Pair, pads: Quad, upsample: Pair
) -> None:
    """The output extent is what kernel, stride, dilation, pads and upsampling give."""
    check_windows(kernel, stride, dilation, pads, upsample)
    height, width, _ = x.shape_hwc
    spread = ((height - 1) * upsample[0] + 1, (width - 1) * upsample[1] + 1)
    made = windows(spread, window_extent(kernel, dilation), stride, pads)
    for axis, name in enumerate(("height", "width")):
        require(
            y.shape_hwc[axis] == made[axis],
            f"{name} of y is {y.shape_hwc[axis]}, the window gives {made[axis]}",
        )


def _tile(what: str, tile: Tile, sizes: Sizes) -> None:
    """Extents, alignment and end of a tile; the reason is looked for only when there is one."""
    height, width, channels = tile.shape_hwc
    offset, row, pixel = tile.offset_bytes, tile.row_pitch_bytes, tile.pixel_pitch_bytes
    element = _ELEMENT_BYTES.get(tile.dtype, 0)
    require(element > 0, f"{what} has elements of {tile.dtype.value}")
    end = offset + (height - 1) * row + (width - 1) * pixel + channels * element
    if (
        0 < height <= MAX_EXTENT
        and 0 < width <= MAX_EXTENT
        and 0 < channels <= MAX_EXTENT
        and min(offset, row, pixel) >= 0
        and end <= sizes[tile.space]
        and not (element > 1 and (offset | row | pixel) % element)
    ):
        return
    for extent in tile.shape_hwc:
        in_range(f"extent of {what}", extent, 1, MAX_EXTENT)
    require(min(offset, row, pixel) >= 0, f"{what} has a negative offset or pitch")
    require(
        end <= sizes[tile.space],
        f"{what} ends at byte {end} of {tile.space.name} with {sizes[tile.space]} bytes",
    )
    raise BrokenRuleError(f"{what} is not aligned to its elements")


def _on_chip(what: str, tile: Tile, sizes: Sizes) -> None:
    if tile.space is not Space.SRAM:
        raise BrokenRuleError(f"{what} is not in on-chip memory")
    _tile(what, tile, sizes)


def _int8(what: str, tile: Tile, sizes: Sizes) -> None:
    _on_chip(what, tile, sizes)
    if tile.dtype is not DType.INT8:
        raise BrokenRuleError(f"{what} is {tile.dtype.value}, not int8")


def _written(what: str, tile: Tile, sizes: Sizes, space: Space) -> None:
    """A tile that is written: in the right memory, and no element lies on another."""
    if tile.space is not space:
        raise BrokenRuleError(f"{what} is not in {space.name}")
    _tile(what, tile, sizes)
    height, width, channels = tile.shape_hwc
    pixel = channels * _ELEMENT_BYTES[tile.dtype]
    row = (width - 1) * tile.pixel_pitch_bytes + pixel
    if (width > 1 and tile.pixel_pitch_bytes < pixel) or (
        height > 1 and tile.row_pitch_bytes < row
    ):
        raise BrokenRuleError(f"{what} overlaps itself")


def _made(what: str, tile: Tile, sizes: Sizes) -> None:
    """An int8 result in on-chip memory."""
    _written(what, tile, sizes, Space.SRAM)
    if tile.dtype is not DType.INT8:
        raise BrokenRuleError(f"{what} is {tile.dtype.value}, not int8")


def _same(one: Tile, other: Tile) -> None:
    if one.shape_hwc != other.shape_hwc or one.dtype is not other.dtype:
        raise BrokenRuleError(
            f"{one.dtype.value} {one.shape_hwc} becomes {other.dtype.value} {other.shape_hwc}"
        )


def _span(what: str, offset: int, size: int, space_bytes: int) -> None:
    if offset < 0 or size < 0 or offset + size > space_bytes:
        raise BrokenRuleError(f"{what}: bytes {offset} to {offset + size} of {space_bytes}")
