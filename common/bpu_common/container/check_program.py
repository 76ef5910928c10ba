"""The rules every program keeps: each access lies within its memory and each shape fits.

They make sure that executing a program needs no further bounds check. Whether `waits` cover all
hazards is proved elsewhere (`bpu_sim.machine.check_hazards`).
"""

from __future__ import annotations

from bpu_common import limits
from bpu_common.errors import ModelFormatError
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
    Axis,
    Conv,
    Eltwise,
    EltwiseKind,
    Fill,
    FunctionCall,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Move,
    Pair,
    Program,
    Quad,
    Requant,
    Resize,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import DType

MAX_SRAM_BYTES = 64 << 20
MAX_DDR_BYTES = 1 << 30
MAX_EXTENT = 1 << 16  # of a tile, a kernel, a stride, a pad
MAX_WINDOW = 1 << 20  # of kernel * dilation
SLOT_ALIGN = 64

_ELEMENT_BYTES = {dtype: dtype.size_bits // 8 for dtype in DType if dtype.size_bits >= 8}


class _BrokenRuleError(Exception):
    """A rule that an instruction breaks; becomes a ModelFormatError with its place."""


def check_program(program: Program, weights_bytes: int, where: str) -> None:
    """Check a whole program against the size of its weights section.

    Raises:
        ModelFormatError: `where` is `<where>.call[i].instruction[k]` or a part of it.
    """
    sizes = {
        Space.SRAM: program.sram_bytes,
        Space.WEIGHTS: weights_bytes,
        Space.SCRATCH: program.scratch_bytes,
        Space.IO: program.io_bytes,
    }
    try:
        _in_range("on-chip memory", program.sram_bytes, 0, MAX_SRAM_BYTES)
        _in_range("scratch memory", program.scratch_bytes, 0, MAX_DDR_BYTES)
        _in_range("input and output memory", program.io_bytes, 0, MAX_DDR_BYTES)
        _check_slots((*program.inputs, *program.outputs), program.io_bytes)
        _require(bool(program.calls), "a program without function calls")
    except _BrokenRuleError as broken:
        raise ModelFormatError(str(broken), where=where) from None
    for index, call in enumerate(program.calls):
        _check_call(call, len(program.layers), sizes, f"{where}.call[{index}]")


def _check_call(call: FunctionCall, layer_count: int, sizes: dict[Space, int], where: str) -> None:
    if not call.instructions:
        raise ModelFormatError("a function call without instructions", where=where)
    if not 0 <= call.predicted_cycles < 1 << 48:
        raise ModelFormatError(f"predicted cycles {call.predicted_cycles}", where=where)
    for index, instruction in enumerate(call.instructions):
        try:
            _in_range("layer", instruction.layer, 0, layer_count - 1)
            waits = instruction.waits
            if waits and (min(waits) < 0 or max(waits) >= index or len(set(waits)) != len(waits)):
                raise _BrokenRuleError(f"waits {waits[:8]} are not different earlier instructions")
            _check_instruction(instruction, sizes)
        except _BrokenRuleError as broken:
            kind = type(instruction).__name__
            raise ModelFormatError(
                f"{kind}: {broken}", where=f"{where}.instruction[{index}]"
            ) from None


def _check_instruction(instruction: Instruction, sizes: dict[Space, int]) -> None:
    sram = sizes[Space.SRAM]
    match instruction:
        case Load(_, _, src, dst):
            _require(src.space is not Space.SRAM, "source is not in DDR")
            _tile("source", src, sizes)
            _written("destination", dst, sizes, Space.SRAM)
            _same(src, dst)
        case LoadImage(_, _, image, row0, dst):
            _written("destination", dst, sizes, Space.SRAM)
            _check_image(image, row0, dst, sizes[Space.IO])
        case LoadConst(_, _, src_offset, dst_offset, size):
            _span("source", src_offset, size, sizes[Space.WEIGHTS])
            _span("destination", dst_offset, size, sram)
        case Store(_, _, src, dst):
            _require(dst.space in {Space.SCRATCH, Space.IO}, "destination cannot be written")
            _on_chip("source", src, sizes)
            _written("destination", dst, sizes, dst.space)
            _same(src, dst)
        case Conv():
            _check_conv(instruction, sizes)
        case MaxPool(_, _, x, y, kernel, stride, pads):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            _require(x.shape_hwc[2] == y.shape_hwc[2], "channels of x and y differ")
            _require(
                pads[0] < kernel[0]
                and pads[2] < kernel[0]
                and pads[1] < kernel[1]
                and pads[3] < kernel[1],
                "a window could lie wholly in the padding",
            )
            _check_window(x, y, kernel, stride, (1, 1), pads, (1, 1))
        case Eltwise():
            _check_eltwise(instruction, sizes)
        case Lut(_, _, x, y, table, count):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            _same(x, y)
            _require(count in {1, x.shape_hwc[2]}, f"{count} tables for {x.shape_hwc[2]} channels")
            _span("tables", table, count * limits.LUT_BYTES, sram)
        case Resize(_, _, _, x, y, rows, columns):
            _int8("x", x, sizes)
            _made("y", y, sizes)
            _require(x.shape_hwc[2] == y.shape_hwc[2], "channels of x and y differ")
            _check_axis("rows", rows, x.shape_hwc[0], y.shape_hwc[0])
            _check_axis("columns", columns, x.shape_hwc[1], y.shape_hwc[1])
        case Move(_, _, x, y):
            _on_chip("x", x, sizes)
            _written("y", y, sizes, Space.SRAM)
            _same(x, y)
        case Fill(_, _, y, value):
            _made("y", y, sizes)
            _in_range("value", value, -128, 127)


def _check_conv(conv: Conv, sizes: dict[Space, int]) -> None:
    _int8("x", conv.x, sizes)
    _require(conv.y.dtype in {DType.INT8, DType.INT32}, f"y is {conv.y.dtype.value}")
    _written("y", conv.y, sizes, Space.SRAM)
    channels, outputs, groups = conv.x.shape_hwc[2], conv.y.shape_hwc[2], conv.groups
    _require(
        groups >= 1 and channels % groups == 0 and outputs % groups == 0,
        f"{groups} groups of {channels} and {outputs} channels",
    )
    kernel_h, kernel_w = conv.kernel_hw
    _check_window(
        conv.x,
        conv.y,
        conv.kernel_hw,
        conv.stride_hw,
        conv.dilation_hw,
        conv.pads_tlbr,
        conv.upsample_hw,
    )
    weights_bytes = outputs * kernel_h * kernel_w * (channels // groups)
    _span("weights", conv.weights_offset_bytes, weights_bytes, sizes[Space.SRAM])
    _span("parameters", conv.params_offset_bytes, outputs * CHANNEL_PARAM_BYTES, sizes[Space.SRAM])
    _check_clamp(conv.clamp)


def _check_eltwise(eltwise: Eltwise, sizes: dict[Space, int]) -> None:
    _int8("a", eltwise.a, sizes)
    _made("y", eltwise.y, sizes)
    _same(eltwise.a, eltwise.y)
    _require(
        (eltwise.b is None) == (eltwise.kind is EltwiseKind.SCALE),
        "operand b does not fit the kind",
    )
    if eltwise.b is not None:
        _int8("b", eltwise.b, sizes)
        shape, channels = eltwise.b.shape_hwc, eltwise.a.shape_hwc[2]
        _require(
            shape in {eltwise.a.shape_hwc, (1, 1, channels), (1, 1, 1)},
            f"b of {shape} cannot be broadcast to {eltwise.a.shape_hwc}",
        )
    _require(
        len(eltwise.entries) in (1, eltwise.y.shape_hwc[2]),
        f"{len(eltwise.entries)} entries for {eltwise.y.shape_hwc[2]} channels",
    )
    for entry in eltwise.entries:
        _in_range("ka", entry.ka, -128, 127)
        _in_range("kb", entry.kb, -128, 127)
        _check_requant(entry.requant)
    for zero in eltwise.zeros:
        _in_range("zero", zero, -128, 127)
    _check_clamp(eltwise.clamp)


def _check_requant(requant: Requant) -> None:
    _in_range("bias", requant.bias, -(1 << 31), (1 << 31) - 1)
    _in_range("right shift", requant.right_shift, limits.RIGHT_SHIFT.low, limits.RIGHT_SHIFT.high)
    _in_range("multiplier", requant.multiplier, 0, (1 << 15) - 1)
    _in_range("out shift", requant.out_shift, limits.OUT_SHIFT.low, limits.OUT_SHIFT.high)


def _check_image(image: Image, row0: int, dst: Tile, io_bytes: int) -> None:
    _require(image.input_type.is_image, "a featuremap is not a picture")
    nv12 = image.input_type.is_nv12
    _in_range("height", image.height, 1, MAX_EXTENT)
    _in_range("width", image.width, 1, MAX_EXTENT)
    channels = image.input_type.channels
    row_bytes = image.width * (1 if nv12 else channels)
    _in_range("stride", image.stride_bytes, row_bytes, MAX_EXTENT * 4)
    if nv12:
        _require(image.height % 2 == image.width % 2 == 0, "nv12 of odd height or width")
    rows = image.height + (image.height // 2 if nv12 else 0)
    _span("picture", image.offset_bytes, (rows - 1) * image.stride_bytes + row_bytes, io_bytes)
    _require(dst.dtype is DType.INT8, f"destination is {dst.dtype.value}")
    height, width, depth = dst.shape_hwc
    _require(
        row0 >= 0 and row0 + height <= image.height and width == image.width and depth == channels,
        f"rows {row0} to {row0 + height} of {width} x {depth} from a picture of "
        f"{image.height} x {image.width} x {channels}",
    )


def _check_window(
    x: Tile, y: Tile, kernel: Pair, stride: Pair, dilation: Pair, pads: Quad, upsample: Pair
) -> None:
    """The output extent is what kernel, stride, dilation, pads and upsampling give."""
    for axis, name in enumerate(("height", "width")):
        _in_range("kernel", kernel[axis], 1, MAX_EXTENT)
        _in_range("stride", stride[axis], 1, MAX_EXTENT)
        _in_range("dilation", dilation[axis], 1, MAX_EXTENT)
        _in_range("upsample", upsample[axis], 1, MAX_EXTENT)
        before, after = pads[axis], pads[axis + 2]
        _in_range("pad", before, 0, MAX_EXTENT)
        _in_range("pad", after, 0, MAX_EXTENT)
        window = (kernel[axis] - 1) * dilation[axis] + 1
        _in_range("window", window, 1, MAX_WINDOW)
        padded = (x.shape_hwc[axis] - 1) * upsample[axis] + 1 + before + after
        made = (padded - window) // stride[axis] + 1
        _require(
            y.shape_hwc[axis] == made,
            f"{name} of y is {y.shape_hwc[axis]}, the window gives {made}",
        )


def _check_axis(what: str, axis: Axis, source: int, made: int) -> None:
    _require(
        len(axis.low) == len(axis.high) == len(axis.frac) == made,
        f"{what}: positions for {len(axis.low)}, {len(axis.high)}, {len(axis.frac)} of {made}",
    )
    for positions, end in (
        (axis.low, source),
        (axis.high, source),
        (axis.frac, limits.RESIZE_STEPS),
    ):
        _require(
            all(0 <= position < end for position in positions),
            f"{what}: a position outside 0 to {end - 1}",
        )


def _check_slots(slots: tuple[IoSlot, ...], io_bytes: int) -> None:
    end = 0
    for slot in sorted(slots, key=lambda slot: slot.offset_bytes):
        _require(slot.offset_bytes % SLOT_ALIGN == 0, f"slot of {slot.tensor!r} is not aligned")
        _span(f"slot of {slot.tensor!r}", slot.offset_bytes, slot.size_bytes, io_bytes)
        _require(slot.offset_bytes >= end, f"slot of {slot.tensor!r} overlaps another")
        end = slot.offset_bytes + slot.size_bytes


def _tile(what: str, tile: Tile, sizes: dict[Space, int]) -> None:
    """Extents, alignment and end of a tile; the reason is looked for only when there is one."""
    height, width, channels = tile.shape_hwc
    offset, row, pixel = tile.offset_bytes, tile.row_pitch_bytes, tile.pixel_pitch_bytes
    element = _ELEMENT_BYTES.get(tile.dtype, 0)
    _require(element > 0, f"{what} has elements of {tile.dtype.value}")
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
        _in_range(f"extent of {what}", extent, 1, MAX_EXTENT)
    _require(min(offset, row, pixel) >= 0, f"{what} has a negative offset or pitch")
    _require(
        end <= sizes[tile.space],
        f"{what} ends at byte {end} of {tile.space.name} with {sizes[tile.space]} bytes",
    )
    raise _BrokenRuleError(f"{what} is not aligned to its elements")


def _on_chip(what: str, tile: Tile, sizes: dict[Space, int]) -> None:
    if tile.space is not Space.SRAM:
        raise _BrokenRuleError(f"{what} is not in on-chip memory")
    _tile(what, tile, sizes)


def _int8(what: str, tile: Tile, sizes: dict[Space, int]) -> None:
    _on_chip(what, tile, sizes)
    if tile.dtype is not DType.INT8:
        raise _BrokenRuleError(f"{what} is {tile.dtype.value}, not int8")


def _written(what: str, tile: Tile, sizes: dict[Space, int], space: Space) -> None:
    """A tile that is written: in the right memory, and no element lies on another."""
    if tile.space is not space:
        raise _BrokenRuleError(f"{what} is not in {space.name}")
    _tile(what, tile, sizes)
    height, width, channels = tile.shape_hwc
    pixel = channels * _ELEMENT_BYTES[tile.dtype]
    row = (width - 1) * tile.pixel_pitch_bytes + pixel
    if (width > 1 and tile.pixel_pitch_bytes < pixel) or (
        height > 1 and tile.row_pitch_bytes < row
    ):
        raise _BrokenRuleError(f"{what} overlaps itself")


def _made(what: str, tile: Tile, sizes: dict[Space, int]) -> None:
    """An int8 result in on-chip memory."""
    _written(what, tile, sizes, Space.SRAM)
    if tile.dtype is not DType.INT8:
        raise _BrokenRuleError(f"{what} is {tile.dtype.value}, not int8")


def _same(one: Tile, other: Tile) -> None:
    if one.shape_hwc != other.shape_hwc or one.dtype is not other.dtype:
        raise _BrokenRuleError(
            f"{one.dtype.value} {one.shape_hwc} becomes {other.dtype.value} {other.shape_hwc}"
        )


def _span(what: str, offset: int, size: int, space_bytes: int) -> None:
    if offset < 0 or size < 0 or offset + size > space_bytes:
        raise _BrokenRuleError(f"{what}: bytes {offset} to {offset + size} of {space_bytes}")


def _check_clamp(clamp: Pair) -> None:
    _require(-128 <= clamp[0] <= clamp[1] <= 127, f"clamp {clamp} is not within int8")


def _in_range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise _BrokenRuleError(f"{what} {value} is outside {least} to {most}")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise _BrokenRuleError(sentence)
