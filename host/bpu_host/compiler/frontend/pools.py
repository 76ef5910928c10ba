"""The sizes of pools with `ceil_mode`, by one rule of our own.

PyTorch and onnxruntime drop a last window that would begin in the padding behind the data; ONNX's
shape inference keeps it. Where the two differ the pool is written without `ceil_mode`, so that it
makes just the windows that are computed, before any shape is inferred from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.shape_inference
from onnx import helper

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_FIXED = (b"SAME_UPPER", b"SAME_LOWER", b"VALID")


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
        if self.computed == self.floor:
            return self.after
        return (self.computed - 1) * self.stride + self.extent - self.size - self.before


def resolve_ceil_mode(model: onnx.ModelProto) -> None:
    """Rewrite (in place) the pools with `ceil_mode` whose inferred size is not the computed one.

    Pools of unknown input shape stay, and those that no padding can express.
    """
    pools = [node for node in model.graph.node if _has_ceil_mode(node)]
    while pools:
        # A rewritten pool changes the shapes behind it, so only the first is certain each time.
        shapes = inferred_shapes(model)
        found = next((node for node in pools if _differs(_axes(node, shapes))), None)
        if found is None:
            return
        pools.remove(found)
        _rewrite(found, _axes(found, shapes))


def _has_ceil_mode(node: onnx.NodeProto) -> bool:
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return (
        node.op_type in _POOLS
        and given.get("ceil_mode", 0) != 0
        and given.get("auto_pad", b"NOTSET") not in _FIXED
    )


def inferred_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """What ONNX infers, by tensor name; an unknown size is 0, an unknown shape empty."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }


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


def _rewrite(node: onnx.NodeProto, axes: list[PoolAxis]) -> None:
    given = {item.name: item for item in node.attribute}
    more = any(axis.needed_after != axis.after for axis in axes)
    counted = node.op_type == "AveragePool" and "count_include_pad" in given
    if more and (counted and given["count_include_pad"].i):
        return  # the mean would count the new padding
    if any(axis.needed_after >= axis.kernel for axis in axes):
        return
    pads = [axis.before for axis in axes] + [axis.needed_after for axis in axes]
    kept = [item for item in node.attribute if item.name not in ("ceil_mode", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
