"""Small verbs on ONNX graphs as protobuf messages, with the graphs inside nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import onnx
import onnx.shape_inference
from onnx import helper

_SHAPE_ELEMENTS = 64
"""Constants of at most so many values may be shapes, from which others follow."""


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node (bodies of loops and branches), at any depth."""
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            yield graph
            for inner in graph.node:
                yield from bodies(inner)


def graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The graph of a model, then all those inside its nodes."""
    return [model.graph, *(body for node in model.graph.node for body in bodies(node))]


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Names a node reads from the graph it stands in, those of its bodies too."""
    yield from (name for name in node.input if name)
    inner = list(bodies(node))
    own = {name for body in inner for each in body.node for name in each.output}
    own |= {each.name for body in inner for each in body.input}
    own |= {each.name for body in inner for each in body.initializer}
    for body in inner:
        ends = [value.name for value in body.output]
        for name in (*(name for each in body.node for name in each.input), *ends):
            if name and name not in own:
                yield name


def rename_reads(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    """Let nodes, and those inside of them, read other tensors (old name -> new name; in place)."""
    for node in nodes:
        for each in (node, *(inner for body in bodies(node) for inner in body.node)):
            each.input[:] = [names.get(name, name) for name in each.input]


def free_name(model: onnx.ModelProto, base: str) -> str:
    """`base`, or with a number behind it a name that no tensor of the model has."""
    taken = {
        name
        for graph in graphs(model)
        for node in graph.node
        for name in (*node.input, *node.output)
    }
    taken |= {each.name for each in model.graph.input}
    taken |= {each.name for each in model.graph.initializer}
    name, count = base, 1
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    return name


def inferred_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The shapes that ONNX infers, by tensor, with those of constants; an unknown size is 0."""
    inferred = onnx.shape_inference.infer_shapes(without_weights(model), data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }
    return shapes | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inputs in place of its large constants: inference copies what it gets."""
    graph = model.graph
    light = onnx.GraphProto(
        name=graph.name,
        node=graph.node,
        input=graph.input,
        output=graph.output,
        value_info=graph.value_info,
    )
    known = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.name in known or math.prod(tensor.dims) <= _SHAPE_ELEMENTS:
            light.initializer.append(tensor)
        else:
            value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            light.input.append(value)
    return onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        functions=model.functions,
        graph=light,
    )
