"""Why nodes run on the CPU, told once for each cause: most only follow a neighbour.

A verdict names the neighbour's place ("its input comes from the CPU"). Here the chain is followed
to the node that is on the CPU for a reason of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from bpu_common.network import (
    Dequantize,
    Network,
    OnnxOp,
    Operation,
    Place,
    QLut,
    Quantize,
    tensors_made,
    tensors_read,
)
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.rules import Placement, Verdict
from bpu_host.compiler.units import Unit

AT_THE_EDGE = "at its edge the model takes or gives real numbers, the BPU int8"
_NO_VERDICT = Verdict("CPU", "runs on the CPU")


@dataclass(frozen=True, slots=True)
class Cause:
    """One node that is on the CPU for a reason of its own.

    Attributes:
        node: its name; empty for conversions at the edge of the model.
        rule: id of the rule that decided; empty for none.
        followers: names of the nodes that are on the CPU because of it, in order.
    """

    node: str
    reason: str
    rule: str = ""
    followers: tuple[str, ...] = ()


def causes_of(placement: Placement, network: Network) -> tuple[Cause, ...]:
    """Every node on the CPU, once: as a cause or as a follower of one.

    Args:
        network: what was made of the placement; its operations on the CPU are the nodes.
    """
    by_operation = causes_by_operation(placement, network)
    nodes = [name for name, op in _on_cpu(network).items() if isinstance(op, (OnnxOp, QLut))]
    followers: dict[str, list[str]] = {}
    for name in nodes:
        cause = by_operation[name]
        followers.setdefault(cause.node, [])
        if name != cause.node:
            followers[cause.node].append(name)
    known = {cause.node: cause for cause in by_operation.values()}
    return tuple(replace(known[node], followers=tuple(found)) for node, found in followers.items())


def causes_by_operation(placement: Placement, network: Network) -> dict[str, Cause]:
    """Cause (without followers) by name of each operation on the CPU.

    What converts between int8 and real numbers belongs to the node for which it does.
    """
    chains = _Chains(placement)
    on_cpu = _on_cpu(network).values()
    found = {}
    for op in on_cpu:
        if not isinstance(op, (Quantize, Dequantize)):
            root = chains.root(op.sources[0] if isinstance(op, QLut) else op.name)
            verdict = placement.verdicts.get(root, _NO_VERDICT)
            found[op.name] = Cause(root, verdict.reason, verdict.rule)
    makers = {tensor: op.name for op in on_cpu for tensor in tensors_made(op)}
    readers = {t: op.name for op in reversed(on_cpu) for t in tensors_read(op)}
    for op in on_cpu:
        if op.name not in found:
            neighbour = _neighbour(op, makers, readers)
            found[op.name] = found.get(neighbour, Cause("", AT_THE_EDGE))
    return found


def _on_cpu(network: Network) -> dict[str, Operation]:
    parts = (part for part in network.parts if part.place is Place.CPU)
    return {op.name: op for part in parts for op in part.ops}


def _neighbour(op: Operation, makers: Mapping[str, str], readers: Mapping[str, str]) -> str:
    """The operation on the CPU for which `op` converts; empty at the edge of the model."""
    if isinstance(op, Dequantize):
        return readers.get(tensors_made(op)[0], "")
    return makers.get(tensors_read(op)[0], "")


class _Chains:
    """Ways from a node on the CPU to the node that keeps it there."""

    def __init__(self, placement: Placement) -> None:
        self._verdicts = placement.verdicts
        plan = placement.plan
        self._units = {name: unit for each in plan.units.values() for unit in each
                       for name in unit.sources}  # fmt: skip
        self._makers = {g.name_of(v): node for node in plan.model.graph for v in node.outputs}
        self._nodes = {g.name_of(node): node for node in plan.model.graph}

    def root(self, name: str) -> str:
        """The node with a reason of its own; `name` itself if it follows nobody."""
        seen = {name}
        while (ahead := next((n for n in self._ahead(name) if n not in seen), "")) != "":
            seen.add(ahead)
            name = ahead
        unit = self._units.get(name)
        return unit.sources[0] if unit is not None and self._together(unit) else name

    def _together(self, unit: Unit) -> bool:
        """Whether its nodes are on the CPU for one reason, that of the whole."""
        return len({self._verdicts[name] for name in unit.sources}) == 1

    def _ahead(self, name: str) -> Iterator[str]:
        """The neighbours on the CPU that the node's verdict speaks of."""
        verdict = self._verdicts.get(name)
        unit = self._units.get(name)
        if verdict is None or unit is None:
            return
        near: list[ir.Node | None] = []
        if verdict.rule == "GATE":
            near = [
                self._nodes[each] for each in unit.sources if self._verdicts[each].rule != "GATE"
            ]
        elif verdict.rule == "FED-BY-BPU":
            near = [self._makers.get(x) for x in unit.xs]
        elif verdict.rule == "PASSIVE-TAIL":
            near = [user for output in unit.covers[0].outputs for user, _ in output.uses()]
        for node in near:
            if node is not None and not self._verdicts[g.name_of(node)].in_int8:
                yield g.name_of(node)
