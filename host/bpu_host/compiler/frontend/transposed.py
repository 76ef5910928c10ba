"""The pads of transposed convolutions, by onnxruntime's rule.

`auto_pad` and `output_shape` leave the pads open. ONNX's shape inference forgets `output_padding`
beside SAME, and its text says twice differently at which side the odd row goes; so the pads are
written out before any shape is inferred from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from bpu_host.compiler.frontend.attributes import attributes_of
from bpu_host.compiler.frontend.sizes import Shapes

_SAME = ("SAME_UPPER", "SAME_LOWER")


def transposed_rule(node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto]:
    """A ConvTranspose with `pads` and `output_padding` alone; none where no padding expresses it.

    Those of unknown input shape stay.
    """
    given = attributes_of(node)
    if given.get("auto_pad", b"NOTSET") == b"NOTSET" and "output_shape" not in given:
        return []
    sizes = shapes.get(node.input[0], [])[2:]
    kernel = list(given.get("kernel_shape") or shapes.get(node.input[1], [])[2:])
    rank = len(sizes)
    if not rank or 0 in sizes or len(kernel) != rank:
        return []
    auto = given.pop("auto_pad", b"NOTSET").decode()
    wanted = list(given.pop("output_shape", []))[-rank:]
    strides = given.get("strides", [1] * rank)
    dilations = given.get("dilations", [1] * rank)
    padding = list(given.get("output_padding", [0] * rank))
    full = [
        (size - 1) * stride + more + (width - 1) * dilation + 1
        for size, stride, more, width, dilation in zip(
            sizes, strides, padding, kernel, dilations, strict=True
        )
    ]
    if not wanted:
        wanted = full
        if auto in _SAME:
            wanted = [min(a, b * stride) for a, b, stride in zip(full, sizes, strides, strict=True)]
    for axis, (whole, size) in enumerate(zip(full, wanted, strict=True)):
        padding[axis] += max(0, size - whole)
        if padding[axis] >= max(strides[axis], dilations[axis]):
            return []
    given["pads"] = _pads([max(0, a - b) for a, b in zip(full, wanted, strict=True)], auto)
    if any(padding):
        given["output_padding"] = padding
    return [helper.make_node(node.op_type, node.input, node.output, **given)]


def _pads(totals: Sequence[int], auto: str) -> list[int]:
    """Begins, then ends; the odd row goes to the end with SAME_UPPER alone."""
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    return small + large if auto == "SAME_UPPER" else large + small
