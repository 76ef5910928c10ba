"""A part's operations as steps of the kernels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
from bpu_common.program import FULL_RANGE, EltwiseEntry, EltwiseKind, Pair, Quad, ResizeMode
from bpu_common.tensor import DType, TensorSpec
from bpu_common.network.ranges import code_ranges
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import CHANNELS, NO_EDGES, Buffer, Step, View, contiguous
from bpu_sim.kernels.convolution import overhang, write_conv

NARROW = 4
"""Channels of a picture lie in so many bytes a pixel."""
_INT16 = range(-(1 << 15), 1 << 15)


class Writer:
    """Collects the steps of a part.

    Args:
        widens: the instruction set wants int16 for dense convolutions of signed codes.
    """

    def __init__(
        self, ops: Sequence[BpuOp], tensors: Tensors, outputs: Collection[str], *, widens: bool
    ) -> None:
        self.steps: list[Step] = []
        self.tensors, self.widens = tensors, widens
        self._ops, self._outputs = ops, outputs
        self._ranges = code_ranges(ops, tensors)
        self._views: dict[str, View] = {}
        self._parts: dict[str, tuple[str, int]] = {}
        self._copies: dict[tuple[View, int], View] = {}
        self._source = ""
        self._join()

    def write(self, inputs: Sequence[str]) -> list[Step]:
        """All steps; inputs and outputs have slots in the order they are given in."""
        for slot, name in enumerate(inputs):
            _, _, channels = self.tensors[name].shape_hwc
            pitch = NARROW if channels <= NARROW else 0
            self._views[name] = self._buffer(self.tensors[name], pitch=pitch).whole()
            self.add(Step(Kind.INPUT, y=self._views[name], values={"slot": slot}))
            self._give(name)
        for op in self._ops:
            self._source = op.name
            self._write(op)
            for name in tensors_made(op):
                self._give(name)
        return self.steps

    def add(self, step: Step) -> None:
        step.source = self._source
        self.steps.append(step)

    def _give(self, name: str) -> None:
        """What the caller wants is handed over as soon as it is there."""
        for slot, wanted in enumerate(self._outputs):
            if wanted == name:
                self.add(Step(Kind.OUTPUT, x=self._views[name], values={"slot": slot}))

    # Tensors

    def view(self, name: str) -> View:
        """A tensor that was made."""
        return self._views[name]

    def result(self, name: str, *, pitch: int = 0) -> View:
        """Where a tensor is to be made: in a buffer of its own, or in what it is joined into."""
        if name in self._parts:
            whole, first = self._parts[name]
            parent = self._views.get(whole) or self.result(whole)
            self._views[name] = parent.take(first, self.tensors[name].shape_hwc[2])
        elif name not in self._views:
            self._views[name] = self._buffer(self.tensors[name], pitch=pitch).whole()
        return self._views[name]

    def _buffer(self, spec: TensorSpec, *, pitch: int = 0) -> Buffer:
        item = 4 if spec.dtype is DType.INT32 else 1
        return Buffer(*spec.shape_hwc, item, 0 if item == 4 else self.zero(spec.name), pitch)

    def zero(self, name: str) -> int:
        low, _ = self._ranges.get(name, FULL_RANGE)
        return 0 if low >= 0 else 128

    def _join(self) -> None:
        """Parts of a channel concatenation are made in place, if nothing speaks against it."""
        made = {name: op for op in self._ops for name in tensors_made(op)}
        for op in self._ops:
            if not isinstance(op, QConcat) or op.axis != 2:
                continue
            first = 0
            for x in op.xs:
                channels = self.tensors[x].shape_hwc[2]
                maker = made.get(x)
                overhangs = isinstance(maker, QConv) and overhang(maker) > 0
                if (
                    channels % CHANNELS == 0
                    and x not in self._parts
                    and maker is not None
                    and not overhangs
                    and not isinstance(maker, QSlice)
                    and op.xs.count(x) == 1
                    and self.zero(x) == self.zero(op.y)
                ):
                    self._parts[x] = (op.y, first)
                first += channels

    # Borders

    def bordered(self, x: View, edges: Quad, code: int) -> View:
        """x with `code` around it, at least so wide."""
        edges = tuple(max(edge, 0) for edge in edges)  # type: ignore[assignment]
        if edges == NO_EDGES:
            return x
        buffer = x.buffer
        fits = buffer.border_code in (None, code) and 0 <= code + buffer.zero
        if not x.is_whole or not fits:
            x = self._copied(x, code)
            buffer = x.buffer
        if buffer.border_code is None:
            buffer.border_code = code
            self.add(Step(Kind.BORDER, y=buffer.whole(), values={"value": code}))
        buffer.widen_border(edges)
        return x

    def _copied(self, x: View, code: int) -> View:
        """A copy of its own for another border."""
        if (x, code) not in self._copies:
            zero = x.zero if 0 <= code + x.zero else 128
            copy = Buffer(x.height, x.width, x.channels, 1, zero).whole()
            self.copy(x, copy)
            self._copies[x, code] = copy
        return self._copies[x, code]

    def copy(self, x: View, y: View, steps: Pair = (1, 1)) -> None:
        self.add(Step(Kind.COPY, x=x, y=y, values={"steps": steps}))

    def widened(self, x: View, edges: Quad, code: int) -> View:
        """x as int16 with `code` around it."""
        if not x.is_whole:
            x = self._copied(x, 0)
        buffer = x.buffer
        key = (buffer.whole(), -1000 - code)
        if key not in self._copies:
            wide = Buffer(buffer.height, buffer.width, buffer.channels, 2, 0, 2 * buffer.pitch)
            wide.border_code = code
            self.add(Step(Kind.WIDEN, x=buffer.whole(), y=wide.whole()))
            self.add(Step(Kind.BORDER, y=wide.whole(), values={"value": code}))
            self._copies[key] = wide.whole()
        whole = self._copies[key]
        whole.buffer.widen_border(edges)
        return whole.take(x.first, x.channels)

    # Operations

    def _write(self, op: BpuOp) -> None:
        match op:
            case QConv():
                write_conv(self, op)
            case QEltwise():
                self._eltwise(op)
            case QMaxPool():
                values = {
                    "kernel": op.kernel_hw,
                    "stride": op.stride_hw,
                    "pads": op.pads_tlbr[:2],
                }
                self.add(Step(Kind.POOL, self.view(op.x), self.result(op.y), values=values))
            case QLut():
                values = {"count": len(op.tables), "tables": contiguous(op.tables, np.int8)}
                self.add(Step(Kind.LUT, self.view(op.x), self.result(op.y), values=values))
            case QResize():
                rows, columns = op.rows, op.columns
                axes = [rows.low, rows.high, rows.frac, columns.low, columns.high, columns.frac]
                values = {
                    "mode": int(op.mode is ResizeMode.BILINEAR),
                    "positions": contiguous(np.concatenate(axes), np.int32),
                }
                self.add(Step(Kind.RESIZE, self.view(op.x), self.result(op.y), values=values))
            case QConcat():
                self._concat(op)
            case QSlice():
                self._slice(op)
            case QPad():
                x, (top, left, *_) = self.view(op.x), op.pads_tlbr
                inner = self.result(op.y).box(top, left, x.height, x.width)
                self.copy(x, inner)
                values = {"value": op.value, "edges": op.pads_tlbr}
                self.add(Step(Kind.BORDER, y=inner, values=values))
            case QDepthToSpace():
                self._blocks(op)

    def _eltwise(self, op: QEltwise) -> None:
        a, y = self.view(op.a), self.result(op.y)
        b = None if op.b is None else self.view(op.b)
        fast = _uniform(op, b is None or (b.height, b.width, b.channels) == (a.height, a.width, a.channels))
        if fast is not None:
            kind, values = fast
            self.add(Step(kind, a, y, b or a, values))
            return
        requants = [entry.requant for entry in op.entries]
        values = {
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
        self.add(Step(Kind.ELTWISE, a, y, b, values))

    def _concat(self, op: QConcat) -> None:
        y, at = self.result(op.y), 0
        for x in op.xs:
            height, width, channels = self.tensors[x].shape_hwc
            match op.axis:
                case 0:
                    self.copy(self.view(x), y.box(at, 0, height, width))
                case 1:
                    self.copy(self.view(x), y.box(0, at, height, width))
                case _:
                    if self._parts.get(x, ("", -1))[0] != op.y:
                        self.copy(self.view(x), y.take(at, channels))
            at += (height, width, channels)[op.axis]

    def _slice(self, op: QSlice) -> None:
        height, width, channels = self.tensors[op.y].shape_hwc
        (top, left, first), (down, right, across) = op.start_hwc, op.step_hwc
        box = self.view(op.x).box(top, left, height, width, down, right).take(first, channels)
        if across == 1:
            self._views[op.y] = box  # the same bytes
        else:
            self.copy(box, self.result(op.y), (across, 1))

    def _blocks(self, op: QDepthToSpace) -> None:
        x, y, block = self.view(op.x), self.result(op.y), op.block
        depth = y.channels if op.to_space else x.channels
        small = x if op.to_space else y
        for i in range(block):
            for j in range(block):
                first, step = ((i * block + j) * depth, 1) if op.dcr else (i * block + j, block**2)
                deep = small.take(first, depth)
                large = (y if op.to_space else x).box(i, j, small.height, small.width, block, block)
                if op.to_space:
                    self.copy(deep, large, (step, 1))
                else:
                    self.copy(large, deep, (1, step))


def _uniform(op: QEltwise, same_shape: bool) -> tuple[Kind, dict[str, object]] | None:
    """The form for one set of parameters within 16 bits, if the operation has it."""
    entry: EltwiseEntry = op.entries[0]
    requant = entry.requant
    if not same_shape or any(each != entry for each in op.entries[1:]):
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


