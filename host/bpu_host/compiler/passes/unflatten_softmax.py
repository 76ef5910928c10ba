"""Softmax between two Reshapes becomes Softmax over the one axis of the map that it means.

Until opset 12 Softmax, LogSoftmax and Hardmax flattened what they read, and exporters write that
still. Where all but one of the flattened axes have one element, the flattening says nothing.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_OPS = frozenset({"Softmax", "LogSoftmax", "Hardmax"})


def unflatten_softmax(model: ir.Model, context: PassContext) -> int:
    """Take the Reshapes around Softmax, LogSoftmax and Hardmax away."""
    del context
    nodes = [node for node in model.graph if node.op_type in _OPS and not node.domain]
    return sum(_unflatten(model.graph, node) for node in nodes)


def _unflatten(graph: ir.Graph, node: ir.Node) -> int:
    before = g.producer(node.inputs[0], "Reshape")
    after = g.sole_user(node.outputs[0])
    if before is None or after is None or after.domain or after.op_type != "Reshape":
        return 0
    source = before.inputs[0]
    shape, flat = g.shape_of(source), g.shape_of(before.outputs[0])
    if shape is None or flat is None or g.shape_of(after.outputs[0]) != shape:
        return 0
    axis = int(g.attribute(node, "axis", -1)) % len(flat)
    kept = math.prod(flat[:axis]), flat[axis]
    same = (i for i, size in enumerate(shape) if (math.prod(shape[:i]), size) == kept)
    meant = next(same, None)
    if meant is None:
        return 0
    name = g.name_of(node)
    new = g.new_node(node.op_type, [source], name, f"{name}_whole", shape, {"axis": meant})
    g.replace(graph, after, [new])
    graph.remove(node, safe=True)
    return 1
