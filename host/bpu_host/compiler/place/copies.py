"""Instructions of the operations that only copy: concat, slice, pad, depth to space.

DMA moves between DDR and SRAM only, so a copy is one instruction where at least one end is in SRAM,
and two through a temporary buffer where both are in DDR. DMA pays whole bursts for every run of
bytes: pieces as fine as a channel or a pixel are gathered in SRAM and stored as one box.
"""

from __future__ import annotations

from typing import Protocol

from bpu_common.network import BpuOp, QPad
from bpu_host.compiler.place.draft import Drafter
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.homes import Homes
from bpu_host.compiler.place.memory import Box, View, whole
from bpu_host.compiler.place.pieces import Piece, copy_pieces, overlap, pad_strips, staged
from bpu_host.compiler.place.units import TilePlan, Unit


class TileMemory(Protocol):
    """What copying needs from the emitter."""

    graph: PartGraph
    homes: Homes
    drafter: Drafter

    def next_tile(self, fresh: bool) -> None:
        """Begin a tile."""

    def read(self, operation: int, tensor: str, box: Box) -> View:
        """A view in SRAM that holds `box`."""

    def target(self, tensor: str, out: Box) -> View:
        """A view in SRAM that `out` can be written to."""

    def commit(self, operation: int, y: View, out: Box) -> None:
        """Store a finished box where its tensor has a place in DDR."""


def emit_copies(memory: TileMemory, unit: Unit, op: BpuOp, plan: TilePlan) -> None:
    """Append everything that the copying operation of `unit` does."""
    pieces = copy_pieces(memory.graph, op)
    for box in plan.boxes():
        clipped = [(p, b) for p in pieces if (b := p.clip(box)) is not None]
        if clipped:
            memory.next_tile(fresh=True)
            if staged(op):
                _gather(memory, unit.last, clipped, box)
            else:
                for piece, part in clipped:
                    _copy(memory, unit.last, piece, part)
        if isinstance(op, QPad):
            _fill_border(memory, unit.last, op, box)


def _copy(memory: TileMemory, operation: int, piece: Piece, box: Box) -> None:
    """Copy `box` of a piece: one instruction, two when it has to pass through SRAM."""
    y = memory.graph.ops[operation].y
    needed, to = piece.src.apply(box), piece.dst.apply(box)
    resident, home = memory.homes.sram_view(y), memory.homes.ddr_view(y)
    in_ddr = memory.homes.ddr_view(piece.x)
    if in_ddr is None or memory.homes.sram_view(piece.x) is not None:
        src = memory.read(operation, piece.x, needed).derive(piece.src, box).part(box)
        if resident is None and home is not None:
            memory.drafter.store(operation, src, home.part(to))
            return
    else:
        src = in_ddr.derive(piece.src, box).part(box)
    target = memory.target(y, to)
    memory.drafter.copy(operation, src, target.part(to))
    memory.commit(operation, target, to)


def _gather(memory: TileMemory, operation: int, clipped: list[tuple[Piece, Box]], out: Box) -> None:
    """Move fine pieces together in SRAM, then store the whole box at once."""
    sources = [piece.src.apply(box) for piece, box in clipped]
    needed = Box(
        (min(s.rows[0] for s in sources), max(s.rows[1] for s in sources)),
        (min(s.cols[0] for s in sources), max(s.cols[1] for s in sources)),
        (min(s.chans[0] for s in sources), max(s.chans[1] for s in sources)),
    )
    src = memory.read(operation, clipped[0][0].x, needed)
    y = memory.target(memory.graph.ops[operation].y, out)
    for piece, box in clipped:
        memory.drafter.move(
            operation, src.derive(piece.src, box).part(box), y.derive(piece.dst, box).part(box)
        )
    memory.commit(operation, y, out)


def _fill_border(memory: TileMemory, operation: int, op: QPad, out: Box) -> None:
    """Write the constant into the share of the border that lies in `out`."""
    for strip in pad_strips(op, whole(memory.graph.tensors[op.y].shape_hwc).shape_hwc):
        box = overlap(strip, out)
        if box is None:
            continue
        memory.next_tile(fresh=True)
        y = memory.target(op.y, box)
        memory.drafter.fill(operation, y.part(box), op.value)
        memory.commit(operation, y, box)
