"""Functions of one variable that a look-up table can hold, in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units.reading import OffBpu, constant_input, require, scalar, shape_hwc
from bpu_host.compiler.units.work import Bounds, ClampWork, LutWork, Unary


def _sigmoid(x: F64) -> F64:
    y: F64 = 1.0 / (1.0 + np.exp(-x))
    return y


def _softplus(x: F64) -> F64:
    y: F64 = np.logaddexp(x, 0.0)
    return y


def _mish(x: F64) -> F64:
    y: F64 = x * np.tanh(_softplus(x))
    return y


def _leaky(slope: float) -> Unary:
    return lambda x: np.where(x < 0, slope * x, x)


def _leaky_relu(node: ir.Node) -> Unary:
    return _leaky(float(g.attribute(node, "alpha", 0.01)))


def _hard_sigmoid(node: ir.Node) -> Unary:
    alpha, beta = float(g.attribute(node, "alpha", 0.2)), float(g.attribute(node, "beta", 0.5))
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def _pow(node: ir.Node) -> Unary:
    exponent = scalar(node, 1, "exponent")
    if exponent is None:
        raise OffBpu("it has no exponent")
    return lambda x: np.power(x, exponent)


PLAIN: MappingProxyType[str, Unary] = MappingProxyType(
    {
        "Sigmoid": _sigmoid,
        "Tanh": np.tanh,
        "Exp": np.exp,
        "Cos": np.cos,
        "Sin": np.sin,
        "Softplus": _softplus,
        "Sqrt": np.sqrt,
        "Reciprocal": np.reciprocal,
        "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0),
        "Mish": _mish,
    }
)
"""Operators without parameters."""
_FROM_NODE: dict[str, Callable[[ir.Node], Unary]] = {
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "Pow": _pow,
}
_CLAMPS = ("Relu", "Clip")


def _bounds(node: ir.Node) -> Bounds:
    if node.op_type == "Relu":
        return 0.0, inf
    lowest, highest = scalar(node, 1, "lower bound"), scalar(node, 2, "upper bound")
    low, high = -inf if lowest is None else lowest, inf if highest is None else highest
    require(not (isnan(low) or isnan(high)), "its bounds hold no numbers")
    return min(low, high), high  # with reversed bounds all becomes the upper one


def clamp(node: ir.Node) -> ClampWork:
    """Relu and Clip with constant bounds."""
    return ClampWork(_bounds(node), f"Hz{node.op_type}")


def look_up(node: ir.Node) -> LutWork:
    """Any function of one variable."""
    return LutWork((unary_function(node),))


def leaky_relu(node: ir.Node) -> LutWork:
    """LeakyRelu: no look-up to the chip, so without its limits."""
    return LutWork((_leaky_relu(node),), "HzLeakyRelu")


def prelu(node: ir.Node) -> LutWork:
    """PRelu with a constant slope, one value or one per channel."""
    _, _, channels = shape_hwc(node.inputs[0])
    slope = constant_input(node, 1, "slope")
    if slope is None:
        raise OffBpu("it has no slope")
    shape = (1,) * (4 - slope.ndim) + slope.shape
    require(
        slope.size == 1 or shape == (1, channels, 1, 1),
        f"a slope of shape {list(slope.shape)}; it must be one value, or one per channel",
    )
    return LutWork(tuple(_leaky(float(v)) for v in slope.reshape(-1)), "HzPRelu")


def is_function(node: ir.Node) -> bool:
    """Whether the node may be the f of x * f(x)."""
    return node.domain == "" and (
        node.op_type in PLAIN or node.op_type in _FROM_NODE or node.op_type in _CLAMPS
    )


def unary_function(node: ir.Node) -> Unary:
    """The function of `node`'s first input that it computes.

    Raises:
        OffBpu: parameters that are not constant.
    """
    if node.op_type in PLAIN:
        return PLAIN[node.op_type]
    if node.op_type in _FROM_NODE:
        return _FROM_NODE[node.op_type](node)
    return clamped(_bounds(node))


def clamped(bounds: Bounds) -> Unary:
    """x cut off at both bounds."""
    lowest, highest = bounds
    return lambda x: np.minimum(np.maximum(x, lowest), highest)


def gated(chain: tuple[ir.Node, ...]) -> Unary:
    """x * f(x) for the f of a chain of unary nodes, first node first."""
    functions = tuple(unary_function(node) for node in chain)

    def product(x: F64) -> F64:
        y = x
        for function in functions:
            y = function(y)
        return x * y

    return product
