"""Conv and pool attributes become explicit: kernel, strides, dilations, pads; no auto_pad, no ceil.

A ceiling that changes nothing is dropped; otherwise a MaxPool gets the missing rows as padding.
"""

from __future__ import annotations

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.context import PassContext

_OPS = frozenset({"Conv", "MaxPool", "AveragePool", "ConvTranspose"})


def normalize_windows(model: ir.Model, context: PassContext) -> int:
    """Bring 2-D Conv, ConvTranspose, MaxPool and AveragePool to the explicit form."""
    del context
    return sum(_normalize(node) for node in model.graph if node.op_type in _OPS and not node.domain)


def _normalize(node: ir.Node) -> int:
    x, y = g.shape_of(node.inputs[0]), g.shape_of(node.outputs[0])
    if x is None or y is None or len(x) != 4:
        return 0
    weight = g.shape_of(node.inputs[1]) if "Conv" in node.op_type else None
    kernel = g.ints(node, "kernel_shape", weight[2:] if weight else ())
    strides = g.ints(node, "strides", (1, 1))
    dilations = g.ints(node, "dilations", (1, 1))
    pads = list(g.ints(node, "pads", (0, 0, 0, 0)))
    auto = g.text(node, "auto_pad", "NOTSET")
    before = dict(node.attributes)
    if node.op_type == "ConvTranspose":
        if auto != "NOTSET" or "output_shape" in node.attributes:
            return 0  # left open by the frontend: no padding expresses it
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        for axis in range(2):
            extent = (kernel[axis] - 1) * dilations[axis] + 1
            total = max(0, (y[2 + axis] - 1) * strides[axis] + extent - x[2 + axis])
            small = total // 2
            pads[axis], pads[axis + 2] = (
                (small, total - small) if auto == "SAME_UPPER" else (total - small, small)
            )
    elif auto == "VALID":
        pads = [0, 0, 0, 0]
    if g.attribute(node, "ceil_mode", 0):
        extra = [
            (y[2 + axis] - 1) * strides[axis]
            + (kernel[axis] - 1) * dilations[axis] + 1
            - (x[2 + axis] + pads[axis] + pads[axis + 2])
            for axis in range(2)
        ]  # fmt: skip
        fits = all(pads[a + 2] + max(0, extra[a]) < kernel[a] for a in range(2))
        if max(extra) <= 0:
            node.attributes.add(ir.AttrInt64("ceil_mode", 0))
        elif node.op_type == "MaxPool" and fits:
            pads = [*pads[:2], *(pads[a + 2] + max(0, extra[a]) for a in range(2))]
            node.attributes.add(ir.AttrInt64("ceil_mode", 0))
    node.attributes.pop("auto_pad", None)
    for name, values in (
        ("kernel_shape", kernel),
        ("strides", strides),
        ("dilations", dilations),
        ("pads", tuple(pads)),
    ):
        node.attributes.add(ir.AttrInt64s(name, values))
    if node.op_type == "AveragePool" and dilations == (1, 1):
        # onnxruntime makes a QLinearAveragePool of it in the calibrated model: without dilations.
        del node.attributes["dilations"]
    return int(_differs(before, node))


def _differs(before: dict[str, ir.Attr], node: ir.Node) -> bool:
    after = node.attributes
    if set(before) != set(after):
        return True
    return any(before[name].value != after[name].value for name in before)
