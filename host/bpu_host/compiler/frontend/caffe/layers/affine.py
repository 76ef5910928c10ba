"""Layers that multiply and add: products, scales, biases, stored statistics."""

from __future__ import annotations

import math

import numpy as np

from bpu_common.tensor import F32
from bpu_host.compiler.frontend.caffe.gen.caffe import parameters_pb2 as pb
from bpu_host.compiler.frontend.caffe.graph import Blob
from bpu_host.compiler.frontend.caffe.site import Site
from bpu_host.compiler.frontend.inputs import Shape


def inner_product(site: Site) -> None:
    """InnerProduct: all axes from `axis` on are one; weights O x K, K x O with transpose."""
    x, param = site.bottom(), site.spec.inner_product_param
    axis = site.axis(param.axis, len(x.shape))
    if param.num_output < 1:
        raise site.unsupported("num_output is missing")
    rows, depth = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    shape = (depth, param.num_output) if param.transpose else (param.num_output, depth)
    names = [site.constant("weight", site.blob(0, shape))]
    if param.bias_term:
        names.append(site.constant("bias", site.blob(1, (param.num_output,))))
    transposed = int(not param.transpose)
    result = (*x.shape[:axis], param.num_output)
    if axis == 1:
        flat = x.name if len(x.shape) == 2 else site.node("Flatten", x.name, axis=1)
        site.end("Gemm", flat, *names, shapes=[result], transB=transposed)
        return
    flat = site.node("Reshape", x.name, site.ints("rows", (rows, depth)))
    made = site.node("Gemm", flat, *names, transB=transposed)
    site.end("Reshape", made, site.ints("shape", result), shapes=[result])


def batch_norm(site: Site) -> None:
    """BatchNorm by the stored mean and variance, each divided by the third blob (0: nothing)."""
    x, param = site.bottom(ranks=range(2, 9)), site.spec.batch_norm_param
    if param.HasField("use_global_stats") and not param.use_global_stats:
        raise site.unsupported(
            "use_global_stats is false: it would normalize by the frame itself",
            "delete the line, or set it to true",
        )
    channels = x.shape[1]
    count = float(site.blob(2, (1,))[0])
    factor = np.float32(0.0 if count == 0 else 1.0 / count)
    mean, variance = (site.blob(index, (channels,)) * factor for index in (0, 1))
    one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    site.end(
        "BatchNormalization",
        x.name,
        site.constant("scale", one),
        site.constant("bias", zero),
        site.constant("mean", mean),
        site.constant("variance", variance),
        shapes=[x.shape],
        epsilon=param.eps,
    )


def scale(site: Site) -> None:
    """Scale: times weights or a second blob from `axis` on; with bias_term plus weights."""
    param = site.spec.scale_param
    x, factor, inner = _operand(site, param.axis, param.num_axes)
    if not param.bias_term:
        site.end("Mul", x.name, factor, shapes=[x.shape])
        return
    bias = _spread(site.blob(2 - len(site.bottoms), inner.shape), x, inner)
    scaled = site.node("Mul", x.name, factor)
    site.end("Add", scaled, site.constant("bias", bias), shapes=[x.shape])


def bias(site: Site) -> None:
    """Bias: plus weights or a second blob from `axis` on."""
    param = site.spec.bias_param
    x, other, _ = _operand(site, param.axis, param.num_axes)
    site.end("Add", x.name, other, shapes=[x.shape])


class _Inner:
    """The axes of the first blob that a second operand has."""

    def __init__(self, axis: int, shape: Shape) -> None:
        self.axis, self.shape = axis, shape


def _operand(site: Site, axis: int, num_axes: int) -> tuple[Blob, str, _Inner]:
    """The first blob, and the operand that is spread over it: a second blob, or weights."""
    if len(site.bottoms) not in (1, 2):
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not one or two")
    x = site.bottoms[0]
    rank = len(x.shape)
    if len(site.bottoms) == 2:
        other = site.bottoms[1]
        first = 0 if not other.shape else site.axis(axis, rank)
        inner = _Inner(first, other.shape)
        if x.shape[first : first + len(other.shape)] != other.shape:
            raise site.unsupported(
                f"'{other.name}' of shape {list(other.shape)} does not fit {list(x.shape)} "
                f"from axis {first} on"
            )
        wide = _wide(x, inner)
        if wide == other.shape or not other.shape:
            return x, other.name, inner
        return x, site.node("Reshape", other.name, site.ints("operand_shape", wide)), inner
    if num_axes < -1:
        raise site.unsupported(f"num_axes {num_axes} is not possible: -1 or more")
    first = site.axis(axis, rank)
    end = rank if num_axes == -1 else first + num_axes
    if end > rank:
        raise site.unsupported(f"{num_axes} axes from {axis} on are more than its input has")
    inner = _Inner(first, x.shape[first:end])
    return x, site.constant("operand", _spread(site.blob(0, inner.shape), x, inner)), inner


def _spread(values: F32, x: Blob, inner: _Inner) -> F32:
    """Weights in the rank of the first blob."""
    return values.reshape(_wide(x, inner))


def _wide(x: Blob, inner: _Inner) -> Shape:
    after = len(x.shape) - inner.axis - len(inner.shape)
    return (*(1,) * inner.axis, *inner.shape, *(1,) * after)


def eltwise(site: Site) -> None:
    """Eltwise: sum with coefficients, product or maximum of blobs of one shape.

    A second operand of shape N x C x 1 x 1 is spread, as the chip's table has it.
    """
    if len(site.bottoms) < 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not two or more")
    param, shape = site.spec.eltwise_param, _common_shape(site)
    names = [blob.name for blob in site.bottoms]
    if param.operation == pb.EltwiseParameter.MAX:
        site.end("Max", *names, shapes=[shape])
        return
    if param.operation == pb.EltwiseParameter.PROD:
        if param.coeff:
            raise site.unsupported("coeff goes with SUM alone")
        _chain(site, "Mul", names, shape)
        return
    _sum(site, names, list(param.coeff) or [1.0] * len(names), shape)


def _common_shape(site: Site) -> Shape:
    """The shape of the largest blob, which the others have, or its channels alone."""
    shape = max((blob.shape for blob in site.bottoms), key=math.prod)
    spread = (*shape[:2], *(1,) * (len(shape) - 2))
    for blob in site.bottoms:
        if blob.shape not in (shape, spread):
            raise site.unsupported(
                f"'{blob.name}' of shape {list(blob.shape)} does not fit {list(shape)}"
            )
    return shape


def _sum(site: Site, names: list[str], coefficients: list[float], shape: Shape) -> None:
    if len(coefficients) != len(names):
        raise site.unsupported(f"has {len(coefficients)} values of coeff for {len(names)} blobs")
    if coefficients == [1.0, -1.0]:
        site.end("Sub", *names, shapes=[shape])
        return
    scaled = [
        name if factor == 1 else site.node("Mul", name, site.number("coeff", factor))
        for name, factor in zip(names, coefficients, strict=True)
    ]
    _chain(site, "Add", scaled, shape)


def _chain(site: Site, op: str, names: list[str], shape: Shape) -> None:
    """An operator of two operands over several."""
    made = names[0]
    for name in names[1:-1]:
        made = site.node(op, made, name)
    site.end(op, made, names[-1], shapes=[shape])


def matmul(site: Site) -> None:
    """MatMul (of forks): the product of two blobs over their last two axes."""
    if len(site.bottoms) != 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not two")
    param = site.spec.matmul_param
    names, shapes = [], []
    for blob, turned in zip(site.bottoms, (param.transpose_a, param.transpose_b), strict=True):
        name, shape = site.ranked(blob, range(2, 9)).name, blob.shape
        if turned:
            rank = len(shape)
            name = site.node("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])
            shape = (*shape[:-2], shape[-1], shape[-2])
        names.append(name)
        shapes.append(shape)
    left, right = shapes
    try:
        outer = np.broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        outer = (-1,)
    if left[-1] != right[-2] or -1 in outer:
        raise site.unsupported(f"{list(left)} and {list(right)} cannot be multiplied")
    site.end("MatMul", *names, shapes=[(*outer, left[-2], right[-1])])
