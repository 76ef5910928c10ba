"""The sizes of pools with `ceil_mode` or SAME padding, as onnxruntime computes them.

PyTorch and onnxruntime drop a last window that would begin in the padding behind the data; ONNX's
shape inference keeps it. Where the two differ the pool is written without `ceil_mode`, so that it
makes just the windows that are computed, before any shape is inferred from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bpu_host.compiler.frontend.structure import opset_of
from bpu_host.compiler.protos import inferred_shapes

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_SLICE_BY_INPUTS = 10  # the opset
_TO_THE_END = 2**31 - 1
_SAME = (b"SAME_UPPER", b"SAME_LOWER")
_FIXED = (*_SAME, b"VALID")


@dataclass(frozen=True, slots=True)
class PoolAxis:
    """The windows of a pool along one axis."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def extent(self) -> int:
        """Positions that one window spans."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def floor(self) -> int:
        """Windows that lie wholly in the padded data."""
        return (self.size + self.before + self.after - self.extent) // self.stride + 1

    @property
    def inferred(self) -> int:
        """Windows with `ceil_mode`, as ONNX's shape inference counts them."""
        return -(-(self.size + self.before + self.after - self.extent) // self.stride) + 1

    @property
    def computed(self) -> int:
        """Windows with `ceil_mode` that begin in the data, or in the padding before it."""
        count = self.inferred
        return count - 1 if (count - 1) * self.stride >= self.size + self.before else count

    @property
    def needed_after(self) -> int:
        """Padding at the end with which `floor` becomes `computed`."""
        return self.after if self.computed == self.floor else self.overhang

    @property
    def overhang(self) -> int:
        """How far the last computed window reaches beyond the data; below 0, it ends within."""
        return (self.computed - 1) * self.stride + self.extent - self.size - self.before


def resolve_same_pads(model: onnx.ModelProto) -> None:
    """Give (in place) pools with SAME padding the pads that onnxruntime takes, where ONNX's differ.

    It counts the kernel without its dilation, and takes what strides wider than the kernel leave
    over from both ends of the data. Pools of unknown input shape stay.
    """
    for node in [node for node in model.graph.node if _has_same_pads(node)]:
        axes = _axes(node, inferred_shapes(model))  # each pool changes the shapes behind it
        if axes:
            _write_same_pads(model, node, axes)


def _has_same_pads(node: onnx.NodeProto) -> bool:
    """Whether a pool has SAME padding, and more than the plain windows all agree on."""
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type not in _POOLS or given.get("auto_pad") not in _SAME:
        return False
    kernel = given["kernel_shape"]
    wide = any(k < s for k, s in zip(kernel, given.get("strides", kernel), strict=True))
    dilated = any(dilation != 1 for dilation in given.get("dilations", ()))
    return wide or dilated or given.get("ceil_mode", 0) != 0


def _write_same_pads(model: onnx.ModelProto, node: onnx.NodeProto, axes: list[PoolAxis]) -> None:
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    lower, ceil = given["auto_pad"] == b"SAME_LOWER", given.get("ceil_mode", 0) != 0
    before, after = [], []
    for axis in axes:
        windows = -(-axis.size // axis.stride)
        total = (windows - 1) * axis.stride + axis.kernel - axis.size
        before.append(int((total + lower) / 2))  # towards zero, as C++ does
        after.append(total - before[-1])
    if any(end < 0 for end in after):  # they say how many windows there are, and are no padding
        ends = zip(axes, before, after, strict=True)
        after = [_end(axis, first, last, ceil=ceil) for axis, first, last in ends]
        ceil = False
    if any(end >= axis.kernel for axis, end in zip(axes, after, strict=True)):
        return  # no padding expresses it; what differs is found and said later
    _crop(
        model,
        node,
        {2 + i: end for i, end in enumerate(after) if end < 0},
        {2 + i: -start for i, start in enumerate(before) if start < 0},
    )
    kept = [i for i in node.attribute if i.name not in ("auto_pad", "ceil_mode", "pads")]
    del node.attribute[:]
    pads = [max(0, pad) for pad in before + after]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
    if ceil:
        node.attribute.append(helper.make_attribute("ceil_mode", 1))


def _end(axis: PoolAxis, before: int, after: int, *, ceil: bool) -> int:
    """How far the last window reaches beyond the data; below 0, it ends within."""
    steps = (axis.size + before + after - axis.extent) / axis.stride
    count = (math.ceil(steps) if ceil else int(steps)) + 1
    if ceil and (count - 1) * axis.stride >= axis.size + before:
        count -= 1
    return (count - 1) * axis.stride + axis.extent - axis.size - before


def resolve_ceil_mode(model: onnx.ModelProto) -> None:
    """Rewrite (in place) the pools with `ceil_mode` whose inferred size is not the computed one.

    Pools of unknown input shape stay.
    """
    pools = [node for node in model.graph.node if _has_ceil_mode(node)]
    while pools:
        # A rewritten pool changes the shapes behind it, so only the first is certain each time.
        shapes = inferred_shapes(model)
        found = next((node for node in pools if _differs(_axes(node, shapes))), None)
        if found is None:
            return
        pools.remove(found)
        _rewrite(model, found, _axes(found, shapes))


def _has_ceil_mode(node: onnx.NodeProto) -> bool:
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return (
        node.op_type in _POOLS
        and given.get("ceil_mode", 0) != 0
        and given.get("auto_pad", b"NOTSET") not in _FIXED
    )


def _axes(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> list[PoolAxis]:
    """The axes of a pool; none when its input shape is unknown."""
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    kernel, sizes = given["kernel_shape"], shapes.get(node.input[0], [])[2:]
    rank = len(kernel)
    if len(sizes) != rank or 0 in sizes:
        return []
    strides, dilations = given.get("strides", [1] * rank), given.get("dilations", [1] * rank)
    pads = given.get("pads", [0] * (2 * rank))
    return [
        PoolAxis(*values)
        for values in zip(sizes, kernel, strides, dilations, pads[:rank], pads[rank:], strict=True)
    ]


def _differs(axes: list[PoolAxis]) -> bool:
    return any(axis.computed != axis.inferred for axis in axes)


def _rewrite(model: onnx.ModelProto, node: onnx.NodeProto, axes: list[PoolAxis]) -> None:
    """Without `ceil_mode` where padding can stand for it; else with what is used of the data."""
    after, ceil = [max(0, axis.needed_after) for axis in axes], []
    if not _may_pad(node, axes):
        # Where a window is dropped, the data end with the last one: to round up adds none.
        ends = [axis.overhang if axis.computed != axis.inferred else axis.after for axis in axes]
        after, ceil = [max(0, end) for end in ends], [helper.make_attribute("ceil_mode", 1)]
        _crop(model, node, {2 + i: end for i, end in enumerate(ends) if end < 0})
    pads = [axis.before for axis in axes] + after
    kept = [item for item in node.attribute if item.name not in ("ceil_mode", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, *ceil, helper.make_attribute("pads", pads)])


def _may_pad(node: onnx.NodeProto, axes: list[PoolAxis]) -> bool:
    """Whether padding may be added: no mean counts it, and it stays smaller than the kernel."""
    more = any(axis.needed_after > axis.after for axis in axes)
    counts = any(item.name == "count_include_pad" and item.i for item in node.attribute)
    return not (more and counts) and all(axis.needed_after < axis.kernel for axis in axes)


def _crop(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    ends: dict[int, int],
    starts: dict[int, int] | None = None,
) -> None:
    """Leave out the ends of the data (axis -> a negative end, a start) that no window reads."""
    starts = starts or {}
    axes = sorted({*ends, *starts})
    if not axes:
        return
    graph, name = model.graph, f"{node.name or node.output[0]}_read"
    bounds = {
        "starts": [starts.get(axis, 0) for axis in axes],
        "ends": [ends.get(axis, _TO_THE_END) for axis in axes],
        "axes": axes,
    }
    if opset_of(model) < _SLICE_BY_INPUTS:
        crop = helper.make_node("Slice", [node.input[0]], [name], name)
        crop.attribute.extend(helper.make_attribute(*each) for each in bounds.items())
    else:
        names = [f"{name}_{part}" for part in bounds]
        for each, values in zip(names, bounds.values(), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), each))
        crop = helper.make_node("Slice", [node.input[0], *names], [name], name)
    graph.node.insert(list(graph.node).index(node), crop)
    node.input[0] = name
