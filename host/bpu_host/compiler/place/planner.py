"""Decide what stays in SRAM, what is fused, and how each unit is tiled.

The search is greedy; every step starts from a plan that fits and ends with one:

1. Every operation is a unit, every tensor goes through DDR, each unit has its cheapest tiling.
2. Roots become resident, one after the other, those that save most transfers for the time they
   hold memory first. One is kept if every unit it lives through still has a tiling in what is left,
   and if these tilings together cost no more than before.
3. A unit joins the only reader of its result, if the two together cost less than apart. Only what
   could not stay in SRAM is fused: a chain computes the rows at its seams twice, a resident never.
   Chains change which tilings are good, so step 2 is done again for the roots that are left.

Nothing is taken back within a plan, so the trials are few: one for each root in each pass of
step 2; in step 3 one for each unit, and one more for each success. A trial asks `evaluate` about
the units of one life only.

"Fits" counts bytes here: residents alive at a unit and its temporaries are no more than SRAM.
Whether addresses exist for them only `allocate` knows. Where they do not, `program` narrows the
bounds (`banned`, `withheld`) and plans again from the start; candidates are remembered, so what
another plan costs is mostly comparing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bpu_common.errors import CapacityError
from bpu_common.machine import MachineSpec
from bpu_common.network import tensors_read
from bpu_host.compiler.place.evaluate import Choice, Evaluator, Policy, unit_roots
from bpu_host.compiler.place.graph import PartGraph
from bpu_host.compiler.place.memory import dense_bytes
from bpu_host.compiler.place.units import Unit, whole_unit
from bpu_host.compiler.place.windows import COMPUTE_OPS

Cost = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before addresses are given.

    Attributes:
        units: in execution order.
        choices: one per unit.
        calls: index of the function call each unit belongs to.
        resident: roots that lie in SRAM as a whole.
    """

    units: tuple[Unit, ...]
    choices: tuple[Choice, ...]
    calls: tuple[int, ...]
    resident: frozenset[str]


@dataclass(slots=True, eq=False)
class Planner:
    """Plans one part; `plan` may be called again after one of the other fields has changed.

    `cuts`, `banned` and `unfused` only grow and `base` is only divided further, so that the loops
    of `program` come to an end.

    Attributes:
        base: units of one operation each, in execution order.
        cuts: units of `base` that begin a new function call.
        withheld: SRAM that a unit must leave unused, because addresses did not work out.
        banned: roots that must not be resident.
        unfused: operations that must not be fused with the reader of their result.
        units: units of the latest plan; fused where that pays.
    """

    graph: PartGraph
    spec: MachineSpec
    policy: Policy
    base: list[Unit] = field(default_factory=list)
    cuts: set[Unit] = field(default_factory=set)
    withheld: dict[Unit, int] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    unfused: set[int] = field(default_factory=set)
    units: list[Unit] = field(default_factory=list)
    evaluator: Evaluator = field(init=False)
    _resident: frozenset[str] = frozenset()
    _choices: dict[Unit, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evaluator = Evaluator(self.graph, self.spec, self.policy)
        if not self.base:
            self.base = [whole_unit(self.graph, (i,)) for i in range(len(self.graph.ops))]

    def under(self, policy: Policy) -> Planner:
        """A planner of the same part from its start, with another aim; knows its candidates."""
        other = Planner(self.graph, self.spec, policy)
        other.evaluator = self.evaluator.under(policy)
        return other

    def plan(self) -> Plan:
        """Choose residents, chains and tilings for the current units and cuts.

        Raises:
            CapacityError: a unit does not fit into SRAM at any tiling.
        """
        self.units = list(self.base)
        self._resident = frozenset()
        self._choices = {unit: self._must_fit(unit) for unit in self.units}
        if self.policy.resident:
            self._add_residents()
            if self.policy.fuse and self._fuse():
                self._add_residents()
        calls = self._calls()
        return Plan(
            tuple(self.units),
            tuple(self._choices[u] for u in self.units),
            tuple(calls[u] for u in self.units),
            self._resident,
        )

    def restrict(self, unit: Unit) -> None:
        """Let `unit` use less SRAM the next time; when that is used up, evict a neighbour.

        Smaller tiles up to half of SRAM, then a neighbour goes to DDR and the unit gets all its
        room back. So a unit is restricted at most 16 times between two evictions, and there are no
        more evictions than roots.

        Raises:
            CapacityError: there is nothing left to give way.
        """
        held = self.withheld.get(unit, 0) + max(self.spec.sram_bytes // 16, 64)
        if held > self.spec.sram_bytes // 2 and self.evict_at(unit):
            self.withheld.pop(unit, None)
            return
        if held >= self.spec.sram_bytes:
            raise self._too_big(unit)
        self.withheld[unit] = held

    def evict_at(self, unit: Unit) -> bool:
        """Ban the largest resident that is alive at `unit`; False if there is none."""
        position = self.units.index(unit)
        lives = self._lives()
        alive = [r for r in sorted(self._resident) if lives[r][0] <= position <= lives[r][1]]
        if not alive:
            return False
        self.banned.add(max(alive, key=self._size))
        return True

    def _size(self, root: str) -> int:
        tensor = self.graph.tensors[root]
        return dense_bytes(tensor.shape_hwc, tensor.dtype)

    def _calls(self) -> dict[Unit, int]:
        calls: dict[Unit, int] = {}
        current = 0
        for i, unit in enumerate(self.units):
            current += i > 0 and self.starts_call(unit)
            calls[unit] = current
        return calls

    def starts_call(self, unit: Unit) -> bool:
        """Whether a function call begins with `unit`."""
        return self.head(unit) in self.cuts

    def head(self, unit: Unit) -> Unit:
        """The unit of `base` that a fused unit begins with."""
        return unit if len(unit.ops) == 1 else whole_unit(self.graph, unit.ops[:1])

    def _lives(self) -> dict[str, tuple[int, int]]:
        """First and last position in `units` at which each root is touched."""
        lives: dict[str, tuple[int, int]] = {}
        for position, unit in enumerate(self.units):
            for root in unit_roots(self.graph, unit):
                lives[root] = (lives.get(root, (position, 0))[0], position)
        return lives

    def _available(
        self, position: int, resident: frozenset[str], lives: dict[str, tuple[int, int]]
    ) -> int:
        alive = (r for r in resident if lives[r][0] <= position <= lives[r][1])
        held = self.withheld.get(self.units[position], 0)
        return self.spec.sram_bytes - held - sum(self._size(r) for r in alive)

    def _must_fit(self, unit: Unit) -> Choice:
        available = self.spec.sram_bytes - self.withheld.get(unit, 0)
        choice = self.evaluator.best(unit, frozenset(), available)
        if choice is None:
            raise self._too_big(unit)
        return choice

    def _too_big(self, unit: Unit) -> CapacityError:
        op = self.graph.ops[unit.last]
        return CapacityError(
            f"layer {op.name!r} does not fit into {self.spec.sram_bytes} bytes of on-chip memory, "
            "not even in the smallest tiles",
            where=op.name,
            hint="let it run on the CPU with run_on_cpu, or reduce its width or kernel",
        )

    def _add_residents(self) -> None:
        """Make roots resident one by one while that does not cost more than it saves."""
        lives = self._lives()
        calls = self._calls()
        for root in sorted(lives, key=lambda r: (-self._worth(r, lives[r]), r)):
            first, last = lives[root]
            if root in self._resident or root in self.banned or root not in self.graph.tensors:
                continue
            # between two function calls another model may use the SRAM: nothing lives across
            if calls[self.units[first]] != calls[self.units[last]]:
                continue
            if self._size(root) > self.spec.sram_bytes or self._pointless(root, first, last):
                continue
            self._try_resident(root, lives)

    def _pointless(self, root: str, first: int, last: int) -> bool:
        """An output that nobody reads again: it is stored once, with or without a home in SRAM.

        An input that one unit reads is not pointless: its rows are loaded once, also those that
        several tiles need.
        """
        alone = first == last
        return alone and root in self.graph.outputs

    def _worth(self, root: str, life: tuple[int, int]) -> float:
        """Transfers saved per unit of time that the root occupies its memory."""
        transfers = len(self.graph.readers.get(root, ())) + (root in self.graph.maker)
        return transfers / (life[1] - life[0] + 1)

    def _try_resident(self, root: str, lives: dict[str, tuple[int, int]]) -> None:
        wanted = self._resident | {root}
        first, last = lives[root]
        changed: dict[Unit, Choice] = {}
        for position in range(first, last + 1):
            unit = self.units[position]
            available = self._available(position, wanted, lives)
            choice = self.evaluator.best(unit, wanted, available) if available >= 0 else None
            if choice is None:
                return
            changed[unit] = choice
        if self._total(changed.values()) <= self._total(self._choices[u] for u in changed):
            self._resident = wanted
            self._choices.update(changed)

    def _total(self, choices: Iterable[Choice]) -> Cost:
        costs = [c.cost(self.policy) for c in choices]
        return (sum(c[0] for c in costs), sum(c[1] for c in costs))

    def _fuse(self) -> bool:
        """Join producers and consumers of spilled tensors while that is cheaper; True if any."""
        fused = False
        position = 0
        while position < len(self.units):
            if self._fuse_into_consumer(self.units[position]):
                fused = True
                position = max(0, position - 1)  # the unit before may now join the longer chain
            else:
                position += 1
        return fused

    def _fuse_into_consumer(self, unit: Unit) -> bool:
        consumer = self._only_consumer(unit)
        if consumer is None:
            return False
        joined = Unit(unit.ops + consumer.ops, consumer.rows, consumer.chans)
        at, to = self.units.index(unit), self.units.index(consumer)
        # The pair takes the reader's place: what else the reader needs may be made in between.
        # So what the first of the two reads lives longer, past every unit in between: all of
        # these must fit again, and their costs count.
        units = [*self.units[:at], *self.units[at + 1 : to], joined, *self.units[to + 1 :]]
        before = self.units
        self.units = units
        lives = self._lives()
        changed: dict[Unit, Choice] = {}
        for position in range(at, to):
            available = self._available(position, self._resident, lives)
            choice = self.evaluator.best(units[position], self._resident, available)
            if choice is None:
                break
            changed[units[position]] = choice
        else:
            old = self._total(self._choices[u] for u in before[at : to + 1])
            if self._total(changed.values()) < old:
                self._choices.update(changed)
                return True
        self.units = before
        return False

    def _only_consumer(self, unit: Unit) -> Unit | None:
        """The unit that alone reads this unit's result, if the two may be fused."""
        graph = self.graph
        made = graph.ops[unit.last].y
        readers = graph.readers.get(made, ())
        aliased = made in graph.aliases or any(a.root == made for a in graph.aliases.values())
        if made in self._resident or made in graph.outputs or aliased or len(readers) != 1:
            return None
        found = [u for u in self.units if readers[0] in u.ops]
        if len(found) != 1 or self._calls()[found[0]] != self._calls()[unit]:
            return None
        both = (unit, found[0])
        ops = [graph.ops[i] for u in both for i in u.ops]
        divided = any(u.rows != whole_unit(graph, u.ops).rows for u in both)
        divided = divided or any(u.chans != whole_unit(graph, u.ops).chans for u in both)
        if divided or not all(isinstance(op, COMPUTE_OPS) for op in ops):
            return None
        reader = graph.ops[readers[0]]
        banned = tensors_read(reader).count(made) > 1 or unit.last in self.unfused
        return None if banned else found[0]
