"""Instructions while their addresses are still open.

The same code drafts a unit alone, to price it, and as a piece of the program, so that what is
priced is what will run. Order is decided here, addresses later: the life of a buffer is known only
when everything is drafted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bpu_common.errors import CompilerBug
from bpu_common.network import BpuOp, QConv, QEltwise, QLut, QMaxPool, QResize
from bpu_common.program import (
    Conv,
    Eltwise,
    Fill,
    Image,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Move,
    Resize,
    Space,
    Store,
    Tile,
)
from bpu_host.compiler.place.memory import Box, Buffer, Operand, Range, View
from bpu_host.compiler.place.windows import Need, groups_in, rebase


@dataclass(frozen=True, slots=True)
class Draft:
    """An instruction whose tiles and constant addresses count from the start of their buffers.

    Attributes:
        refs: (field of the instruction, buffer its address counts from).
        unit: the unit of work it belongs to.
    """

    instruction: Instruction
    refs: tuple[tuple[str, Buffer], ...]
    unit: int


@dataclass(frozen=True, slots=True)
class TileJob:
    """One tile of a compute operation: the output box and what its inputs must provide."""

    op: BpuOp
    operation: int
    out: Box
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Constants:
    """Addresses of a tile's weights, parameter table or look-up tables, relative to buffers."""

    weights: tuple[int, Buffer] | None = None
    params: tuple[int, Buffer] | None = None
    tables: tuple[int, Buffer] | None = None


def compute(job: TileJob, xs: tuple[Tile, ...], y: Tile, consts: Constants) -> Instruction:
    """The compute instruction of a tile."""
    op, operation, need = job.op, job.operation, job.needs[0]
    match op:
        case QConv():
            return Conv(
                operation=operation,
                waits=(),
                x=xs[0],
                y=y,
                weights_offset_bytes=consts.weights[0] if consts.weights else 0,
                params_offset_bytes=consts.params[0] if consts.params else 0,
                kernel_hw=op.kernel_hw,
                stride_hw=op.stride_hw,
                dilation_hw=op.dilation_hw,
                pads_tlbr=need.pads_tlbr,
                groups=groups_in(op, job.out.chans),
                upsample_hw=op.upsample_hw,
                clamp=op.clamp,
                pad_code=op.pad_code,
                addend=xs[1] if op.addend is not None else None,
                factors=_factors(op, job.out.chans),
            )
        case QMaxPool():
            return MaxPool(operation, (), xs[0], y, op.kernel_hw, op.stride_hw, need.pads_tlbr)
        case QEltwise():
            b = xs[1] if op.b is not None else None
            entries = op.entries
            if len(entries) > 1:
                entries = entries[slice(*job.out.chans)]
            return Eltwise(operation, (), op.kind, xs[0], b, y, entries, op.clamp, op.zeros)
        case QLut():
            tables = y.shape_hwc[2] if op.tables.shape[0] > 1 else 1
            return Lut(operation, (), xs[0], y, consts.tables[0] if consts.tables else 0, tables)
        case QResize():
            rows = rebase(op.rows, op.mode, job.out.rows, need.box.rows[0])
            columns = rebase(op.columns, op.mode, job.out.cols, need.box.cols[0])
            return Resize(operation, (), op.mode, xs[0], y, rows, columns)
        case _:
            raise CompilerBug(f"place: {type(op).__name__} is not computed", where=op.name)


def _factors(op: QConv, chans: Range) -> tuple[int, ...]:
    """Those of an addend for output channels `chans`."""
    factors = () if op.addend is None else op.addend.factors
    return factors[slice(*chans)] if len(factors) > 1 else factors


class Drafter:
    """Collects drafts; every method appends one instruction."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.unit = 0
        self.tile_starts: list[int] = [0]
        self.unit_starts: dict[int, int] = {}

    @property
    def index(self) -> int:
        """Index of the next instruction."""
        return len(self.drafts)

    def begin_unit(self, unit: int) -> None:
        """The following instructions belong to `unit`."""
        self.unit = unit
        self.unit_starts[unit] = self.index
        self.tile_starts.append(self.index)

    def begin_tile(self) -> None:
        """The following instructions belong to the next tile."""
        self.tile_starts.append(self.index)

    def _add(self, instruction: Instruction, **refs: Buffer) -> None:
        for buffer in refs.values():
            buffer.touch(self.index)
        self.drafts.append(Draft(instruction, tuple(refs.items()), self.unit))

    def compute(self, job: TileJob, xs: tuple[Operand, ...], y: Operand, consts: Constants) -> None:
        """A tile of a convolution, pooling, element-wise, look-up or resize operation."""
        instruction = compute(job, tuple(x.tile for x in xs), y.tile, consts)
        names = ("a", "b") if isinstance(job.op, QEltwise) else ("x", "addend")
        refs = {name: x.buffer for name, x in zip(names, xs, strict=False)}
        refs["y"] = y.buffer
        if consts.weights and consts.params:
            refs["weights_offset_bytes"] = consts.weights[1]
            refs["params_offset_bytes"] = consts.params[1]
        if consts.tables:
            refs["table_offset_bytes"] = consts.tables[1]
        self._add(instruction, **refs)

    def load(self, operation: int, src: Operand, dst: Operand) -> None:
        """DDR -> SRAM."""
        self._add(Load(operation, (), src.tile, dst.tile), src=src.buffer, dst=dst.buffer)

    def load_image(self, operation: int, image: Image, rows: Range, dst: View) -> None:
        """Rows of a picture -> SRAM; `dst` holds exactly these rows, all columns and channels."""
        part = dst.part(Box(rows, dst.box.cols, dst.box.chans))
        self._add(LoadImage(operation, (), image, rows[0], part.tile), dst=part.buffer)

    def load_const(
        self, operation: int, src_offset_bytes: int, dst: Buffer, size_bytes: int
    ) -> None:
        """Weights section -> start of an SRAM buffer."""
        self._add(LoadConst(operation, (), src_offset_bytes, 0, size_bytes), dst_offset_bytes=dst)

    def store(self, operation: int, src: Operand, dst: Operand) -> None:
        """SRAM -> DDR."""
        self._add(Store(operation, (), src.tile, dst.tile), src=src.buffer, dst=dst.buffer)

    def move(self, operation: int, x: Operand, y: Operand) -> None:
        """SRAM -> SRAM."""
        self._add(Move(operation, (), x.tile, y.tile), x=x.buffer, y=y.buffer)

    def fill(self, operation: int, y: Operand, value: int) -> None:
        """One code into a whole tile."""
        self._add(Fill(operation, (), y.tile, value), y=y.buffer)

    def copy(self, operation: int, src: Operand, dst: Operand) -> None:
        """The one instruction that copies between these spaces (at least one is SRAM)."""
        match (src.buffer.space is Space.SRAM, dst.buffer.space is Space.SRAM):
            case (True, True):
                self.move(operation, src, dst)
            case (True, False):
                self.store(operation, src, dst)
            case _:
                self.load(operation, src, dst)


def resolve(draft: Draft) -> Instruction:
    """The instruction with final addresses (and no waits yet)."""
    changes: dict[str, Tile | int] = {}
    for name, buffer in draft.refs:
        value: Tile | int = getattr(draft.instruction, name)
        if isinstance(value, Tile):
            changes[name] = replace(value, offset_bytes=value.offset_bytes + buffer.offset_bytes)
        else:
            changes[name] = value + buffer.offset_bytes
    return replace(draft.instruction, **changes)  # type: ignore[arg-type]
