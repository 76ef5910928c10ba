"""Operators that are short for others are written out: HardSwish, Mish, Sum, Mean."""

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
        if node.domain:
            continue
        nodes: list[ir.Node] = []
        match node.op_type:
            case "HardSwish":
                nodes = _gated(node, "HardSigmoid", {"alpha": 1.0 / 6.0, "beta": 0.5})
            case "Mish":
                nodes = _mish(node)
            case "Sum" | "Mean" if len(node.inputs) > 1:
                nodes = _sum(model.graph, node)
            case _:
                pass
        if nodes:
            g.replace(model.graph, node, nodes)
            count += 1
    return count


def _gated(node: ir.Node, gate: str, attributes: dict[str, float]) -> list[ir.Node]:
    x, shape = node.inputs[0], g.shape_of(node.inputs[0])
    first = g.new_node(gate, [x], f"{node.name}_{gate}", f"{node.name}_gate", shape, attributes)
    return [first, _multiply(node, x, first.outputs[0])]


def _mish(node: ir.Node) -> list[ir.Node]:
    x, shape = node.inputs[0], g.shape_of(node.inputs[0])
    soft = g.new_node("Softplus", [x], f"{node.name}_Softplus", f"{node.name}_soft", shape)
    gate = g.new_node("Tanh", soft.outputs, f"{node.name}_Tanh", f"{node.name}_gate", shape)
    return [soft, gate, _multiply(node, x, gate.outputs[0])]


def _multiply(node: ir.Node, x: ir.Value | None, gate: ir.Value) -> ir.Node:
    shape = g.shape_of(x)
    return g.new_node("Mul", [x, gate], node.name or "", f"{node.name}_product", shape)


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
