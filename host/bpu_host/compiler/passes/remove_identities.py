"""Nodes that change nothing at inference are removed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_ALWAYS = frozenset({"Identity", "Dropout"})
# onnxruntime copies what a Resize leaves as large as it was, whatever scales, roi and mode say.
_SAME_SHAPE = frozenset({"Reshape", "Expand", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Resize"})
_TRAINING = 2
"""Input of Dropout."""
_SINGLE = frozenset({"Concat", "Sum", "Mean", "Max", "Min"})


def remove_identities(model: ir.Model, context: PassContext) -> int:
    """Identity, Dropout, casts to the same type, reshapes and slices to the same shape, ..."""
    del context
    count = 0
    for node in list(model.graph):
        source = node.inputs[0] if node.inputs else None
        if source is None or node.domain or not _changes_nothing(node, source):
            continue
        if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
            count += _read_source(node, source)
            continue
        count += g.bypass(model.graph, node, source)
    return count


def _read_source(node: ir.Node, source: ir.Value) -> bool:
    """Let the readers of the first output read `source`; the node stays for its other outputs."""
    output = node.outputs[0]
    if not output.uses():
        return False
    ir.convenience.replace_all_uses_with(output, source)
    return True


def _changes_nothing(node: ir.Node, source: ir.Value) -> bool:
    if node.op_type == "Dropout" and len(node.inputs) > _TRAINING and node.inputs[_TRAINING]:
        training = g.constant(node.inputs[_TRAINING])
        return training is not None and not training.any()
    if node.op_type in _ALWAYS:
        return True
    shape, result = g.shape_of(source), g.shape_of(node.outputs[0])
    same = shape is not None and shape == result
    if node.op_type in _SAME_SHAPE:
        return same and not _reverses(node)
    if node.op_type in _SINGLE:
        return len(node.inputs) == 1
    if node.op_type == "Cast":
        return source.dtype is not None and g.attribute(node, "to") == source.dtype.value
    if node.op_type == "Transpose":
        return _keeps_order(node, shape)
    if node.op_type == "Pad":
        pads = g.constant(node.inputs[1])
        return pads is not None and not np.any(pads)
    if node.op_type in ("MaxPool", "AveragePool"):
        kernel = g.ints(node, "kernel_shape", ())
        return same and all(size == 1 for size in kernel) and len(node.outputs) == 1
    return False


def _reverses(node: ir.Node) -> bool:
    """A Slice of full size may still step backwards."""
    if node.op_type != "Slice" or len(node.inputs) < 5 or node.inputs[4] is None:
        return False
    steps = g.constant(node.inputs[4])
    return steps is None or bool(np.any(steps != 1))


def _keeps_order(node: ir.Node, shape: tuple[int, ...] | None) -> bool:
    if shape is None:
        return False
    perm = g.ints(node, "perm", tuple(reversed(range(len(shape)))))
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved) and tuple(shape[axis] for axis in perm) == shape
