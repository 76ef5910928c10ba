"""Layers that compute each value by itself."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import TensorProto

from bpu_host.compiler.frontend.caffe.site import Site

_SIX = 6.0


def plain(op: str) -> Callable[[Site], None]:
    """The writer of a layer without parameters that is one ONNX operator."""

    def write(site: Site) -> None:
        x = site.bottom()
        site.end(op, x.name, shapes=[x.shape])

    return write


def relu(site: Site) -> None:
    """ReLU, leaky with a negative_slope."""
    x, slope = site.bottom(), site.spec.relu_param.negative_slope
    if slope:
        site.end("LeakyRelu", x.name, shapes=[x.shape], alpha=slope)
    else:
        site.end("Relu", x.name, shapes=[x.shape])


def relu6(site: Site) -> None:
    """ReLU6 (of forks): cut at 0 and at 6."""
    if site.spec.relu6_param.negative_slope:
        raise site.unsupported("a negative_slope of ReLU6 is not available")
    x = site.bottom()
    low, high = site.number("min", 0.0), site.number("max", _SIX)
    site.end("Clip", x.name, low, high, shapes=[x.shape])


def clip(site: Site) -> None:
    """Clip."""
    x, param = site.bottom(), site.spec.clip_param
    if not (param.HasField("min") and param.HasField("max")):
        raise site.unsupported("needs min and max")
    low, high = site.number("min", param.min), site.number("max", param.max)
    site.end("Clip", x.name, low, high, shapes=[x.shape])


def rrelu(site: Site) -> None:
    """RReLU (of forks), which at test is leaky by the mean of its bounds."""
    x, param = site.bottom(), site.spec.rrelu_param
    site.end("LeakyRelu", x.name, shapes=[x.shape], alpha=(param.lower + param.upper) / 2)


def crelu(site: Site) -> None:
    """CReLU (of forks): what is above 0, then what is below it, along one axis."""
    x, param = site.bottom(), site.spec.crelu_param
    axis = site.axis(param.concat_axis, len(x.shape))
    op, more = "Relu", dict[str, float]()
    if param.negative_slope:
        op, more = "LeakyRelu", {"alpha": param.negative_slope}
    above = site.node(op, x.name, **more)
    below = site.node(op, site.node("Neg", x.name), **more)
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    site.end("Concat", above, below, shapes=[shape], axis=axis)


def prelu(site: Site) -> None:
    """PReLU: one slope a channel, or one for all."""
    x = site.bottom(ranks=range(2, 9))
    count = 1 if site.spec.prelu_param.channel_shared else x.shape[1]
    slope = site.blob(0, (count,)).reshape(-1, *[1] * (len(x.shape) - 2))
    site.end("PRelu", x.name, site.constant("slope", slope), shapes=[x.shape])


def elu(site: Site) -> None:
    """ELU."""
    x = site.bottom()
    site.end("Elu", x.name, shapes=[x.shape], alpha=site.spec.elu_param.alpha)


def swish(site: Site) -> None:
    """Swish: x * sigmoid(beta * x)."""
    x, beta = site.bottom(), site.spec.swish_param.beta
    inner = x.name if beta == 1 else site.node("Mul", x.name, site.number("beta", beta))
    site.end("Mul", x.name, site.node("Sigmoid", inner), shapes=[x.shape])


def dropout(site: Site) -> None:
    """Dropout, which does nothing at test unless the training left the scaling to it."""
    x, param = site.bottom(), site.spec.dropout_param
    if param.scale_train:
        site.end("Identity", x.name, shapes=[x.shape])
    else:
        kept = site.number("kept", 1.0 - param.dropout_ratio)
        site.end("Mul", x.name, kept, shapes=[x.shape])


def power(site: Site) -> None:
    """Power: (shift + scale * x) ^ power."""
    x, param = site.bottom(), site.spec.power_param
    if param.power == 1:
        _affine_end(site, param.scale, param.shift)
        return
    inner = _affine(site, x.name, param.scale, param.shift)
    site.end("Pow", inner, site.number("power", param.power), shapes=[x.shape])


def exponential(site: Site) -> None:
    """Exp: base ^ (shift + scale * x); base -1 stands for e."""
    x, param = site.bottom(), site.spec.exp_param
    factor = _log_base(site, param.base)
    inner = _affine(site, x.name, param.scale * factor, param.shift * factor)
    site.end("Exp", inner, shapes=[x.shape])


def logarithm(site: Site) -> None:
    """Log: log(shift + scale * x) to a base; base -1 stands for e."""
    x, param = site.bottom(), site.spec.log_param
    factor = _log_base(site, param.base)
    inner = _affine(site, x.name, param.scale, param.shift)
    if factor == 1:
        site.end("Log", inner, shapes=[x.shape])
    else:
        found = site.node("Log", inner)
        site.end("Mul", found, site.number("base", 1 / factor), shapes=[x.shape])


def _log_base(site: Site, base: float) -> float:
    """The natural logarithm of a base."""
    if base == -1:
        return 1.0
    if base <= 0 or base == 1 or not math.isfinite(base):
        raise site.unsupported(f"base {base:g} is not possible: -1 (e), or above 0 and not 1")
    return math.log(base)


def threshold(site: Site) -> None:
    """Threshold: 1 above it, else 0."""
    x, limit = site.bottom(), site.spec.threshold_param.threshold
    above = site.node("Greater", x.name, site.number("threshold", limit))
    site.end("Cast", above, shapes=[x.shape], to=TensorProto.FLOAT)


def _affine(site: Site, x: str, scale: float, shift: float) -> str:
    """scale * x + shift, without what changes nothing."""
    if scale != 1:
        x = site.node("Mul", x, site.number("scale", scale))
    return x if shift == 0 else site.node("Add", x, site.number("shift", shift))


def _affine_end(site: Site, scale: float, shift: float) -> None:
    x = site.bottoms[0]
    if shift != 0:
        inner = _affine(site, x.name, scale, 0.0)
        site.end("Add", inner, site.number("shift", shift), shapes=[x.shape])
    elif scale != 1:
        site.end("Mul", x.name, site.number("scale", scale), shapes=[x.shape])
    else:
        site.end("Identity", x.name, shapes=[x.shape])
