"""RNN, GRU and LSTM with the batch first, which onnxruntime does not compute, get it second."""

from __future__ import annotations

import onnx
from onnx import helper

from bpu_host.compiler.frontend.attributes import attributes_of
from bpu_host.compiler.frontend.splice import put_bodies

_RECURRENT = ("RNN", "GRU", "LSTM")
_STATES = (5, 6)
"""Inputs that hold what is remembered at the start."""


def put_sequence_first(model: onnx.ModelProto) -> None:
    """Write (in place) what has `layout` 1 with layout 0 between Transposes."""
    bodies = {node.name: _body(node) for node in model.graph.node if _has_batch_first(node)}
    if bodies:
        put_bodies(model.graph, bodies)


def _has_batch_first(node: onnx.NodeProto) -> bool:
    return node.op_type in _RECURRENT and attributes_of(node).get("layout", 0) != 0


def _body(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    given = attributes_of(node) | {"layout": 0}
    inputs, outputs = list(node.input), list(node.output)
    before, after = [], []
    for index in (0, *_STATES):
        if index < len(inputs) and inputs[index]:
            name = f"turned_{index}"
            before.append(helper.make_node("Transpose", [inputs[index]], [name], perm=[1, 0, 2]))
            inputs[index] = name
    for index, output in enumerate(outputs):
        if output:
            name, perm = f"made_{index}", [1, 0, 2] if index else [2, 0, 1, 3]
            after.append(helper.make_node("Transpose", [name], [output], perm=perm))
            outputs[index] = name
    return [*before, helper.make_node(node.op_type, inputs, outputs, **given), *after]
