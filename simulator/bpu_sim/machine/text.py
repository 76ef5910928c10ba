"""A program as a readable listing, one line an instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bpu_common.program import (
    FULL_RANGE,
    AwaitStream,
    Conv,
    Eltwise,
    EltwiseKind,
    Fill,
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
    Resize,
    Store,
    Tile,
    engine_of,
)
from bpu_common.tensor import DType


def listing(program: Program, operations: Sequence[str]) -> Iterator[str]:
    """The whole program: memories, slots, then each call with its instructions.

    Args:
        operations: names of the part's operations.
    """
    frames = f"  frames {program.frames}" if program.frames > 1 else ""
    yield (
        f"program  sram {program.sram_bytes}  scratch {program.scratch_bytes}  "
        f"io {program.io_bytes}{frames}"
    )
    for word, slots in (("input ", program.inputs), ("output", program.outputs)):
        for slot in slots:
            pitch = f" every {slot.frame_pitch_bytes}" if slot.frame_pitch_bytes else ""
            yield f"{word}   io+{slot.offset_bytes} {slot.size_bytes} bytes{pitch}  {slot.tensor}"
    for roi in program.rois:
        yield f"region   {roi.input_type.value} to {roi.height}x{roi.width}  {roi.tensor}"
    for number, call in enumerate(program.calls):
        yield f"call {number}  {call.name}  {call.predicted_cycles} cycles"
        for core, stream in enumerate(call.streams):
            if len(call.streams) > 1:
                yield f" stream {core}"
            for index, instruction in enumerate(stream.instructions):
                yield f"  {line(index, instruction)}  ; {operations[instruction.operation]}"


def line(index: int, instruction: Instruction) -> str:
    """One instruction: index, queue, what it does, what it waits for."""
    waits = f"  after {','.join(map(str, instruction.waits))}" if instruction.waits else ""
    return f"{index:5} {engine_of(instruction).value:8}{_body(instruction)}{waits}"


def _body(instruction: Instruction) -> str:
    match instruction:
        case Load(src=src, dst=dst) | Store(src=src, dst=dst):
            name = type(instruction).__name__.lower()
            return f"{name:8}{_tile(src)} -> {_tile(dst)}"
        case LoadImage(image=image, row0=row0, dst=dst):
            return (
                f"image   {image.input_type.value} {image.height}x{image.width} "
                f"io+{image.offset_bytes}/{image.stride_bytes} row {row0} -> {_tile(dst)}"
            )
        case LoadRoi(roi=roi, frame=frame, row0=row0, dst=dst):
            return f"region  {roi} of frame {frame} row {row0} -> {_tile(dst)}"
        case LoadConst():
            return (
                f"const   weights+{instruction.src_offset_bytes} -> "
                f"sram+{instruction.dst_offset_bytes} {instruction.size_bytes} bytes"
            )
        case Conv():
            return _conv(instruction)
        case MaxPool(x=x, y=y):
            return (
                f"maxpool {_tile(x)} -> {_tile(y)} k{_pair(instruction.kernel_hw)} "
                f"s{_pair(instruction.stride_hw)} p{_numbers(instruction.pads_tlbr)}"
            )
        case Eltwise(kind=kind, a=a, b=b, y=y, entries=entries):
            entry, more = entries[0], entries[1:]
            requant = entry.requant
            factors = "" if kind is EltwiseKind.MUL else f" k{entry.ka},{entry.kb}"
            operands = _tile(a) if b is None else f"{_tile(a)}, {_tile(b)}"
            return (
                f"{kind.name.lower():8}{operands} -> {_tile(y)}{factors} "
                f"(+{requant.bias})>>{requant.right_shift}*{requant.multiplier}"
                f">>{requant.out_shift}{_clamp(instruction.clamp)}"
                + (f" and {len(more)} entries more" if more else "")
            )
        case Lut(x=x, y=y):
            return (
                f"lut     {_tile(x)} -> {_tile(y)} table sram+{instruction.table_offset_bytes} "
                f"x{instruction.table_count}"
            )
        case Resize(mode=mode, x=x, y=y):
            return f"resize  {_tile(x)} -> {_tile(y)} {mode.name.lower()}"
        case Move(x=x, y=y):
            return f"move    {_tile(x)} -> {_tile(y)}"
        case Fill(y=y, value=value):
            return f"fill    {value} -> {_tile(y)}"
        case AwaitStream(stream=stream, instruction=awaited):
            return f"await   instruction {awaited} of stream {stream}"


def _conv(op: Conv) -> str:
    extras = "".join(
        f" {letter}{_pair(pair)}"
        for letter, pair in (("d", op.dilation_hw), ("u", op.upsample_hw))
        if pair != (1, 1)
    )
    if op.pad_code:
        extras += f" pad {op.pad_code}"
    if op.addend is not None:
        extras += f" + {_tile(op.addend)} k{op.factors[0]}"
        extras += f" and {len(op.factors) - 1} factors more" if len(op.factors) > 1 else ""
    groups = " depthwise" if op.depthwise else f" g{op.groups}" if op.groups > 1 else ""
    return (
        f"conv    {_tile(op.x)} -> {_tile(op.y)} w sram+{op.weights_offset_bytes} "
        f"p sram+{op.params_offset_bytes} k{_pair(op.kernel_hw)} s{_pair(op.stride_hw)} "
        f"p{_numbers(op.pads_tlbr)}{extras}{groups}{_clamp(op.clamp)}"
    )


def _tile(tile: Tile) -> str:
    shape = "x".join(map(str, tile.shape_hwc))
    dtype = "" if tile.dtype is DType.INT8 else f" {tile.dtype.value}"
    pitches = f"/{tile.row_pitch_bytes}/{tile.pixel_pitch_bytes}"
    return f"{tile.space.name.lower()}+{tile.offset_bytes}{pitches}[{shape}{dtype}]"


def _pair(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _clamp(clamp: Pair) -> str:
    return "" if clamp == FULL_RANGE else f" clamp[{clamp[0]},{clamp[1]}]"
