"""Units of work: one operation or a fused chain, and how it is cut into tiles.

The tiles of a unit cut the result of its last operation, without gap or overlap. What they need of
the inputs may overlap: a window reads beyond the edges of its tile. So rows at a seam are loaded
again, and in a chain computed again, which is the price of small tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpu_common.network import BpuOp, QConv, tensors_read
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.memory import Box, Range, blocks, whole
from bpu_host.compiler.place.windows import COMPUTE_OPS, always_sees_input, input_needs


@dataclass(frozen=True, slots=True)
class Unit:
    """Work that is placed in one go and never divided by a function call boundary.

    Attributes:
        ops: indices of the operations; more than one is a fused chain, whose inner results are
            made tile by tile and lie in SRAM only. The last one's result is the unit's.
        rows, chans: part of the result that this unit makes (all of it, unless a single operation
            is spread over several function calls).
    """

    ops: tuple[int, ...]
    rows: Range
    chans: Range

    @property
    def last(self) -> int:
        return self.ops[-1]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Size of the tiles of a unit's result.

    Attributes:
        channels_outer: run over all rows for a block of channels before the next block (weights
            are loaded once, inputs for every block); else the other way round.
    """

    rows: int
    cols: int
    chans: int
    channels_outer: bool = True


@dataclass(frozen=True, slots=True)
class TilePlan:
    """A unit's tiles: nearly equal blocks along each axis."""

    rows: tuple[Range, ...]
    cols: tuple[Range, ...]
    chans: tuple[Range, ...]
    channels_outer: bool

    def boxes(self) -> tuple[Box, ...]:
        """Every tile in the order it is made."""
        spatial = [(r, w) for r in self.rows for w in self.cols]
        if self.channels_outer:
            return tuple(Box(r, w, c) for c in self.chans for r, w in spatial)
        return tuple(Box(r, w, c) for r, w in spatial for c in self.chans)


def channel_blocks(op: BpuOp, span: Range, width: int, align: int) -> tuple[Range, ...]:
    """Cut channels into blocks of at most `width`, or of one group's equal parts.

    Blocks are multiples of `align` where `width` leaves room for that. A block of a grouped
    convolution is whole groups or lies inside one group.
    """
    if width >= span[1] - span[0]:
        return (span,)
    if isinstance(op, QConv) and op.groups > 1:
        per_group = int(op.weights.shape[0]) // op.groups
        if per_group > width:
            part = max(n for n in range(1, width + 1) if per_group % n == 0)
            return blocks(span, part, part)
        if per_group > 1:
            return blocks(span, width, per_group)
    return blocks(span, width, min(align, width))


def whole_unit(graph: PartGraph, ops: tuple[int, ...]) -> Unit:
    """The unit that makes the whole result of the last of `ops`."""
    box = whole(graph.tensors[graph.ops[ops[-1]].y].shape_hwc)
    return Unit(ops, box.rows, box.chans)


def plan_tiles(graph: PartGraph, unit: Unit, tiling: Tiling, align: int) -> TilePlan:
    """Blocks of the unit's result; blocks that would see padding only are merged with another."""
    op = graph.ops[unit.last]
    cols = whole(graph.tensors[op.y].shape_hwc).cols
    chans = channel_blocks(op, unit.chans, tiling.chans, align)
    row_blocks = blocks(unit.rows, tiling.rows)
    col_blocks = blocks(cols, tiling.cols)
    padded = not all(always_sees_input(graph.ops[i]) for i in unit.ops)
    if padded and isinstance(op, COMPUTE_OPS):
        row_blocks = _merge_empty(graph, unit, row_blocks, lambda span: Box(span, cols, chans[0]))
        col_blocks = _merge_empty(
            graph, unit, col_blocks, lambda span: Box(unit.rows, span, chans[0])
        )
    return TilePlan(row_blocks, col_blocks, chans, tiling.channels_outer)


def _merge_empty(
    graph: PartGraph, unit: Unit, spans: tuple[Range, ...], box_of: Callable[[Range], Box]
) -> tuple[Range, ...]:
    # a block that sees padding only joins the next one, at the end the one before
    merged: list[Range] = []
    pending = -1
    for span in spans:
        joined = (pending if pending >= 0 else span[0], span[1])
        if sees_input(graph, unit, box_of(joined)):
            merged.append(joined)
            pending = -1
        else:
            pending = joined[0]
    if pending >= 0:
        start = merged.pop()[0] if merged else spans[0][0]
        merged.append((start, spans[-1][1]))
    return tuple(merged)


def sees_input(graph: PartGraph, unit: Unit, out: Box) -> bool:
    """Whether every instruction of a tile has at least one real input position.

    An instruction reads a tile of at least one position, so it cannot say "padding only"; in a
    chain that holds for the inner tiles too.
    """
    makers = {graph.ops[i].y: i for i in unit.ops}
    todo = [(unit.last, out)]
    while todo:
        index, box = todo.pop()
        op = graph.ops[index]
        for name, need in zip(tensors_read(op), input_needs(op, box, graph.tensors), strict=True):
            if need.empty:
                return False
            if name in makers:
                todo.append((makers[name], need.box))
    return True
