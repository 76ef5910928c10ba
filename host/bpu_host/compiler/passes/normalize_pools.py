"""Means over all of H and W become GlobalAveragePool, a global maximum becomes MaxPool.

A GlobalAveragePool over more than 8192 pixels becomes a chain of smaller AveragePools when its size
factors into windows of at most 7 (vendor_facts 7.4).
"""

from __future__ import annotations

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext
from bpu_host.compiler.passes.normalize_shapes import reshape_node

GLOBAL_LIMIT = 8192
_MAX_WINDOW = 7
_MAX_POOL_WINDOW = 64


def normalize_pools(model: ir.Model, context: PassContext) -> int:
    """Rewrite pools and means over space to their one form."""
    del context
    count = 0
    for node in list(model.graph):
        shape = g.shape_of(node.inputs[0]) if node.inputs else None
        if node.domain or shape is None or len(shape) != 4:
            continue
        match node.op_type:
            case "ReduceMean":
                count += _mean(model.graph, node, shape)
            case "AveragePool":
                count += _whole(model.graph, node, shape)
            case "GlobalMaxPool":
                count += _maximum(model.graph, node, shape)
            case "GlobalAveragePool":
                count += _split(model.graph, node, shape)
            case _:
                pass
    return count


def _global(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> ir.Node:
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
    nodes = [_global(graph, node, shape)]
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
    g.replace(graph, node, [_global(graph, node, shape)])
    return 1


def _maximum(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> int:
    if max(shape[2:]) > _MAX_POOL_WINDOW:
        return 0
    attributes = {"kernel_shape": list(shape[2:]), "strides": [1, 1], "pads": [0, 0, 0, 0]}
    new = g.new_node(
        "MaxPool",
        [node.inputs[0]],
        node.name or "",
        f"{node.name}_max",
        (*shape[:2], 1, 1),
        attributes,
    )
    g.replace(graph, node, [new])
    return 1


def _split(graph: ir.Graph, node: ir.Node, shape: tuple[int, ...]) -> int:
    height, width = shape[2:]
    if height * width <= GLOBAL_LIMIT:
        return 0
    rows, columns = _windows(height), _windows(width)
    if rows is None or columns is None:
        return 0
    steps = max(len(rows), len(columns))
    rows += [1] * (steps - len(rows))
    columns += [1] * (steps - len(columns))
    nodes: list[ir.Node] = []
    value = node.inputs[0]
    for index, window in enumerate(zip(rows, columns, strict=True)):
        last = index == steps - 1
        height, width = height // window[0], width // window[1]
        name = f"{node.name}" if last else f"{node.name}_SPLIT_WITH_DEPTHWISE_CONV_{index}"
        pool = g.new_node(
            "AveragePool",
            [value],
            name,
            f"{node.name}_mean_{index}",
            (*shape[:2], height, width),
            {"kernel_shape": list(window), "strides": list(window), "pads": [0, 0, 0, 0]},
        )
        nodes.append(pool)
        value = pool.outputs[0]
    g.replace(graph, node, nodes)
    return 1


def _windows(size: int) -> list[int] | None:
    """Factors of at most 7, large ones first; None when a prime factor is larger."""
    factors: list[int] = []
    while size > 1:
        factor = next((n for n in range(_MAX_WINDOW, 1, -1) if size % n == 0), None)
        if factor is None:
            return None
        factors.append(factor)
        size //= factor
    return factors or [1]
