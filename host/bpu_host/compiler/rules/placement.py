"""`place`: BPU or CPU for every node of the optimized graph, with the reason.

First each unit's own limits, then its neighbours: convolutions start quantization; everything else
follows only where it can be fed by the BPU, and what merely moves values, pools, or cuts at the end
of the model stays in float so that the last convolution can leave the BPU in full precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import onnx_ir as ir

from bpu_common import limits
from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.rules.limits import LOOK_UP_RULE, RULES
from bpu_host.compiler.rules.refused import why_refused
from bpu_host.compiler.rules.table import onnx_rows
from bpu_host.compiler.rules.verdict import PlacementOptions, Verdict
from bpu_host.compiler.units import Plan, Unit, float_tensors, fuse
from bpu_host.compiler.units.work import AddWork, ClampWork, MulWork
from bpu_host.compiler.unknown import unknown_nodes

NEIGHBOUR_RULES: dict[str, str] = {
    "FED-BY-BPU": "Operators other than convolutions need an input that the BPU computes (Add, Sub "
    "and Mul at least one, the others all).",
    "AFFINE": "A factor and an offset per channel that are no convolution in the float model run "
    "on the BPU behind what runs there, or in front of a convolution.",
    "PASSIVE-TAIL": "Operators that move or pool values need a reader on the BPU.",
    "CPU-LOOK-UP": "A look-up that only its size keeps off the BPU is one look-up of int8 codes on "
    "the CPU where the BPU makes its input and reads its result; elsewhere it runs in float.",
    "CONV-TAIL": "Relu and Clip right after the last convolution stay on the CPU: only a "
    "convolution can leave the BPU with 32 bits.",
    "GATE": "x * f(x) (SiLU and the like) is one look-up: all parts run at the same place.",
    "NUMBERS": "The scales, biases and sums that calibration leads to fit the chip's integers.",
}
_BPU = Verdict("BPU")


@dataclass(frozen=True, eq=False)
class Placement:
    """Where every node runs, and so what runs as one on the BPU.

    Attributes:
        verdicts: by name, for every node of the optimized graph.
        forced: nodes that `run_on_bpu` frees from the rules about neighbours.
    """

    plan: Plan
    verdicts: dict[str, Verdict]
    forced: frozenset[str] = frozenset()

    @cached_property
    def units(self) -> dict[str, tuple[Unit, ...]]:
        """What computes on codes, by name of the node in whose place it runs, in graph order."""
        return fuse(self.plan, {name for name, found in self.verdicts.items() if found.in_int8})

    @property
    def all_units(self) -> tuple[Unit, ...]:
        return tuple(unit for units in self.units.values() for unit in units)

    @property
    def tensors(self) -> tuple[str, ...]:
        """The float tensors whose range matters, by name."""
        return float_tensors(self.plan, self.all_units)

    def without(self, refused: Mapping[str, str]) -> Placement:
        """The placement when some nodes (name -> reason) turn out not to fit the chip's numbers."""
        moved = {name: Verdict("CPU", reason, "NUMBERS") for name, reason in refused.items()}
        verdicts = _settle(self.plan, {**self.verdicts, **moved}, self.forced)
        return replace(self, verdicts=verdicts)


def place(plan: Plan, options: PlacementOptions | None = None) -> Placement:
    """A verdict for every node.

    Raises:
        ModelUnsupported: operators that neither BPU nor CPU can run, or a wish that cannot be
            fulfilled.
    """
    options = options or PlacementOptions()
    check_operators(plan.model)
    nodes = {g.name_of(node): node for node in plan.model.graph}
    to_cpu = _resolve(options.run_on_cpu, nodes, "run_on_cpu", options.run_on_cpu_at)
    to_bpu = _resolve(options.run_on_bpu, nodes, "run_on_bpu", options.run_on_bpu_at)
    verdicts = own_verdicts(plan)
    for name in to_cpu:
        verdicts[name] = Verdict("CPU", "run_on_cpu asks for it", "USER")
    for name in to_bpu:
        if not verdicts[name].on_bpu:
            raise ModelUnsupported(
                f"run_on_bpu names '{name}' ({nodes[name].op_type}), which cannot run there: "
                f"{verdicts[name].reason}",
                hint="delete it from run_on_bpu",
            )
    return Placement(plan, _settle(plan, verdicts, frozenset(to_bpu)), frozenset(to_bpu))


def check_operators(model: ir.Model) -> None:
    """Every operator must run somewhere.

    Raises:
        ModelUnsupported: names all operators (and nodes) that do not.
    """
    unknown: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for node in model.graph:
        if node.op_type in CPU_OPERATORS:
            continue
        listed = missing if node.op_type in onnx_rows() else unknown
        listed.setdefault(node.op_type, []).append(g.name_of(node))
    parts = []
    if missing:
        parts.append(f"HorizonRT not support these cpu operators: {_named(missing)}")
    if unknown:
        parts.append(f"Unsupported op: {_named(unknown)}")
    parts += [f"{op}: {why_refused(op)}" for op in sorted({**missing, **unknown})]
    if parts:
        raise ModelUnsupported(
            "; ".join(parts),
            hint="docs/supported-ops.md lists the operators; cut the model with output_nodes or "
            "export it without them",
        )


def beyond_the_vendor(model: ir.Model) -> Finding | None:
    """A warning about operators that run here, while the vendor's runtime has none of them."""
    found: dict[str, list[str]] = {}
    for node in model.graph:
        row = onnx_rows().get(node.op_type)
        if row is not None and row.cpu == "not_integrated" and not node.domain:
            found.setdefault(node.op_type, []).append(g.name_of(node))
    if not found:
        return None
    return Finding(
        _named(found),
        "HorizonRT not support these cpu operators; OpenBPU runs them on the CPU",
        "replace them if the model is meant for the vendor's tools as well",
    )


def own_verdicts(plan: Plan) -> dict[str, Verdict]:
    """What operator, form and size of each node allow, by node name."""
    verdicts = {g.name_of(node): _own_verdict(plan, node) for node in plan.model.graph}
    for units in plan.units.values():
        found = _limit(units)
        verdicts.update((name, found) for unit in units for name in unit.sources)
    return verdicts


def _own_verdict(plan: Plan, node: ir.Node) -> Verdict:
    """The verdict of a node that is no unit."""
    refusal = plan.refusals.get(g.name_of(node))
    if refusal is not None:
        return Verdict("CPU", refusal.reason, refusal.rule)
    row = onnx_rows().get(node.op_type)
    if row is not None and row.bpu in ("yes", "conditional"):
        return Verdict("CPU", f"OpenBPU runs {node.op_type} on the CPU", "NOT-IMPLEMENTED")
    return Verdict("CPU", f"the BPU has no operator {node.op_type}", "TABLE")


def _limit(units: tuple[Unit, ...]) -> Verdict:
    """The first rule that a node's units break."""
    for unit in units:
        for rule in RULES:
            if (found := rule.found(unit)) is not None:
                return Verdict("CPU", found, rule.id, look_up=rule.id == LOOK_UP_RULE)
    return _BPU


def _settle(
    plan: Plan, verdicts: Mapping[str, Verdict], forced: frozenset[str]
) -> dict[str, Verdict]:
    """The verdicts when nodes follow their neighbours, until nothing moves any more.

    Nodes only ever leave the BPU, so this comes to rest.
    """
    settled = dict(verdicts)
    makers = {g.name_of(v): node for node in plan.model.graph for v in node.outputs}
    changed = True
    while changed:
        changed = False
        for units in plan.units.values():
            names = units[0].sources
            staying = [name for name in names if settled[name].in_int8]
            found = _parted(names, settled) if staying else None
            if staying and found is None and forced.isdisjoint(names):
                found = _by_neighbours(plan, units, settled, makers)
            if found is not None and settled[names[0]].look_up:
                found = replace(settled[names[0]], look_up=False)
            if found is not None:
                settled.update(dict.fromkeys(staying, found))
                changed = True
    return settled


def _parted(names: tuple[str, ...], verdicts: Mapping[str, Verdict]) -> Verdict | None:
    """The verdict of what runs as one when a part of it is on the CPU."""
    for name in names:
        if not verdicts[name].in_int8:
            return Verdict("CPU", f"its gate {name} is on the CPU: {verdicts[name].reason}", "GATE")
    return None


def _by_neighbours(
    plan: Plan,
    units: tuple[Unit, ...],
    verdicts: Mapping[str, Verdict],
    makers: Mapping[str, ir.Node],
) -> Verdict | None:
    """The reason for the units of one node to leave the BPU, or None."""
    first, last = units[0], units[-1]
    if first.starts:
        return _int8_window(plan, first, verdicts)
    sources = [x in makers and verdicts[g.name_of(makers[x])].in_int8 for x in first.xs]
    users = [user for output in first.covers[0].outputs for user, _ in output.uses()]
    if first.wide:
        readers = (unit for user in users for unit in plan.units.get(g.name_of(user), ())[:1])
        if any(sources) or any(u.starts and verdicts[u.sources[0]].on_bpu for u in readers):
            return None
        return Verdict("CPU", "it only scales values between nodes on the CPU", "AFFINE")
    if not (any(sources) if isinstance(first.work, (AddWork, MulWork)) else all(sources)):
        return Verdict("CPU", "its input comes from the CPU", "FED-BY-BPU")
    if any(verdicts[g.name_of(user)].in_int8 for user in users):
        return None
    if last.passive or verdicts[first.sources[0]].look_up:
        return Verdict(
            "CPU", "nothing on the BPU reads it, so it stays in float at the end", "PASSIVE-TAIL"
        )
    before = plan.units.get(g.name_of(makers.get(first.xs[0])), ())
    if isinstance(last.work, ClampWork) and before and before[0].wide:
        return Verdict(
            "CPU",
            "it follows the last convolution, which leaves the BPU with 32 bits (run_on_bpu "
            "forces it onto the BPU)",
            "CONV-TAIL",
        )
    return None


def _int8_window(plan: Plan, unit: Unit, verdicts: Mapping[str, Verdict]) -> Verdict | None:
    """A fully connected layer is smaller where its result is int8: read on the BPU."""
    if not unit.covers_map:
        return None
    users = {g.name_of(user) for y in unit.covers[0].outputs for user, _ in y.uses()}
    read = any(name in plan.units and verdicts[name].in_int8 for name in users)
    blocks = limits.full_blocks(*unit.x_shapes[0])
    if not read or blocks in limits.FULL_BLOCKS_INT8:
        return None
    return Verdict(
        "CPU",
        f"its map has {blocks} blocks of 8 columns and 4 channels; for an int8 result the limit is "
        f"{limits.FULL_BLOCKS_INT8.high}",
        "CONV-KERNEL",
    )


def _resolve(
    wanted: tuple[str, ...], nodes: dict[str, ir.Node], key: str, where: str
) -> tuple[str, ...]:
    """Names in the optimized model, in the user's order: messages must not depend on hashes."""
    found: dict[str, None] = {}
    unknown: list[str] = []
    for name in wanted:
        if name in nodes:
            found[name] = None
        elif f"{name}_gemm" in nodes:
            found[f"{name}_gemm"] = None
        else:
            unknown.append(name)
    if unknown:
        what = "the optimized model (some are folded into others)"
        raise unknown_nodes(key, unknown, nodes, what, where, "see the node table of checker")
    return tuple(found)


def _named(found: dict[str, list[str]]) -> str:
    return ", ".join(
        f"{op} (node {', '.join(names[:3])}{' ...' if len(names) > 3 else ''})"
        for op, names in sorted(found.items())
    )
