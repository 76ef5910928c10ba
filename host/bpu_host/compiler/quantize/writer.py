"""Writing the operations of one lowering attempt, in the order of the float graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from bpu_common.errors import CompilerBug, ModelUnsupported
from bpu_common.network import (
    Dequantize,
    ModelOutput,
    Network,
    OnnxOp,
    Operation,
    QConv,
    Quantize,
    bpu_tensor,
    tensors_made,
    tensors_read,
)
from bpu_common.tensor import UNQUANTIZED, DType, Layout, TensorSpec
from bpu_host.compiler.partition import split
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.quantize.all_codes import bias_is_coarse, offset_tensors
from bpu_host.compiler.quantize.operations import build, rescale
from bpu_host.compiler.quantize.scales import Thresholds, assign_thresholds, scale_for
from bpu_host.compiler.rules import Placement
from bpu_host.compiler.units.reading import OffBpu, Shape3, shape_hwc
from bpu_host.compiler.units.work import UNBOUNDED, ConcatWork, ConvWork, Unit

IMAGE_THRESHOLD = 127.0
"""Image inputs are value - 128 with scale 1."""


class Writer:
    """One attempt. Units that do not fit are collected in `refused` (node name -> reason).

    With `all_codes`, tensors that are never negative have 256 codes for their range, but those of
    `symmetric`; `coarse` collects tensors that leave a bias too coarse so.
    """

    def __init__(
        self,
        placement: Placement,
        calibrated: Mapping[str, float],
        *,
        all_codes: bool = False,
        symmetric: Collection[str] = (),
    ) -> None:
        self.refused: dict[str, str] = {}
        self.coarse: set[str] = set()
        self._placement, self._plan = placement, placement.plan
        self._model, self._inputs = self._plan.model, self._plan.inputs
        self._units = placement.all_units
        self._covered = {name for unit in self._units for name in unit.sources}
        self._images = {i.tensor.name: i for i in self._inputs if i.input_type.is_image}
        self._values = _values_by_name(self._model)
        self._made_on_bpu = {unit.y for unit in self._units}
        self._leaving = self._find_leaving()
        self._int32 = self._find_int32()
        thresholds = Thresholds(calibrated, self._plan.stand_ins)
        self._thresholds = assign_thresholds(
            self._units,
            thresholds,
            dict.fromkeys(self._images, IMAGE_THRESHOLD),
            self._leaving,
            self._int32,
        )
        self.still = thresholds.still
        self._offset = frozenset[str]()
        if all_codes:
            fixed = {*self._leaving, *self._int32, *self._images, *self._looked_up(), *symmetric}
            self._offset = offset_tensors(self._units, self._thresholds, fixed)
        self._ops: list[Operation] = []
        self._tensors: dict[str, TensorSpec] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._float_twins: dict[str, str] = {}
        self._look_ups: set[str] = set()

    def run(self) -> None:
        """Write all operations."""
        for name, item in self._images.items():
            _, height, width, channels = item.tensor.shape
            self._add_tensor(name, (height, width, channels), IMAGE_THRESHOLD)
        for node in self._model.graph:
            name = g.name_of(node)
            if name in self._placement.units:
                for unit in self._placement.units[name]:
                    self._write_unit(unit)
            elif not self._runs_as_part(node):
                self._write_cpu(node)
        for value in self._model.graph.outputs:
            self._float_input(value)

    def network(self, name: str) -> Network:
        """The result; only after `run` with nothing refused."""
        outputs = tuple(
            ModelOutput(g.name_of(value), self._float_twins.get(g.name_of(value), g.name_of(value)))
            for value in self._model.graph.outputs
        )
        inputs = {item.tensor.name: item.tensor for item in self._inputs}  # read or not
        parts = split(
            name,
            self._ops,
            {output.tensor for output in outputs},
            self._constants,
            self._look_ups,
        )
        known = {
            n for part in parts for op in part.ops for n in (*tensors_read(op), *tensors_made(op))
        }
        kept = known | inputs.keys() | {output.tensor for output in outputs}
        return Network(
            name,
            {n: spec for n, spec in {**inputs, **self._tensors}.items() if n in kept},
            self._inputs,
            outputs,
            parts,
            self._constants,
        )

    def _runs_as_part(self, node: ir.Node) -> bool:
        """Whether a unit of another node stands for it, or nothing runs at all."""
        view = any(g.name_of(value) in self._plan.aliases for value in node.outputs)
        return view or g.name_of(node) in self._covered

    def _find_leaving(self) -> frozenset[str]:
        """BPU tensors that CPU operators read or that are model outputs."""
        read = {g.name_of(value) for value in self._model.graph.outputs}
        for node in self._model.graph:
            if not self._runs_as_part(node):
                read.update(g.name_of(value) for value in node.inputs)
        resolved = {self._plan.aliases.get(name, name) for name in read}
        return frozenset(resolved & (self._made_on_bpu | self._images.keys()))

    def _looked_up(self) -> frozenset[str]:
        """What look-ups on the CPU read and make: the edge of a CPU part."""
        verdicts = self._placement.verdicts
        units = (unit for unit in self._units if verdicts[unit.sources[0]].look_up)
        return frozenset(name for unit in units for name in (*unit.xs, unit.y))

    def _find_int32(self) -> frozenset[str]:
        """Results of convolutions that only leave the BPU: they keep the accumulator."""
        read = {x for unit in self._units for x in unit.xs}
        return frozenset(
            unit.y
            for unit in self._units
            if isinstance(unit.work, ConvWork)
            and unit.work.high_precision
            and unit.bounds == UNBOUNDED
            and unit.y in self._leaving
            and unit.y not in read
        )

    def _makers(self, tensor: str) -> tuple[str, ...]:
        """The float node whose result is quantized or dequantized; none for model inputs."""
        producer = self._values[tensor].producer()
        return () if producer is None else (g.name_of(producer),)

    def _quantized_name(self, tensor: str) -> str:
        if tensor in self._images or (tensor in self._made_on_bpu and tensor not in self._leaving):
            return tensor
        return f"{tensor}_quantized"

    def _add_tensor(self, tensor: str, shape: Shape3, threshold: float) -> TensorSpec:
        name = self._quantized_name(tensor)
        scale = scale_for(threshold, offset=tensor in self._offset)
        made = bpu_tensor(name, shape, scale)
        self._tensors[name] = made
        return made

    def _quantized(self, tensor: str) -> TensorSpec:
        """The int8 form of a float tensor, with a Quantize in front if the CPU makes it."""
        name = self._quantized_name(tensor)
        if name in self._tensors:
            return self._tensors[name]
        if tensor in self._made_on_bpu:
            raise CompilerBug(f"tensor '{tensor}' is read before it is made", where="lower")
        value = self._values[tensor]
        made = self._add_tensor(tensor, shape_hwc(value), self._thresholds[tensor])
        self._ops.append(
            Quantize(f"{tensor}_HzQuantize", tensor, name, sources=self._makers(tensor))
        )
        self._tensors.setdefault(tensor, _float_tensor(value, tensor))
        return made

    def _write_unit(self, unit: Unit) -> None:
        try:
            xs = tuple(self._quantized(x) for x in unit.xs)
            name = self._quantized_name(unit.y)
            if unit.y in self._int32:
                y = bpu_tensor(name, unit.y_shape, UNQUANTIZED, DType.INT32)
            else:
                y = self._add_tensor(unit.y, unit.y_shape, self._thresholds[unit.y])
            if isinstance(unit.work, ConcatWork):
                xs = tuple(self._at_scale_of(x, y, unit.sources) for x in xs)
            operation, y = build(unit, xs, y)
        except OffBpu as refusal:
            self.refused.update(dict.fromkeys(unit.sources, str(refusal)))
            self._add_tensor(unit.y, unit.y_shape, IMAGE_THRESHOLD)  # lets the others be checked
            return
        self._tensors[y.name] = y
        self._ops.append(operation)
        if self._placement.verdicts[unit.sources[0]].look_up:
            self._look_ups.add(operation.name)
        around = self._offset.intersection((*unit.xs, unit.y))
        if around and isinstance(operation, QConv):
            wide = y.dtype is DType.INT32
            if bias_is_coarse(operation.weights, operation.params, int32=wide):
                self.coarse |= around

    def _at_scale_of(self, x: TensorSpec, y: TensorSpec, sources: tuple[str, ...]) -> TensorSpec:
        if x.scale == y.scale:
            return x
        operation, made = rescale(x, y.scale, sources)
        if made.name not in self._tensors:
            self._tensors[made.name] = made
            self._ops.append(operation)
        return self._tensors[made.name]

    def _write_cpu(self, node: ir.Node) -> None:
        renamed = {
            g.name_of(value): twin
            for value in node.inputs
            if value is not None and (twin := self._float_input(value)) != g.name_of(value)
        }
        for value in node.outputs:
            if g.name_of(value):
                self._tensors[g.name_of(value)] = _float_tensor(value, g.name_of(value))
        name = g.name_of(node)
        written = ir.to_proto(_with_inputs(node, renamed))
        self._ops.append(
            OnnxOp(
                name,
                node.op_type,
                tuple(written.input),
                tuple(written.output),
                written.SerializeToString(deterministic=True),
                (name,),
            )
        )

    def _float_input(self, value: ir.Value) -> str:
        """Name under which the CPU finds `value`; dequantizes or notes a constant as needed."""
        name = g.name_of(value)
        if not name:
            return name
        array = g.constant(value)
        if array is not None:
            self._constants[name] = array
            return name
        tensor = self._plan.aliases.get(name, name)
        if tensor not in self._made_on_bpu and tensor not in self._images:
            self._tensors.setdefault(name, _float_tensor(value, name))
            return name
        if name in self._float_twins:
            return self._float_twins[name]
        quantized = self._tensors[self._quantized_name(tensor)]
        twin = f"{name}_float" if name in self._images else name
        height, width, channels = quantized.shape_hwc
        shape = (1, channels, height, width)
        if g.shape_of(value) != shape:
            raise ModelUnsupported(
                f"image input '{name}' is read in NHWC form by an operator on the CPU",
                hint="let its first operators run on the BPU, or feed it as featuremap",
            )
        self._ops.append(
            Dequantize(f"{name}_HzDequantize", quantized.name, twin, sources=self._makers(name))
        )
        self._tensors[twin] = _float_tensor(value, twin)
        self._float_twins[name] = twin
        return twin


def _values_by_name(model: ir.Model) -> dict[str, ir.Value]:
    found = {g.name_of(value): value for value in model.graph.inputs}
    for node in model.graph:
        found.update({g.name_of(v): v for v in (*node.inputs, *node.outputs) if v is not None})
    return found


def _float_tensor(value: ir.Value, name: str) -> TensorSpec:
    """What the CPU knows of `value`, under a name of its own."""
    shape = g.shape_of(value)
    if shape is None:
        raise CompilerBug(f"the shape of tensor '{value.name}' is unknown", where="lower")
    dtype = DType.FLOAT32 if value.dtype is None else DType(str(value.dtype.numpy()))
    layout = Layout.NCHW if len(shape) == 4 else Layout.NONE
    return TensorSpec(name, shape, dtype, layout)


def _with_inputs(node: ir.Node, renamed: Mapping[str, str]) -> ir.Node:
    """The node itself, or a detached copy that reads other names."""
    if not renamed:
        return node
    inputs = [
        ir.Value(name=renamed[g.name_of(v)], shape=v.shape, type=v.type)
        if v is not None and g.name_of(v) in renamed
        else (None if v is None else ir.Value(name=v.name, shape=v.shape, type=v.type))
        for v in node.inputs
    ]
    outputs = [ir.Value(name=v.name, shape=v.shape, type=v.type) for v in node.outputs]
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        attributes=list(node.attributes.values()),
        outputs=outputs,
        name=node.name,
        version=node.version,
    )
