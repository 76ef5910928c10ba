"""What a way of tiling a unit costs: the unit is drafted alone and priced by the machine model.

The search for a unit's tiling, given which of its tensors are resident and how much SRAM is left:

- A tiling is a size of blocks on each axis, of about 2 log2(n) sizes, and the order of the loops.
- Tilings form groups, from coarse to fine: rows alone; then, for each width of channel blocks,
  rows again, in both loop orders; at last, for each width of column blocks, single rows. Chains
  are cut by rows only. Large tiles come first in a group: every tile pays for its instructions and
  its seams (rows or weights that are loaded again). Small ones win where large ones do not fit,
  and where several tiles let the queues overlap.
- A group is left when `patience` options in a row were no better than its best one. A unit that
  moves nothing between DDR and SRAM has no patience: more tiles give it nothing to overlap. An
  option without room for overlap counts a quarter: a smaller tile may have that room.
- After a group with an option that overlaps, one further group is looked at, or none where blocks
  of channels cannot save much (`_good`). Column blocks are a last resort: they add seams on two
  more sides.

All of this prunes, none of it decides whether a unit fits: while nothing does, every group is
looked at to its end. Options are drafted when somebody has room for them, and kept; the same unit
with the same residents and other room costs comparing only.

The price is an estimate of the unit alone. Its instructions have no addresses and no waits yet, so
the queues cannot be simulated; what each queue is busy for, what cannot overlap at the ends, and
the bus bound it. The program's cycles come from `bpu_sim.timing` when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bpu_common.machine import MachineSpec
from bpu_common.network import QConv, tensors_read
from bpu_common.program import Engine, engine_of
from bpu_host.compiler.place.emitter import Emitter, Overlap, constant_bytes
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.homes import make_homes
from bpu_host.compiler.place.memory import Box, Buffer, dense_bytes
from bpu_host.compiler.place.units import TilePlan, Tiling, Unit, plan_tiles
from bpu_host.compiler.place.windows import COMPUTE_OPS, input_needs
from bpu_sim.timing import instruction_cost

MAX_TILES = 1 << 13
SERIAL_MISS = 0.25
"""How far an option without room for overlap uses up the patience of the search."""
GOOD_ROWS = 4
"""A tiling with at least so many rows a tile is not refined further."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the optimization level and the compile mode ask for."""

    resident: bool
    overlap: Overlap
    fuse: bool
    save_bandwidth: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way of tiling a unit.

    Attributes:
        load_bound: its loads take longer than its computation.
        hard_bytes: SRAM for temporaries when nothing overlaps.
        soft_bytes: SRAM with the overlap that the policy asks for.
        cycles: estimate for the unit alone, with overlap; `serial_cycles` without any.
    """

    tiling: Tiling
    plan: TilePlan
    hard_bytes: int
    soft_bytes: int
    cycles: int
    serial_cycles: int
    ddr_bytes: int
    load_bound: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate that fits, and what it is expected to cost there.

    Attributes:
        overlapped: there is room for the overlap that the policy asks for.
    """

    candidate: Candidate
    cycles: int
    overlapped: bool

    def cost(self, policy: Policy) -> tuple[int, int]:
        """Smaller is better."""
        if policy.save_bandwidth:
            return (self.candidate.ddr_bytes, self.cycles)
        return (self.cycles, self.candidate.ddr_bytes)


def unit_roots(graph: PartGraph, unit: Unit) -> frozenset[str]:
    """Roots whose memory a unit touches, without the inner results of a chain."""
    inner = {graph.ops[i].y for i in unit.ops[:-1]}
    names = {graph.ops[unit.last].y}
    for index in unit.ops:
        names.update(tensors_read(graph.ops[index]))
    return frozenset(graph.root(n) for n in names if n not in inner)


@dataclass(slots=True, eq=False)
class _Option:
    """A tiling that may be tried; drafted and priced only when somebody has room for it.

    Attributes:
        least_bytes: SRAM that it surely needs.
    """

    tiling: Tiling
    plan: TilePlan
    least_bytes: int
    candidate: Candidate | None = None


@dataclass(slots=True, eq=False)
class _Group:
    """Options from coarse to fine, made when they are asked for.

    Attributes:
        patience: options that are still tried after the best one so far.
        resort: only looked at when nothing else fits.
    """

    patience: int
    resort: bool
    source: Iterator[_Option]
    known: list[_Option] = field(default_factory=list)

    def options(self) -> Iterator[_Option]:
        """All options, those made before first."""
        yield from self.known
        for option in self.source:
            self.known.append(option)
            yield option


@dataclass(slots=True, eq=False)
class Evaluator:
    """Candidates of units, remembered by unit and by which of its tensors are resident."""

    graph: PartGraph
    spec: MachineSpec
    policy: Policy
    _groups: dict[tuple[Unit, frozenset[str]], tuple[_Group, ...]] = field(default_factory=dict)
    _first_reader: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, readers in self.graph.readers.items():
            root = self.graph.root(name)
            first = self._first_reader.get(root, readers[0])
            self._first_reader[root] = min(first, readers[0])

    def under(self, policy: Policy) -> Evaluator:
        """The same candidates for a policy that differs in its aim alone."""
        other = Evaluator(self.graph, self.spec, policy)
        other._groups = self._groups
        return other

    def best(self, unit: Unit, resident: frozenset[str], available: int) -> Choice | None:
        """The cheapest candidate found whose temporaries fit into `available` bytes.

        None if no tiling fits: that is certain. That no other is cheaper is not: see the search.
        """
        # other residents change the room, not the candidates
        key = (unit, resident & unit_roots(self.graph, unit))
        if key not in self._groups:
            self._groups[key] = self._make_groups(*key)
        best: Choice | None = None
        further = 1  # groups that are looked at after one that gave an overlapping choice
        for group in self._groups[key]:
            if best is not None and group.resort:
                break
            found = self._best_of(group, key, available)
            if best is not None and best.overlapped:
                further -= 1
            if found and (best is None or found.cost(self.policy) < best.cost(self.policy)):
                best = found
            if best is not None and (further <= 0 or self._good(unit, best)):
                break
        return best

    def _good(self, unit: Unit, choice: Choice) -> bool:
        """Whether blocks of channels cannot make a tiling by rows much better.

        They save room for weights, and rows that are loaded again at seams. There is little to
        save where weights take less than a quarter of SRAM or tiles are some rows high already.
        """
        op = self.graph.ops[unit.last]
        if not choice.overlapped and isinstance(op, QConv):
            return False
        few = sum(constant_bytes(op, unit.chans)) * 4 < self.spec.sram_bytes
        if choice.candidate.load_bound:
            return False
        return few or choice.candidate.tiling.rows >= min(GOOD_ROWS, unit.rows[1] - unit.rows[0])

    def _best_of(
        self, group: _Group, key: tuple[Unit, frozenset[str]], available: int
    ) -> Choice | None:
        best: Choice | None = None
        patience = float(group.patience)
        for option in group.options():
            if option.least_bytes > available:
                continue
            if option.candidate is None:
                option.candidate = self._draft(*key, option)
            choice = self._fit(option.candidate, available)
            if choice is None:
                continue
            if best is None or choice.cost(self.policy) < best.cost(self.policy):
                best = choice
                patience = group.patience
            else:
                patience -= 1 if choice.overlapped else SERIAL_MISS
            if patience <= 0:
                break
        return best

    def _fit(self, candidate: Candidate, available: int) -> Choice | None:
        if candidate.soft_bytes <= available:
            return Choice(candidate, candidate.cycles, overlapped=True)
        if candidate.hard_bytes <= available:
            return Choice(candidate, candidate.serial_cycles, overlapped=False)
        return None

    def _make_groups(self, unit: Unit, resident: frozenset[str]) -> tuple[_Group, ...]:
        """Options from coarse to fine: rows, then blocks of channels, then of columns."""
        op = self.graph.ops[unit.last]
        cols = self.graph.tensors[op.y].shape_hwc[1]
        chans = unit.chans[1] - unit.chans[0]
        rows = _sizes(unit.rows[1] - unit.rows[0])
        patience = 2 if self._streams(unit, resident) else 0
        tilings = [[Tiling(r, cols, chans) for r in rows]]
        narrow: list[list[Tiling]] = []
        if len(unit.ops) == 1:
            orders = (True, False)
            widths = _sizes(chans)[1:]
            tilings += [[Tiling(r, cols, w, o) for r in rows for o in orders] for w in widths]
            narrow = [
                [Tiling(1, n, w, o) for w in (chans, *widths) for o in orders]
                for n in _sizes(cols)[1:]
            ]
        lists = [(each, False) for each in tilings] + [(each, True) for each in narrow]
        return tuple(
            _Group(patience, resort, self._options(unit, resident, each)) for each, resort in lists
        )

    def _streams(self, unit: Unit, resident: frozenset[str]) -> bool:
        """Whether a unit moves tensors between DDR and SRAM, so that tiles let it overlap."""
        roots = unit_roots(self.graph, unit)
        inputs = set(self.graph.inputs)
        return len(unit.ops) > 1 or any(
            r not in resident or r in inputs or r in self.graph.outputs for r in roots
        )

    def _options(
        self, unit: Unit, resident: frozenset[str], tilings: list[Tiling]
    ) -> Iterator[_Option]:
        seen: set[TilePlan] = set()
        for tiling in tilings:
            plan = plan_tiles(self.graph, unit, tiling, self.spec.out_channel_align)
            if plan in seen or len(plan.rows) * len(plan.cols) * len(plan.chans) > MAX_TILES:
                continue
            seen.add(plan)
            least = self._least_bytes(unit, resident, plan)
            if least <= self.spec.sram_bytes:
                yield _Option(tiling, plan, least)

    def _draft(self, unit: Unit, resident: frozenset[str], option: _Option) -> Candidate:
        emitter = Emitter(
            self.graph,
            make_homes(self.graph, resident, unit_roots(self.graph, unit)),
            self.policy.overlap,
        )
        # the first reader of a resident input pays for bringing it
        for root in resident & set(self.graph.inputs):
            if self._first_reader.get(root, -1) not in unit.ops:
                emitter.homes.loaded_rows[root] = self.graph.tensors[root].shape_hwc[0]
        emitter.unit(0, unit, option.plan)
        return self._price(option.tiling, option.plan, emitter)

    def _least_bytes(self, unit: Unit, resident: frozenset[str], plan: TilePlan) -> int:
        """SRAM that the unit's last operation surely needs: a quick look before drafting."""
        op = self.graph.ops[unit.last]
        total = sum(constant_bytes(op, plan.chans[0]))
        if not isinstance(op, COMPUTE_OPS):
            return total
        out = Box(plan.rows[0], plan.cols[0], plan.chans[0])
        needs = zip(tensors_read(op), input_needs(op, out, self.graph.tensors), strict=True)
        boxes = {op.y: out, **{name: need.box for name, need in needs}}
        return total + sum(
            dense_bytes(box.shape_hwc, self.graph.tensors[name].dtype)
            for name, box in boxes.items()
            if self.graph.root(name) not in resident
        )

    def _price(self, tiling: Tiling, plan: TilePlan, emitter: Emitter) -> Candidate:
        """With overlap: the busiest queue or the bus, and what no computation can run beside.

        Computation begins behind what is loaded before its first instruction (`head`) and goes on
        after the last load (`final`); `tail` is stored after it. Latencies count only where nothing
        overlaps.
        """
        busy = {Engine.LOAD: 0, Engine.COMPUTE: 0, Engine.STORE: 0}
        head = final = tail = ddr_bytes = latency = 0
        computed = False
        for draft in emitter.drafter.drafts:
            cost = instruction_cost(draft.instruction, self.spec)
            engine = engine_of(draft.instruction)
            busy[engine] += cost.cycles
            ddr_bytes += cost.load_bytes + cost.store_bytes
            latency += cost.latency_cycles
            if engine is Engine.COMPUTE:
                tail = 0
                final += cost.cycles
                computed = True
            elif engine is Engine.STORE:
                tail += cost.cycles
            else:
                final = 0
                head += 0 if computed else cost.cycles
        load, compute = busy[Engine.LOAD], busy[Engine.COMPUTE]
        bus = int(ddr_bytes / self.spec.ddr_total_bytes_per_cycle)
        serial = sum(busy.values()) + latency
        longest = max(load + final, head + compute, busy[Engine.STORE], bus)
        cycles = min(serial, longest + tail)
        hard, soft = _peaks(emitter)
        return Candidate(tiling, plan, hard, soft, cycles, serial, ddr_bytes, load > compute)


def _sizes(size: int) -> tuple[int, ...]:
    """Block sizes worth trying for an axis of `size`, large to small: all, 1/2, 1/3, 1/4, ... 1."""
    counts = {1, size}
    power = 2
    while power < size:
        counts.update((power, min(size, power * 3 // 2)))
        power *= 2
    return tuple(sorted({-(-size // count) for count in counts}, reverse=True))


def _peaks(emitter: Emitter) -> tuple[int, int]:
    """Largest sum of live temporaries: without and with the wanted overlap.

    A lower bound of what addresses will take: `allocate` may leave gaps.
    """
    count = emitter.drafter.index + 1
    hard, soft = [0] * (count + 1), [0] * (count + 1)
    ends = (*emitter.drafter.tile_starts[1:], emitter.drafter.index)
    for buffer in emitter.buffers:
        early, late = soft_life(buffer, ends)
        hard[buffer.first] += buffer.size_bytes
        hard[buffer.last + 1] -= buffer.size_bytes
        soft[early] += buffer.size_bytes
        soft[late + 1] -= buffer.size_bytes
    return _highest(hard), _highest(soft)


def soft_life(buffer: Buffer, tile_ends: tuple[int, ...]) -> tuple[int, int]:
    """Wanted life of a buffer in instruction indices, inclusive."""
    early = min(buffer.first, buffer.early) if buffer.early >= 0 else buffer.first
    late = buffer.last
    if buffer.late_tile >= 0:
        late = max(late, tile_ends[min(buffer.late_tile, len(tile_ends) - 1)] - 1)
    return early, late


def _highest(changes: list[int]) -> int:
    level = peak = 0
    for change in changes:
        level += change
        peak = max(peak, level)
    return peak
