"""Operators that move or pick values (slice, pad, resize, concat, blocks) as units' work."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_common.program import Axis, ResizeMode
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.fold_pads import spatial_pads
from bpu_host.compiler.units.reading import (
    OffBpu,
    input_at,
    integers,
    require,
    scalar,
    shape_hwc,
)
from bpu_host.compiler.units.work import (
    ConcatWork,
    DepthSpaceWork,
    PadWork,
    ResizeWork,
    SliceWork,
    Unit,
)
from bpu_sim import arith

_HWC_OF_NCHW = {1: 2, 2: 0, 3: 1}


def hwc_axis(axis: int) -> int:
    """Axis of (H, W, C) for an axis of NCHW.

    Raises:
        OffBpu: the batch axis.
    """
    position = axis % 4
    require(position in _HWC_OF_NCHW, "the batch axis cannot be cut or joined on the BPU")
    return _HWC_OF_NCHW[position]


def concat(node: ir.Node) -> tuple[Unit]:
    """Concat of computed tensors along H, W or C."""
    require(
        all(g.constant(value) is None for value in node.inputs), "one of its inputs is constant"
    )
    shapes = tuple(shape_hwc(value) for value in node.inputs)
    axis = int(g.attribute(node, "axis", 1))
    require(axis % 4 != 0, "it joins along the batch")
    return (
        Unit(
            g.name_of(node),
            ConcatWork(hwc_axis(axis)),
            (node,),
            tuple(g.name_of(value) for value in node.inputs),
            shapes,
            g.name_of(node.outputs[0]),
            shape_hwc(node.outputs[0]),
        ),
    )


def slice_box(node: ir.Node) -> SliceWork:
    """Slice with constant bounds and positive steps."""
    shape = shape_hwc(node.inputs[0])
    starts, _, axes, steps = (integers(node, index, "bounds") for index in range(1, 5))
    if starts is None:
        raise OffBpu("it has no starts")
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    require(min(steps) > 0, "it steps backwards")
    start, step = [0, 0, 0], [1, 1, 1]
    for begin, axis, stride in zip(starts, axes, steps, strict=True):
        if axis % 4 == 0:  # the batch is 1 before and after
            continue
        position = hwc_axis(axis)
        size = shape[position]
        start[position] = min(max(begin + size if begin < 0 else begin, 0), size)
        step[position] = stride
    return SliceWork((start[0], start[1], start[2]), (step[0], step[1], step[2]))


def split(node: ir.Node) -> tuple[Unit, ...]:
    """One box per piece that something reads; all pieces are equal."""
    whole, axis = shape_hwc(node.inputs[0]), int(g.attribute(node, "axis", 0))
    shapes = [shape_hwc(value) for value in node.outputs]
    require(
        axis % 4 != 0 and len(set(shapes)) == 1,
        "it must divide height, width or channels into equal pieces",
    )
    units: list[Unit] = []
    for index, (value, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
        start = [0, 0, 0]
        start[hwc_axis(axis)] = index * shape[hwc_axis(axis)]
        if value.uses() or value.is_graph_output():
            work = SliceWork((start[0], start[1], start[2]), (1, 1, 1), "Split")
            name, x = f"{node.name}_{index}", g.name_of(node.inputs[0])
            units.append(Unit(name, work, (node,), (x,), (whole,), g.name_of(value), shape))
    return tuple(units)


def pad(node: ir.Node) -> PadWork:
    """Pad of H and W with a constant."""
    pads = spatial_pads(node)
    if pads is None:
        raise OffBpu(
            "it must pad height and width with a constant, by constant amounts of 0 or more"
        )
    return PadWork(pads, scalar(node, 2, "value") or 0.0)


def depth_space(node: ir.Node) -> DepthSpaceWork:
    """DepthToSpace and SpaceToDepth; ONNX gives the second one order only, DCR."""
    dcr = g.text(node, "mode", "DCR") == "DCR"
    block = int(g.attribute(node, "blocksize", 0))
    return DepthSpaceWork(block, node.op_type == "DepthToSpace", dcr, node.op_type)


def resize(node: ir.Node) -> ResizeWork:
    """Resize of H and W, nearest or linear."""
    x, y = shape_hwc(node.inputs[0]), shape_hwc(node.outputs[0])
    require(x[2] == y[2], "it must resize height and width alone")
    mode = ResizeMode.NEAREST if g.text(node, "mode", "nearest") == "nearest" else (
        ResizeMode.BILINEAR
    )  # fmt: skip
    coordinates = g.text(node, "coordinate_transformation_mode", "half_pixel")
    rounding = g.text(node, "nearest_mode", "round_prefer_floor")
    scales = g.constant(node.inputs[2]) if input_at(node, 2) is not None else np.zeros(0)
    if scales is None:
        raise OffBpu("its scales are computed, not constant")
    factors: dict[int, float] = {}
    if scales.size:
        axes = g.ints(node, "axes", range(scales.size))
        pairs = zip(axes, scales.reshape(-1).astype(np.float64), strict=True)
        factors = {axis % 4: float(v) for axis, v in pairs}

    def axis_of(position: int, in_size: int, out_size: int) -> Axis:
        factor = factors.get(position)
        return arith.resize_axis(in_size, out_size, mode, coordinates, factor, rounding)

    try:
        return ResizeWork(mode, axis_of(2, x[0], y[0]), axis_of(3, x[1], y[1]))
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error
