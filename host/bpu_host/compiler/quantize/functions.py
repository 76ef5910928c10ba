"""Functions of one variable that a look-up table can hold, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from bpu_common.tensor import F64
from bpu_host.compiler.quantize.graphview import OffBpu, Unary, scalar

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: F64) -> F64:
    y: F64 = 1.0 / (1.0 + np.exp(-x))
    return y


def _softplus(x: F64) -> F64:
    y: F64 = np.logaddexp(x, 0.0)
    return y


def _relu(x: F64) -> F64:
    return np.maximum(x, 0.0)


def _mish(x: F64) -> F64:
    y: F64 = x * np.tanh(_softplus(x))
    return y


def _gelu(node: ir.Node) -> Unary:
    if node.attributes.get_string("approximate") == "tanh":
        return lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2.0)))


def _leaky(slope: float) -> Unary:
    return lambda x: np.where(x < 0, slope * x, x)


def _elu(alpha: float, gamma: float = 1.0) -> Unary:
    return lambda x: gamma * np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def _hard_sigmoid(alpha: float, beta: float) -> Unary:
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def clip_bounds(node: ir.Node) -> tuple[float, float]:
    """(lowest, highest) of a Relu or Clip.

    Raises:
        OffBpu: a bound that is not constant.
    """
    if node.op_type == "Relu":
        return 0.0, math.inf
    lowest, highest = scalar(node, 1), scalar(node, 2)
    return (
        -math.inf if lowest is None else lowest,
        math.inf if highest is None else highest,
    )


def _clip(node: ir.Node) -> Unary:
    lowest, highest = clip_bounds(node)
    return lambda x: np.minimum(np.maximum(x, lowest), highest)


def _pow(node: ir.Node) -> Unary:
    exponent = scalar(node, 1)
    if exponent is None:
        raise OffBpu("Pow needs a constant exponent of one value")
    return lambda x: np.power(x, exponent)


def _attribute(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes.get_float(name, default))


_PLAIN: dict[str, Unary] = {
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Sin": np.sin,
    "Cos": np.cos,
    "Abs": np.abs,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Erf": lambda x: np.asarray(_erf(x), np.float64),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0),
    "Mish": _mish,
}
_FROM_NODE: dict[str, Callable[[ir.Node], Unary]] = {
    "Clip": _clip,
    "Pow": _pow,
    "Gelu": _gelu,
    "LeakyRelu": lambda n: _leaky(_attribute(n, "alpha", 0.01)),
    "Elu": lambda n: _elu(_attribute(n, "alpha", 1.0)),
    "Selu": lambda n: _elu(
        _attribute(n, "alpha", 1.67326319217681884765625),
        _attribute(n, "gamma", 1.05070102214813232421875),
    ),
    "HardSigmoid": lambda n: _hard_sigmoid(_attribute(n, "alpha", 0.2), _attribute(n, "beta", 0.5)),
}
OP_TYPES = frozenset(_PLAIN) | frozenset(_FROM_NODE)


def unary_function(node: ir.Node) -> Unary:
    """The function of `node`'s first input that it computes.

    Raises:
        OffBpu: not a function of one variable, or with parameters that are not constant.
    """
    if node.op_type in _PLAIN:
        return _PLAIN[node.op_type]
    if node.op_type in _FROM_NODE:
        return _FROM_NODE[node.op_type](node)
    raise OffBpu(f"{node.op_type} is not a function of one variable")


def compose(chain: tuple[ir.Node, ...]) -> Unary:
    """The function of a chain of unary nodes, first node first."""
    functions = tuple(unary_function(node) for node in chain)

    def composed(x: F64) -> F64:
        for function in functions:
            x = function(x)
        return x

    return composed


def gated(chain: tuple[ir.Node, ...]) -> Unary:
    """x * f(x) for the chain's f: SiLU, HardSwish, Mish."""
    inner = compose(chain)
    return lambda x: x * inner(x)


def leaky(slope: float) -> Unary:
    """x above 0, slope * x below: one channel of PRelu."""
    return _leaky(slope)
