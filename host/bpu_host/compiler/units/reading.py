"""Reading the optimized float graph as the BPU needs it; what does not fit is refused.

`passes.graph` has the plain verbs; these add one kind of refusal, `OffBpu`, with its reason.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.program import Pair
from bpu_common.tensor import F64
from bpu_host.compiler.passes import graph as g

Shape3 = tuple[int, int, int]


class OffBpu(Exception):
    """A node that the BPU back end cannot express; `str()` is the reason shown to the user.

    Attributes:
        rule: id of the condition it breaks (see docs/supported-ops.md).
    """

    def __init__(self, reason: str, rule: str = "FORM") -> None:
        super().__init__(reason)
        self.rule = rule


def require(condition: bool, reason: str, rule: str = "FORM") -> None:
    """Refuse with `reason` unless `condition` holds."""
    if not condition:
        raise OffBpu(reason, rule)


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Input `index`, None if it is left out."""
    value = node.inputs[index] if index < len(node.inputs) else None
    return value if g.name_of(value) else None


def constant_input(node: ir.Node, index: int, what: str) -> F64 | None:
    """Constant input `index` as float64, None if it is left out.

    Raises:
        OffBpu: it is computed; or it holds values that are not finite.
    """
    value = input_at(node, index)
    if value is None:
        return None
    array = g.constant(value)
    if array is None:
        raise OffBpu(f"its {what} is computed, not constant")
    wide = np.asarray(array, np.float64)
    require(bool(np.isfinite(wide).all()), f"its {what} holds values that are not finite")
    return wide


def scalar(node: ir.Node, index: int, what: str) -> float | None:
    """Constant input `index` as one number, which may be infinite; None if it is left out.

    Raises:
        OffBpu: it is not a constant of one element.
    """
    value = input_at(node, index)
    if value is None:
        return None
    array = g.constant(value)
    if array is None or array.size != 1:
        raise OffBpu(f"its {what} must be one constant value")
    return float(array.reshape(-1)[0])


def integers(node: ir.Node, index: int, what: str) -> tuple[int, ...] | None:
    """Constant input `index` as integers, None if it is left out.

    Raises:
        OffBpu: it is computed.
    """
    array = constant_input(node, index, what)
    return None if array is None else tuple(int(v) for v in array.reshape(-1))


def shape_hwc(value: ir.Value | None) -> Shape3:
    """(height, width, channels) of a float 4-D NCHW value with batch 1.

    Raises:
        OffBpu: anything else.
    """
    shape = g.shape_of(value)
    if value is None or shape is None:
        raise OffBpu(f"the shape of tensor '{g.name_of(value)}' is unknown", "RANK")
    require(len(shape) == 4, f"Tensor expects be 4 dimensions, but {len(shape)} provided", "RANK")
    require(shape[0] == 1, f"the batch is {shape[0]}; OpenBPU runs a batch of 1 on the BPU", "RANK")
    kind = ir.DataType.FLOAT if value.dtype is None else value.dtype
    require(
        kind == ir.DataType.FLOAT,
        f"tensor '{value.name}' is {kind.name.lower()}, not float",
        "FLOAT",
    )
    return shape[2], shape[3], shape[1]


def pair(node: ir.Node, attribute: str, default: Pair = (1, 1)) -> Pair:
    """An attribute of two integers.

    Raises:
        OffBpu: another number of values (1-D or 3-D windows).
    """
    values = g.ints(node, attribute, default)
    require(len(values) == 2, f"{attribute} of {node.op_type} has {len(values)} values, not 2")
    return values[0], values[1]
