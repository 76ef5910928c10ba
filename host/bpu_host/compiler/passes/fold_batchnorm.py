"""BatchNormalization goes into the Conv or ConvTranspose before it, else becomes a 1x1 Conv."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.affine import affine_conv, scale_conv
from bpu_host.compiler.passes.context import PassContext


def fold_batchnorm(model: ir.Model, context: PassContext) -> int:
    """Fold every inference-mode BatchNormalization with constant statistics."""
    del context
    count = 0
    for node in list(model.graph):
        if node.op_type != "BatchNormalization" or node.domain or len(node.inputs) != 5:
            continue
        x = node.inputs[0]
        shape = g.shape_of(x)
        factors = _factors(node)
        if x is None or shape is None or factors is None or not g.is_float(x):
            continue
        conv = g.producer(x, "Conv", "ConvTranspose")
        if conv is not None and g.sole_user(x) is node and scale_conv(model.graph, conv, *factors):
            count += g.bypass(model.graph, node, x)
        elif len(shape) == 4:
            affine_conv(model.graph, node, x, *factors)
            count += 1
    return count


def _factors(node: ir.Node) -> tuple[F64, F64] | None:
    """(factor, offset) per channel, float64."""
    if g.attribute(node, "training_mode", 0):
        return None
    arrays = [g.constant(item) for item in node.inputs[1:]]
    if any(array is None for array in arrays):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    epsilon = float(g.attribute(node, "epsilon", 1e-5))
    factor = gamma / np.sqrt(variance + epsilon)
    return factor, beta - mean * factor
