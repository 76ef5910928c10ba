"""Programs <-> messages: the encoder and the decoder of the instruction set."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common import program as isa
from bpu_common.errors import ModelFormatError
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages.tensors import (
    DTYPE_FROM_PB,
    DTYPE_TO_PB,
    INPUT_TYPE_FROM_PB,
    INPUT_TYPE_TO_PB,
    enum_from,
    limit,
)

MAX_AXIS = 1 << 16

_SPACE_TO_PB: dict[isa.Space, pb.Space] = {
    isa.Space.SRAM: pb.SPACE_SRAM,
    isa.Space.WEIGHTS: pb.SPACE_WEIGHTS,
    isa.Space.SCRATCH: pb.SPACE_SCRATCH,
    isa.Space.IO: pb.SPACE_IO,
}
_SPACE_FROM_PB = {number: value for value, number in _SPACE_TO_PB.items()}
_ELTWISE_TO_PB: dict[isa.EltwiseKind, pb.EltwiseKind] = {
    isa.EltwiseKind.ADD: pb.ELTWISE_KIND_ADD,
    isa.EltwiseKind.MUL: pb.ELTWISE_KIND_MUL,
    isa.EltwiseKind.SCALE: pb.ELTWISE_KIND_SCALE,
}
_ELTWISE_FROM_PB = {number: value for value, number in _ELTWISE_TO_PB.items()}
_RESIZE_TO_PB: dict[isa.ResizeMode, pb.ResizeMode] = {
    isa.ResizeMode.NEAREST: pb.RESIZE_MODE_NEAREST,
    isa.ResizeMode.BILINEAR: pb.RESIZE_MODE_BILINEAR,
}
_RESIZE_FROM_PB = {number: value for value, number in _RESIZE_TO_PB.items()}


def program_to_pb(program: isa.Program) -> pb.Program:
    return pb.Program(
        calls=[_call_to_pb(call) for call in program.calls],
        layers=program.layers,
        inputs=[_slot_to_pb(slot) for slot in program.inputs],
        outputs=[_slot_to_pb(slot) for slot in program.outputs],
        sram_bytes=program.sram_bytes,
        scratch_bytes=program.scratch_bytes,
        io_bytes=program.io_bytes,
    )


def program_from_pb(message: pb.Program) -> isa.Program:
    """The program of a message, values not yet checked against each other.

    Raises:
        ModelFormatError: an instruction of no kind, a missing operand, an unknown enum number or a
            list of the wrong length; `where` is `call[i].instruction[k]`.
    """
    return isa.Program(
        calls=tuple(_call_from_pb(call, index) for index, call in enumerate(message.calls)),
        layers=tuple(message.layers),
        inputs=tuple(_slot_from_pb(slot) for slot in message.inputs),
        outputs=tuple(_slot_from_pb(slot) for slot in message.outputs),
        sram_bytes=message.sram_bytes,
        scratch_bytes=message.scratch_bytes,
        io_bytes=message.io_bytes,
    )


def _call_to_pb(call: isa.FunctionCall) -> pb.FunctionCall:
    return pb.FunctionCall(
        name=call.name,
        instructions=[instruction_to_pb(instruction) for instruction in call.instructions],
        predicted_cycles=call.predicted_cycles,
    )


def _call_from_pb(message: pb.FunctionCall, index: int) -> isa.FunctionCall:
    instructions: list[isa.Instruction] = []
    for position, item in enumerate(message.instructions):
        try:
            instructions.append(instruction_from_pb(item))
        except ModelFormatError as error:
            where = f"call[{index}].instruction[{position}]"
            raise ModelFormatError(error.message, where=where) from None
    return isa.FunctionCall(message.name, tuple(instructions), message.predicted_cycles)


def instruction_to_pb(instruction: isa.Instruction) -> pb.Instruction:
    message = pb.Instruction(layer=instruction.layer, waits=instruction.waits)
    match instruction:
        case isa.Load(_, _, src, dst):
            message.load.CopyFrom(pb.Load(src=_tile_to_pb(src), dst=_tile_to_pb(dst)))
        case isa.LoadImage(_, _, image, row0, dst):
            message.load_image.CopyFrom(_load_image_to_pb(image, row0, dst))
        case isa.LoadConst(_, _, src_offset, dst_offset, size):
            message.load_const.CopyFrom(
                pb.LoadConst(
                    src_offset_bytes=src_offset, dst_offset_bytes=dst_offset, size_bytes=size
                )
            )
        case isa.Store(_, _, src, dst):
            message.store.CopyFrom(pb.Store(src=_tile_to_pb(src), dst=_tile_to_pb(dst)))
        case isa.Conv():
            message.conv.CopyFrom(_conv_to_pb(instruction))
        case isa.MaxPool():
            message.max_pool.CopyFrom(_max_pool_to_pb(instruction))
        case isa.Eltwise():
            message.eltwise.CopyFrom(_eltwise_to_pb(instruction))
        case isa.Lut(_, _, x, y, table, count):
            message.lut.CopyFrom(
                pb.Lut(
                    x=_tile_to_pb(x), y=_tile_to_pb(y), table_offset_bytes=table, table_count=count
                )
            )
        case isa.Resize():
            message.resize.CopyFrom(_resize_to_pb(instruction))
        case isa.Move(_, _, x, y):
            message.move.CopyFrom(pb.Move(x=_tile_to_pb(x), y=_tile_to_pb(y)))
        case isa.Fill(_, _, y, value):
            message.fill.CopyFrom(pb.Fill(y=_tile_to_pb(y), value=value))
    return message


def instruction_from_pb(message: pb.Instruction) -> isa.Instruction:
    layer, waits = message.layer, tuple(message.waits)
    match message.WhichOneof("kind"):
        case "load":
            load = message.load
            return isa.Load(layer, waits, _tile(load, "src"), _tile(load, "dst"))
        case "load_image":
            return _load_image_from_pb(layer, waits, message.load_image)
        case "load_const":
            const = message.load_const
            return isa.LoadConst(
                layer, waits, const.src_offset_bytes, const.dst_offset_bytes, const.size_bytes
            )
        case "store":
            store = message.store
            return isa.Store(layer, waits, _tile(store, "src"), _tile(store, "dst"))
        case "conv":
            return _conv_from_pb(layer, waits, message.conv)
        case "max_pool":
            return _max_pool_from_pb(layer, waits, message.max_pool)
        case "eltwise":
            return _eltwise_from_pb(layer, waits, message.eltwise)
        case "lut":
            lut = message.lut
            x, y = _tile(lut, "x"), _tile(lut, "y")
            return isa.Lut(layer, waits, x, y, lut.table_offset_bytes, lut.table_count)
        case "resize":
            return _resize_from_pb(layer, waits, message.resize)
        case "move":
            move = message.move
            return isa.Move(layer, waits, _tile(move, "x"), _tile(move, "y"))
        case "fill":
            return isa.Fill(layer, waits, _tile(message.fill, "y"), message.fill.value)
        case _:
            raise ModelFormatError("instruction of no known kind")


def _load_image_to_pb(image: isa.Image, row0: int, dst: isa.Tile) -> pb.LoadImage:
    return pb.LoadImage(
        offset_bytes=image.offset_bytes,
        height=image.height,
        width=image.width,
        stride_bytes=image.stride_bytes,
        input_type=INPUT_TYPE_TO_PB[image.input_type],
        row0=row0,
        dst=_tile_to_pb(dst),
    )


def _load_image_from_pb(layer: int, waits: tuple[int, ...], message: pb.LoadImage) -> isa.LoadImage:
    image = isa.Image(
        message.offset_bytes,
        message.height,
        message.width,
        message.stride_bytes,
        enum_from(INPUT_TYPE_FROM_PB, message.input_type, "input type"),
    )
    return isa.LoadImage(layer, waits, image, message.row0, _tile(message, "dst"))


def _conv_to_pb(conv: isa.Conv) -> pb.Conv:
    return pb.Conv(
        x=_tile_to_pb(conv.x),
        y=_tile_to_pb(conv.y),
        weights_offset_bytes=conv.weights_offset_bytes,
        params_offset_bytes=conv.params_offset_bytes,
        kernel_hw=conv.kernel_hw,
        stride_hw=conv.stride_hw,
        dilation_hw=conv.dilation_hw,
        pads_tlbr=conv.pads_tlbr,
        groups=conv.groups,
        upsample_hw=conv.upsample_hw,
        clamp=conv.clamp,
    )


def _conv_from_pb(layer: int, waits: tuple[int, ...], message: pb.Conv) -> isa.Conv:
    return isa.Conv(
        layer,
        waits,
        _tile(message, "x"),
        _tile(message, "y"),
        message.weights_offset_bytes,
        message.params_offset_bytes,
        _pair(message.kernel_hw, "kernel"),
        _pair(message.stride_hw, "stride"),
        _pair(message.dilation_hw, "dilation"),
        _quad(message.pads_tlbr, "pads"),
        message.groups,
        _pair(message.upsample_hw, "upsample"),
        _pair(message.clamp, "clamp"),
    )


def _max_pool_to_pb(pool: isa.MaxPool) -> pb.MaxPool:
    return pb.MaxPool(
        x=_tile_to_pb(pool.x),
        y=_tile_to_pb(pool.y),
        kernel_hw=pool.kernel_hw,
        stride_hw=pool.stride_hw,
        pads_tlbr=pool.pads_tlbr,
    )


def _max_pool_from_pb(layer: int, waits: tuple[int, ...], message: pb.MaxPool) -> isa.MaxPool:
    return isa.MaxPool(
        layer,
        waits,
        _tile(message, "x"),
        _tile(message, "y"),
        _pair(message.kernel_hw, "kernel"),
        _pair(message.stride_hw, "stride"),
        _quad(message.pads_tlbr, "pads"),
    )


def _eltwise_to_pb(eltwise: isa.Eltwise) -> pb.Eltwise:
    return pb.Eltwise(
        kind=_ELTWISE_TO_PB[eltwise.kind],
        a=_tile_to_pb(eltwise.a),
        b=None if eltwise.b is None else _tile_to_pb(eltwise.b),
        y=_tile_to_pb(eltwise.y),
        entries=[_entry_to_pb(entry) for entry in eltwise.entries],
        clamp=eltwise.clamp,
        zeros=eltwise.zeros,
    )


def _entry_to_pb(entry: isa.EltwiseEntry) -> pb.EltwiseEntry:
    requant = entry.requant
    return pb.EltwiseEntry(
        ka=entry.ka,
        kb=entry.kb,
        requant=pb.Requant(
            bias=requant.bias,
            right_shift=requant.right_shift,
            multiplier=requant.multiplier,
            out_shift=requant.out_shift,
        ),
    )


def _entry_from_pb(message: pb.EltwiseEntry) -> isa.EltwiseEntry:
    it = message.requant
    requant = isa.Requant(it.bias, it.right_shift, it.multiplier, it.out_shift)
    return isa.EltwiseEntry(message.ka, message.kb, requant)


def _eltwise_from_pb(layer: int, waits: tuple[int, ...], message: pb.Eltwise) -> isa.Eltwise:
    return isa.Eltwise(
        layer,
        waits,
        enum_from(_ELTWISE_FROM_PB, message.kind, "element-wise kind"),
        _tile(message, "a"),
        _tile(message, "b") if message.HasField("b") else None,
        _tile(message, "y"),
        tuple(_entry_from_pb(entry) for entry in message.entries),
        _pair(message.clamp, "clamp"),
        _pair(message.zeros, "zeros"),
    )


def _resize_to_pb(resize: isa.Resize) -> pb.Resize:
    return pb.Resize(
        mode=_RESIZE_TO_PB[resize.mode],
        x=_tile_to_pb(resize.x),
        y=_tile_to_pb(resize.y),
        rows=_axis_to_pb(resize.rows),
        columns=_axis_to_pb(resize.columns),
    )


def _resize_from_pb(layer: int, waits: tuple[int, ...], message: pb.Resize) -> isa.Resize:
    return isa.Resize(
        layer,
        waits,
        enum_from(_RESIZE_FROM_PB, message.mode, "resize mode"),
        _tile(message, "x"),
        _tile(message, "y"),
        _axis_from_pb(message.rows),
        _axis_from_pb(message.columns),
    )


def _axis_to_pb(axis: isa.Axis) -> pb.Axis:
    return pb.Axis(low=axis.low, high=axis.high, frac=axis.frac)


def _axis_from_pb(message: pb.Axis) -> isa.Axis:
    for positions in (message.low, message.high, message.frac):
        limit(positions, MAX_AXIS, "positions on a resize axis")
    return isa.Axis(tuple(message.low), tuple(message.high), tuple(message.frac))


def _slot_to_pb(slot: isa.IoSlot) -> pb.IoSlot:
    return pb.IoSlot(tensor=slot.tensor, offset_bytes=slot.offset_bytes, size_bytes=slot.size_bytes)


def _slot_from_pb(message: pb.IoSlot) -> isa.IoSlot:
    return isa.IoSlot(message.tensor, message.offset_bytes, message.size_bytes)


def _tile_to_pb(tile: isa.Tile) -> pb.Tile:
    height, width, channels = tile.shape_hwc
    return pb.Tile(
        space=_SPACE_TO_PB[tile.space],
        offset_bytes=tile.offset_bytes,
        height=height,
        width=width,
        channels=channels,
        row_pitch_bytes=tile.row_pitch_bytes,
        pixel_pitch_bytes=tile.pixel_pitch_bytes,
        dtype=DTYPE_TO_PB[tile.dtype],
    )


def _tile(
    owner: pb.Load
    | pb.LoadImage
    | pb.Store
    | pb.Conv
    | pb.MaxPool
    | pb.Eltwise
    | pb.Lut
    | pb.Resize
    | pb.Move
    | pb.Fill,
    field: str,
) -> isa.Tile:
    if not owner.HasField(field):
        raise ModelFormatError(f"operand {field} is missing")
    message: pb.Tile = getattr(owner, field)
    return isa.Tile(
        enum_from(_SPACE_FROM_PB, message.space, "address space"),
        message.offset_bytes,
        (message.height, message.width, message.channels),
        message.row_pitch_bytes,
        message.pixel_pitch_bytes,
        enum_from(DTYPE_FROM_PB, message.dtype, "element type"),
    )


def _pair(values: Sequence[int], what: str) -> isa.Pair:
    if len(values) != 2:
        raise ModelFormatError(f"{what} has {len(values)} values instead of 2")
    return (values[0], values[1])


def _quad(values: Sequence[int], what: str) -> isa.Quad:
    if len(values) != 4:
        raise ModelFormatError(f"{what} has {len(values)} values instead of 4")
    return (values[0], values[1], values[2], values[3])
