"""The tensors of a part while its steps are written: where each is made, its views and borders."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.network import BpuOp, QConcat, QConv, QSlice, tensors_made
from bpu_common.network.ranges import code_ranges
from bpu_common.network.rules import Tensors
from bpu_common.program import FULL_RANGE, Pair, Quad
from bpu_common.tensor import DType, TensorSpec, align_up
from bpu_sim.kernels.abi import Kind
from bpu_sim.kernels.buffers import CHANNELS, NO_EDGES, Buffer, Step, View

NARROW = 4
"""Channels of a picture lie in so many bytes a pixel."""


class Sheet:
    """Collects steps and knows where the tensors of a part are.

    Args:
        widens: the instruction set wants int16 for dense convolutions of signed codes.
    """

    def __init__(self, ops: Sequence[BpuOp], tensors: Tensors, *, widens: bool) -> None:
        self.steps: list[Step] = []
        self.tensors, self.widens = tensors, widens
        self.source = ""
        self._ranges = code_ranges(ops, tensors)
        self._views: dict[str, View] = {}
        self._parts: dict[str, tuple[str, int]] = {}
        self._copies: dict[tuple[View, int, int], View] = {}
        self._join(ops)

    def add(self, step: Step) -> None:
        """One more step, for the operation that is being written."""
        step.source = self.source
        self.steps.append(step)

    def take(self, name: str) -> View:
        """An input; few channels lie close."""
        channels = self.tensors[name].shape_hwc[2]
        return self.result(name, pitch=NARROW if channels <= NARROW else 0)

    def alias(self, name: str, view: View) -> None:
        """A tensor that is part of another."""
        self._views[name] = view

    def is_joined(self, x: str, y: str) -> bool:
        """Whether x is made where y is."""
        return self._parts.get(x, ("", -1))[0] == y

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

    def _join(self, ops: Sequence[BpuOp]) -> None:
        """Parts of a channel concatenation are made in place, if nothing speaks against it."""
        made = {name: op for op in ops for name in tensors_made(op)}
        for op in ops:
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
        if edges == NO_EDGES:
            return x
        buffer = x.buffer
        fits = buffer.border_code in (None, code) and code + buffer.zero >= 0
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
        if (x, code, 1) not in self._copies:
            copy = Buffer(x.height, x.width, x.channels, 1, x.zero_for(code)).whole()
            self.copy(x, copy)
            self._copies[x, code, 1] = copy
        return self._copies[x, code, 1]

    def copy(self, x: View, y: View, steps: Pair = (1, 1)) -> None:
        self.add(Step(Kind.COPY, x=x, y=y, values={"steps": steps}))

    def widened(self, x: View, edges: Quad, code: int) -> View:
        """x as int16 with `code` around it; of what x lies in nothing else may be there yet."""
        key = (x, code, 2)
        if key not in self._copies:
            alone = x.channels == x.buffer.channels
            pitch = 2 * x.buffer.pitch if alone else 0
            wide = Buffer(x.height, x.width, x.channels, 2, 0, pitch, border_code=code)
            self.add(Step(Kind.WIDEN, x=x, y=wide.whole()))
            self.add(Step(Kind.BORDER, y=wide.whole(), values={"value": code}))
            self._copies[key] = wide.whole()
        whole = self._copies[key]
        whole.buffer.widen_border(edges)
        return whole


def overhang(op: QConv) -> int:
    """Bytes that the stores of a group's last channels reach past them."""
    channels = op.weights.shape[0] // op.groups
    return 0 if op.groups == 1 or is_depthwise(op) or channels % CHANNELS == 0 else CHANNELS


def pitch_of(op: QConv) -> int:
    """Bytes from pixel to pixel of the codes it makes."""
    return align_up(op.weights.shape[0] + overhang(op), CHANNELS)


def is_depthwise(op: QConv) -> bool:
    return op.groups > 1 and op.groups == op.weights.shape[0] and op.weights.shape[3] == 1
