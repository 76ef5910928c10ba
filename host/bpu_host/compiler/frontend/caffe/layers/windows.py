"""Convolutions and poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bpu_host.compiler.frontend.caffe.gen.caffe import parameters_pb2 as pb
from bpu_host.compiler.frontend.caffe.site import Site
from bpu_host.compiler.frontend.inputs import Shape

_MAX_PYRAMID = 7
_PLANE = range(4, 5)
_SPATIAL = range(3, 6)
_OUTSIDE = (
    "its last window would lie outside of its input, which Caffe leaves undefined",
    "make the stride at most as long as the kernel",
)


def convolution(site: Site) -> None:
    """Convolution, and the depthwise types of forks: weights O x C/group x kernel."""
    x, param = site.bottom(ranks=_SPATIAL), site.spec.convolution_param
    kernel, stride, pad, dilation = _geometry(site, param, len(x.shape) - 2)
    depthwise = site.spec.type == "ConvolutionDepthwise"
    group = x.shape[1] if depthwise else param.group
    _check_groups(site, group, x.shape[1], param.num_output)
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    ]
    weight = (param.num_output, x.shape[1] // group, *kernel)
    site.end(
        "Conv",
        x.name,
        *_weights(site, weight),
        shapes=[(x.shape[0], param.num_output, *sizes)],
        kernel_shape=kernel,
        strides=stride,
        pads=[*pad, *pad],
        dilations=dilation,
        group=group,
    )


def deconvolution(site: Site) -> None:
    """Deconvolution: weights C x O/group x kernel."""
    x, param = site.bottom(ranks=_SPATIAL), site.spec.convolution_param
    kernel, stride, pad, dilation = _geometry(site, param, len(x.shape) - 2)
    _check_groups(site, param.group, x.shape[1], param.num_output)
    sizes = [
        s * (size - 1) + d * (k - 1) + 1 - 2 * p
        for size, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    ]
    weight = (x.shape[1], param.num_output // param.group, *kernel)
    site.end(
        "ConvTranspose",
        x.name,
        *_weights(site, weight),
        shapes=[(x.shape[0], param.num_output, *sizes)],
        kernel_shape=kernel,
        strides=stride,
        pads=[*pad, *pad],
        dilations=dilation,
        group=param.group,
    )


def _weights(site: Site, shape: Shape) -> list[str]:
    param = site.spec.convolution_param
    names = [site.constant("weight", site.blob(0, shape))]
    if param.bias_term:
        names.append(site.constant("bias", site.blob(1, (param.num_output,))))
    return names


def _geometry(
    site: Site, param: pb.ConvolutionParameter, rank: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, stride, padding and dilation of each axis.

    Raises:
        ModelUnsupported: they are missing, contradict each other or are impossible.
    """
    if param.axis not in (1, -rank - 1):
        raise site.unsupported(f"axis {param.axis} is not possible: channels are axis 1")
    if param.num_output < 1:
        raise site.unsupported("num_output is missing")
    found = [
        _axes(site, rank, "kernel_size", param.kernel_size, ("kernel_h", "kernel_w"), None),
        _axes(site, rank, "stride", param.stride, ("stride_h", "stride_w"), 1),
        _axes(site, rank, "pad", param.pad, ("pad_h", "pad_w"), 0),
        _axes(site, rank, "dilation", param.dilation, (), 1),
    ]
    kernel, stride, pad, dilation = found
    if min(*kernel, *stride, *dilation) < 1:
        raise site.unsupported("kernel, stride and dilation must be at least 1")
    return kernel, stride, pad, dilation


def _axes(
    site: Site,
    rank: int,
    name: str,
    values: Sequence[int],
    pair: tuple[str, ...],
    default: int | None,
) -> list[int]:
    """One size an axis: given for all, for each, or for height and width by name."""
    param = site.spec.convolution_param
    named = [each for each in pair if param.HasField(each)]
    if named:
        if values or rank != len(pair):
            raise site.unsupported(f"has both {name} and {' and '.join(named)}")
        if default is None and len(named) < len(pair):
            raise site.unsupported(f"has {named[0]} alone; {' and '.join(pair)} are needed")
        return [getattr(param, each) if each in named else default or 0 for each in pair]
    if len(values) == rank:
        return list(values)
    if len(values) > 1:
        raise site.unsupported(f"has {len(values)} values of {name} for {rank} axes")
    if not values and default is None:
        raise site.unsupported(f"{name} is missing")
    return [values[0] if values else default or 0] * rank


def _check_groups(site: Site, group: int, channels: int, outputs: int) -> None:
    if group < 1 or channels % group or outputs % group:
        raise site.unsupported(
            f"{channels} channels and {outputs} outputs cannot be divided into {group} groups"
        )


def pooling(site: Site) -> None:
    """Pooling: windows are counted upwards, a last one that begins in the padding is left out."""
    x, param = site.bottom(ranks=_PLANE), site.spec.pooling_param
    if param.pool == pb.PoolingParameter.STOCHASTIC:
        raise site.unsupported("stochastic pooling is not available", "use MAX or AVE")
    most = param.pool == pb.PoolingParameter.MAX
    if param.global_pooling:
        _global_pooling(site, most)
        return
    kernel = _pair(site, "kernel_size", "kernel_h", "kernel_w", None)
    stride = _pair(site, "stride", "stride_h", "stride_w", 1)
    pad = _pair(site, "pad", "pad_h", "pad_w", 0)
    if min(*kernel, *stride) < 1:
        raise site.unsupported("kernel and stride must be at least 1")
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise site.unsupported("its padding is not smaller than its kernel")
    floor = param.round_mode == pb.PoolingParameter.FLOOR or not param.ceil_mode
    sizes = [
        _windows(size, k, s, p, floor=floor, clip=any(pad))
        for size, k, s, p in zip(x.shape[2:], kernel, stride, pad, strict=True)
    ]
    starts = [(n - 1) * s - p for n, s, p in zip(sizes, stride, pad, strict=True)]
    if any(start >= size for start, size in zip(starts, x.shape[2:], strict=True)):
        raise site.unsupported(*_OUTSIDE)
    shape = (*x.shape[:2], *sizes)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": [*pad, *pad],
        "ceil_mode": int(not floor),
    }
    if most:
        shapes = [shape] * min(site.top_count, 2)
        site.end("MaxPool", x.name, shapes=shapes, positions_of=x.shape, **attributes)
    else:
        site.end("AveragePool", x.name, shapes=[shape], count_include_pad=1, **attributes)


def _global_pooling(site: Site, most: bool) -> None:
    x = site.bottoms[0]
    pad = _pair(site, "pad", "pad_h", "pad_w", 0)
    stride = _pair(site, "stride", "stride_h", "stride_w", 1)
    if any(pad) or max(stride) > 1:
        raise site.unsupported("global_pooling goes with neither pad nor stride")
    op = "GlobalMaxPool" if most else "GlobalAveragePool"
    site.end(op, x.name, shapes=[(*x.shape[:2], 1, 1)])


def _windows(size: int, kernel: int, stride: int, pad: int, *, floor: bool, clip: bool) -> int:
    steps = (size + 2 * pad - kernel) / stride
    count = (math.floor(steps) if floor else math.ceil(steps)) + 1
    return count - 1 if clip and (count - 1) * stride >= size + pad else count


def _pair(site: Site, both: str, high: str, wide: str, default: int | None) -> list[int]:
    """Height and width of a pooling's window, step or padding."""
    param = site.spec.pooling_param
    named = [each for each in (high, wide) if param.HasField(each)]
    if named and param.HasField(both):
        raise site.unsupported(f"has both {both} and {' and '.join(named)}")
    if len(named) == 1:
        raise site.unsupported(f"has {named[0]} alone; {high} and {wide} are needed")
    if named:
        return [getattr(param, high), getattr(param, wide)]
    if default is None and not param.HasField("kernel_size"):
        raise site.unsupported(f"{both} is missing")
    return [getattr(param, both)] * 2


def pyramid(site: Site) -> None:
    """SPP: poolings into 1, 2, 4, ... bins a side, flattened and put one behind the other."""
    x, param = site.bottom(ranks=_PLANE), site.spec.spp_param
    if not 1 <= param.pyramid_height <= _MAX_PYRAMID or param.pool == pb.SPPParameter.STOCHASTIC:
        raise site.unsupported(f"pyramid_height is 1 to {_MAX_PYRAMID}, pool MAX or AVE")
    op, more = "MaxPool", dict[str, int]()
    if param.pool == pb.SPPParameter.AVE:
        op, more = "AveragePool", {"count_include_pad": 1}
    parts, length = [], 0
    for level in range(param.pyramid_height):
        bins = 2**level
        kernel = [-(-size // bins) for size in x.shape[2:]]
        pad = [(k * bins - size + 1) // 2 for k, size in zip(kernel, x.shape[2:], strict=True)]
        counts = [
            _windows(size, k, k, p, floor=False, clip=any(pad))
            for size, k, p in zip(x.shape[2:], kernel, pad, strict=True)
        ]
        if counts != [bins, bins] or any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise site.unsupported(f"its input of {list(x.shape[2:])} is too small for {bins} bins")
        pooled = site.node(
            op, x.name, kernel_shape=kernel, strides=kernel, pads=[*pad, *pad], ceil_mode=1, **more
        )
        parts.append(site.node("Flatten", pooled, axis=1))
        length += x.shape[1] * bins * bins
    site.end("Concat", *parts, shapes=[(x.shape[0], length)], axis=1)
