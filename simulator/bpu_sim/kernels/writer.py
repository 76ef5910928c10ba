"""A part's operations as steps of the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bpu_common.network import (
    BpuOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    tensors_made,
)
from bpu_common.network.rules import Tensors
from bpu_common.program import EltwiseEntry, EltwiseKind, Pair, ResizeMode
from bpu_common.tensor import I8
from bpu_sim import arith
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import CHANNELS, Fields, Step, View, contiguous
from bpu_sim.kernels.convolution import write_conv
from bpu_sim.kernels.sheet import Sheet

_INT16 = range(-(1 << 15), 1 << 15)
_PACKED: Mapping[str, Pair] = {}


def write_steps(
    ops: Sequence[BpuOp],
    tensors: Tensors,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    widens: bool,
    pitches: Mapping[str, Pair] = _PACKED,
) -> list[Step]:
    """All steps; inputs and outputs have slots in the order they are given in.

    Args:
        widens: the instruction set wants int16 for dense convolutions of signed codes.
        pitches: bytes from row to row and from pixel to pixel of the caller's arrays that have
            something between them.
    """
    sheet = Sheet(ops, tensors, widens=widens)

    def at(slot: int, name: str) -> Fields:
        return {"slot": slot, "steps": pitches.get(name, (0, 0))}

    def give(name: str) -> None:
        """What the caller wants is handed over as soon as it is there."""
        for slot, wanted in enumerate(outputs):
            if wanted == name:
                sheet.add(Step(Kind.OUTPUT, x=sheet.view(name), values=at(slot, name)))

    for slot, name in enumerate(inputs):
        sheet.add(Step(Kind.INPUT, y=sheet.take(name), values=at(slot, name)))
        give(name)
    for op in ops:
        sheet.source = op.name
        _write(sheet, op)
        for name in tensors_made(op):
            give(name)
    return sheet.steps


def _write(sheet: Sheet, op: BpuOp) -> None:
    match op:
        case QConv():
            write_conv(sheet, op)
        case QEltwise():
            _eltwise(sheet, op)
        case QMaxPool():
            window: Fields = {
                "kernel": op.kernel_hw,
                "stride": op.stride_hw,
                "pads": op.pads_tlbr[:2],
            }
            sheet.add(Step(Kind.POOL, sheet.view(op.x), sheet.result(op.y), values=window))
        case QLut():
            _look_up(sheet, sheet.view(op.x), sheet.result(op.y), op.tables)
        case QResize():
            _resize(sheet, op)
        case QConcat():
            _concat(sheet, op)
        case QSlice():
            _slice(sheet, op)
        case QPad():
            _pad(sheet, op)
        case QDepthToSpace():
            _blocks(sheet, op)


def _look_up(sheet: Sheet, x: View, y: View, tables: I8) -> None:
    values: Fields = {"count": len(tables), "tables": contiguous(tables, np.int8)}
    sheet.add(Step(Kind.LUT, x, y, values=values))


def _resize(sheet: Sheet, op: QResize) -> None:
    rows, columns = op.rows, op.columns
    axes = [rows.low, rows.high, rows.frac, columns.low, columns.high, columns.frac]
    values: Fields = {
        "mode": int(op.mode is ResizeMode.BILINEAR),
        "positions": contiguous(np.concatenate(axes), np.int32),
    }
    sheet.add(Step(Kind.RESIZE, sheet.view(op.x), sheet.result(op.y), values=values))


def _pad(sheet: Sheet, op: QPad) -> None:
    x, (top, left, *_) = sheet.view(op.x), op.pads_tlbr
    inner = sheet.result(op.y).box(top, left, x.height, x.width)
    sheet.copy(x, inner)
    values: Fields = {"value": op.value, "edges": op.pads_tlbr}
    sheet.add(Step(Kind.BORDER, y=inner, values=values))


def _eltwise(sheet: Sheet, op: QEltwise) -> None:
    a, y = sheet.view(op.a), sheet.result(op.y)
    b = None if op.b is None else sheet.view(op.b)
    alike = b is None or (b.height, b.width, b.channels) == (a.height, a.width, a.channels)
    fast = _uniform(op, alike)
    if fast is not None:
        kind, values = fast
        sheet.add(Step(kind, a, y, b or a, values))
        return
    if b is None and len(op.entries) == 1:  # a function of one code
        codes = np.arange(-128, 128, dtype=np.int8).reshape(1, -1, 1)
        made = arith.eltwise(
            op.kind, codes, None, entries=op.entries, clamp=op.clamp, zeros=op.zeros
        )
        _look_up(sheet, a, y, made.reshape(1, -1))
        return
    requants = [entry.requant for entry in op.entries]
    table: Fields = {
        "mode": int(op.kind),
        "count": len(op.entries),
        "zeros": op.zeros,
        "lo": op.clamp[0],
        "hi": op.clamp[1],
        "factors": contiguous([entry.ka for entry in op.entries], np.int32),
        "more_factors": contiguous([entry.kb for entry in op.entries], np.int32),
        "bias": contiguous([each.bias for each in requants], np.int64),
        "right": contiguous([each.right_shift for each in requants], np.int32),
        "multiplier": contiguous([each.multiplier for each in requants], np.int32),
        "out": contiguous([each.out_shift for each in requants], np.int32),
    }
    sheet.add(Step(Kind.ELTWISE, a, y, b, table))


def _concat(sheet: Sheet, op: QConcat) -> None:
    y, at = sheet.result(op.y), 0
    for x in op.xs:
        height, width, channels = sheet.tensors[x].shape_hwc
        match op.axis:
            case 0:
                sheet.copy(sheet.view(x), y.box(at, 0, height, width))
            case 1:
                sheet.copy(sheet.view(x), y.box(0, at, height, width))
            case _:
                if not sheet.is_joined(x, op.y):
                    sheet.copy(sheet.view(x), y.take(at, channels))
        at += (height, width, channels)[op.axis]


def _slice(sheet: Sheet, op: QSlice) -> None:
    height, width, channels = sheet.tensors[op.y].shape_hwc
    (top, left, first), (down, right, across) = op.start_hwc, op.step_hwc
    box = sheet.view(op.x).box(top, left, height, width, down, right).take(first, channels)
    if across == 1:
        sheet.alias(op.y, box)  # the same bytes
    else:
        sheet.copy(box, sheet.result(op.y), (across, 1))


def _blocks(sheet: Sheet, op: QDepthToSpace) -> None:
    x, y, block = sheet.view(op.x), sheet.result(op.y), op.block
    depth = y.channels if op.to_space else x.channels
    small = x if op.to_space else y
    for i in range(block):
        for j in range(block):
            first, step = ((i * block + j) * depth, 1) if op.dcr else (i * block + j, block**2)
            deep = small.take(first, depth)
            large = (y if op.to_space else x).box(i, j, small.height, small.width, block, block)
            if op.to_space:
                sheet.copy(deep, large, (step, 1))
            else:
                sheet.copy(large, deep, (1, step))


def _uniform(op: QEltwise, alike: bool) -> tuple[Kind, Fields] | None:
    """The form for one set of parameters within 16 bits, if the operation has it."""
    entry: EltwiseEntry = op.entries[0]
    requant = entry.requant
    if not alike or any(each != entry for each in op.entries[1:]):
        return None
    if requant.right_shift or requant.out_shift < CHANNELS:
        return None
    ka, kb = entry.ka, entry.kb if op.kind is EltwiseKind.ADD else 0
    kind, bias = Kind.ADD, requant.bias - ka * op.zeros[0] - kb * op.zeros[1]
    if op.kind is EltwiseKind.MUL:
        kind, bias = Kind.MULTIPLY, requant.bias
        if op.zeros != (0, 0):
            return None
    elif not (0 <= ka <= 127 and 0 <= kb <= 127):
        return None
    if bias not in _INT16:
        return None
    return kind, {
        "lo": op.clamp[0],
        "hi": op.clamp[1],
        "factors": contiguous([ka], np.int32),
        "more_factors": contiguous([kb], np.int32),
        "bias": contiguous([bias], np.int64),
        "multiplier": contiguous([requant.multiplier], np.int32),
        "out": contiguous([requant.out_shift], np.int32),
    }
