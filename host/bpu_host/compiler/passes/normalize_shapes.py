"""Flatten, Squeeze and Unsqueeze become Reshape with a constant shape; chains of them become one.

Split gets its piece sizes as a constant input.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_OPS = frozenset({"Flatten", "Squeeze", "Unsqueeze", "Reshape"})


def normalize_shapes(model: ir.Model, context: PassContext) -> int:
    """Rewrite operators that only change the shape."""
    del context
    count = 0
    for node in list(model.graph):
        if node.domain or not node.inputs or node.inputs[0] is None:
            continue
        if node.op_type in _OPS:
            count += _to_reshape(model.graph, node)
        elif node.op_type == "Transpose":
            count += _transpose_as_reshape(model.graph, node)
        elif node.op_type == "Split":
            count += _explicit_split(model.graph, node)
    return count


def reshape_node(
    graph: ir.Graph, source: ir.Value, shape: tuple[int, ...], name: str, output: str
) -> ir.Node:
    """A Reshape of `source` to the constant `shape`."""
    target = g.add_constant(graph, f"{name}_shape", np.array(shape, np.int64))
    return g.new_node("Reshape", [source, target], name, output, shape)


def _to_reshape(graph: ir.Graph, node: ir.Node) -> int:
    source = node.inputs[0]
    shape = g.shape_of(node.outputs[0])
    if source is None or shape is None or 0 in shape:
        return 0
    before = g.producer(source, "Reshape")
    root = before.inputs[0] if before is not None else source
    if node.op_type == "Reshape" and before is None:
        target = g.constant(node.inputs[1])
        if target is not None and tuple(int(item) for item in target) == shape:
            if "allowzero" in node.attributes:
                node.attributes.pop("allowzero")
                return 1
            return 0
    if root is None or g.shape_of(root) is None:
        root = source
    new = reshape_node(graph, root, shape, node.name or "", f"{node.name}_reshaped")
    new.outputs[0].type = source.type
    g.replace(graph, node, [new])
    return 1


def _transpose_as_reshape(graph: ir.Graph, node: ir.Node) -> int:
    """A Transpose that only moves axes of size 1 is a Reshape."""
    source = node.inputs[0]
    shape, result = g.shape_of(source), g.shape_of(node.outputs[0])
    if source is None or shape is None or result is None or source.is_graph_input():
        return 0  # the turn of an NHWC input stays recognisable
    perm = g.ints(node, "perm", tuple(reversed(range(len(shape)))))
    moved = [axis for axis in perm if shape[axis] != 1]
    if moved != sorted(moved):
        return 0
    new = reshape_node(graph, source, result, node.name or "", f"{node.name}_reshaped")
    new.outputs[0].type = source.type
    g.replace(graph, node, [new])
    return 1


def _explicit_split(graph: ir.Graph, node: ir.Node) -> int:
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return 0
    axis = int(g.attribute(node, "axis", 0))
    shapes = [g.shape_of(output) for output in node.outputs]
    if any(shape is None for shape in shapes):
        return 0
    sizes = np.array([shape[axis] for shape in shapes if shape is not None], np.int64)
    if len(node.inputs) < 2:
        node.resize_inputs(2)
    node.replace_input_with(1, g.add_constant(graph, f"{node.name}_split", sizes))
    node.attributes.pop("num_outputs", None)
    return 1
