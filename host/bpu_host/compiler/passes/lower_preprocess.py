"""`HzPreprocess` calls become plain `Conv` nodes of the same name (NHWC: with transposes)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext
from bpu_host.compiler.passes.original_float import AFFINE, CONV_NHWC, DOMAIN

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


def lower_preprocess(model: ir.Model, context: PassContext) -> int:
    """Replace every call; the model ends without functions."""
    del context
    rewrites = 0
    for node in list(model.graph):
        if node.domain != DOMAIN:
            continue
        _lower(model.graph, node)
        rewrites += 1
    if rewrites:
        model.functions.clear()
        model.opset_imports.pop(DOMAIN, None)
    return rewrites


def _lower(graph: ir.Graph, node: ir.Node) -> None:
    x, weight, bias = node.inputs
    name = node.name or ""
    assert x is not None
    assert weight is not None
    shape = g.shape_of(x)
    assert shape is not None
    nhwc = node.op_type == CONV_NHWC
    attributes: dict[str, object] = {"kernel_shape": [1, 1]}
    if node.op_type == AFFINE:
        factor = g.constant(weight)
        offset = g.constant(bias)
        assert factor is not None
        assert offset is not None
        nhwc = factor.shape[3] != 1 or (factor.size == 1 and shape[3] == 1 and shape[1] != 1)
        channels = factor.size
        weight = g.add_constant(graph, f"{name}_w", factor.reshape(channels, 1, 1, 1))
        bias = g.add_constant(graph, f"{name}_b", offset.reshape(channels))
        attributes["group"] = channels
    nodes: list[ir.Node] = []
    source, size = x, shape
    if nhwc:
        size = tuple(np.array(shape)[list(TO_NCHW)].tolist())
        turn = g.new_node(
            "Transpose", [x], f"{name}_NHWC2NCHW", f"{name}_nchw", size, {"perm": list(TO_NCHW)}
        )
        nodes.append(turn)
        source = turn.outputs[0]
    conv = g.new_node("Conv", [source, weight, bias], name, f"{name}_conv", size, attributes)
    nodes.append(conv)
    if nhwc:
        nodes.append(
            g.new_node(
                "Transpose",
                [conv.outputs[0]],
                f"{name}_NCHW2NHWC",
                f"{name}_nhwc",
                shape,
                {"perm": list(TO_NHWC)},
            )
        )
    g.replace(graph, node, nodes)
