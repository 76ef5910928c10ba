"""Tensors that only the BPU holds: a mean over a large map is taken in several steps.

The float graph computes such a mean at once, so nothing in it has the range of the steps between.
Here they are made part of a copy of the graph, for calibration to see. A step's range is not its
input's: the mean of positive and negative values is far smaller than they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units import Unit
from bpu_host.compiler.units.work import ConvWork


def with_inner_means(model: ir.Model, units: Sequence[Unit]) -> tuple[ir.Model, tuple[str, ...]]:
    """The model with an AveragePool for each step of a mean that it does not hold itself.

    Args:
        units: what is to run on the BPU, in the order of the graph.

    Returns:
        A copy with these nodes, or the model itself if there are none; the names of their results.
    """
    values = {g.name_of(value): value for value in model.graph.inputs}
    values |= {g.name_of(value): value for node in model.graph for value in node.outputs}
    missing = [unit for unit in units if unit.y not in values and _is_mean(unit)]
    if not missing:
        return model, ()
    copy = model.clone()
    values = {g.name_of(value): value for node in copy.graph for value in node.outputs}
    for unit in missing:
        assert isinstance(unit.work, ConvWork)
        height, width, channels = unit.y_shape
        attributes = {"kernel_shape": unit.work.kernel_hw, "strides": unit.work.stride_hw}
        shape = (1, channels, height, width)
        node = g.new_node("AveragePool", [values[unit.xs[0]]], unit.name, unit.y, shape, attributes)
        values[unit.y] = node.outputs[0]
        copy.graph.append(node)
    return copy, tuple(unit.y for unit in missing)


def _is_mean(unit: Unit) -> bool:
    return isinstance(unit.work, ConvWork) and not unit.work.high_precision
