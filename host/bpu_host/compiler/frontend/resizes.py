"""The sizes of Resize with scales, as onnxruntime computes them.

It multiplies in float32, ONNX's shape inference in float64: 10 * 2.3 is 23 for the one and 22.99...
for the other, before both are rounded down. Where the two differ the scale is raised by its last
bits, which moves no sampling point noticeably, until both come to the size that is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bpu_common.tensor import F32
from bpu_host.compiler.frontend.attributes import attributes_of
from bpu_host.compiler.frontend.sizes import Rule, Shapes
from bpu_host.compiler.frontend.splice import constant_node

_SCALES = 2


def resize_rule(model: onnx.ModelProto) -> Rule:
    """The rule for Resize with constant scales, of a model at opset 11 or later.

    A Resize of unknown input shape stays.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t

    def rule(node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto]:
        name = node.input[_SCALES] if len(node.input) == _SCALES + 1 else ""
        if name not in constants:
            return []
        scales = numpy_helper.to_array(constants[name])
        raised = _raised(scales, _scaled_sizes(node, shapes.get(node.input[0], [])))
        if np.array_equal(scales, raised):
            return []
        inputs = [*node.input[:_SCALES], "scales"]
        resize = helper.make_node(node.op_type, inputs, node.output, **attributes_of(node))
        return [constant_node("scales", raised), resize]

    return rule


def _scaled_sizes(node: onnx.NodeProto, shape: list[int]) -> list[int]:
    """The sizes that the scales are for: of all axes, or of those that `axes` names."""
    axes = attributes_of(node).get("axes", range(len(shape)))
    return [shape[axis] for axis in axes] if shape else []


def _raised(scales: F32, sizes: Sequence[int]) -> F32:
    raised = scales.copy()
    for axis, size in enumerate(sizes if len(sizes) == scales.size else ()):
        computed = int(np.float32(size) * scales[axis])
        while int(size * float(raised[axis])) < computed:
            raised[axis] = np.nextafter(raised[axis], np.float32(np.inf))
    return raised
