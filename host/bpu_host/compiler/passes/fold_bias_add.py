"""The Add of a constant vector behind a network MatMul goes into its Conv's bias."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.affine import scale_conv
from bpu_host.compiler.passes.context import PassContext


def fold_bias_add(model: ir.Model, context: PassContext) -> int:
    """Conv (1x1 result) -> Reshape -> Add or Mul constant: fold the constant into the Conv."""
    del context
    count = 0
    for node in list(model.graph):
        if node.domain or node.op_type not in ("Add", "Mul"):
            continue
        for x, other in (node.inputs, tuple(reversed(node.inputs))):
            array = g.constant(other)
            reshape = g.producer(x, "Reshape")
            if x is None or array is None or reshape is None:
                continue
            inner = reshape.inputs[0]
            conv, shape = g.producer(inner, "Conv"), g.shape_of(inner)
            if conv is None or inner is None or shape is None or shape[2:] != (1, 1):
                continue
            result = g.shape_of(node.outputs[0])
            if result != g.shape_of(x) or result is None or array.size not in (1, shape[1]):
                continue
            if result[-1] != shape[1] or (array.size > 1 and array.shape[-1] != shape[1]):
                continue
            if g.sole_user(x) is not node or g.sole_user(inner) is not reshape:
                continue
            values = np.broadcast_to(np.asarray(array, np.float64).reshape(-1), (shape[1],))
            one, zero = np.ones(shape[1]), np.zeros(shape[1])
            parts = (one, values) if node.op_type == "Add" else (values, zero)
            if scale_conv(model.graph, conv, *parts):
                count += g.bypass(model.graph, node, x)
                break
    return count
