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
from bpu_host.compiler.protos import free_name, inferred_shapes

_SCALES = 2


def resolve_resize_scales(model: onnx.ModelProto) -> None:
    """Raise (in place) constant scales whose inferred size is not the computed one.

    Of a model whose nodes are sorted, at opset 11 or later; a Resize of unknown input shape stays.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    shapes: dict[str, list[int]] | None = None
    for node in model.graph.node:
        name = node.input[_SCALES] if len(node.input) == _SCALES + 1 else ""
        if node.op_type != "Resize" or name not in constants:
            continue
        if shapes is None:
            shapes = inferred_shapes(model)
        scales = numpy_helper.to_array(constants[name])
        raised = _raised(scales, _scaled_sizes(node, shapes.get(node.input[0], [])))
        if not np.array_equal(scales, raised):
            name = free_name(model, f"{node.output[0]}_scales")
            model.graph.initializer.append(numpy_helper.from_array(raised, name))
            node.input[_SCALES] = name
            shapes = None  # those behind it change


def _scaled_sizes(node: onnx.NodeProto, shape: list[int]) -> list[int]:
    """The sizes that the scales are for: of all axes, or of those that `axes` names."""
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    axes = given.get("axes", range(len(shape)))
    return [shape[axis] for axis in axes] if shape else []


def _raised(scales: F32, sizes: Sequence[int]) -> F32:
    raised = scales.copy()
    for axis, size in enumerate(sizes if len(sizes) == scales.size else ()):
        computed = int(np.float32(size) * scales[axis])
        while int(size * float(raised[axis])) < computed:
            raised[axis] = np.nextafter(raised[axis], np.float32(np.inf))
    return raised
