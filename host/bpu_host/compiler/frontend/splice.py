"""Nodes put in the place of one node: the body of a function, or a branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper, numpy_helper

from bpu_common.tensor import AnyArray


def names_of(graph: onnx.GraphProto) -> set[str]:
    """Every name that nodes and values of a graph have."""
    names = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    return names | {name for node in graph.node for name in (node.name, *node.output)}


def spliced(
    node: onnx.NodeProto, body: Sequence[onnx.NodeProto], taken: set[str]
) -> list[onnx.NodeProto]:
    """The nodes of `body` with names that fit into the graph of `node`.

    What has the operator of `node`, or else the maker of the first output, is called as `node`;
    others keep their name or are called `<node>_<operator>_<n>`. Inner values are called
    `<node>_<value>`.

    Args:
        body: reads inputs of `node` (and values of its graph) and makes its outputs, by name.
        taken: names of the graph; the new ones are added.
    """
    outside = set(node.output)
    inner = {
        name: unused(f"{node.name}_{name}", taken)
        for each in body
        for name in each.output
        if name and name not in outside
    }
    first = next((name for name in node.output if name), "")
    heirs = [each for each in body if each.op_type == node.op_type]
    heirs += [each for each in body if first in each.output]
    heir = heirs[0] if heirs else None
    nodes = []
    for index, each in enumerate(body):
        new = onnx.NodeProto()
        new.CopyFrom(each)
        _rename(new, inner)
        if each is heir:
            new.name = node.name
        elif not each.name or each.name in taken:
            new.name = unused(f"{node.name}_{each.op_type}_{index}", taken)
        else:
            taken.add(each.name)
        nodes.append(new)
    return nodes


def constant_node(name: str, array: AnyArray) -> onnx.NodeProto:
    """A node that makes a constant of this name."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))


def put(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Make `nodes`, some of them the graph's own, the nodes of the graph."""
    held = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(held)


def put_bodies(graph: onnx.GraphProto, bodies: Mapping[str, Sequence[onnx.NodeProto]]) -> None:
    """Replace (in place) nodes by their bodies, given by node name; see `spliced`."""
    taken = names_of(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        body = bodies.get(node.name, ())
        nodes += spliced(node, body, taken) if body else [node]
    put(graph, nodes)


def unused(name: str, taken: set[str]) -> str:
    """`name`, or with a number behind it what is not taken yet; it is then."""
    unique, count = name, 1
    while unique in taken:
        unique, count = f"{name}_{count}", count + 1
    taken.add(unique)
    return unique


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename values where `node` and the graphs inside it read or make them."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            own = names_of(graph)
            rest = {old: new for old, new in names.items() if old not in own}
            for each in graph.node:
                _rename(each, rest)
            for value in graph.output:
                value.name = rest.get(value.name, value.name)
