"""Transposes (and Reshapes to fewer axes) move behind element-wise operators; neighbours merge."""

from __future__ import annotations

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_UNARY = frozenset(
    {"Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "Exp", "Sqrt", "HardSigmoid", "Elu", "Abs",
     "Neg", "Softplus", "Erf", "Log", "Reciprocal", "Sin", "Cos", "Floor", "Ceil", "HardSwish",
     "Mish"}
)  # fmt: skip


def merge_transposes(model: ir.Model, context: PassContext) -> int:
    """Bring layout changes together and cancel them."""
    del context
    count = 0
    for node in list(model.graph):
        if node.domain:
            continue
        if node.op_type == "Transpose":
            count += _merge(model.graph, node)
        elif node.op_type in _UNARY:
            count += _sink(model.graph, node)
    return count


def _merge(graph: ir.Graph, node: ir.Node) -> int:
    before = g.producer(node.inputs[0], "Transpose")
    if before is None or "perm" not in before.attributes or "perm" not in node.attributes:
        return 0
    source = before.inputs[0]
    first, second = g.ints(before, "perm", ()), g.ints(node, "perm", ())
    node.replace_input_with(0, source)
    node.attributes.add(ir.AttrInt64s("perm", [first[axis] for axis in second]))
    if not before.outputs[0].uses() and not before.outputs[0].is_graph_output():
        graph.remove(before, safe=True)
    return 1


def _sink(graph: ir.Graph, node: ir.Node) -> int:
    """mover -> node becomes node -> mover; the 4-D side gets the element-wise operator."""
    value = node.inputs[0]
    mover = g.producer(value, "Transpose", "Reshape")
    if mover is None or value is None or g.sole_user(value) is not node:
        return 0
    source = mover.inputs[0]
    shape = g.shape_of(source)
    if source is None or shape is None or len(shape) != 4 or source.producer() is None:
        return 0
    inner = node.outputs[0]
    node.replace_input_with(0, source)
    mover.replace_input_with(0, inner)
    moved, name = mover.outputs[0], inner.name
    for user, index in list(inner.uses()):
        if user is not mover:
            user.replace_input_with(index, moved)
    outputs = graph.outputs
    for index, output in enumerate(outputs):
        if output is inner:
            outputs[index] = moved
    inner.name, moved.name = f"{name}_moved", name
    inner.shape, moved.shape = ir.Shape(shape), inner.shape
    graph.remove(mover)
    graph.insert_after(node, mover)
    return 1
