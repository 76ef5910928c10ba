"""Constant Pad nodes go into the convolution or pool behind them, asymmetric if need be."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext


def fold_pads(model: ir.Model, context: PassContext) -> int:
    """Fold zero padding of H and W into every consumer that can take it."""
    del context
    count = 0
    for node in list(model.graph):
        if node.op_type != "Pad" or node.domain:
            continue
        pads = spatial_pads(node)
        source, output = node.inputs[0], node.outputs[0]
        if pads is None or source is None or output.is_graph_output():
            continue
        users = [(user, index) for user, index in output.uses()]
        value = pad_value(node)
        if not users or not all(_takes(user, index, source, pads, value) for user, index in users):
            continue
        for user, index in users:
            user.replace_input_with(index, source)
            old = g.ints(user, "pads", (0, 0, 0, 0))
            user.attributes.add(
                ir.AttrInt64s("pads", [a + b for a, b in zip(old, pads, strict=True)])
            )
            if user.op_type == "AveragePool":
                user.attributes.add(ir.AttrInt64("count_include_pad", 1))
            count += 1
        model.graph.remove(node, safe=True)
    return count


def spatial_pads(node: ir.Node) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of a constant-mode 4-D Pad on H and W alone, all >= 0."""
    shape = g.shape_of(node.inputs[0])
    pads = g.constant(node.inputs[1])
    if shape is None or len(shape) != 4 or pads is None or g.text(node, "mode", "constant") != (
        "constant"
    ):  # fmt: skip
        return None
    axes = g.constant(node.inputs[3]) if len(node.inputs) > 3 else None
    full = np.zeros((2, 4), np.int64)
    order = range(4) if axes is None else [int(axis) % 4 for axis in axes]
    full[:, list(order)] = np.asarray(pads, np.int64).reshape(2, -1)
    if np.any(full < 0) or np.any(full[:, :2]):
        return None
    return int(full[0, 2]), int(full[0, 3]), int(full[1, 2]), int(full[1, 3])


def pad_value(node: ir.Node) -> float:
    """The constant that fills; NaN when it is not known."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return 0.0
    value = g.constant(node.inputs[2])
    return float("nan") if value is None else float(np.asarray(value).reshape(-1)[0])


def _takes(
    user: ir.Node, index: int, source: ir.Value, pads: tuple[int, ...], value: float
) -> bool:
    if index != 0 or user.domain or "auto_pad" in user.attributes:
        return False
    if user.op_type == "Conv":
        return value == 0.0
    kernel = g.ints(user, "kernel_shape", (0, 0))
    old = g.ints(user, "pads", (0, 0, 0, 0))
    fits = all(old[i] + pads[i] < kernel[i % 2] for i in range(4))
    if not fits or g.attribute(user, "ceil_mode", 0):
        return False
    if user.op_type == "AveragePool":
        included = bool(g.attribute(user, "count_include_pad", 0)) or not any(old)
        return value == 0.0 and included
    if user.op_type == "MaxPool":
        return value == float("-inf") or (value == 0.0 and _never_negative(source))
    return False


def _never_negative(value: ir.Value) -> bool:
    node = g.producer(value, "Relu", "Clip", "Sigmoid", "MaxPool", "Concat")
    if node is None:
        return False
    if node.op_type == "Clip":
        low = g.constant(node.inputs[1]) if len(node.inputs) > 1 else None
        return low is not None and float(np.asarray(low).reshape(-1)[0]) >= 0.0
    if node.op_type in ("MaxPool", "Concat"):
        return all(item is not None and _never_negative(item) for item in node.inputs)
    return True
