"""From a plan to a program: draft, give addresses, cut into calls, add waits, predict.

Two loops, one in the other, both around `Planner.plan`:

- Addresses (`_attempt`). Where a buffer finds none, the planner is told to leave more room: a
  resident is banned, a unit restricted. Each step uses up some of a finite supply (roots that are
  not banned, SRAM that is not withheld), so the loop ends; `MAX_ATTEMPTS` only bounds how long.
- Function calls. A program with calls over the limit is cut there (`cuts`) and planned anew,
  because nothing may stay in SRAM across a cut. The length of a call is the simulation's, known
  only when it is complete; so this is trial too. Each step adds a cut, parts a chain or divides
  a unit, and a unit that cannot be divided ends it with an error.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from bpu_common.errors import CapacityError
from bpu_common.machine import MachineSpec
from bpu_common.program import FunctionCall, Program, Space
from bpu_host.compiler.place.allocate import Wish, allocate
from bpu_host.compiler.place.cuts import cut_long_calls, first_cuts
from bpu_host.compiler.place.draft import Draft, resolve
from bpu_host.compiler.place.emitter import Emitter
from bpu_host.compiler.place.evaluate import soft_life
from bpu_host.compiler.place.homes import Homes, make_homes
from bpu_host.compiler.place.memory import Buffer
from bpu_host.compiler.place.planner import Plan, Planner
from bpu_host.compiler.place.waits import add_waits
from bpu_sim.timing import simulate_call

MAX_ATTEMPTS = 2_000


@dataclass(frozen=True, slots=True)
class Draughts:
    """A drafted plan before its addresses are final."""

    plan: Plan
    homes: Homes
    emitter: Emitter

    @property
    def drafts(self) -> list[Draft]:
        return self.emitter.drafter.drafts


@dataclass(frozen=True, slots=True)
class Placed:
    """A program and the plan it was made from."""

    program: Program
    plan: Plan


def make_program(name: str, planner: Planner, limit_cycles: int) -> Program:
    """The program of a part; every call takes at most `limit_cycles` (0: one call).

    Raises:
        CapacityError: a layer fits neither into SRAM nor, in its smallest piece, into the limit.
    """
    placed = _attempt(name, planner)
    if limit_cycles and first_cuts(planner, placed.program, placed.plan, limit_cycles):
        placed = _attempt(name, planner)
        while cut_long_calls(planner, placed.program, placed.plan, limit_cycles):
            placed = _attempt(name, planner)
    return placed.program


def _attempt(name: str, planner: Planner) -> Placed:
    """Plan and give addresses until both agree."""
    for _ in range(MAX_ATTEMPTS):
        draughts = _draft(planner, planner.plan())
        sram_bytes, failed = _sram_addresses(draughts, planner.spec)
        if failed is None:
            return Placed(_assemble(name, planner, draughts, sram_bytes), draughts.plan)
        _give_way(planner, draughts, failed)
    raise CapacityError(f"{name}: no placement found", hint="compile with optimize_level O0")


def _draft(planner: Planner, plan: Plan) -> Draughts:
    graph = planner.graph
    inner = {graph.ops[i].y for unit in plan.units for i in unit.ops[:-1]}
    known = (*graph.inputs, *(op.y for op in graph.ops))
    roots = [n for n in known if n not in graph.aliases and n not in inner]
    homes = make_homes(graph, plan.resident, roots)
    emitter = Emitter(graph, homes, planner.policy.overlap)
    for number, (unit, choice) in enumerate(zip(plan.units, plan.choices, strict=True)):
        emitter.unit(number, unit, choice.candidate.plan)
    return Draughts(plan, homes, emitter)


def _call_starts(draughts: Draughts) -> list[int]:
    """Index of the first instruction of each call that has any."""
    starts: list[int] = []
    call = -1
    for index, draft in enumerate(draughts.drafts):
        if draughts.plan.calls[draft.unit] != call:
            call = draughts.plan.calls[draft.unit]
            starts.append(index)
    return starts


def _sram_addresses(draughts: Draughts, spec: MachineSpec) -> tuple[int, Buffer | None]:
    drafter = draughts.emitter.drafter
    ends = (*drafter.tile_starts[1:], drafter.index)
    residents = [
        Wish(v.buffer, v.buffer.first, v.buffer.last, resident=True)
        for v in draughts.homes.sram.values()
    ]
    starts = _call_starts(draughts)
    temporaries = []
    # calls are barriers: no wish reaches into the call before
    for buffer in draughts.emitter.buffers:
        early, late = soft_life(buffer, ends)
        start = starts[bisect_right(starts, buffer.first) - 1]
        further = tuple(max(index, start) for index in buffer.further)
        temporaries.append(Wish(buffer, max(early, start), late, further=further))
    return allocate([*residents, *temporaries], spec.sram_bytes)


def _scratch_addresses(draughts: Draughts) -> int:
    buffers = [v.buffer for v in draughts.homes.ddr.values() if v.buffer.space is Space.SCRATCH]
    used, _ = allocate([Wish(b, b.first, b.last) for b in buffers], None)
    return used


def _give_way(planner: Planner, draughts: Draughts, failed: Buffer) -> None:
    """Change the planner's bounds so that the buffer without an address gets room.

    Residents are placed first: one that fails has failed among residents, and goes itself.
    """
    for root, view in draughts.homes.sram.items():
        if view.buffer is failed:
            planner.banned.add(root)
            return
    planner.restrict(draughts.plan.units[draughts.drafts[failed.first].unit])


def _assemble(name: str, planner: Planner, draughts: Draughts, sram_bytes: int) -> Program:
    scratch_bytes = _scratch_addresses(draughts)
    starts = _call_starts(draughts)
    calls: list[FunctionCall] = []
    for start, stop in zip(starts, [*starts[1:], len(draughts.drafts)], strict=True):
        instructions = add_waits([resolve(d) for d in draughts.drafts[start:stop]])
        call = FunctionCall.on_one_core(f"{name}_fc_{len(calls)}", instructions)
        timing = simulate_call(call, planner.spec)
        calls.append(replace(call, predicted_cycles=timing.cycles))
    return Program(
        calls=tuple(calls),
        inputs=tuple(draughts.homes.inputs),
        outputs=tuple(draughts.homes.outputs),
        sram_bytes=sram_bytes,
        scratch_bytes=scratch_bytes,
        io_bytes=draughts.homes.io_bytes,
    )
