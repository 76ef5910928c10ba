"""Layers that look at several values at once: normalizations, reductions, softmax, argmax."""

from __future__ import annotations

import math

from onnx import TensorProto

from bpu_host.compiler.frontend.caffe.gen.caffe import parameters_pb2 as pb
from bpu_host.compiler.frontend.caffe.site import Site

_MAX_LRN_SIZE = 1023
_REDUCTIONS = {
    pb.ReductionParameter.SUM: "ReduceSum",
    pb.ReductionParameter.ASUM: "ReduceL1",
    pb.ReductionParameter.SUMSQ: "ReduceSumSquare",
    pb.ReductionParameter.MEAN: "ReduceMean",
}


def softmax(site: Site) -> None:
    """Softmax along `axis`, which is 1 where the prototxt says nothing."""
    x = site.bottom()
    axis = site.axis(site.spec.softmax_param.axis, len(x.shape))
    site.end("Softmax", x.name, shapes=[x.shape], axis=axis)


def lrn(site: Site) -> None:
    """LRN across channels, or within one: then of the mean over a window, and k is 1."""
    x, param = site.bottom(ranks=range(4, 5)), site.spec.lrn_param
    size = param.local_size
    if size % 2 == 0 or size > _MAX_LRN_SIZE:
        raise site.unsupported(
            f"local_size {size} is not possible: it must be odd, and at most {_MAX_LRN_SIZE}"
        )
    if not (param.alpha > 0 and param.beta > 0):
        raise site.unsupported("alpha and beta must be above 0")
    if param.norm_region == pb.LRNParameter.ACROSS_CHANNELS:
        site.end(
            "LRN",
            x.name,
            shapes=[x.shape],
            size=size,
            alpha=param.alpha,
            beta=param.beta,
            bias=param.k,
        )
        return
    before = (size - 1) // 2
    squares = site.node("Mul", x.name, x.name)
    mean = site.node(
        "AveragePool",
        squares,
        kernel_shape=[size, size],
        strides=[1, 1],
        pads=[before] * 4,
        count_include_pad=1,
    )
    scaled = site.node("Mul", mean, site.number("alpha", param.alpha))
    base = site.node("Add", scaled, site.number("k", 1.0))
    factor = site.node("Pow", base, site.number("beta", -param.beta))
    site.end("Mul", x.name, factor, shapes=[x.shape])


def mvn(site: Site) -> None:
    """MVN: minus the mean, divided by the deviation plus eps, for each channel or for all."""
    x, param = site.bottom(ranks=range(3, 9)), site.spec.mvn_param
    first = 1 if param.across_channels else 2
    axes = site.ints("axes", list(range(first, len(x.shape))))
    centred = (x.name, site.node("ReduceMean", x.name, axes))
    if not param.normalize_variance:
        site.end("Sub", *centred, shapes=[x.shape])
        return
    rest = site.node("Sub", *centred)
    variance = site.node("ReduceMean", site.node("Mul", rest, rest), axes)
    deviation = site.node("Add", site.node("Sqrt", variance), site.number("eps", param.eps))
    site.end("Div", rest, deviation, shapes=[x.shape])


def normalize(site: Site) -> None:
    """Normalize (SSD): divided by the length of all values, or of each pixel's; times weights."""
    x, param = site.bottom(ranks=range(4, 5)), site.spec.norm_param
    axes = site.ints("axes", [1, 2, 3] if param.across_spatial else [1])
    total = site.node("ReduceSumSquare", x.name, axes)
    length = site.node("Sqrt", site.node("Add", total, site.number("eps", param.eps)))
    unit = site.node("Div", x.name, length)
    count = 1 if param.channel_shared else x.shape[1]
    weights = site.blob(0, (count,)).reshape(1, count, 1, 1)
    site.end("Mul", unit, site.constant("scale", weights), shapes=[x.shape])


def reduction(site: Site) -> None:
    """Reduction of the axes from `axis` on to one value, times coeff."""
    x, param = site.bottom(), site.spec.reduction_param
    axis = site.axis(param.axis, len(x.shape))
    axes = site.ints("axes", list(range(axis, len(x.shape))))
    op, shape = _REDUCTIONS[param.operation], x.shape[:axis]
    if param.coeff == 1:
        site.end(op, x.name, axes, shapes=[shape], keepdims=0)
        return
    found = site.node(op, x.name, axes, keepdims=0)
    site.end("Mul", found, site.number("coeff", param.coeff), shapes=[shape])


def argmax(site: Site) -> None:
    """ArgMax along an axis, or over all values of an item; positions and maxima are floats.

    Without an axis the top is N x 1 x top_k, with out_max_val N x 2 x top_k: positions, maxima.
    """
    x, param = site.bottom(), site.spec.argmax_param
    if param.HasField("axis"):
        axis, data, length = site.axis(param.axis, len(x.shape)), x.name, 0
        length = x.shape[axis]
        shape = (*x.shape[:axis], param.top_k, *x.shape[axis + 1 :])
    else:
        axis, length = 2, math.prod(x.shape[1:])
        data = site.node("Reshape", x.name, site.ints("flat", (x.shape[0], 1, length)))
        shape = (x.shape[0], 1, param.top_k)
    if not 1 <= param.top_k <= length:
        raise site.unsupported(f"top_k {param.top_k} is not possible: there are {length} values")
    if param.top_k == 1 and not param.out_max_val:
        found = site.node("ArgMax", data, axis=axis, keepdims=1)
        site.end("Cast", found, shapes=[shape], to=TensorProto.FLOAT)
        return
    maxima, positions = site.nodes("TopK", data, site.ints("k", [param.top_k]), count=2, axis=axis)
    if not param.out_max_val:
        site.end("Cast", positions, shapes=[shape], to=TensorProto.FLOAT)
    elif param.HasField("axis"):
        site.end("Identity", maxima, shapes=[shape])
    else:
        floats = site.node("Cast", positions, to=TensorProto.FLOAT)
        site.end("Concat", floats, maxima, shapes=[(shape[0], 2, shape[2])], axis=1)
