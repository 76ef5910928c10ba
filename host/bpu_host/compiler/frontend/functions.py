"""Operators that ONNX defines by a function of other operators are written out.

Those that a CPU part holds as they are stay. Normalizations by mean and variance get a form of our
own (`normalizations`).
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.defs
import onnx.inliner
import onnx.shape_inference
from onnx import helper

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.frontend.normalizations import OWN_BODIES
from bpu_host.compiler.frontend.splice import names_of, put, spliced
from bpu_host.compiler.frontend.structure import MAX_NODES, opset_of

ONNX_DOMAINS = ("", "ai.onnx")
Types = Mapping[str, onnx.TypeProto]


def is_function(schema: onnx.defs.OpSchema) -> bool:
    """Whether ONNX defines an operator by others."""
    names = ("has_function", "has_context_dependent_function")  # the stubs know neither
    return any(getattr(schema, name) for name in names)


def expand_functions(model: onnx.ModelProto, file: str) -> None:
    """Write out (in place) every operator that has a function body and runs nowhere as it is.

    The maker of an operator's first output keeps its name (`splice`).
    Operators whose bodies need what no CPU part may hold (randomness, loops, sequences) stay, and
    so do those whose input types cannot be inferred.

    Raises:
        ModelUnsupported: the graph becomes larger than is converted.
    """
    graph, version = model.graph, opset_of(model)
    found = True
    while found and any(_has_body(node, version) for node in graph.node):
        found = False  # types behind a function may be known only once it is written out
        types = _types(model)
        taken = names_of(graph)
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            body = _body(node, version, types) if _has_body(node, version) else []
            found = found or bool(body)
            nodes += spliced(node, body, taken) if body else [node]
            if len(nodes) > MAX_NODES:
                raise ModelUnsupported(
                    f"the graph has more than {MAX_NODES} nodes when its functions are written out",
                    where=f"{file}: node {node.name} ({node.op_type})",
                )
        put(graph, nodes)


def _has_body(node: onnx.NodeProto, version: int) -> bool:
    if node.domain not in ONNX_DOMAINS or node.op_type in CPU_OPERATORS:
        return False
    if not onnx.defs.has(node.op_type, version, ""):
        return False
    return is_function(onnx.defs.get_schema(node.op_type, version, ""))


def _types(model: onnx.ModelProto) -> Types:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    types = {
        value.name: value.type
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    for tensor in inferred.initializer:
        types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return types


def _body(node: onnx.NodeProto, version: int, types: Types) -> list[onnx.NodeProto]:
    """What `node` stands for; empty where it must stay."""
    names = [name for name in node.input if name]
    if not all(name in types and types[name].WhichOneof("value") for name in names):
        return []
    own = OWN_BODIES.get(node.op_type)
    if own is not None and (nodes := own(node, version, types)):
        return nodes
    single = helper.make_model(
        helper.make_graph(
            [_with_defaults(node, version)],
            "single",
            [onnx.ValueInfoProto(name=name, type=types[name]) for name in dict.fromkeys(names)],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        ),
        opset_imports=[helper.make_opsetid("", version)],
    )
    # Functions within the body that a CPU part holds stay as well.
    kept = [("", name) for name in CPU_OPERATORS]
    made = onnx.inliner.inline_selected_functions(
        single, kept, exclude=True, inline_schema_functions=True
    )
    nodes = list(made.graph.node)
    return nodes if all(each.op_type in CPU_OPERATORS for each in nodes) else []


def _with_defaults(node: onnx.NodeProto, version: int) -> onnx.NodeProto:
    """The node with every attribute that has a default: the inliner leaves some out."""
    full = onnx.NodeProto()
    full.CopyFrom(node)
    given = {item.name for item in node.attribute}
    for name, attribute in onnx.defs.get_schema(node.op_type, version, "").attributes.items():
        if name not in given and attribute.default_value.name:
            full.attribute.append(attribute.default_value)
    return full
