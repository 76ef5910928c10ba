"""Write the instructions of a unit, tile by tile, with temporary buffers in SRAM.

A tile loads what it reads, computes, and stores its result; in a chain the inner tiles are computed
between, backwards from what the last operation needs. Instructions stand in the order in which one
queue would run them. How far the queues run apart is decided by the lives of buffers: one that is
reserved before its load stands in the list lets that load run ahead. Such lives are wishes:

- a load may begin with the tile before its own, a store may last until the end of the next tile:
  two buffers take turns (O2);
- constants that are loaded once may begin one unit earlier, and up to `PREFETCH_UNITS` where there
  is room (O3); those of channel blocks take turns as tiles do.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpu_common.limits import LUT_BYTES
from bpu_common.network import BpuOp, QConv, QLut, tensors_read
from bpu_common.program import CHANNEL_PARAM_BYTES, Space
from bpu_common.tensor import align_up
from bpu_host.compiler.place.copies import emit_copies
from bpu_host.compiler.place.draft import Constants, Drafter, TileJob
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.homes import Homes
from bpu_host.compiler.place.memory import (
    BUFFER_ALIGN,
    Box,
    Buffer,
    Range,
    View,
    dense_bytes,
    dense_view,
)
from bpu_host.compiler.place.pieces import contains
from bpu_host.compiler.place.units import TilePlan, Unit
from bpu_host.compiler.place.windows import COMPUTE_OPS, input_needs

PREFETCH_UNITS = 5
"""Constants are loaded at most so many units ahead."""
PREFETCH_TILES = 8
"""Constants of a block of channels are loaded at most so many tiles ahead."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far the queues may run apart (see docs: optimization levels).

    Attributes:
        tiles: loads of the next tile and stores of the last one beside the computation.
        weights: constants of the next unit are loaded during this one.
    """

    tiles: bool
    weights: bool


@dataclass(frozen=True, slots=True)
class LoadedConstants:
    """Buffers that hold the constants of channels [start, ...) of one operation."""

    start: int
    weights: Buffer | None = None
    params: Buffer | None = None
    tables: Buffer | None = None


def constant_bytes(op: BpuOp, chans: Range) -> tuple[int, ...]:
    """Bytes of the constants an operation needs for output channels `chans`."""
    count = chans[1] - chans[0]
    if isinstance(op, QConv):
        return (count * op.weights[0].size, count * CHANNEL_PARAM_BYTES)
    if isinstance(op, QLut):
        return ((count if len(op.tables) > 1 else 1) * LUT_BYTES,)
    return ()


class Emitter:
    """Drafts a whole part; call `unit` for each unit in order."""

    def __init__(self, graph: PartGraph, homes: Homes, overlap_: Overlap) -> None:
        self.drafter = Drafter()
        self.buffers: list[Buffer] = []
        self.graph = graph
        self.homes = homes
        self._overlap = overlap_
        self._constants: dict[int, LoadedConstants] = {}
        self._tile_inputs: list[tuple[str, Box, View]] = []
        self._made_inside: dict[str, int] = {}

    def unit(self, number: int, unit: Unit, plan: TilePlan) -> None:
        """Append the instructions of `unit`."""
        self.drafter.begin_unit(number)
        self._constants = {}
        self._made_inside = {self.graph.ops[i].y: i for i in unit.ops}
        op = self.graph.ops[unit.last]
        if isinstance(op, COMPUTE_OPS):
            self._compute_unit(unit, plan)
            return
        emit_copies(self, unit, op, plan)

    def _compute_unit(self, unit: Unit, plan: TilePlan) -> None:
        streamed = len(plan.chans) > 1
        for index in unit.ops[:-1]:
            channels = self.graph.tensors[self.graph.ops[index].y].shape_hwc[2]
            self._load_constants(index, (0, channels), streamed=False)
        loaded: Range | None = None
        spatial: tuple[Range, Range] | None = None
        for box in plan.boxes():
            self.next_tile(fresh=spatial != (box.rows, box.cols) or plan.channels_outer)
            spatial = (box.rows, box.cols)
            if loaded != box.chans:
                self._load_constants(unit.last, box.chans, streamed)
                loaded = box.chans
            self._make(unit.last, box)

    def next_tile(self, fresh: bool) -> None:
        """Begin a tile; `fresh` forgets the inputs loaded for the one before."""
        self.drafter.begin_tile()
        if fresh:
            self._tile_inputs = []

    def _make(self, index: int, out: Box) -> View:
        """Compute box `out` of operation `index`; return where it lies in SRAM."""
        op = self.graph.ops[index]
        needs = input_needs(op, out, self.graph.tensors)
        names = tensors_read(op)
        views: dict[int, View] = {}
        # inner tiles first: a buffer that is loaded before them would live through all of them
        for i in sorted(range(len(names)), key=lambda i: names[i] not in self._made_inside):
            if names[i] in self._made_inside:
                views[i] = self._make(self._made_inside[names[i]], needs[i].box)
            else:
                views[i] = self.read(index, names[i], needs[i].box)
        y = self.target(op.y, out)
        xs = tuple(views[i].part(needs[i].box) for i in range(len(names)))
        job = TileJob(op, index, out, needs)
        self.drafter.compute(job, xs, y.part(out), self._tile_constants(index, out.chans))
        self.commit(index, y, out)
        return y

    def target(self, tensor: str, out: Box) -> View:
        """A view in SRAM that `out` of a result can be written to."""
        resident = self.homes.sram_view(tensor)
        if resident is not None:
            return resident
        buffer = self._temporary(tensor, out)
        if self._overlap.tiles:
            buffer.late_tile = len(self.drafter.tile_starts)
        return dense_view(buffer, out, self.graph.tensors[tensor].dtype)

    def commit(self, operation: int, y: View, out: Box) -> None:
        """Store a finished box where its tensor has a place in DDR."""
        home = self.homes.ddr_view(self.graph.ops[operation].y)
        if home is not None:
            self.drafter.store(operation, y.part(out), home.part(out))

    def read(self, operation: int, tensor: str, box: Box) -> View:
        """A view in SRAM that holds `box` of a tensor from outside the unit."""
        resident = self.homes.sram_view(tensor)
        if resident is not None:
            self._load_resident_rows(operation, tensor, box)
            return resident
        for name, held, view in self._tile_inputs:
            if name == tensor and contains(held, box):
                return view
        root = self.graph.root(tensor)
        image = self.homes.images.get(root)
        if image is not None:
            affine = self.graph.affine(tensor)
            shape = self.graph.tensors[root].shape_hwc
            rows = affine.apply(box).rows
            held = Box(rows, (0, shape[1]), (0, shape[2]))
            view = dense_view(self._temporary(tensor, held), held, self.graph.tensors[root].dtype)
            self.drafter.load_image(operation, image, rows, view)
            view = view.derive(affine, box)
        else:
            view = dense_view(self._temporary(tensor, box), box, self.graph.tensors[tensor].dtype)
            home = self.homes.ddr[root].derive(self.graph.affine(tensor), box)
            self.drafter.load(operation, home.part(box), view.part(box))
        if self._overlap.tiles:
            view.buffer.early = self.drafter.tile_starts[-2]  # where the tile before begins
        self._tile_inputs.append((tensor, box, view))
        return view

    def _load_resident_rows(self, operation: int, tensor: str, box: Box) -> None:
        """Bring the rows of a resident input that have not been needed before.

        So computation begins with the first rows of an input, not behind the last. Rows are brought
        from the top without gaps: one number says what is there.
        """
        root = self.graph.root(tensor)
        if root in self.graph.maker:
            return
        start = self.homes.loaded_rows.get(root, 0)
        stop = self.graph.affine(tensor).apply(box).rows[1]
        if stop <= start:
            return
        self.homes.loaded_rows[root] = stop
        view = self.homes.sram[root]
        if root in self.homes.images:
            self.drafter.load_image(operation, self.homes.images[root], (start, stop), view)
            return
        rows = Box((start, stop), view.box.cols, view.box.chans)
        self.drafter.load(operation, self.homes.ddr[root].part(rows), view.part(rows))

    def _temporary(self, name: str, box: Box) -> Buffer:
        dtype = self.graph.tensors[name].dtype
        buffer = Buffer(name, Space.SRAM, dense_bytes(box.shape_hwc, dtype))
        self.buffers.append(buffer)
        return buffer

    def _load_constants(self, index: int, chans: Range, streamed: bool) -> None:
        op = self.graph.ops[index]
        sizes = constant_bytes(op, chans)
        if not sizes:
            return
        place = self.graph.constants[index]
        early, further = -1, self._earlier_units() if self._overlap.weights else ()
        if streamed and self._overlap.tiles:
            early = self.drafter.tile_starts[-2]
            further = self._earlier_tiles() if self._overlap.weights else ()
        elif not streamed and self._overlap.weights:
            early, further = (further[0] if further else -1), further[1:]
        starts = (place.tables,) if isinstance(op, QLut) else (place.weights, place.params)
        shared = isinstance(op, QLut) and len(op.tables) == 1
        buffers: list[Buffer] = []
        for start, size in zip(starts, sizes, strict=True):
            per_channel = 0 if shared else size // (chans[1] - chans[0])
            buffer = Buffer(f"{op.name} constants", Space.SRAM, align_up(size, BUFFER_ALIGN))
            buffer.early = early
            buffer.further = tuple(index for index in further if index < early)
            self.buffers.append(buffer)
            self.drafter.load_const(index, start + chans[0] * per_channel, buffer, size)
            buffers.append(buffer)
        if isinstance(op, QLut):
            self._constants[index] = LoadedConstants(chans[0], tables=buffers[0])
        else:
            self._constants[index] = LoadedConstants(chans[0], buffers[0], buffers[1])

    def _earlier_units(self) -> tuple[int, ...]:
        """First instructions of the units before this one, nearest first."""
        starts = self.drafter.unit_starts
        unit = self.drafter.unit
        return tuple(starts[unit - k] for k in range(1, PREFETCH_UNITS + 1) if unit - k in starts)

    def _earlier_tiles(self) -> tuple[int, ...]:
        """First instructions of the tiles before the last one, nearest first."""
        starts = self.drafter.tile_starts
        return tuple(starts[-k] for k in range(3, 3 + PREFETCH_TILES) if k <= len(starts))

    def _tile_constants(self, index: int, chans: Range) -> Constants:
        loaded = self._constants.get(index)
        if loaded is None:
            return Constants()
        op = self.graph.ops[index]
        ahead = chans[0] - loaded.start
        if loaded.tables is not None:
            shared = isinstance(op, QLut) and len(op.tables) == 1
            return Constants(tables=(0 if shared else ahead * LUT_BYTES, loaded.tables))
        assert isinstance(op, QConv)
        assert loaded.weights is not None
        assert loaded.params is not None
        return Constants(
            (ahead * op.weights[0].size, loaded.weights),
            (ahead * CHANNEL_PARAM_BYTES, loaded.params),
        )
