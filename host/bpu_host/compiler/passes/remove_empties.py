"""Tensors without elements become constants, and Concat and Split lose them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext


def remove_empties(model: ir.Model, context: PassContext) -> int:
    """No node makes or joins a tensor whose shape holds a 0, except as an output of the model."""
    del context
    count = 0
    for node in list(model.graph):
        count += sum(_to_constant(model.graph, value) for value in node.outputs)
        if node.op_type == "Concat" and not node.domain:
            count += _join_the_rest(node)
        elif node.op_type == "Split" and not node.domain:
            count += _split_the_rest(model.graph, node)
    return count


def _is_empty(value: ir.Value | None) -> bool:
    return 0 in (g.shape_of(value) or ())


def _to_constant(graph: ir.Graph, value: ir.Value) -> bool:
    if not _is_empty(value) or not value.uses() or value.is_graph_output() or value.dtype is None:
        return False
    array = np.zeros(g.shape_of(value) or (), value.dtype.numpy())
    ir.convenience.replace_all_uses_with(value, g.add_constant(graph, f"{value.name}_none", array))
    return True


def _join_the_rest(node: ir.Node) -> bool:
    kept = [value for value in node.inputs if not _is_empty(value)]
    if not kept or len(kept) == len(node.inputs):
        return False
    node.resize_inputs(len(kept))
    for index, value in enumerate(kept):
        node.replace_input_with(index, value)
    return True


def _split_the_rest(graph: ir.Graph, node: ir.Node) -> bool:
    kept = [value for value in node.outputs if not _is_empty(value) or value.is_graph_output()]
    sizes = [shape[int(g.attribute(node, "axis", 0))] for v in kept if (shape := g.shape_of(v))]
    if len(kept) == len(node.outputs) or len(sizes) != len(kept) or not kept:
        return False
    pieces = g.add_constant(graph, f"{node.name}_pieces", np.array(sizes, np.int64))
    outputs = [ir.Value(name=f"{v.name}_piece", shape=v.shape, type=v.type) for v in kept]
    axis = {"axis": g.attribute(node, "axis", 0)}
    new = ir.node("Split", [node.inputs[0], pieces], axis, outputs=outputs, name=node.name)
    graph.insert_before(node, [new])
    for old, piece in zip(kept, outputs, strict=True):
        ir.convenience.replace_all_uses_with(old, piece, replace_graph_outputs=True)
    names = [value.name for value in kept]
    graph.remove(node, safe=True)
    for piece, name in zip(outputs, names, strict=True):
        piece.name = name
    return True
