"""`If` nodes whose condition is known become the branch that is taken.

Exporters leave them where a shape decides (PyTorch's squeeze). What the data decide ends the
conversion: a program of the chip is one fixed list of instructions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.floatrun import FloatRunFailed, FloatRunner
from bpu_host.compiler.frontend.splice import put_bodies
from bpu_host.compiler.weights import is_outside

_WITH_BODIES = ("If", "Loop", "Scan")
_WHY = {
    "If": "its condition depends on the data",
    "Loop": "it repeats a part of the graph",
    "Scan": "it repeats a part of the graph",
}
Shapes = Mapping[str, tuple[int, ...]]


def fold_branches(model: onnx.ModelProto, file: str) -> None:
    """Replace (in place) every `If` by its branch, from the outside inwards.

    Raises:
        ModelUnsupported: a Loop, a Scan, or an If whose condition depends on the data.
    """
    graph = model.graph
    while rest := [n for n in graph.node if n.op_type in _WITH_BODIES and not n.domain]:
        shapes = _shapes(model)
        bodies = {node.name: _branch(model, node, shapes) for node in rest}
        if not any(bodies.values()):
            raise ModelUnsupported(
                f"{rest[0].op_type} cannot be converted: {_WHY[rest[0].op_type]}, and a program "
                "of the chip is one fixed list of instructions",
                where=f"{file}: node {rest[0].name} ({rest[0].op_type})",
                hint="export the model without it (fixed shapes, loops written out), or end it "
                "before this node with output_nodes",
            )
        put_bodies(graph, bodies)


def _shapes(model: onnx.ModelProto) -> Shapes:
    """The static shapes of a graph by name."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        shape = value.type.tensor_type.shape
        if value.type.tensor_type.HasField("shape") and all(
            dim.HasField("dim_value") for dim in shape.dim
        ):
            found[value.name] = tuple(dim.dim_value for dim in shape.dim)
    return found


def _branch(model: onnx.ModelProto, node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto]:
    """The nodes of the branch that an `If` takes; empty when nobody knows, or for a loop."""
    condition = _condition(model, node.input[0], shapes) if node.op_type == "If" else None
    if condition is None:
        return []
    taken = "then_branch" if condition else "else_branch"
    graph = next(item.g for item in node.attribute if item.name == taken)
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in graph.initializer
    ]
    results = [
        helper.make_node("Identity", [inner.name], [outer])
        for inner, outer in zip(graph.output, node.output, strict=True)
        if outer
    ]
    return [*constants, *graph.node, *results]


def _condition(model: onnx.ModelProto, name: str, shapes: Shapes) -> bool | None:
    """The value of a tensor that constants and shapes alone decide; None for others."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    held: dict[str, TensorProto] = {}
    needed: set[str] = set()
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in constants:
            if is_outside(constants[value]):
                return None
            held[value] = constants[value]
            continue
        maker = makers.get(value)
        if maker is None or maker.op_type not in CPU_OPERATORS:
            return None
        if maker.op_type in ("Shape", "Size") and maker.input[0] in shapes:
            held[value] = _shape_result(maker, shapes[maker.input[0]])
        elif maker.name not in needed:
            needed.add(maker.name)
            waiting += [each for each in maker.input if each]
    nodes = [node for node in graph.node if node.name in needed]
    output = helper.make_tensor_value_info(name, TensorProto.BOOL, None)
    small = helper.make_model(
        helper.make_graph(nodes, "condition", [], [output], list(held.values())),
        opset_imports=list(model.opset_import),
        ir_version=model.ir_version,
    )
    if name in held:
        return bool(numpy_helper.to_array(held[name]).reshape(-1)[0])
    try:
        return bool(np.asarray(FloatRunner(small, optimize=False).run({})[name]).reshape(-1)[0])
    except FloatRunFailed:
        return None


def _shape_result(node: onnx.NodeProto, shape: tuple[int, ...]) -> TensorProto:
    if node.op_type == "Size":
        return numpy_helper.from_array(np.array(int(np.prod(shape)), np.int64), node.output[0])
    given = {item.name: item.i for item in node.attribute}
    sizes = shape[given.get("start", 0) : given.get("end", len(shape))]
    return numpy_helper.from_array(np.array(sizes, np.int64), node.output[0])
