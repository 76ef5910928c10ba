"""`place_nodes`: BPU or CPU for every node of the optimized graph, with the reason.

First each node's own limits, then its neighbours: convolutions start quantization; everything else
follows only where it can be fed by the BPU, and what merely moves values, pools, or cuts at the end
of the model stays in float so that the last convolution can leave the BPU in full precision.
"""

from __future__ import annotations

import difflib

import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.rules.limits import BPU_OPS, LUT_OPS, MOVE_OPS, RULES
from bpu_host.compiler.rules.rule import NodeView
from bpu_host.compiler.rules.table import onnx_rows
from bpu_host.compiler.rules.verdict import PlacementOptions, Verdict

ACTIVE_OPS = frozenset({"Conv", "ConvTranspose"})
TWO_OPERAND_OPS = frozenset({"Add", "Mul"})
PASSIVE_OPS = frozenset({*MOVE_OPS, "MaxPool", "AveragePool", "GlobalAveragePool"})
CUT_OPS = frozenset({"Relu", "Clip"})
NEIGHBOUR_RULES: dict[str, str] = {
    "FED-BY-BPU": "Operators other than convolutions need an input that the BPU computes (Add and "
    "Mul at least one, the others all).",
    "PASSIVE-TAIL": "Operators that move or pool values (" + ", ".join(sorted(PASSIVE_OPS)) + ") "
    "need a reader on the BPU.",
    "CONV-TAIL": "Relu and Clip right after the last convolution stay on the CPU: only a "
    "convolution can leave the BPU with 32 bits.",
    "GATE": "x * f(x) (SiLU and the like) is one look-up: both parts run at the same place.",
}
_BPU = Verdict("BPU")


def place_nodes(model: ir.Model, options: PlacementOptions | None = None) -> dict[str, Verdict]:
    """A verdict for every node, by node name.

    Raises:
        ModelUnsupported: operators that neither BPU nor CPU can run, or a wish that cannot be
            fulfilled.
    """
    options = options or PlacementOptions()
    check_operators(model)
    nodes = {str(node.name): node for node in model.graph}
    to_cpu = _resolve(options.run_on_cpu, nodes, "run_on_cpu")
    to_bpu = _resolve(options.run_on_bpu, nodes, "run_on_bpu")
    verdicts = {name: own_verdict(node) for name, node in nodes.items()}
    for name in to_cpu:
        verdicts[name] = Verdict("CPU", "run_on_cpu asks for it", "USER")
    for name in to_bpu:
        if not verdicts[name].on_bpu:
            raise ModelUnsupported(
                f"run_on_bpu names '{name}' ({nodes[name].op_type}), which cannot run there: "
                f"{verdicts[name].reason}",
                hint="delete it from run_on_bpu",
            )
    changed = True
    while changed:
        changed = False
        for name, node in nodes.items():
            if not verdicts[name].on_bpu or name in to_bpu:
                continue
            verdict = _by_neighbours(node, verdicts)
            if verdict is not None:
                verdicts[name] = verdict
                changed = True
    return verdicts


def check_operators(model: ir.Model) -> None:
    """Every operator must run somewhere.

    Raises:
        ModelUnsupported: names all operators (and nodes) that do not.
    """
    table = onnx_rows()
    unknown: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for node in model.graph:
        row = table.get(node.op_type)
        if row is None:
            unknown.setdefault(node.op_type, []).append(str(node.name))
        elif row.cpu == "not_integrated":
            missing.setdefault(node.op_type, []).append(str(node.name))
    parts = []
    if missing:
        parts.append(f"HorizonRT not support these cpu operators: {_named(missing)}")
    if unknown:
        parts.append(f"Unsupported op: {_named(unknown)}")
    if parts:
        raise ModelUnsupported(
            "; ".join(parts),
            hint="docs/supported-ops.md lists the operators; cut the model with output_nodes or "
            "export it without them",
        )


def own_verdict(node: ir.Node) -> Verdict:
    """What the node's own operator, shapes and attributes allow."""
    row = onnx_rows()[node.op_type]
    if node.op_type not in BPU_OPS:
        if row.bpu in ("yes", "conditional"):
            reason = f"OpenBPU runs {node.op_type} on the CPU"
            return Verdict("CPU", reason, "NOT-IMPLEMENTED")
        return Verdict("CPU", f"the BPU has no operator {node.op_type}", "TABLE")
    view = NodeView(node)
    for rule in RULES:
        if node.op_type in rule.ops:
            found = rule.test(view)
            if found is not None:
                return Verdict("CPU", found, rule.id)
    return _BPU


def _by_neighbours(node: ir.Node, verdicts: dict[str, Verdict]) -> Verdict | None:
    """The reason to leave the BPU, or None."""
    if node.op_type in ACTIVE_OPS:
        return None
    gate = _gate_of(node)
    if gate is not None and not verdicts[str(gate.name)].on_bpu:
        reason = verdicts[str(gate.name)].reason
        return Verdict("CPU", f"its gate {gate.name} is on the CPU: {reason}", "GATE")
    sources = [_is_bpu(item.producer(), verdicts) for item in _activations(node)]
    fed = any(sources) if node.op_type in TWO_OPERAND_OPS else all(sources)
    if not sources or not fed:
        return Verdict("CPU", "its input comes from the CPU", "FED-BY-BPU")
    if any(_is_bpu(user, verdicts) for output in node.outputs for user, _ in output.uses()):
        return None
    if node.op_type in PASSIVE_OPS:
        return Verdict(
            "CPU", "nothing on the BPU reads it, so it stays in float at the end", "PASSIVE-TAIL"
        )
    if node.op_type in CUT_OPS and g.producer(node.inputs[0], *ACTIVE_OPS) is not None:
        return Verdict(
            "CPU",
            "it follows the last convolution, which leaves the BPU with 32 bits (run_on_bpu "
            "forces it onto the BPU)",
            "CONV-TAIL",
        )
    return None


def _gate_of(node: ir.Node) -> ir.Node | None:
    """f of x * f(x), where f is one look-up."""
    if node.op_type != "Mul":
        return None
    first, second = node.inputs
    for gate, x in ((first, second), (second, first)):
        maker = g.producer(gate, *LUT_OPS, "HardSigmoid")
        if maker is not None and maker.inputs[0] is x and maker.op_type != "Pow":
            return maker
    return None


def _activations(node: ir.Node) -> list[ir.Value]:
    count = 1 if node.op_type not in (*TWO_OPERAND_OPS, "Concat") else len(node.inputs)
    return [item for item in node.inputs[:count] if item is not None]


def _is_bpu(node: ir.Node | None, verdicts: dict[str, Verdict]) -> bool:
    return node is not None and verdicts[str(node.name)].on_bpu


def _resolve(wanted: tuple[str, ...], nodes: dict[str, ir.Node], key: str) -> tuple[str, ...]:
    """Names in the optimized model, in the user's order: messages must not depend on hashes."""
    found: dict[str, None] = {}
    for name in wanted:
        if name in nodes:
            found[name] = None
        elif f"{name}_gemm" in nodes:
            found[f"{name}_gemm"] = None
        else:
            near = difflib.get_close_matches(name, list(nodes), n=3, cutoff=0.4)
            raise ModelUnsupported(
                f"{key} names '{name}', which is no node of the optimized model (it may have been "
                "folded into another)",
                hint=f"near names: {', '.join(near)}" if near else "see the node table of checker",
            )
    return tuple(found)


def _named(found: dict[str, list[str]]) -> str:
    return ", ".join(
        f"{op} (node {', '.join(names[:3])}{' ...' if len(names) > 3 else ''})"
        for op, names in sorted(found.items())
    )
