"""The last stage: everything of a compiled model put together as a `BpuModel`."""

from __future__ import annotations

from dataclasses import replace

from bpu_common.container.features import features_of
from bpu_common.container.weights import pack_weights
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel, NodeInfo, PartProgram
from bpu_common.network import Network, Part, Place
from bpu_common.provenance import Provenance
from bpu_common.tensor import DDR_WIDTH_ALIGN, TensorSpec, align_up
from bpu_common.words import counted
from bpu_host.compiler.place import EmitOptions, place

__all__ = ["EmitOptions", "bpu_cycles", "build_model"]


def build_model(
    network: Network,
    spec: MachineSpec,
    options: EmitOptions,
    nodes: tuple[NodeInfo, ...] = (),
    provenance: Provenance | None = None,
    hints: dict[str, bytes] | None = None,
) -> BpuModel:
    """The compiled model; the same arguments give an equal model.

    Args:
        spec: the chip the programs are made for.
        nodes: rows of the node table.
        hints: what spares engines work when they load the model, by engine.

    Raises:
        CapacityError: a layer does not fit into the chip's memory or a function call's time.
    """
    aligned = _aligned(network)
    programs = {
        part.name: _program(part, aligned, spec, options)
        for part in aligned.parts
        if part.place is Place.BPU
    }
    figures = {f"placement.{name}": _figures(made) for name, made in programs.items()}
    model = BpuModel(
        network=aligned,
        march=spec.march,
        machine=spec.name,
        programs=programs,
        nodes=nodes,
        parameters=figures if options.debug else {},
        provenance=provenance,
        hints=dict(hints or {}),
    )
    return replace(model, features=features_of(model))


def bpu_cycles(network: Network, spec: MachineSpec, options: EmitOptions) -> int:
    """What the programs of a network are predicted to take, all its parts one after the other."""
    model = build_model(network, spec, options)
    calls = (call for part in model.programs.values() for call in part.program.calls)
    return sum(call.predicted_cycles for call in calls)


def _program(part: Part, network: Network, spec: MachineSpec, options: EmitOptions) -> PartProgram:
    packed = pack_weights(part.ops)
    program = place(part, network, packed.places, spec, options)
    return PartProgram(program, packed.data, packed.places)


def _aligned(network: Network) -> Network:
    """The network with the buffers of pictures and of BPU results padded as DDR wants it."""
    padded = {*network.images}
    padded.update(n for p in network.parts if p.place is Place.BPU for n in p.outputs)
    tensors = {
        name: _padded(tensor) if name in padded else tensor
        for name, tensor in network.tensors.items()
    }
    inputs = tuple(replace(item, tensor=tensors[item.tensor.name]) for item in network.inputs)
    return replace(network, tensors=tensors, inputs=inputs)


def _padded(tensor: TensorSpec) -> TensorSpec:
    batch, height, width, channels = tensor.shape
    aligned = (batch, height, align_up(width, DDR_WIDTH_ALIGN), channels)
    return replace(tensor, aligned_shape=aligned)


def _figures(made: PartProgram) -> str:
    program = made.program
    count = sum(len(call.instructions) for call in program.calls)
    cycles = sum(call.predicted_cycles for call in program.calls)
    return (
        f"{counted(len(program.calls), 'function call')}, {count} instructions, {cycles} cycles, "
        f"{program.sram_bytes} bytes of SRAM, {program.scratch_bytes} bytes of DDR scratch, "
        f"{len(made.weights)} bytes of weights"
    )
