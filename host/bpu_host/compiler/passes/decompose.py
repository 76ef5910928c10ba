"""Operators that are short for others are written out: Sum, Mean."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext


def decompose(model: ir.Model, context: PassContext) -> int:
    """Replace every operator that has a simpler equal."""
    del context
    count = 0
    for node in list(model.graph):
        if node.domain or not node.inputs or not g.is_float(node.inputs[0]):
            continue
        if node.op_type in ("Sum", "Mean") and len(node.inputs) > 1:
            g.replace(model.graph, node, _sum(model.graph, node))
            count += 1
    return count


def _sum(graph: ir.Graph, node: ir.Node) -> list[ir.Node]:
    nodes: list[ir.Node] = []
    value = node.inputs[0]
    mean = node.op_type == "Mean"
    for index, other in enumerate(node.inputs[1:], start=1):
        last = index == len(node.inputs) - 1
        name = f"{node.name}" if last and not mean else f"{node.name}_sum_{index}"
        nodes.append(g.new_node("Add", [value, other], name, f"{name}_value", None))
        value = nodes[-1].outputs[0]
    if mean:
        factor = g.add_constant(
            graph, f"{node.name}_factor", np.array(1.0 / len(node.inputs), np.float32)
        )
        nodes.append(g.new_node("Mul", [value, factor], node.name or "", f"{node.name}_m", None))
    return nodes
