"""Layers that pool regions of a map, which are data: ROIPooling and PSROIPooling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from bpu_host.compiler.frontend.caffe.graph import Blob
from bpu_host.compiler.frontend.caffe.site import Site

_LEAST_SIZE = 0.1
_REGION = 5
"""Values of a region: item, left, top, right, bottom."""


def roi_pooling(site: Site) -> None:
    """ROIPooling (Fast R-CNN): maxima of the cells of each region; regions are R x 5."""
    param = site.spec.roi_pooling_param
    x, regions, count = _operands(site)
    if min(param.pooled_h, param.pooled_w) < 1:
        raise site.unsupported("pooled_h or pooled_w is missing")
    site.end(
        "MaxRoiPool",
        x.name,
        regions,
        shapes=[(count, x.shape[1], param.pooled_h, param.pooled_w)],
        pooled_shape=[param.pooled_h, param.pooled_w],
        spatial_scale=param.spatial_scale,
    )


def position_sensitive(site: Site) -> None:
    """PSROIPooling (R-FCN): means of the cells of each region, each cell of channels of its own.

    A mean is the sum over the rows and columns of a cell, both told by masks that are computed from
    the regions, divided by its area; empty cells are 0.
    """
    param = site.spec.psroi_pooling_param
    x, regions, count = _operands(site)
    n, c, h, w = x.shape
    outputs, cells = param.output_dim, param.group_size
    if outputs < 1 or cells < 1 or c != outputs * cells * cells or n != 1:
        raise site.unsupported(
            f"output_dim {outputs} and group_size {cells} do not fit its input of {list(x.shape)}"
        )
    down, high = _masks(site, regions, "rows", 2, h)
    across, wide = _masks(site, regions, "columns", 1, w)
    # Rows: cells x (R x H) by (H x outputs * cells * W), for all columns of cells at once.
    split = site.node("Reshape", x.name, site.ints("split", (outputs, cells, cells, h, w)))
    turned = site.node("Transpose", split, perm=[1, 3, 0, 2, 4])
    flat = site.node("Reshape", turned, site.ints("flat", (cells, h, outputs * cells * w)))
    rows = site.node("MatMul", site.node("Transpose", down, perm=[1, 0, 2]), flat)
    apart = site.node("Reshape", rows, site.ints("apart", (cells, count, outputs, cells, w)))
    mask = site.node("Reshape", across, site.ints("mask", (1, count, 1, cells, w)))
    total = site.node(
        "ReduceSum", site.node("Mul", apart, mask), site.ints("last", [4]), keepdims=0
    )
    sums = site.node("Transpose", total, perm=[1, 2, 0, 3])  # R x outputs x cells x cells
    tall = site.node("Reshape", high, site.ints("tall", (count, 1, cells, 1)))
    broad = site.node("Reshape", wide, site.ints("broad", (count, 1, 1, cells)))
    area = site.node("Max", site.node("Mul", tall, broad), site.number("least_area", 1.0))
    site.end("Div", sums, area, shapes=[(count, outputs, cells, cells)])


def _operands(site: Site) -> tuple[Blob, str, int]:
    """The map, the regions as R x 5, and R."""
    if len(site.bottoms) != 2:
        raise site.unsupported(f"reads {len(site.bottoms)} blobs, not map and regions")
    x, regions = site.ranked(site.bottoms[0], range(4, 5)), site.bottoms[1]
    count = regions.shape[0] if regions.shape else 0
    if regions.shape not in ((count, _REGION), (count, _REGION, 1, 1)):
        raise site.unsupported(f"its regions are {list(regions.shape)}, not R x {_REGION}")
    flat = len(regions.shape) == 2
    return x, regions.name if flat else site.node("Flatten", regions.name, axis=1), count


def _masks(site: Site, regions: str, what: str, column: int, size: int) -> tuple[str, str]:
    """Which positions along one axis belong to each cell (R x cells x size), and how many do."""
    param = site.spec.psroi_pooling_param
    cells = param.group_size

    def binary(op: str) -> Callable[[str, str], str]:
        return lambda left, right: site.node(op, left, right)

    add, sub, mul = binary("Add"), binary("Sub"), binary("Mul")
    one, scale = site.number(f"{what}_one", 1.0), site.number(f"{what}_scale", param.spatial_scale)

    def edge(index: int) -> str:
        picked = site.node("Gather", regions, site.ints(f"{what}_{index}", [index]), axis=1)
        return site.node("Floor", add(picked, site.number(f"{what}_half", 0.5)))

    start = mul(edge(column), scale)
    end = mul(add(edge(column + 2), one), scale)
    length = site.node("Max", sub(end, start), site.number(f"{what}_least", _LEAST_SIZE))
    step = site.node("Div", length, site.number(f"{what}_cells", cells))
    index = np.arange(cells, dtype=np.float32)[None]
    lows = site.node("Floor", add(mul(step, site.constant(f"{what}_low", index)), start))
    highs = site.node("Ceil", add(mul(step, site.constant(f"{what}_high", index + 1)), start))
    bounds = (site.number(f"{what}_zero", 0.0), site.number(f"{what}_size", size))
    lows, highs = (site.node("Clip", each, *bounds) for each in (lows, highs))
    count = site.node("Max", sub(highs, lows), site.number(f"{what}_none", 0.0))
    axes = site.ints(f"{what}_axis", [2])
    positions = site.constant(f"{what}_at", np.arange(size, dtype=np.float32))
    after = site.node("GreaterOrEqual", positions, site.node("Unsqueeze", lows, axes))
    before = site.node("Less", positions, site.node("Unsqueeze", highs, axes))
    return site.node("Cast", site.node("And", after, before), to=TensorProto.FLOAT), count
