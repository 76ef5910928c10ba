"""Layers that make pictures larger or smaller; all of them come from forks."""

from __future__ import annotations

import numpy as np

from bpu_host.compiler.frontend.caffe.site import Site

_PLANE = range(4, 5)


def upsample(site: Site) -> None:
    """Upsample: each pixel repeated (Darknet), or with a second blob back to maxima (SegNet)."""
    param = site.spec.upsample_param
    if len(site.bottoms) == 2:
        _to_size(site, _unpooled_size(site))
        return
    x = site.bottom(ranks=_PLANE)
    if param.HasField("upsample_h") or param.HasField("upsample_w"):
        raise site.unsupported("a size is given without the positions of a pooling")
    factors = (param.scale_h or param.scale or 1, param.scale_w or param.scale or 1)
    shape = (*x.shape[:2], x.shape[2] * factors[0], x.shape[3] * factors[1])
    site.end(
        "Resize",
        x.name,
        "",
        site.constant("scales", np.array([1, 1, *factors], np.float32)),
        shapes=[shape],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def unpool(site: Site) -> None:
    """MaxUnpool: values back at the positions of their maxima, as large as that pooling's input."""
    if len(site.bottoms) != 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not values and positions")
    _to_size(site, _unpooled_size(site))


def _unpooled_size(site: Site) -> tuple[int, int]:
    """Height and width of an unpooling's output: given, or a multiple of the input's."""
    param, (_, _, h, w) = site.spec.upsample_param, site.ranked(site.bottoms[0], _PLANE).shape
    scale_h, scale_w = param.scale_h or param.scale or 2, param.scale_w or param.scale or 2
    height = param.upsample_h or h * scale_h - int(param.pad_out_h)
    width = param.upsample_w or w * scale_w - int(param.pad_out_w)
    return height, width


def _to_size(site: Site, size: tuple[int, int]) -> None:
    x, positions = site.bottoms
    if positions.shape != x.shape or not positions.of:
        raise site.unsupported(f"'{positions.name}' does not hold the positions of '{x.name}'")
    shape = (*x.shape[:2], *size)
    if positions.of != shape:
        raise site.unsupported(
            f"would put positions of {list(positions.of)} into {list(shape)}",
            "set upsample_h and upsample_w to height and width of the pooling's input",
        )
    site.end(
        "MaxUnpool",
        x.name,
        positions.name,
        site.ints("shape", shape),
        shapes=[shape],
        kernel_shape=[2, 2],
        strides=[2, 2],
    )


def interp(site: Site) -> None:
    """Interp (DeepLab): bilinear, the corners stay in their places; pads below 0 cut the input."""
    param = site.spec.interp_param
    if not 1 <= len(site.bottoms) <= 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not one or two")
    x = site.ranked(site.bottoms[0], _PLANE)
    if param.pad_beg > 0 or param.pad_end > 0:
        raise site.unsupported("pad_beg and pad_end above 0 are not available")
    inside = [size + param.pad_beg + param.pad_end for size in x.shape[2:]]
    if min(inside) < 1 or min(param.zoom_factor, param.shrink_factor) < 1:
        raise site.unsupported("its pads or factors leave nothing of the input")
    if len(site.bottoms) == 2:
        sizes = list(site.ranked(site.bottoms[1], _PLANE).shape[2:])
    elif param.height > 0 and param.width > 0:
        sizes = [param.height, param.width]
    else:
        sizes = [(size - 1) // param.shrink_factor + 1 for size in inside]
        sizes = [size + (size - 1) * (param.zoom_factor - 1) for size in sizes]
    shape = (*x.shape[:2], *sizes)
    data = x.name
    if inside != list(x.shape[2:]):
        starts, ends = [-param.pad_beg] * 2, [size - param.pad_beg for size in inside]
        bounds = (site.ints("starts", starts), site.ints("ends", ends), site.ints("axes", [2, 3]))
        data = site.node("Slice", data, *bounds)
    site.end(
        "Resize",
        data,
        "",
        "",
        site.ints("sizes", shape),
        shapes=[shape],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
