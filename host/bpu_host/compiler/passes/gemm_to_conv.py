"""Gemm and MatMul with constant weights on one row become a Conv with Reshapes around it.

After a flattened map that one kernel of the chip covers the Conv reads the map itself. Names
are those of published graphs (docs/conversion.md "Names of nodes"): the Conv keeps the Gemm's name
(`<node>_gemm` for MatMul), the Reshapes are `<node>_reshape_in` and `<node>_reshape_output`.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from bpu_common import limits
from bpu_common.tensor import F64
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext
from bpu_host.compiler.passes.normalize_shapes import reshape_node


def gemm_to_conv(model: ir.Model, context: PassContext) -> int:
    """Lower every Gemm and constant MatMul that works on a single row."""
    del context
    count = 0
    for node in list(model.graph):
        if node.domain or node.op_type not in ("Gemm", "MatMul") or not g.is_float(node.inputs[0]):
            continue
        parts = _gemm(node) if node.op_type == "Gemm" else _matmul(node)
        if parts is not None:
            _lower(model.graph, node, *parts)
            count += 1
    return count


def _gemm(node: ir.Node) -> tuple[F64, F64] | None:
    """(weights (N, K), bias (N,)) of a Gemm on one row."""
    shape = g.shape_of(node.inputs[0])
    weight = g.constant(node.inputs[1])
    if shape is None or weight is None or g.attribute(node, "transA", 0) or shape[0] != 1:
        return None
    wide = np.asarray(weight, np.float64) * float(g.attribute(node, "alpha", 1.0))
    if not g.attribute(node, "transB", 0):
        wide = wide.T
    bias = np.zeros(wide.shape[0])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        given = g.constant(node.inputs[2])
        if given is None or given.size not in (1, wide.shape[0]):
            return None
        bias = bias + np.asarray(given, np.float64).reshape(-1) * float(
            g.attribute(node, "beta", 1.0)
        )
    return wide, bias


def _matmul(node: ir.Node) -> tuple[F64, F64] | None:
    """(weights (N, K), bias (N,)) of a MatMul of one row with a constant matrix."""
    shape, weight = g.shape_of(node.inputs[0]), g.constant(node.inputs[1])
    result = g.shape_of(node.outputs[0])
    if shape is None or weight is None or result is None or weight.ndim < 2:
        return None
    if math.prod(shape[:-1]) != 1 or math.prod(weight.shape[:-2]) != 1:
        return None
    rows, columns = (int(size) for size in weight.shape[-2:])
    wide = np.asarray(weight, np.float64).reshape(rows, columns).T
    return wide, np.zeros(wide.shape[0])


def _lower(graph: ir.Graph, node: ir.Node, weight: F64, bias: F64) -> None:
    name = node.name or ""
    source, result = node.inputs[0], g.shape_of(node.outputs[0])
    assert source is not None
    assert result is not None
    count = weight.shape[0]
    window = _window(source)
    nodes: list[ir.Node] = []
    if window is None:
        entry = reshape_node(
            graph, source, (1, weight.shape[1], 1, 1), f"{name}_reshape_in", f"{name}_in"
        )
        nodes.append(entry)
        window = entry.outputs[0]
    shape = g.shape_of(window)
    assert shape is not None
    kernel = weight.reshape(count, *shape[1:]).astype(np.float32)
    conv = g.new_node(
        "Conv",
        [
            window,
            g.add_constant(graph, f"{name}_weight", kernel),
            g.add_constant(graph, f"{name}_bias", bias.astype(np.float32)),
        ],
        f"{name}_gemm" if node.op_type == "MatMul" else name,
        f"{name}_conv_output",
        (1, count, 1, 1),
        {
            "kernel_shape": list(shape[2:]),
            "strides": [1, 1],
            "dilations": [1, 1],
            "pads": [0, 0, 0, 0],
            "group": 1,
        },
    )
    exit_ = reshape_node(graph, conv.outputs[0], result, f"{name}_reshape_output", f"{name}_out")
    g.replace(graph, node, [*nodes, conv, exit_])


def _window(source: ir.Value) -> ir.Value | None:
    """The 4-D map behind a flattening Reshape, if a kernel may cover it."""
    reshape = g.producer(source, "Reshape")
    if reshape is None:
        return None
    inner = reshape.inputs[0]
    shape = g.shape_of(inner)
    if inner is None or shape is None or len(shape) != 4 or shape[0] != 1:
        return None
    return inner if _one_kernel(*shape[2:], shape[1]) else None


def _one_kernel(height: int, width: int, channels: int) -> bool:
    """Whether a kernel may cover the map: an ordinary one, or one of a fully connected layer."""
    if height in limits.CONV_KERNEL and width in limits.CONV_KERNEL:
        return True
    return (
        height in limits.FULL_KERNEL
        and width in limits.FULL_KERNEL
        and height * width in limits.FULL_POSITIONS
        and channels in limits.FULL_CHANNELS
        and limits.full_blocks(height, width, channels) in limits.FULL_BLOCKS_INT32
    )
