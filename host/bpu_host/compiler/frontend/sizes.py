"""Operators whose sizes ONNX's shape inference gets wrong, written so that it gets them right.

What onnxruntime computes counts. The graph is gone through in its order, because what is known of a
node rests on the sizes before it; nothing else is inferred from the shapes earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from bpu_host.compiler.frontend.splice import names_of, put, spliced
from bpu_host.compiler.protos import inferred_shapes

Shapes = Mapping[str, list[int]]
"""By tensor; an unknown size is 0."""

Rule = Callable[[onnx.NodeProto, Shapes], list[onnx.NodeProto]]
"""From a node to those that replace it; none where it stays as it is."""


def resolve_sizes(model: onnx.ModelProto, rules: Mapping[str, Rule]) -> None:
    """Apply (in place) the rule of each operator, once to every node that has one.

    Args:
        model: its nodes are sorted; those that have a rule are named.
    """
    graph = model.graph
    waiting = {node.name for node in graph.node if node.op_type in rules and not node.domain}
    taken = names_of(graph)
    while waiting:
        shapes = inferred_shapes(model)
        body: list[onnx.NodeProto] = []
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            if body or node.name not in waiting:  # behind a new form the shapes are old
                nodes.append(node)
                continue
            waiting.remove(node.name)
            body = rules[node.op_type](node, shapes)
            nodes += spliced(node, body, taken) if body else [node]
        if body:
            put(graph, nodes)
