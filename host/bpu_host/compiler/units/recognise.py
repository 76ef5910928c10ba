"""From the optimized float graph to the work that the BPU could do, once, before all else.

What runs as one and cannot be parted is one unit here: x * f(x) with a chain f of functions of one
variable (SiLU, Mish) is a look-up named after the Mul. A Relu or Clip behind a unit is a unit of
its own until it is known where both run: `fuse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from bpu_common.tensor import ModelInput
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units import functions
from bpu_host.compiler.units.operators import OPERATORS
from bpu_host.compiler.units.reading import OffBpu, shape_hwc
from bpu_host.compiler.units.work import ClampWork, LutWork, Plan, Refusal, Unit

_TO_NCHW = (0, 3, 1, 2)


def recognise(model: ir.Model, inputs: tuple[ModelInput, ...]) -> Plan:
    """Every node as units, or with the reason why it is none; other operators are left out.

    Args:
        model: the optimized float graph.
        inputs: the model's inputs; those that are images are int8 on the board.
    """
    plan = Plan(model, inputs)
    images = {item.tensor.name for item in inputs if item.input_type.is_image}
    gates: dict[str, tuple[ir.Node, ...]] = {}
    for node in model.graph:
        _note_alias(plan, node, images)
        if node.op_type == "Mul" and (chain := _gate(node)):
            gates[g.name_of(node)] = chain
    inner = {g.name_of(node) for chain in gates.values() for node in chain}
    for node in model.graph:
        name = g.name_of(node)
        if name in inner or node.domain or node.op_type not in OPERATORS:
            continue
        chain = gates.get(name, ())
        try:
            units = (_gated(node, chain),) if chain else OPERATORS[node.op_type].units(node)
        except OffBpu as refusal:
            for covered in (node, *chain):
                plan.refusals[g.name_of(covered)] = Refusal(str(refusal), refusal.rule)
            continue
        plan.units[name] = tuple(_with_aliases(unit, plan.aliases) for unit in units)
        _note_stand_ins(plan, plan.units[name])
    return plan


def _with_aliases(unit: Unit, aliases: Mapping[str, str]) -> Unit:
    return replace(unit, xs=tuple(aliases.get(x, x) for x in unit.xs))


def _note_alias(plan: Plan, node: ir.Node, images: set[str]) -> None:
    """An image input of an NHWC network is only turned: the BPU tensor is the input itself."""
    if node.op_type != "Transpose" or g.ints(node, "perm", ()) != _TO_NCHW:
        return
    if g.name_of(node.inputs[0]) in images:
        plan.aliases[g.name_of(node.outputs[0])] = g.name_of(node.inputs[0])


def _note_stand_ins(plan: Plan, units: tuple[Unit, ...]) -> None:
    """What a clamp cuts off need not be represented; a chain has the range of its input."""
    for unit in units[:-1]:
        plan.stand_ins[unit.y] = units[0].xs[0]
    if isinstance(units[0].work, ClampWork):
        plan.stand_ins[units[0].xs[0]] = units[0].y


def _gate(node: ir.Node) -> tuple[ir.Node, ...]:
    """The chain f of a Mul(x, f(x)), first node first; empty if it is no such product."""
    for gate, x in (node.inputs, tuple(reversed(node.inputs))):
        chain: list[ir.Node] = []
        value = gate
        while value is not None and value is not x and g.sole_user(value) is not None:
            maker = value.producer()
            if maker is None or not functions.is_function(maker):
                break
            chain.insert(0, maker)
            value = maker.inputs[0]
        if chain and value is x:
            return tuple(chain)
    return ()


def _gated(node: ir.Node, chain: tuple[ir.Node, ...]) -> Unit:
    for inner in chain:
        OPERATORS[inner.op_type].units(inner)  # each must be possible by itself
    x, y = chain[0].inputs[0], node.outputs[0]
    work = LutWork((functions.gated(chain),))
    names = (g.name_of(x),)
    return Unit(
        g.name_of(node), work, (node, *chain), names, (shape_hwc(x),), g.name_of(y), shape_hwc(y)
    )
