"""Every Conv and ConvTranspose gets a bias input."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext


def add_biases(model: ir.Model, context: PassContext) -> int:
    """Add zeros where there is no bias."""
    del context
    count = 0
    for node in model.graph:
        if node.domain or node.op_type not in ("Conv", "ConvTranspose"):
            continue
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            continue
        shape = g.shape_of(node.inputs[1])
        if shape is None:
            continue
        group = int(g.attribute(node, "group", 1))
        channels = shape[0] if node.op_type == "Conv" else shape[1] * group
        if len(node.inputs) < 3:
            node.resize_inputs(3)
        zeros = np.zeros(channels, np.float32)
        node.replace_input_with(2, g.add_constant(model.graph, f"{node.name}_zero_bias", zeros))
        count += 1
    return count
