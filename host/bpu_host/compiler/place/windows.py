"""Which part of its inputs an operation needs for a part of its output.

A tile at the edge of a tensor keeps the padding of that edge; elsewhere the real neighbours take
its place. So each tile's instruction has paddings of its own, and the bits are those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.errors import CompilerBug
from bpu_common.network import (
    BpuOp,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
)
from bpu_common.program import Axis, Pair, Quad, ResizeMode
from bpu_common.tensor import TensorSpec
from bpu_host.compiler.place.memory import Box, Range

COMPUTE_OPS = (QConv, QMaxPool, QEltwise, QLut, QResize)
"""Operations that are one compute instruction per tile; the others only copy."""


@dataclass(frozen=True, slots=True)
class Window:
    """Input positions [start, stop) and the padding that remains on both sides.

    `empty`: the outputs in question see padding only, and no instruction can say that.
    """

    span: Range
    pad_low: int = 0
    pad_high: int = 0
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Sliding:
    """A sliding window along one axis."""

    kernel: int
    stride: int
    dilation: int
    pad: int
    upsample: int

    def window(self, out: Range, in_size: int) -> Window:
        """The window of outputs `out` over an input of `in_size` positions."""
        # [low, high): positions of the spread input, where pixel i stands at i * upsample
        low = out[0] * self.stride - self.pad
        high = (out[1] - 1) * self.stride - self.pad + (self.kernel - 1) * self.dilation + 1
        up = self.upsample
        first = max(0, -(-low // up))
        last = min(in_size - 1, (high - 1) // up)
        if first > last:
            # Padding only. With a stride above 1 an input position can stand behind all windows
            # without adding one; at stride 1 these outputs must join their neighbours.
            return Window((0, 1), high - low, 0, empty=self.stride == 1)
        return Window((first, last + 1), first * up - low, high - (last * up + 1))


def axis_window(axis: Axis, mode: ResizeMode, out: Range) -> Window:
    """Input positions that outputs `out` of a resize read."""
    low = axis.low[out[0] : out[1]]
    if mode is ResizeMode.NEAREST:
        return Window((min(low), max(low) + 1))
    high = axis.high[out[0] : out[1]]
    return Window((min(min(low), min(high)), max(max(low), max(high)) + 1))


def always_sees_input(op: BpuOp) -> bool:
    """Whether no output sees padding only; sure where it says so."""
    if not isinstance(op, QConv | QMaxPool):
        return True
    for axis in (0, 1):
        sliding = _sliding(op, axis)
        extent = (sliding.kernel - 1) * sliding.dilation + 1
        inside = sliding.upsample == 1 and max(op.pads_tlbr[axis], op.pads_tlbr[axis + 2]) < extent
        if not inside and sliding.stride == 1:
            return False
    return True


def _sliding(op: QConv | QMaxPool, axis: int) -> Sliding:
    dilation: Pair = op.dilation_hw if isinstance(op, QConv) else (1, 1)
    upsample: Pair = op.upsample_hw if isinstance(op, QConv) else (1, 1)
    return Sliding(
        op.kernel_hw[axis], op.stride_hw[axis], dilation[axis], op.pads_tlbr[axis], upsample[axis]
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What one input of an operation must provide, and the padding of the instruction."""

    box: Box
    pads_tlbr: Quad = (0, 0, 0, 0)
    empty: bool = False


def input_needs(op: BpuOp, out: Box, tensors: dict[str, TensorSpec]) -> tuple[Need, ...]:
    """Needs of a compute operation's inputs, in the order of `tensors_read`."""
    match op:
        case QConv() | QMaxPool():
            shape = tensors[op.x].shape_hwc
            rows = _sliding(op, 0).window(out.rows, shape[0])
            cols = _sliding(op, 1).window(out.cols, shape[1])
            pads = (rows.pad_low, cols.pad_low, rows.pad_high, cols.pad_high)
            box = Box(rows.span, cols.span, _input_channels(op, out.chans, shape[2]))
            need = Need(box, pads, rows.empty or cols.empty)
            rides = isinstance(op, QConv) and op.addend is not None
            return (need, Need(out)) if rides else (need,)
        case QLut():
            return (Need(out),)
        case QEltwise():
            if op.b is None:
                return (Need(out),)
            h, w, c = tensors[op.b].shape_hwc
            single = h == 1 and w == 1
            full = tensors[op.y].shape_hwc
            return (
                Need(out),
                Need(
                    Box(
                        (0, 1) if single and full[0] != h else out.rows,
                        (0, 1) if single and full[1] != w else out.cols,
                        (0, 1) if c == 1 and full[2] != 1 else out.chans,
                    )
                ),
            )
        case QResize():
            rows = axis_window(op.rows, op.mode, out.rows)
            cols = axis_window(op.columns, op.mode, out.cols)
            return (Need(Box(rows.span, cols.span, out.chans)),)
        case _:
            raise CompilerBug(f"place: {type(op).__name__} has no window", where=op.name)


def _input_channels(op: QConv | QMaxPool, chans: Range, channels: int) -> Range:
    if isinstance(op, QMaxPool):
        return chans
    if op.groups == 1:
        return (0, channels)
    per_group_out = int(op.weights.shape[0]) // op.groups
    per_group_in = channels // op.groups
    return (
        chans[0] // per_group_out * per_group_in,
        -(-chans[1] // per_group_out) * per_group_in,
    )


def groups_in(op: QConv, chans: Range) -> int:
    """Groups of the instruction that makes output channels `chans`."""
    per_group = int(op.weights.shape[0]) // op.groups
    return -(-chans[1] // per_group) - chans[0] // per_group


def rebase(axis: Axis, mode: ResizeMode, out: Range, start: int) -> Axis:
    """The axis of outputs `out`, positions relative to input position `start`."""
    low = tuple(p - start for p in axis.low[out[0] : out[1]])
    if mode is ResizeMode.NEAREST:
        return Axis(low, low, (0,) * len(low))
    high = tuple(p - start for p in axis.high[out[0] : out[1]])
    return Axis(low, high, tuple(axis.frac[out[0] : out[1]]))
