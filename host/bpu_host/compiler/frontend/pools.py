"""The windows of pools, as onnxruntime computes them.

SAME padding, `ceil_mode` and kernels larger than the padded data leave open which windows there
are, and ONNX's shape inference answers otherwise than onnxruntime; what a mean then divides by
differs between opsets as well. Such a pool is written with the pads that make just its windows. A
mean that divides by other numbers gets a factor for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from bpu_common.errors import ModelUnsupported
from bpu_common.tensor import F32, I64
from bpu_host.compiler.frontend.attributes import attributes_of
from bpu_host.compiler.frontend.sizes import Rule, Shapes
from bpu_host.compiler.frontend.splice import constant_node

POOLS = ("AveragePool", "LpPool", "MaxPool")
_SAME = (b"SAME_UPPER", b"SAME_LOWER")
_ENDS_COUNT = 19
"""The first opset whose means always end at the padding, before only with `ceil_mode`."""
_TO_THE_END = 2**31 - 1
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PoolAxis:
    """The windows of a pool along one axis.

    Attributes:
        size: of the data; what a mean does not see at the end is none of it.
        unseen: positions behind it.
        before: padding; below 0, positions that no window reads.
        after: likewise.
        count: windows.
    """

    size: int
    unseen: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: int

    @property
    def end(self) -> int:
        """How far the last window reaches beyond the data; below 0, it ends within."""
        extent = (self.kernel - 1) * self.dilation + 1
        return (self.count - 1) * self.stride + extent - self.before - self.size

    @property
    def crop(self) -> tuple[int, int]:
        """Positions at both ends without which there are just these windows."""
        unread = -self.end if -self.end >= self.stride else 0
        return max(0, -self.before), unread + self.unseen

    @property
    def pads(self) -> tuple[int, int]:
        """Padding of the cropped data with which there are just these windows."""
        return max(0, self.before), max(0, self.end)

    def divisors(self, *, counted: bool, cut: bool) -> I64:
        """What a mean divides by, for each window; 1 or more.

        Args:
            counted: whether padding is counted.
            cut: whether what lies behind the padding is not.
        """
        starts = np.arange(self.count) * self.stride - self.before
        taps = starts[:, None] + np.arange(self.kernel) * self.dilation
        inside: I64 = ((taps >= 0) & (taps < self.size)).sum(axis=1)
        if not counted:
            return np.maximum(inside, 1)
        if not cut:
            return np.full(self.count, self.kernel)
        ends = np.minimum(starts + self.kernel * self.dilation, self.size + max(0, self.after))
        found = 1 + (ends - starts - 1) // self.dilation
        return np.where(inside > 0, found, self.kernel)  # without data the sum is 0 anyway


def pool_rule(version: int) -> Rule:
    """The rule for pools of a model that came with opset `version`.

    It raises ModelUnsupported where no form of the pool gives its second output.
    """

    def rule(node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto]:
        given = attributes_of(node)
        ends_count = node.op_type == "AveragePool" and version >= _ENDS_COUNT
        axes = _axes(given, shapes.get(node.input[0], [])[2:], ends_count=ends_count)
        return [] if not axes or _is_plain(given, axes) else _body(node, axes, version)

    return rule


def _axes(given: Attributes, sizes: Sequence[int], *, ends_count: bool) -> list[PoolAxis]:
    """The axes of a pool; none where a size is unknown, or it has no window."""
    kernel = given["kernel_shape"]
    rank = len(kernel)
    if len(sizes) != rank or 0 in sizes:
        return []
    strides, dilations = given.get("strides") or [1] * rank, given.get("dilations") or [1] * rank
    axes = []
    for index, values in enumerate(zip(sizes, kernel, strides, dilations, strict=True)):
        size, width, stride, dilation = values
        before, after = _padding(given, index, size, width, stride)
        steps = (size + before + after - (width - 1) * dilation - 1) / stride
        ceil = given.get("ceil_mode", 0) != 0
        count = (math.ceil(steps) if ceil else int(steps)) + 1  # towards zero, as C++ does
        if ceil and (count - 1) * stride >= size + before:
            count -= 1  # it would begin in the padding behind the data
        unseen = max(0, -after) if ends_count else 0
        axes.append(PoolAxis(size - unseen, unseen, width, stride, dilation, before, after, count))
    return axes if all(axis.count > 0 for axis in axes) else []


def _padding(given: Attributes, index: int, size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after; with SAME, onnxruntime counts the kernel without its dilation."""
    auto = given.get("auto_pad", b"NOTSET")
    if auto in _SAME:
        total = (-(-size // stride) - 1) * stride + kernel - size
        before = int((total + (auto == b"SAME_LOWER")) / 2)
        return before, total - before
    pads = given.get("pads") or [0] * (2 * len(given["kernel_shape"]))
    return (0, 0) if auto == b"VALID" else (pads[index], pads[index + len(pads) // 2])


def _is_plain(given: Attributes, axes: Sequence[PoolAxis]) -> bool:
    """Whether all agree on its windows: they lie in the padded data, and as many as fit."""
    same = given.get("auto_pad") in _SAME
    return not given.get("ceil_mode", 0) and all(
        axis.end <= axis.after
        and not (same and (axis.dilation > 1 or min(axis.before, axis.after) < 0))
        for axis in axes
    )


def _body(node: onnx.NodeProto, axes: Sequence[PoolAxis], version: int) -> list[onnx.NodeProto]:
    """The pool in its plain form.

    Raises:
        ModelUnsupported: it also gives positions, which that would move; names the node.
    """
    given = attributes_of(node)
    cropped = any(any(axis.crop) for axis in axes)
    padded = any(pad >= axis.kernel for axis in axes for pad in axis.pads)  # more than a pool may
    if (cropped or padded) and any(node.output[1:]):
        raise ModelUnsupported(
            "the positions of its maxima are used, and its windows do not fit into the padded data",
            where=f"node {node.name} ({node.op_type})",
            hint="export it with auto_pad NOTSET and pads, or without the positions",
        )
    x, nodes = node.input[0], []
    if cropped:
        nodes += _crop(x, axes)
        x = "read"
    pads = [axis.pads[0] for axis in axes] + [axis.pads[1] for axis in axes]
    if padded:
        nodes += _pad(x, pads, lowest=node.op_type == "MaxPool")
        x, pads = "padded", [0] * len(pads)
    mean = node.op_type == "AveragePool"
    factors = _factors(given, axes, version, padded=padded) if mean else None
    outputs = list(node.output) if factors is None else ["mean"]
    kept = {k: v for k, v in given.items() if k not in ("auto_pad", "ceil_mode", "pads")}
    nodes.append(helper.make_node(node.op_type, [x], outputs, **kept, pads=pads))
    if factors is not None:
        nodes.append(constant_node("factors", factors))
        nodes.append(helper.make_node("Mul", ["mean", "factors"], node.output[:1]))
    return nodes


def _crop(x: str, axes: Sequence[PoolAxis]) -> list[onnx.NodeProto]:
    starts, ends = zip(*(axis.crop for axis in axes), strict=True)
    bounds = {
        "starts": np.array(starts, np.int64),
        "ends": np.array([-end if end else _TO_THE_END for end in ends], np.int64),
        "axes": np.arange(2, 2 + len(axes), dtype=np.int64),
    }
    constants = [constant_node(name, values) for name, values in bounds.items()]
    return [*constants, helper.make_node("Slice", [x, *bounds], ["read"])]


def _pad(x: str, pads: Sequence[int], *, lowest: bool) -> list[onnx.NodeProto]:
    half = len(pads) // 2
    value = np.finfo(np.float32).min if lowest else 0.0
    return [
        constant_node("pads", np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)),
        constant_node("value", np.array(value, np.float32)),
        helper.make_node("Pad", [x, "pads", "value"], ["padded"]),
    ]


def _factors(
    given: Attributes, axes: Sequence[PoolAxis], version: int, *, padded: bool
) -> F32 | None:
    """By what the means of the plain form are too small, for each window; None where by nothing."""
    counted = bool(given.get("count_include_pad", 0))
    cut = version >= _ENDS_COUNT or bool(given.get("ceil_mode", 0))
    found = np.ones((1, 1), np.float32)
    for axis in axes:
        wanted = axis.divisors(counted=counted, cut=cut)
        made = np.full(axis.count, axis.kernel) if counted or padded else wanted
        found = found[..., None] * (made / wanted).astype(np.float32)
    return None if (found == 1).all() else found
