"""Reading the optimized float graph: shapes, constants and windows, with one kind of refusal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bpu_common.program import Pair, Quad
from bpu_common.tensor import F64, AnyArray

Shape3 = tuple[int, int, int]


class OffBpu(Exception):
    """A node that the BPU back end cannot express; `str()` is the reason shown to the user."""


def require(condition: bool, reason: str) -> None:
    """Refuse with `reason` unless `condition` holds."""
    if not condition:
        raise OffBpu(reason)


def node_name(node: ir.Node) -> str:
    """The node's name, or one made from its first output."""
    return node.name or f"{node.op_type}_{node.outputs[0].name}"


def value_name(value: ir.Value | None) -> str:
    """Name of a value, empty for an input left out."""
    return "" if value is None or value.name is None else value.name


def constant(value: ir.Value | None) -> AnyArray | None:
    """The array of an initializer or `Constant` output, None for anything else."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    producer = value.producer()
    if producer is not None and producer.op_type == "Constant" and "value" in producer.attributes:
        return producer.attributes["value"].as_tensor().numpy()
    return None


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Input `index`, None if it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def float_constant(node: ir.Node, index: int) -> F64 | None:
    """Constant input `index` as float64."""
    array = constant(input_at(node, index))
    return None if array is None else array.astype(np.float64)


def scalar(node: ir.Node, index: int) -> float | None:
    """Constant input `index` as one number; None if it is left out.

    Raises:
        OffBpu: it is not a constant of one element.
    """
    if not value_name(input_at(node, index)):
        return None
    array = constant(input_at(node, index))
    if array is None or array.size != 1:
        raise OffBpu(f"input {index} of {node.op_type} must be a constant of one value")
    return float(array.reshape(-1)[0])


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape in plain integers.

    Raises:
        OffBpu: unknown rank or dimension.
    """
    if value.shape is None:
        raise OffBpu(f"the shape of tensor '{value.name}' is unknown")
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    require(len(sizes) == len(value.shape), f"tensor '{value.name}' has an unknown dimension")
    return sizes


def shape_hwc(value: ir.Value | None) -> Shape3:
    """(height, width, channels) of a 4-D NCHW value with batch 1.

    Raises:
        OffBpu: anything else.
    """
    if value is None:
        raise OffBpu("an input is left out")
    shape = static_shape(value)
    require(len(shape) == 4, f"tensor '{value.name}' has {len(shape)} dimensions, the BPU needs 4")
    require(shape[0] == 1, f"tensor '{value.name}' has batch {shape[0]}, the BPU back end needs 1")
    return shape[2], shape[3], shape[1]


def pair(node: ir.Node, attribute: str, default: Pair = (1, 1)) -> Pair:
    """An attribute of two integers.

    Raises:
        OffBpu: another number of values (1-D or 3-D windows).
    """
    values = node.attributes.get_ints(attribute) or default
    require(len(values) == 2, f"{attribute} of {node.op_type} has {len(values)} values, not 2")
    return int(values[0]), int(values[1])


def window_pads(node: ir.Node, in_hw: Pair, out_hw: Pair, extent_hw: Pair, stride: Pair) -> Quad:
    """(top, left, bottom, right) with `auto_pad` and `ceil_mode` resolved from the output size.

    Args:
        extent_hw: rows and columns one window spans: (kernel - 1) * dilation + 1.
    """
    mode = node.attributes.get_string("auto_pad") or "NOTSET"
    given = node.attributes.get_ints("pads") or (0, 0, 0, 0)
    require(len(given) == 4, f"pads of {node.op_type} has {len(given)} values, not 4")
    before, after = [], []
    for axis in range(2):
        needed = (out_hw[axis] - 1) * stride[axis] + extent_hw[axis] - in_hw[axis]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, needed)
            first = total // 2 if mode == "SAME_UPPER" else total - total // 2
            last = total - first
        else:
            first = 0 if mode == "VALID" else int(given[axis])
            last = 0 if mode == "VALID" else int(given[axis + 2])
            last = max(last, needed - first)
        before.append(first)
        after.append(last)
    return before[0], before[1], after[0], after[1]


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The only node that reads `value`, None if there are several or it is a graph output."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    return next(iter(uses)).node


Unary = Callable[[F64], F64]
