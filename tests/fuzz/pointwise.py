"""Random functions of one value, arithmetic of two tensors, arithmetic with constants."""

from __future__ import annotations

import numpy as np

from tests.fuzz.net import Net
from tests.fuzz.windows import conv, weights

_BOUNDED = ("Sigmoid", "Tanh", "Sin", "Cos", "HardSigmoid", "Softsign", "Erf")
_GROWING = ("Relu", "LeakyRelu", "Softplus", "HardSwish", "Mish", "Elu", "Abs", "Neg")
_LATER = {"HardSwish": 14, "Mish": 18}
"""First opset of operators that came after the oldest one drawn."""
_OF_POSITIVE = ("Sqrt", "Reciprocal", "Pow", "Log")


def activation(net: Net, x: str) -> str | None:
    """Relu and Clip as they stand behind most convolutions, or another function."""
    kind = net.choose.choice(["relu", "relu", "clip", "unary", "unary", "gate", "prelu"])
    if kind == "relu":
        return net.node("Relu", [x], net.shapes[x])
    if kind == "clip":
        low, high = net.choose.choice([(0, 6), (0, 1), (-1, 1), (-0.5, 3), (0.25, 2)])
        bounds = [net.constant(float(low)), net.constant(float(high))]
        return net.node("Clip", [x, *bounds], net.shapes[x])
    return {"unary": unary, "gate": gate, "prelu": prelu}[kind](net, x)


def unary(net: Net, x: str) -> str | None:
    """One of the functions of one value."""
    op = net.choose.choice(_BOUNDED + _GROWING + _OF_POSITIVE + ("Exp",))
    shape = net.shapes[x]
    if op == "Exp":  # of a bounded value, so that it stays finite
        x = net.node("Tanh", [x], shape)
    if op in _OF_POSITIVE:
        x = net.node("Clip", [x, net.constant(0.05), net.constant(8.0)], shape)
    if op == "Pow":
        return net.node(op, [x, net.constant(net.choose.choice([0.5, 2.0, 3.0]))], shape)
    if op in _LATER and net.opset < _LATER[op]:
        return net.node("Mul", [x, _hard_sigmoid(net, x)], shape)
    if op == "HardSigmoid":
        return _hard_sigmoid(net, x)
    more = {"alpha": net.choose.choice([0.01, 0.1, 1.5, -0.5])} if op == "LeakyRelu" else {}
    return net.node(op, [x], shape, **more)


def _hard_sigmoid(net: Net, x: str) -> str:
    alpha = net.choose.choice([0.2, 1 / 6])
    return net.node("HardSigmoid", [x], net.shapes[x], alpha=alpha, beta=0.5)


def gate(net: Net, x: str) -> str | None:
    """x * f(x): SiLU, HardSwish, Mish."""
    shape = net.shapes[x]
    kind = net.choose.choice(["silu", "silu", "hard", "mish", "tanh"])
    if kind == "mish":
        inner = net.node("Tanh", [net.node("Softplus", [x], shape)], shape)
    elif kind == "hard":
        inner = _hard_sigmoid(net, x)
    else:
        inner = net.node("Sigmoid" if kind == "silu" else "Tanh", [x], shape)
    return net.node("Mul", [x, inner] if net.chance(0.5) else [inner, x], shape)


def prelu(net: Net, x: str) -> str | None:
    """A slope a channel, or one for all."""
    count = net.shapes[x][0] if net.chance(0.7) else 1
    slope = net.values.uniform(-0.2, 0.8, (count, 1, 1))
    return net.node("PRelu", [x, net.constant(slope)], net.shapes[x])


def with_constant(net: Net, x: str) -> str | None:
    """Add, Sub, Mul or Div with one value or one a channel, on either side."""
    shape = net.shapes[x]
    op = net.choose.choice(["Add", "Sub", "Mul", "Mul", "Div"])
    count = (1, shape[0], 1, 1) if net.chance(0.6) else ()
    value = net.values.uniform(0.3, 2.0, count) * net.values.choice([-1.0, 1.0], count)
    constant = net.constant(np.asarray(value))
    turned = op in ("Add", "Mul") and net.chance(0.3)
    return net.node(op, [constant, x] if turned else [x, constant], shape)


def two_tensors(net: Net, x: str) -> str | None:
    """Add, Mul or Sub with a tensor of the same shape: an older one, or a new branch."""
    shape = net.shapes[x]
    others = [name for name, other in net.shapes.items() if other == shape and name != x]
    if others and net.chance(0.7):
        other = net.choose.choice(others)
    elif (branch := _same_shape(net, x)) is not None:
        other = branch
    else:
        return None
    op = net.choose.choice(["Add"] * 4 + ["Mul", "Sub"])
    if op == "Mul":  # of a bounded value, so that products of products stay small
        other = net.node(net.choose.choice(["Sigmoid", "Tanh"]), [other], shape)
    return net.node(op, [x, other] if net.chance(0.5) else [other, x], shape)


def _same_shape(net: Net, x: str) -> str | None:
    channels, height, width = net.shapes[x]
    macs = channels * channels * height * width
    if not net.fits(net.shapes[x], macs):
        return None
    net.macs += macs
    kernels = net.constant(weights(net, (channels, channels, 1, 1), 0, channels))
    return net.node("Conv", [x, kernels], net.shapes[x], kernel_shape=(1, 1))


def squeeze_excite(net: Net, x: str) -> str | None:
    """Global average, two convolutions, and the map times the result."""
    channels = net.shapes[x][0]
    inner = net.small(1, 16)
    y = net.node("GlobalAveragePool", [x], (channels, 1, 1))
    for outputs, act in ((inner, "Relu"), (channels, net.choose.choice(["Sigmoid", "hard"]))):
        depth = net.shapes[y][0]
        kernels = net.constant(weights(net, (outputs, depth, 1, 1), 0, depth))
        y = net.node("Conv", [y, kernels], (outputs, 1, 1), kernel_shape=(1, 1))
        y = _hard_sigmoid(net, y) if act == "hard" else net.node(act, [y], net.shapes[y])
    op = net.choose.choice(["Mul", "Mul", "Add"])
    return net.node(op, [x, y], net.shapes[x])


def conv_activation(net: Net, x: str) -> str | None:
    """What networks are mostly made of."""
    y = conv(net, x)
    return y if y is None or net.chance(0.3) else activation(net, y)
