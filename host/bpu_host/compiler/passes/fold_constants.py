"""Everything that depends on constants alone is computed now (by onnxruntime, in one session)."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_common.tensor import AnyArray
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_MAX_ELEMENTS = 1 << 27
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
     "Bernoulli"}
)  # fmt: skip


def fold_constants(model: ir.Model, context: PassContext) -> int:
    """Turn Constant, Shape, Size and all constant sub-graphs into initializers."""
    del context
    graph = model.graph
    rewrites = _lift(graph) + _shapes(graph)
    foldable = _foldable(graph)
    if foldable:
        _evaluate(model, foldable)
        rewrites += len(foldable)
    return rewrites


def _replace_by(graph: ir.Graph, node: ir.Node, array: AnyArray) -> None:
    output = node.outputs[0]
    value = g.add_constant(graph, f"{output.name}_folded", array)
    ir.convenience.replace_all_uses_with(output, value)


def _lift(graph: ir.Graph) -> int:
    count = 0
    for node in list(graph):
        if node.op_type != "Constant" or node.domain or node.outputs[0].is_graph_output():
            continue
        array = _constant_node(node)
        if array is not None:
            _replace_by(graph, node, array)
            graph.remove(node, safe=True)
            count += 1
    return count


def _constant_node(node: ir.Node) -> AnyArray | None:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name not in node.attributes:
            continue
        value = node.attributes[name].value
        if name == "value":
            return np.array(value.numpy())
        return np.array(value, dtype=np.float32 if "float" in name else np.int64)
    return None


def _shapes(graph: ir.Graph) -> int:
    count = 0
    for node in list(graph):
        if node.op_type not in ("Shape", "Size") or node.outputs[0].is_graph_output():
            continue
        shape = g.shape_of(node.inputs[0])
        if shape is None:
            continue
        if node.op_type == "Size":
            array = np.array(math.prod(shape), dtype=np.int64)
        else:
            start, end = g.attribute(node, "start", 0), g.attribute(node, "end", len(shape))
            array = np.array(shape[start:end], dtype=np.int64)
        _replace_by(graph, node, array)
        graph.remove(node, safe=True)
        count += 1
    return count


def _foldable(graph: ir.Graph) -> list[ir.Node]:
    known: set[ir.Value] = set()
    nodes = []
    for node in graph:
        if node.domain or node.op_type in _RANDOM or not node.inputs:
            continue
        if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
               for attr in node.attributes.values()):  # fmt: skip
            continue
        if any(output.is_graph_output() for output in node.outputs):
            continue
        constants = (
            item is None or item in known or g.constant(item) is not None for item in node.inputs
        )
        if all(constants) and _small(node):
            known.update(node.outputs)
            nodes.append(node)
    return nodes


def _small(node: ir.Node) -> bool:
    shapes = [g.shape_of(output) for output in node.outputs]
    if node.op_type == "ConstantOfShape":
        size = g.constant(node.inputs[0])
        shapes = [tuple(int(item) for item in size)] if size is not None else shapes
    return all(shape is None or math.prod(shape) <= _MAX_ELEMENTS for shape in shapes)


def _initializer(name: str, tensor: ir.TensorProtocol) -> onnx.TensorProto:
    proto = ir.serde.serialize_tensor(tensor)
    proto.name = name
    return proto


def _evaluate(model: ir.Model, nodes: list[ir.Node]) -> None:
    graph = model.graph
    inside = set(nodes)
    inputs = {
        item.name: item
        for node in nodes
        for item in node.inputs
        if item is not None and item.producer() not in inside
    }
    outputs = [
        value
        for node in nodes
        for value in node.outputs
        if any(user not in inside for user, _ in value.uses())
    ]
    if outputs:
        proto = onnx.helper.make_model(
            onnx.helper.make_graph(
                [ir.serde.serialize_node(node) for node in nodes],
                "fold",
                [],
                [onnx.ValueInfoProto(name=value.name or "") for value in outputs],
                [
                    _initializer(name, item.const_value)
                    for name, item in inputs.items()
                    if name and item.const_value is not None
                ],
            ),
            opset_imports=[onnx.helper.make_opsetid("", model.opset_imports[""])],
            ir_version=10,
        )
        try:
            arrays = FloatRunner(proto, optimize=False).run({})
        except FloatRunFailed as error:
            raise ModelUnsupported(
                f"its constants cannot be computed: {error.message}",
                where=error.where or f"node {nodes[0].name} ({nodes[0].op_type})",
                hint="export the model again",
            ) from error
        for value in outputs:
            array = np.asarray(arrays[value.name or ""])
            constant = g.add_constant(graph, f"{value.name}_folded", array)
            ir.convenience.replace_all_uses_with(value, constant)
    for node in reversed(nodes):
        graph.remove(node, safe=True)
