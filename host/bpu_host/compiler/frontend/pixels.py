"""Pictures for inputs that are not float32: the network gets its pixels in float32 all the same.

Nodes that only move pixels, and the Cast to float behind them, work on the float32 values. Any
other node gets them rounded, in the type that the model declares.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from bpu_host.compiler.frontend.inputs import ELEMENT_TYPES, type_name
from bpu_host.compiler.protos import free_name, names_read, rename_reads

_MOVERS = frozenset(
    {"Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def take_as_float(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> None:
    """Make an input of the model float32 (in place); the nodes are sorted."""
    graph, kind = model.graph, value.type.tensor_type.elem_type
    if kind == TensorProto.FLOAT:
        return
    value.type.tensor_type.elem_type = TensorProto.FLOAT
    outputs = {item.name for item in graph.output}
    pixels, typed = {value.name}, dict[str, str]()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        read = [name for name in dict.fromkeys(names_read(node)) if name in pixels]
        if node.op_type in _MOVERS and read == [node.input[0]] and node.output[0] not in outputs:
            pixels.add(node.output[0])
        elif not _casts_to_float(node):
            for name in read:
                if name not in typed:
                    typed[name] = free_name(model, f"{name}_{type_name(kind)}")
                    nodes += _typed(model, name, typed[name], kind)
            rename_reads([node], typed)
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _casts_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(
        item.name == "to" and item.i in _FLOATS for item in node.attribute
    )


def _typed(model: onnx.ModelProto, source: str, output: str, kind: int) -> list[onnx.NodeProto]:
    """Nodes from float32 to the declared type."""
    nodes = []
    if ELEMENT_TYPES[kind].numpy.kind in "iu":
        rounded = free_name(model, f"{source}_rounded")
        nodes.append(helper.make_node("Round", [source], [rounded], name=rounded))
        source = rounded
    nodes.append(helper.make_node("Cast", [source], [output], name=output, to=kind))
    return nodes
