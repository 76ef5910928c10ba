"""Operators that are short for others are written out: Sum, Mean, Trilu."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext


def decompose(model: ir.Model, context: PassContext) -> int:
    """Replace every operator that has a simpler equal.

    Raises:
        ModelUnsupported: a Dropout of training, which is random.
    """
    del context
    count = 0
    for node in list(model.graph):
        if node.domain or not node.inputs:
            continue
        several = len(node.inputs) > 1 and g.is_float(node.inputs[0])
        if node.op_type in ("Sum", "Mean") and several:
            g.replace(model.graph, node, _sum(model.graph, node))
            count += 1
        elif node.op_type == "Trilu":
            count += _triangle(model.graph, node)
        elif node.op_type == "Dropout":
            _refuse_training(node)
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


def _triangle(graph: ir.Graph, node: ir.Node) -> int:
    """Trilu is a choice by a constant mask."""
    source, shape = node.inputs[0], g.shape_of(node.inputs[0])
    moved = node.inputs[1] if len(node.inputs) > 1 else None
    diagonal = np.zeros(1, np.int64) if moved is None else g.constant(moved)
    if source is None or shape is None or source.dtype is None or diagonal is None:
        return 0
    offset = int(diagonal.reshape(-1)[0])
    rows, columns = shape[-2:]
    if g.attribute(node, "upper", 1):
        mask = ~np.tri(rows, columns, offset - 1, dtype=np.bool_)
    else:
        mask = np.tri(rows, columns, offset, dtype=np.bool_)
    kept = g.add_constant(graph, f"{node.name}_kept", mask)
    zero = g.add_constant(graph, f"{node.name}_zero", np.zeros((), source.dtype.numpy()))
    new = g.new_node("Where", [kept, source, zero], g.name_of(node), f"{node.name}_w", shape)
    new.outputs[0].type = source.type
    g.replace(graph, node, [new])
    return 1


def _refuse_training(node: ir.Node) -> None:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is None:
        return
    given, ratio = g.constant(training), g.constant(node.inputs[1])
    if given is None or (np.any(given) and (ratio is None or np.any(ratio != 0))):
        raise ModelUnsupported(
            "it drops values at random, as in training",
            where=f"node {node.name} (Dropout)",
            hint="export the model for inference (PyTorch: model.eval())",
        )
