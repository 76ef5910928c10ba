"""Operators that move or pick values (slice, pad, resize, concat, blocks) as units' work."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_common.program import Axis, ResizeMode
from bpu_host.compiler.quantize.graphview import (
    OffBpu,
    Shape3,
    constant,
    input_at,
    require,
    scalar,
    shape_hwc,
    value_name,
)
from bpu_host.compiler.quantize.units import (
    ConcatWork,
    DepthSpaceWork,
    PadWork,
    ResizeWork,
    SliceWork,
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


def _integers(node: ir.Node, index: int) -> tuple[int, ...] | None:
    if not value_name(input_at(node, index)):
        return None
    array = constant(input_at(node, index))
    if array is None:
        raise OffBpu(f"input {index} of {node.op_type} is not constant")
    return tuple(int(v) for v in array.reshape(-1))


def concat(node: ir.Node) -> ConcatWork:
    """Concat along H, W or C."""
    for value in node.inputs:
        shape_hwc(value)
        require(constant(value) is None, "Concat with a constant")
    return ConcatWork(hwc_axis(node.attributes.get_int("axis", 1)))


def slice_box(node: ir.Node) -> SliceWork:
    """Slice with constant starts and positive steps."""
    shape = shape_hwc(input_at(node, 0))
    starts, axes, steps = (_integers(node, index) for index in (1, 3, 4))
    if starts is None:
        raise OffBpu("Slice without starts")
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    start, step = [0, 0, 0], [1, 1, 1]
    for begin, axis, stride in zip(starts, axes, steps, strict=True):
        if axis % 4 == 0:
            require(begin == 0 and stride == 1, "Slice of the batch axis")
            continue
        require(stride > 0, "Slice with a negative step")
        position = hwc_axis(axis)
        size = shape[position]
        start[position] = min(max(begin + size if begin < 0 else begin, 0), size)
        step[position] = stride
    return SliceWork((start[0], start[1], start[2]), (step[0], step[1], step[2]))


def split_boxes(node: ir.Node) -> tuple[tuple[SliceWork, Shape3], ...]:
    """One box per output of a Split, with its shape."""
    axis = hwc_axis(node.attributes.get_int("axis", 0))
    boxes: list[tuple[SliceWork, Shape3]] = []
    begin = 0
    for value in node.outputs:
        shape = shape_hwc(value)
        start = [0, 0, 0]
        start[axis] = begin
        begin += shape[axis]
        boxes.append((SliceWork((start[0], start[1], start[2]), (1, 1, 1), "Split"), shape))
    return tuple(boxes)


def pad(node: ir.Node) -> PadWork:
    """Pad of H and W with a constant."""
    mode = node.attributes.get_string("mode") or "constant"
    require(mode == "constant", f"Pad with mode {mode}")
    shape_hwc(input_at(node, 0))
    pads = _integers(node, 1)
    if pads is None:
        raise OffBpu("Pad without pads")
    axes = tuple(axis % 4 for axis in _integers(node, 3) or range(4))
    count = len(axes)
    before = dict(zip(axes, pads[:count], strict=True))
    after = dict(zip(axes, pads[count:], strict=True))
    outer = [side.get(axis, 0) for side in (before, after) for axis in (0, 1)]
    inner = (before.get(2, 0), before.get(3, 0), after.get(2, 0), after.get(3, 0))
    require(not any(outer), "Pad of the batch or channel axis")
    require(min(inner) >= 0, "Pad with negative sizes")
    return PadWork(inner, scalar(node, 2) or 0.0)


def depth_space(node: ir.Node) -> DepthSpaceWork:
    """DepthToSpace and SpaceToDepth with blocks of 2."""
    block = node.attributes.get_int("blocksize", 0)
    require(block == 2, f"{node.op_type} with block size {block}, the BPU has 2")
    mode = node.attributes.get_string("mode") or "DCR"
    return DepthSpaceWork(block, node.op_type == "DepthToSpace", mode == "DCR", node.op_type)


def resize(node: ir.Node) -> ResizeWork:
    """Resize and Upsample of H and W, nearest or linear."""
    x, y = shape_hwc(input_at(node, 0)), shape_hwc(node.outputs[0])
    require(x[2] == y[2], "Resize of the channel axis")
    kind = node.attributes.get_string("mode") or "nearest"
    require(kind in ("nearest", "linear", "bilinear"), f"Resize with mode {kind}")
    require(not node.attributes.get_int("antialias", 0), "Resize with antialias")
    if node.op_type == "Upsample":
        coordinates, nearest, scales = "asymmetric", "floor", constant(input_at(node, 1))
    else:
        coordinates = node.attributes.get_string("coordinate_transformation_mode") or "half_pixel"
        nearest = node.attributes.get_string("nearest_mode") or "round_prefer_floor"
        scales = constant(input_at(node, 2)) if value_name(input_at(node, 2)) else None
    mode = ResizeMode.NEAREST if kind == "nearest" else ResizeMode.BILINEAR
    factors: dict[int, float] = {}
    if scales is not None and np.size(scales):
        axes = tuple(node.attributes.get_ints("axes") or range(np.size(scales)))
        pairs = zip(axes, scales.reshape(-1).astype(np.float64), strict=True)
        factors = {axis % 4: float(v) for axis, v in pairs}

    def axis_of(position: int, in_size: int, out_size: int) -> Axis:
        factor = factors.get(position)
        return arith.resize_axis(in_size, out_size, mode, coordinates, factor, nearest)

    try:
        return ResizeWork(mode, axis_of(2, x[0], y[0]), axis_of(3, x[1], y[1]))
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error
