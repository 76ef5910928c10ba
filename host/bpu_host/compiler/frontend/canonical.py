"""One spelling for what files write in several ways and onnxruntime takes in each of them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from bpu_host.compiler.protos import graphs, names_read

ONNX_DOMAIN_NAMES = ("", "ai.onnx")
DEFAULT_GRAPH_NAME = "main_graph"


def make_canonical(model: onnx.ModelProto) -> None:
    """Write the default domain as the empty one, name the graph, sort the nodes (in place)."""
    owners: list[onnx.GraphProto | onnx.FunctionProto] = [*graphs(model), *model.functions]
    for owner in owners:
        _sort(owner)
        for node in owner.node:
            if node.domain in ONNX_DOMAIN_NAMES:
                node.domain = ""
    for imports in (model.opset_import, *(each.opset_import for each in model.functions)):
        for item in imports:
            if item.domain in ONNX_DOMAIN_NAMES:
                item.domain = ""
    model.graph.name = model.graph.name or DEFAULT_GRAPH_NAME


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name, `<OpType>_<index>` where it has none."""
    seen: set[str] = set()
    taken = {node.name for node in graph.node}
    for index, node in enumerate(graph.node):
        name = node.name
        if not name or name in seen:
            base = name or f"{node.op_type}_{index}"
            name, count = base, 1
            while name in seen or (name != node.name and name in taken):
                name, count = f"{base}_{count}", count + 1
        seen.add(name)
        node.name = name


def _sort(graph: onnx.GraphProto | onnx.FunctionProto) -> None:
    """Each node behind those it reads, else in the order of the file. A circle stays as it is."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    order: list[int] = []
    state: dict[int, bool] = {}  # False while the nodes before it are placed, then True
    for root in range(len(graph.node)):
        stack = [(root, _makers(graph.node[root], makers))]
        while stack:
            index, before = stack[-1]
            state.setdefault(index, False)
            following = next((each for each in before if not state.get(each)), None)
            if following in state:
                return  # it waits for one that waits for it
            if following is not None:
                stack.append((following, _makers(graph.node[following], makers)))
                continue
            if not state[index]:
                state[index] = True
                order.append(index)
            stack.pop()
    if order != sorted(order):
        nodes = [graph.node[index] for index in order]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _makers(node: onnx.NodeProto, makers: dict[str, int]) -> Iterator[int]:
    return (makers[name] for name in names_read(node) if name in makers)
