"""Forms of operators whose meaning is lost on the way to the one opset.

Where two rules could be meant, onnxruntime's way with the file as it is counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bpu_common.tensor import F32, AnyArray
from bpu_host.compiler.frontend.attributes import attributes_of
from bpu_host.compiler.weights import is_outside

Rewrite = Callable[[onnx.NodeProto], list[onnx.NodeProto]]
"""From a node to those that replace it; one of them keeps its name."""

_RESIZE_WITH_RULES = 11
"""The first opset whose Resize says how positions are found."""
_GRIDS_OF_ANY_RANK = 20
"""The first opset whose GridSample calls its modes so that they fit volumes too."""


def rewrite_old_forms(graph: onnx.GraphProto, version: int) -> None:
    """Replace (in place) the nodes of a graph of opset `version` that the converter would spoil."""
    _replace(graph, {op: rewrite for op, (last, rewrite) in BEFORE.items() if version <= last})


def rewrite_new_forms(graph: onnx.GraphProto, version: int) -> None:
    """Write (in place) newer forms in the words of opset 19."""
    if version >= _GRIDS_OF_ANY_RANK:
        _replace(graph, {"GridSample": _grid_sample})


def complete_resizes(graph: onnx.GraphProto, version: int) -> None:
    """Give (in place) what was Resize or Upsample until opset 10 its positions: x / scale.

    onnxruntime takes the nearest pixel below, or above along axes that shrink; one Resize has one
    such rule, so there are two where axes of both kinds meet.
    """
    if version >= _RESIZE_WITH_RULES:
        return
    scales = _float_constants(graph)
    _replace(graph, {"Resize": lambda node: _asymmetric(node, scales.get(node.input[2]))})


def _replace(graph: onnx.GraphProto, rewrites: Mapping[str, Rewrite]) -> None:
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        rewrite = rewrites.get(node.op_type) if not node.domain else None
        nodes += rewrite(node) if rewrite else [node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _float_constants(graph: onnx.GraphProto) -> dict[str, F32]:
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        given = attributes_of(node)
        if node.op_type == "Constant" and "value" in given:
            tensors[node.output[0]] = given["value"]
    return {
        name: numpy_helper.to_array(tensor).astype(np.float32, copy=False)
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.FLOAT and not is_outside(tensor)
    }


class _Chain:
    """Nodes that together replace one."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self._node = node
        self.nodes: list[onnx.NodeProto] = []

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 ONNX's own
        """One node; returns the name of its output."""
        part = f"{len(self.nodes)}_before"
        output, name = f"{self._node.output[0]}_{part}", f"{self._node.name}_{part}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def constant(self, array: AnyArray) -> str:
        """A constant; returns its name."""
        return self.add("Constant", value=numpy_helper.from_array(array))

    def end(self, op_type: str, *inputs: str, **attributes: Any) -> list[onnx.NodeProto]:  # noqa: ANN401
        """The node that gives the result; returns all of them."""
        name, outputs = self._node.name, self._node.output[:1]
        last = helper.make_node(op_type, inputs, outputs, name=name, **attributes)
        return [*self.nodes, last]


def _batchnorm(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """`spatial=0`: statistics for every position; the converter ends at it."""
    given = attributes_of(node)
    if given.get("spatial", 1):
        return [node]
    x, scale, bias, mean, variance = node.input
    chain = _Chain(node)
    epsilon = chain.constant(np.array(given.get("epsilon", 1e-5), np.float32))
    deviation = chain.add("Sqrt", chain.add("Add", variance, epsilon))
    factor = chain.add("Div", scale, deviation)
    offset = chain.add("Sub", bias, chain.add("Mul", mean, factor))
    return chain.end("Add", chain.add("Mul", x, factor), offset)


def _hardmax(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """It flattened its input until opset 12; the converter forgets that for it alone."""
    chain = _Chain(node)
    shape = chain.add("Shape", node.input[0])
    rows = chain.add("Flatten", node.input[0], axis=attributes_of(node).get("axis", 1))
    nodes = chain.end("Reshape", chain.add("Hardmax", rows, axis=1), shape)
    nodes[-1].name, nodes[-2].name = nodes[-2].name, nodes[-1].name  # messages name the Hardmax
    return nodes


def _pad(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The converter leaves the value where no mode but `constant` reads it: an invalid node."""
    given = attributes_of(node)
    if given.get("mode", b"constant") != b"constant":
        given.pop("value", None)
    return [helper.make_node("Pad", node.input, node.output, name=node.name, **given)]


def _grid_sample(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    given = attributes_of(node)
    mode = given.get("mode", b"linear").decode()
    given["mode"] = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return [helper.make_node(node.op_type, node.input, node.output, node.name, **given)]


BEFORE: Mapping[str, tuple[int, Rewrite]] = MappingProxyType(
    {"BatchNormalization": (8, _batchnorm), "Hardmax": (12, _hardmax), "Pad": (10, _pad)}
)
"""By operator: the last opset whose form needs it, and what replaces the node."""


def _asymmetric(node: onnx.NodeProto, scales: F32 | None) -> list[onnx.NodeProto]:
    given = attributes_of(node) | {"coordinate_transformation_mode": "asymmetric"}
    x, roi, factors = node.input
    chain = _Chain(node)
    if given.get("mode", b"nearest") != b"nearest":
        return chain.end("Resize", x, roi, factors, **given)
    up, down = {**given, "nearest_mode": "floor"}, {**given, "nearest_mode": "ceil"}
    if scales is not None and not (scales < 1).any():
        return chain.end("Resize", x, roi, factors, **up)
    if scales is not None and not (scales > 1).any():
        return chain.end("Resize", x, roi, factors, **down)
    if scales is not None:  # as constants: shape inference needs them
        above, below = chain.constant(np.maximum(scales, 1)), chain.constant(np.minimum(scales, 1))
    else:
        one = chain.constant(np.array(1, np.float32))
        above, below = chain.add("Max", factors, one), chain.add("Min", factors, one)
    wide = chain.add("Resize", x, roi, above, **up)
    return chain.end("Resize", wide, roi, below, **down)
