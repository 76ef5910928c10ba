"""The outputs of an ONNX graph: chosen by `output_nodes`, and each made by a node of its own."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from bpu_host.compiler.protos import free_name, names_read, rename_reads
from bpu_host.compiler.unknown import unknown_nodes


def choose_outputs(graph: onnx.GraphProto, names: Sequence[str], where: str) -> None:
    """Let the graph end at these nodes, or tensors where no node is called so (in place).

    Raises:
        ModelUnsupported: names that are neither; near names are given.
    """
    by_node = {node.name: [name for name in node.output if name] for node in graph.node}
    tensors = {name for made in by_node.values() for name in made}
    chosen: list[str] = []
    if unknown := [name for name in names if name not in by_node and name not in tensors]:
        raise unknown_nodes(
            "output_nodes",
            unknown,
            [*by_node, *tensors],
            "the model",
            where,
            "look at the model in a viewer",
        )
    for name in names:
        chosen += by_node.get(name, [name])
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in chosen)


def drop_unneeded_nodes(graph: onnx.GraphProto) -> None:
    """Only what the outputs depend on stays (in place); the nodes are sorted."""
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            needed.update(names_read(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))


def plain_outputs(model: onnx.ModelProto) -> None:
    """Each output once, without stored shape and type, and made by a node (in place).

    What a file says about its outputs may belong to another input size, or be wrong. An output that
    is a constant gets an Identity behind it and keeps its name; one that is an input is called
    `<input>_output`, since a tensor cannot have the name of two.
    """
    graph = model.graph
    wanted = dict.fromkeys(value.name for value in graph.output)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {value.name for value in graph.input}
    del graph.output[:]
    for name in wanted:
        output, source = name, name
        if name in constants:
            source = free_name(model, f"{name}_constant")
            constants[name].name = source
            rename_reads(graph.node, {name: source})
        elif name in inputs:
            output = free_name(model, f"{name}_output")
        if source != output:
            graph.node.append(helper.make_node("Identity", [source], [output], name=output))
        graph.output.append(onnx.ValueInfoProto(name=output))


def forget_shapes(graph: onnx.GraphProto) -> None:
    """Drop stored shapes and types of all but the inputs (in place)."""
    del graph.value_info[:]
    for value in graph.output:
        value.ClearField("type")
