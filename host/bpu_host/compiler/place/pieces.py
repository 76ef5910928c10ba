"""Operations that only copy, as strided boxes from one tensor to another.

Concat, pad, slice, depth to space and its inverse are all lists of pieces, so that one way of
copying (`copies`) serves them. What is a view already (`graph`) leaves no piece.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.errors import CompilerBug
from bpu_common.network import BpuOp, QConcat, QDepthToSpace, QPad, QSlice
from bpu_host.compiler.place.graph import Alias, PartGraph
from bpu_host.compiler.place.memory import Affine, Box, Range, whole


@dataclass(frozen=True, slots=True)
class Piece:
    """Element p of a box of `shape_hwc` goes from `src` of tensor `x` to `dst` of the result."""

    x: str
    shape_hwc: tuple[int, int, int]
    src: Affine
    dst: Affine

    def clip(self, out: Box) -> Box | None:
        """The part of the piece whose destination lies in `out`, in coordinates of the piece."""
        h, w, c = self.shape_hwc
        oh, ow, oc = self.dst.offset_hwc
        rows = _clip(out.rows, oh, self.dst.step_hw[0], h)
        cols = _clip(out.cols, ow, self.dst.step_hw[1], w)
        chans = _clip(out.chans, oc, 1, c)
        if rows is None or cols is None or chans is None:
            return None
        return Box(rows, cols, chans)


def _clip(out: Range, offset: int, step: int, size: int) -> Range | None:
    start = max(0, -(-(out[0] - offset) // step))
    stop = min(size, -(-(out[1] - offset) // step))
    return (start, stop) if start < stop else None


def copy_pieces(graph: PartGraph, op: BpuOp) -> tuple[Piece, ...]:
    """What the operation has to copy; inputs that already lie in the result are left out."""
    tensors = graph.tensors
    match op:
        case QConcat():
            pieces: list[Piece] = []
            at = 0
            for x in op.xs:
                shape = tensors[x].shape_hwc
                offset = [0, 0, 0]
                offset[op.axis] = at
                at += shape[op.axis]
                dst = Affine((offset[0], offset[1], offset[2]))
                if not _lies_in(graph, x, op.y, dst):
                    pieces.append(Piece(x, shape, Affine(), dst))
            return tuple(pieces)
        case QPad():
            dst = Affine((op.pads_tlbr[0], op.pads_tlbr[1], 0))
            if _lies_in(graph, op.x, op.y, dst):
                return ()
            return (Piece(op.x, tensors[op.x].shape_hwc, Affine(), dst),)
        case QSlice():
            return _slice_pieces(graph, op)
        case QDepthToSpace():
            return _block_pieces(op, tensors[op.x].shape_hwc)
        case _:
            raise CompilerBug(f"place: {type(op).__name__} does not copy", where=op.name)


def _lies_in(graph: PartGraph, x: str, y: str, dst: Affine) -> bool:
    alias = graph.aliases.get(x)
    if alias is None or alias.root != graph.root(y):
        return False
    return alias.affine == graph.affine(y).after(dst)


def _slice_pieces(graph: PartGraph, op: QSlice) -> tuple[Piece, ...]:
    h, w, c = graph.tensors[op.y].shape_hwc
    oh, ow, oc = op.start_hwc
    sh, sw, sc = op.step_hwc
    view = graph.affine(op.x).after(Affine(op.start_hwc, (sh, sw)))
    alias = graph.aliases.get(op.y)
    if sc == 1 and alias is not None and alias == Alias(graph.root(op.x), view):
        return ()
    if sc == 1:
        return (Piece(op.x, (h, w, c), Affine(op.start_hwc, (sh, sw)), Affine()),)
    return tuple(
        Piece(op.x, (h, w, 1), Affine((oh, ow, oc + i * sc), (sh, sw)), Affine((0, 0, i)))
        for i in range(c)
    )


def _block_pieces(op: QDepthToSpace, x_shape: tuple[int, int, int]) -> tuple[Piece, ...]:
    """Depth to space or back; one piece per place in the block (per channel too for CRD)."""
    h, w, c = x_shape
    b = op.block
    wide = c // (b * b) if op.to_space else c
    rows, cols = (h, w) if op.to_space else (h // b, w // b)
    pieces: list[Piece] = []
    for i in range(b):
        for j in range(b):
            places = [(0, (i * b + j) * wide, wide)]
            if not op.dcr:
                places = [(k, k * b * b + i * b + j, 1) for k in range(wide)]
            for flat, deep, size in places:
                space, depth = Affine((i, j, flat), (b, b)), Affine((0, 0, deep))
                src, dst = (depth, space) if op.to_space else (space, depth)
                pieces.append(Piece(op.x, (rows, cols, size), src, dst))
    return tuple(pieces)


def staged(op: BpuOp) -> bool:
    """Whether pieces are so fine that they are gathered in SRAM instead of going to DDR alone."""
    return isinstance(op, QDepthToSpace) or (isinstance(op, QSlice) and op.step_hwc[2] != 1)


def pad_strips(op: QPad, shape_hwc: tuple[int, int, int]) -> tuple[Box, ...]:
    """The border of a padded tensor as up to four boxes."""
    h, w, _ = shape_hwc
    top, left, bottom, right = op.pads_tlbr
    chans = whole(shape_hwc).chans
    boxes = (
        Box((0, top), (0, w), chans),
        Box((h - bottom, h), (0, w), chans),
        Box((top, h - bottom), (0, left), chans),
        Box((top, h - bottom), (w - right, w), chans),
    )
    return tuple(b for b in boxes if b.elements > 0)


def overlap(a: Box, b: Box) -> Box | None:
    """The common part of two boxes of one tensor."""
    spans = [
        (max(p[0], q[0]), min(p[1], q[1]))
        for p, q in ((a.rows, b.rows), (a.cols, b.cols), (a.chans, b.chans))
    ]
    if any(start >= stop for start, stop in spans):
        return None
    return Box(spans[0], spans[1], spans[2])


def contains(outer: Box, inner: Box) -> bool:
    """Whether every element of `inner` is in `outer`."""
    return overlap(outer, inner) == inner
