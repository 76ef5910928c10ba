"""From the float graph and its verdicts to units: which nodes run on the BPU, and as what.

Fusions: Conv, Add or Mul with a following Relu or Clip; x * f(x) with a chain f of functions of one
variable (SiLU, Mish) as one look-up named after the Mul.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import onnx_ir as ir

from bpu_common.tensor import InputType, ModelInput
from bpu_host.compiler.quantize import functions, rearrange, windows
from bpu_host.compiler.quantize.graphview import (
    OffBpu,
    constant,
    float_constant,
    input_at,
    node_name,
    require,
    shape_hwc,
    sole_consumer,
    value_name,
)
from bpu_host.compiler.quantize.units import (
    UNBOUNDED,
    AddWork,
    Bounds,
    ConvWork,
    LutWork,
    MulWork,
    Plan,
    Unit,
    Work,
)

_TO_NCHW = (0, 3, 1, 2)


class Placement(Protocol):
    """What is needed of a `rules.Verdict`."""

    @property
    def on(self) -> str: ...
    @property
    def reason(self) -> str: ...


_SIMPLE: dict[str, Callable[[ir.Node], Work]] = {
    "Conv": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "AveragePool": windows.average_pool,
    "MaxPool": windows.max_pool,
    "GlobalMaxPool": windows.max_pool,
    "Concat": rearrange.concat,
    "Slice": rearrange.slice_box,
    "Pad": rearrange.pad,
    "Resize": rearrange.resize,
    "Upsample": rearrange.resize,
    "DepthToSpace": rearrange.depth_space,
    "SpaceToDepth": rearrange.depth_space,
}
_ARITHMETIC = ("Add", "Sum", "Sub", "Mul", "Div")


def recognise(
    model: ir.Model, verdicts: Mapping[str, Placement], inputs: tuple[ModelInput, ...]
) -> Plan:
    """The units of all nodes that `verdicts` puts on the BPU (by node name).

    A node that cannot be expressed is left out, with the reason in `Plan.refused`.
    """
    plan = Plan()
    images = {item.tensor.name for item in inputs if item.input_type is not InputType.FEATUREMAP}
    _Recogniser(plan, verdicts, images).run(model.graph)
    return plan


class _Recogniser:
    def __init__(self, plan: Plan, verdicts: Mapping[str, Placement], images: set[str]) -> None:
        self._plan = plan
        self._verdicts = verdicts
        self._images = images
        self._inner: set[str] = set()

    def run(self, graph: ir.Graph) -> None:
        nodes = list(graph)
        for node in nodes:
            self._note_alias(node)
            if node.op_type in ("Relu", "Clip"):  # what it cuts off need not be represented
                before, after = value_name(node.inputs[0]), value_name(node.outputs[0])
                self._plan.stand_ins[before] = after
            if node.op_type == "Mul" and self._on_bpu(node):
                self._inner.update(node_name(inner) for inner in self._gate(node))
        for node in nodes:
            name = node_name(node)
            if name in self._plan.covered or name in self._inner or not self._on_bpu(node):
                continue
            try:
                units = self._units(node)
            except OffBpu as refusal:
                self._refuse(node, str(refusal))
                continue
            self._plan.units[node_name(units[0].covers[0])] = units
            for unit in units:
                self._plan.covered.update(node_name(covered) for covered in unit.covers)

    def _refuse(self, node: ir.Node, reason: str) -> None:
        """The node and what was to be fused into it stay on the CPU."""
        self._plan.refused[node_name(node)] = reason
        for inner in self._gate(node) if node.op_type == "Mul" else ():
            self._plan.refused[node_name(inner)] = reason

    def _on_bpu(self, node: ir.Node) -> bool:
        verdict = self._verdicts.get(node_name(node))
        return verdict is not None and verdict.on == "BPU"

    def _note_alias(self, node: ir.Node) -> None:
        """An image input of an NHWC network is only turned: the BPU tensor is the input itself."""
        if node.op_type != "Transpose" or value_name(node.inputs[0]) not in self._images:
            return
        if tuple(node.attributes.get_ints("perm") or ()) == _TO_NCHW:
            self._plan.aliases[value_name(node.outputs[0])] = value_name(node.inputs[0])
            self._plan.covered.add(node_name(node))

    def _name(self, value: ir.Value | None) -> str:
        """Name of the tensor the BPU reads for `value`."""
        name = value_name(value)
        return self._plan.aliases.get(name, name)

    def _gate(self, node: ir.Node) -> tuple[ir.Node, ...]:
        """The chain f of a Mul(x, f(x)), first node first; empty if it is no such product."""
        if len(node.inputs) != 2:
            return ()
        for gate, x in (node.inputs, tuple(reversed(node.inputs))):
            chain: list[ir.Node] = []
            value = gate
            while value is not None and value is not x and sole_consumer(value) is not None:
                producer = value.producer()
                unary = producer is not None and producer.op_type in functions.OP_TYPES
                if producer is None or not unary or not self._on_bpu(producer):
                    break
                chain.insert(0, producer)
                value = producer.inputs[0]
            if chain and value is x:
                return tuple(chain)
        return ()

    def _units(self, node: ir.Node) -> tuple[Unit, ...]:
        op = node.op_type
        if op in ("GlobalAveragePool", "ReduceMean"):
            return self._global_average(node)
        if op == "Split":
            return self._split(node)
        if op in _ARITHMETIC:
            return (self._arithmetic(node),)
        if op in functions.OP_TYPES:
            shape_hwc(input_at(node, 0))
            return (self._unit(node, LutWork((functions.unary_function(node),))),)
        if op == "PRelu":
            return (self._unit(node, self._prelu(node)),)
        if op in _SIMPLE:
            xs = len(node.inputs) if op == "Concat" else 1
            return (self._unit(node, _SIMPLE[op](node), xs),)
        raise OffBpu(f"OpenBPU runs {op} on the CPU")

    def _unit(self, node: ir.Node, work: Work, xs: int = 1) -> Unit:
        names = tuple(self._name(value) for value in node.inputs[:xs])
        if isinstance(work, ConvWork):
            return self._with_activation(node, work, names)
        y = node.outputs[0]
        return Unit(node_name(node), work, (node,), names, value_name(y), shape_hwc(y))

    def _with_activation(
        self, node: ir.Node, work: Work, xs: tuple[str, ...], name: str = ""
    ) -> Unit:
        """The unit with the Relu or Clip that alone reads its result, if there is one."""
        covers: tuple[ir.Node, ...] = (node,)
        bounds, y = UNBOUNDED, node.outputs[0]
        activation, found = self._activation(y)
        if activation is not None:
            covers, bounds, y = (node, activation), found, activation.outputs[0]
        return Unit(name or node_name(node), work, covers, xs, value_name(y), shape_hwc(y), bounds)

    def _activation(self, value: ir.Value) -> tuple[ir.Node | None, Bounds]:
        follower = sole_consumer(value)
        if (
            follower is None
            or follower.op_type not in ("Relu", "Clip")
            or not self._on_bpu(follower)
            or node_name(follower) in self._inner
            or follower.inputs[0] is not value
        ):
            return None, UNBOUNDED
        try:
            return follower, functions.clip_bounds(follower)
        except OffBpu:
            return None, UNBOUNDED

    def _arithmetic(self, node: ir.Node) -> Unit:
        gate = self._gate(node) if node.op_type == "Mul" else ()
        if gate:
            x = self._name(gate[0].inputs[0])
            work = LutWork((functions.gated(gate),))
            y = node.outputs[0]
            unit = Unit(node_name(node), work, (node, *gate), (x,), value_name(y), shape_hwc(y))
            shape_hwc(gate[0].inputs[0])
            return unit
        if node.op_type != "Sum" and (affine := windows.affine(node)) is not None:
            data = node.inputs[0] if constant(node.inputs[0]) is None else node.inputs[1]
            return self._with_activation(node, affine, (self._name(data),))
        if node.op_type in ("Add", "Sum"):
            require(all(constant(value) is None for value in node.inputs), "Sum with a constant")
            operands = self._operands(node)
            name = f"UNIT_CONV_FOR_{node_name(node)}"
            return self._with_activation(node, AddWork(), operands, name)
        require(node.op_type == "Mul", f"OpenBPU runs {node.op_type} of two tensors on the CPU")
        return self._with_activation(node, MulWork(), self._operands(node))

    def _operands(self, node: ir.Node) -> tuple[str, str]:
        first, second = windows.broadcast_operands(node)
        return self._name(first), self._name(second)

    def _global_average(self, node: ir.Node) -> tuple[Unit, ...]:
        if node.op_type == "ReduceMean":
            axes = node.attributes.get_ints("axes") or ()
            if len(node.inputs) > 1 and (given := constant(node.inputs[1])) is not None:
                axes = [int(axis) for axis in given.reshape(-1)]
            require(
                sorted(axis % 4 for axis in axes) == [2, 3]
                and node.attributes.get_int("keepdims", 1) == 1,
                "ReduceMean over other axes than height and width",
            )
        x = self._name(node.inputs[0])
        units = windows.global_average(node, x, value_name(node.outputs[0]))
        for unit in units[:-1]:
            self._plan.stand_ins[unit.y] = units[0].xs[0]
        return units

    def _split(self, node: ir.Node) -> tuple[Unit, ...]:
        shape_hwc(input_at(node, 0))
        x, name = self._name(node.inputs[0]), node_name(node)
        require(any(v.uses() or v.is_graph_output() for v in node.outputs), "Split without readers")
        return tuple(
            Unit(f"{name}_{index}", work, (node,), (x,), value_name(value), shape)
            for index, (value, (work, shape)) in enumerate(
                zip(node.outputs, rearrange.split_boxes(node), strict=True)
            )
            if value.uses() or value.is_graph_output()
        )

    def _prelu(self, node: ir.Node) -> LutWork:
        _, _, channels = shape_hwc(input_at(node, 0))
        slope = float_constant(node, 1)
        require(slope is not None, "PRelu with a slope that is not constant")
        assert slope is not None
        shape = (1,) * (4 - slope.ndim) + slope.shape
        require(
            slope.size == 1 or shape == (1, channels, 1, 1),
            f"PRelu with a slope of shape {list(slope.shape)}",
        )
        return LutWork(tuple(functions.leaky(float(v)) for v in slope.reshape(-1)), "HzPRelu")
