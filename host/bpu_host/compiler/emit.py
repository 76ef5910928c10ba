"""The last stage: everything of a compiled model put together as a `BpuModel`."""

from __future__ import annotations

from dataclasses import replace

from bpu_common.errors import CompilerBug
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel, BpuSegment, CpuNode, CpuSegment, NodeInfo
from bpu_common.network import BPU_OPS, Network, Part, Place, macs
from bpu_common.network.rules import result_elements
from bpu_common.tensor import (
    DDR_WIDTH_ALIGN,
    ModelInput,
    TensorSpec,
    align_up,
)
from bpu_host.compiler.emit_weights import pack_weights
from bpu_host.compiler.export import cpu_graph, fast_path
from bpu_host.compiler.place import EmitOptions, place
from bpu_sim.engines.ort import Plans

__all__ = ["EmitOptions", "build_model"]


def build_model(
    network: Network,
    spec: MachineSpec,
    options: EmitOptions,
    nodes: tuple[NodeInfo, ...],
    parameters: dict[str, str],
    plans: Plans | None = None,
) -> BpuModel:
    """The compiled model; the same arguments give an equal model.

    Args:
        spec: the chip the program is made for.
        nodes: rows of the node table.
        parameters: conversion parameters; figures of the placement are added with `options.debug`.
        plans: how the engine computes its operations, if that is known.

    Raises:
        CapacityError: a layer does not fit into the chip's memory or a function call's time.
    """
    segments: list[BpuSegment | CpuSegment] = []
    facts = dict(parameters)
    for part in network.parts:
        if part.place is Place.CPU:
            segments.append(_cpu_segment(part, network))
            continue
        segment = _bpu_segment(part, network, spec, options, plans or Plans.of(network))
        segments.append(segment)
        if options.debug:
            facts[f"placement.{segment.name}"] = _figures(segment)
    tensors = _boundary_tensors(network)
    return BpuModel(
        name=network.name,
        march=spec.march,
        machine=spec.name,
        inputs=tuple(_aligned_input(item) for item in network.inputs),
        outputs=tuple(tensors[output.tensor] for output in network.outputs),
        segments=tuple(segments),
        tensors=tensors,
        nodes=nodes,
        parameters=facts,
    )


def _bpu_segment(
    part: Part, network: Network, spec: MachineSpec, options: EmitOptions, plans: Plans
) -> BpuSegment:
    packed = pack_weights(part.ops)
    ops = [op for op in part.ops if isinstance(op, BPU_OPS)]
    return BpuSegment(
        name=part.name,
        inputs=part.inputs,
        outputs=part.outputs,
        program=place(part, network, packed.places, spec, options),
        fast_path=fast_path(ops, network, part.inputs, part.outputs, plans),
        constants=packed.constants,
        weights=packed.data,
        macs=sum(macs(op, network.tensors) for op in part.ops),
    )


def _cpu_segment(part: Part, network: Network) -> CpuSegment:
    nodes = [CpuNode(op.name, op.op_type, result_elements(op, network.tensors)) for op in part.ops]
    return CpuSegment(
        name=part.name,
        inputs=part.inputs,
        outputs=part.outputs,
        graph=cpu_graph(part, network),
        nodes=tuple(nodes),
    )


def _boundary_tensors(network: Network) -> dict[str, TensorSpec]:
    """Specs of all tensors between parts and at the model's edge, in order of appearance."""
    images = {item.tensor.name: _aligned_input(item).tensor for item in network.inputs}
    specs: dict[str, TensorSpec] = {}
    for part in network.parts:
        for name in (*part.inputs, *part.outputs):
            if name in specs:
                continue
            specs[name] = images.get(name, network.tensors[name])
            if name in part.outputs and part.place is Place.BPU:
                specs[name] = _padded(specs[name])
    missing = [output.tensor for output in network.outputs if output.tensor not in specs]
    if missing:
        raise CompilerBug(f"emit: no part makes the output {missing[0]!r} of {network.name}")
    return specs


def _padded(tensor: TensorSpec) -> TensorSpec:
    """A tensor as the BPU writes it: rows padded in DDR."""
    batch, height, width, channels = tensor.shape
    aligned = (batch, height, align_up(width, DDR_WIDTH_ALIGN), channels)
    return replace(tensor, aligned_shape=aligned)


def _aligned_input(item: ModelInput) -> ModelInput:
    """An image input with the padded shape of its buffer in DDR."""
    if not item.input_type.is_image:
        return item
    batch, height, width, channels = item.tensor.shape
    aligned = (batch, height, align_up(width, DDR_WIDTH_ALIGN), channels)
    return replace(item, tensor=replace(item.tensor, aligned_shape=aligned))


def _figures(segment: BpuSegment) -> str:
    program = segment.program
    count = sum(len(call.instructions) for call in program.calls)
    cycles = sum(call.predicted_cycles for call in program.calls)
    return (
        f"{len(program.calls)} function calls, {count} instructions, {cycles} cycles, "
        f"{program.sram_bytes} bytes of SRAM, {program.scratch_bytes} bytes of DDR scratch, "
        f"{len(segment.weights)} bytes of weights"
    )
