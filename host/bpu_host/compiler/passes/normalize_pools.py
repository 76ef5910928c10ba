"""Means over all of H and W become GlobalAveragePool."""

from __future__ import annotations

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext
from bpu_host.compiler.passes.normalize_shapes import reshape_node


def normalize_pools(model: ir.Model, context: PassContext) -> int:
    """Rewrite pools and means over space to their one form."""
    del context
    count = 0
    for node in list(model.graph):
        shape = g.shape_of(node.inputs[0]) if node.inputs else None
        if node.domain or shape is None or len(shape) != 4 or not g.is_float(node.inputs[0]):
            continue
        match node.op_type:
            case "ReduceMean":
                count += _mean(model.graph, node, shape)
            case "AveragePool":
                count += _whole(model.graph, node, shape)
            case _:
                pass
    return count


def _global(node: ir.Node, shape: tuple[int, ...]) -> ir.Node:
    return g.new_node(
        "GlobalAveragePool",
        [node.inputs[0]],
        node.name or "",
        f"{node.name}_mean",
        (shape[0], shape[1], 1, 1),
    )


def _mean(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> int:
    given = g.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = [] if given is None else [int(axis) % 4 for axis in given]
    if not axes:
        axes = [axis % 4 for axis in g.ints(node, "axes", ())]
    if sorted(axes) != [2, 3]:
        return 0
    nodes = [_global(node, shape)]
    if not g.attribute(node, "keepdims", 1):
        source = nodes[0].outputs[0]
        nodes.append(
            reshape_node(graph, source, shape[:2], f"{node.name}_reshape", f"{node.name}_flat")
        )
    g.replace(graph, node, nodes)
    return 1


def _whole(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> int:
    kernel = g.ints(node, "kernel_shape", ())
    if kernel != shape[2:] or any(g.ints(node, "pads", (0,))):
        return 0
    if g.shape_of(node.outputs[0]) != (*shape[:2], 1, 1):
        return 0
    g.replace(graph, node, [_global(node, shape)])
    return 1
