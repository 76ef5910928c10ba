"""y = x * factor + offset per channel, put into a convolution or made into one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64
from bpu_host.compiler.passes import graph as g

_AFFINE = "affine"


def scale_conv(graph: ir.Graph, conv: ir.Node, factor: F64, offset: F64) -> bool:
    """Multiply the outputs of `conv` and add to its bias, per output channel. False if unknown."""
    weight = g.constant(conv.inputs[1])
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    bias = g.constant(conv.inputs[2]) if has_bias else None
    if weight is None or (has_bias and bias is None) or not np.all(np.isfinite(factor)):
        return False
    wide = np.asarray(weight, np.float64)
    if conv.op_type == "ConvTranspose":  # (I, O / groups, kh, kw)
        group = int(g.attribute(conv, "group", 1))
        split = wide.reshape(group, wide.shape[0] // group, *wide.shape[1:])
        per_group = factor.reshape(group, 1, -1, *([1] * (wide.ndim - 2)))
        scaled = (split * per_group).reshape(wide.shape)
    else:
        scaled = wide * factor.reshape(-1, *([1] * (wide.ndim - 1)))
    channels = factor.size
    old = np.zeros(channels) if bias is None else np.asarray(bias, np.float64)
    base = conv.inputs[1].name if conv.inputs[1] is not None else conv.name
    new_weight = g.add_constant(graph, f"{base}_scaled", scaled.astype(np.float32))
    new_bias = g.add_constant(
        graph, f"{conv.name}_bias_scaled", (old * factor + offset).astype(np.float32)
    )
    if len(conv.inputs) < 3:
        conv.resize_inputs(3)
    conv.replace_input_with(1, new_weight)
    conv.replace_input_with(2, new_bias)
    return True


def affine_conv(graph: ir.Graph, node: ir.Node, x: ir.Value, factor: F64, offset: F64) -> None:
    """Replace `node` by a depthwise 1x1 Conv of the same name. x is 4-D NCHW."""
    channels = factor.size
    weight = g.add_constant(
        graph, f"{node.name}_weight", factor.astype(np.float32).reshape(channels, 1, 1, 1)
    )
    bias = g.add_constant(graph, f"{node.name}_bias", offset.astype(np.float32))
    conv = g.new_node(
        "Conv",
        [x, weight, bias],
        node.name or "",
        f"{node.name}_conv_output",
        g.shape_of(node.outputs[0]),
        {
            "kernel_shape": [1, 1],
            "strides": [1, 1],
            "dilations": [1, 1],
            "pads": [0, 0, 0, 0],
            "group": channels,
        },
    )
    conv.meta[_AFFINE] = True
    g.replace(graph, node, [conv])


def is_affine(conv: ir.Node) -> bool:
    """Whether `affine_conv` made it."""
    return bool(conv.meta.get(_AFFINE, False))
