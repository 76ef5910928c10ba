"""Where function calls end, so that each stays within a time limit.

A cut costs time: what stays in SRAM or is loaded ahead does not live across it. So cuts are made
where programs are too long, not everywhere. `first_cuts` fills calls one after the other by
estimates; then each call that is over the limit in the simulation is shortened by the first of
these that it allows, and everything is planned again:

1. between two of its units, near the middle;
2. a chain is parted in its middle;
3. a single operation is divided into several units, by output channels or by rows.

Cuts are never taken back: they only get more, and some calls may come out shorter than needed.
"""

from __future__ import annotations

from bpu_common.errors import CapacityError
from bpu_common.network import QConv
from bpu_common.program import Program
from bpu_host.compiler.place.evaluate import Choice
from bpu_host.compiler.place.memory import Box, Range, blocks, whole
from bpu_host.compiler.place.planner import Plan, Planner
from bpu_host.compiler.place.units import Unit, channel_blocks, sees_input
from bpu_host.compiler.place.windows import COMPUTE_OPS

MARGIN = 0.85
"""Share of the limit that estimates may fill; the rest is for what only the program shows."""


def first_cuts(planner: Planner, program: Program, plan: Plan, limit_cycles: int) -> bool:
    """Cut a single call by estimates; False if it is short enough as it is."""
    if all(call.predicted_cycles <= limit_cycles for call in program.calls):
        return False
    spent = 0
    for unit, choice in zip(plan.units, plan.choices, strict=True):
        spent += choice.cycles
        if spent > MARGIN * limit_cycles:
            planner.cuts.add(planner.head(unit))
            spent = choice.cycles
    return True


def cut_long_calls(planner: Planner, program: Program, plan: Plan, limit_cycles: int) -> bool:
    """Shorten every call that is over the limit; False if there is none.

    Raises:
        CapacityError: a piece of a layer that cannot be divided takes longer than the limit.
    """
    groups: dict[int, list[tuple[Unit, Choice]]] = {}
    for unit, choice, number in zip(plan.units, plan.choices, plan.calls, strict=True):
        groups.setdefault(number, []).append((unit, choice))
    # Units without instructions make no call of their own: they are cut like their neighbours.
    working = [g for g in groups.values() if any(c.candidate.cycles for _, c in g)]
    changed = False
    for call, group in zip(program.calls, working, strict=True):
        if call.predicted_cycles > limit_cycles:
            _shorten(planner, group, call.predicted_cycles, limit_cycles)
            changed = True
    return changed


def _shorten(
    planner: Planner, group: list[tuple[Unit, Choice]], cycles: int, limit_cycles: int
) -> None:
    if len(group) > 1:
        half = sum(choice.cycles for _, choice in group) / 2
        spent = 0
        for at, (unit, choice) in enumerate(group):
            if at and (spent >= half or spent + choice.cycles > half or at == len(group) - 1):
                planner.cuts.add(planner.head(unit))
                return
            spent += choice.cycles
    unit, choice = group[0]
    if len(unit.ops) > 1:
        planner.unfused.add(unit.ops[len(unit.ops) // 2 - 1])
        return
    pieces = max(2, -(-cycles // max(1, int(limit_cycles * MARGIN))))
    _divide(planner, unit, choice, pieces)


def _divide(planner: Planner, unit: Unit, choice: Choice, pieces: int) -> None:
    """Replace a unit of `base` by several that begin a call each."""
    # Channels where a convolution is cut into blocks of them already: its weights are many, and
    # pieces of rows would load all of them again. Else rows, which share little but their seams.
    plan = choice.candidate.plan
    rows, chans = unit.rows[1] - unit.rows[0], unit.chans[1] - unit.chans[0]
    op = planner.graph.ops[unit.last]
    width = -(-chans // pieces)
    by_channels = channel_blocks(op, unit.chans, width, planner.spec.out_channel_align)
    by_rows = _row_pieces(planner, unit, -(-rows // pieces))
    channels_first = isinstance(op, QConv) and len(plan.chans) > 1 and len(by_channels) > 1
    if len(by_rows) < 2 or channels_first:
        parts = [Unit(unit.ops, unit.rows, span) for span in by_channels]
    else:
        parts = [Unit(unit.ops, span, unit.chans) for span in by_rows]
    if len(parts) < 2:
        raise CapacityError(
            f"layer {op.name!r} cannot be divided into function calls as short as wanted",
            where=op.name,
            hint="raise max_time_per_fc",
        )
    at = planner.base.index(unit)
    planner.base[at : at + 1] = parts
    planner.cuts.update(parts[1:])
    if unit in planner.cuts:
        planner.cuts.discard(unit)
        planner.cuts.add(parts[0])


def _row_pieces(planner: Planner, unit: Unit, size: int) -> tuple[Range, ...]:
    """Row ranges that each see real input; one range if there is no such cut."""
    op = planner.graph.ops[unit.last]
    spans = blocks(unit.rows, size)
    if not isinstance(op, COMPUTE_OPS):
        return spans
    shape = planner.graph.tensors[op.y].shape_hwc
    boxes = [Box(span, whole(shape).cols, unit.chans) for span in spans]
    return spans if all(sees_input(planner.graph, unit, b) for b in boxes) else (unit.rows,)
