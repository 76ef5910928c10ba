"""Add, Sub, Mul of two computed tensors as units."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units.reading import Shape3, require, shape_hwc
from bpu_host.compiler.units.work import AddWork, MulWork, Unit

NEEDS = "Two computed operands of equal shape, or one of shape 1xCx1x1 or 1x1x1x1."


def add(node: ir.Node) -> tuple[Unit]:
    """Add."""
    return (_unit(node, lambda _: AddWork(), f"UNIT_CONV_FOR_{node.name}"),)


def subtract(node: ir.Node) -> tuple[Unit]:
    """Sub: a sum in which one operand counts negative."""

    def work(turned: bool) -> AddWork:
        return AddWork((-1, 1) if turned else (1, -1), "HzSElementwiseSub")

    return (_unit(node, work, g.name_of(node)),)


def multiply(node: ir.Node) -> tuple[Unit]:
    """Mul."""
    return (_unit(node, lambda _: MulWork(), g.name_of(node)),)


def _unit(node: ir.Node, work: Callable[[bool], AddWork | MulWork], name: str) -> Unit:
    require(
        all(g.constant(value) is None for value in node.inputs),
        "both operands must be outputs of other operators",
    )
    shapes = [shape_hwc(value) for value in node.inputs]
    out = shape_hwc(node.outputs[0])
    order = [0, 1]
    if not _fits(shapes[0], shapes[1], out):
        order = [1, 0]
        require(
            _fits(shapes[1], shapes[0], out),
            f"shapes {_nchw(node, 0)} and {_nchw(node, 1)}; they must be equal, or 1xCx1x1 beside "
            "it",
        )
    return Unit(
        name,
        work(order == [1, 0]),
        (node,),
        tuple(g.name_of(node.inputs[index]) for index in order),
        tuple(shapes[index] for index in order),
        g.name_of(node.outputs[0]),
        out,
    )


def _fits(full: Shape3, other: Shape3, out: Shape3) -> bool:
    return full == out and other in (out, (1, 1, out[2]), (1, 1, 1))


def _nchw(node: ir.Node, index: int) -> list[int]:
    return list(g.shape_of(node.inputs[index]) or ())
