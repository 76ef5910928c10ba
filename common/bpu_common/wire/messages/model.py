"""Compiled models <-> the manifest and the sections it refers to.

This module knows which value goes where; what a file looks like is the container's business. Bytes
are handed over through `put` (store a section, get its index) and `get` (section of an index).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from bpu_common.errors import ModelFormatError
from bpu_common.model import (
    BpuModel,
    BpuSegment,
    CpuNode,
    CpuSegment,
    ExternalConstant,
    NodeInfo,
    Segment,
)
from bpu_common.program import Program
from bpu_common.provenance import Provenance
from bpu_common.tensor import ModelInput, TensorSpec
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages.record import all_of, prefixed
from bpu_common.wire.messages.rules import WIRE
from bpu_common.wire.messages.strict import parse

TENSOR = WIRE.converter(TensorSpec, pb.TensorSpec)
INPUT = WIRE.converter(ModelInput, pb.ModelInput)
PROGRAM = WIRE.converter(Program, pb.Program)
NODE = WIRE.converter(NodeInfo, pb.NodeInfo)
PROVENANCE = WIRE.converter(Provenance, pb.Provenance)
_CONSTANT = WIRE.converter(ExternalConstant, pb.ExternalConstant)
_CPU_NODE = WIRE.converter(CpuNode, pb.CpuNode)


class SectionKind(enum.IntEnum):
    """What a section of the file holds."""

    MANIFEST = 1
    PROGRAM = 2
    GRAPH = 3
    WEIGHTS = 4


Bytes = bytes | memoryview
PutSection = Callable[[SectionKind, Bytes], int]
GetSection = Callable[[SectionKind, int], memoryview]


def encode_models(models: Sequence[BpuModel], put: PutSection) -> bytes:
    """The manifest of `models`; programs, graphs and weights go to `put`."""
    manifest = pb.Manifest(models=[_model_to_pb(model, put) for model in models])
    return manifest.SerializeToString(deterministic=True)


def decode_models(manifest: Bytes, get: GetSection) -> tuple[BpuModel, ...]:
    """The models of a manifest; each value is well-formed in itself but not yet checked.

    Raises:
        ModelFormatError: with `where` as `model[i].segment[k]...`.
    """
    message = parse(pb.Manifest, manifest, "manifest")
    return tuple(all_of(lambda item: _model_from_pb(item, get), message.models, "models"))


def encode_program(program: Program) -> bytes:
    return PROGRAM.to_pb(program).SerializeToString(deterministic=True)


def decode_program(data: Bytes) -> Program:
    """The program of a section, values not yet checked against each other.

    Raises:
        ModelFormatError: no such message, or a value that is missing, not known or of the wrong
            length; `where` is `call[i].instruction[k].field`.
    """
    return PROGRAM.from_pb(parse(pb.Program, data, "program"))


def _model_to_pb(model: BpuModel, put: PutSection) -> pb.Model:
    return pb.Model(
        name=model.name,
        march=model.march,
        machine=model.machine,
        inputs=map(INPUT.to_pb, model.inputs),
        outputs=map(TENSOR.to_pb, model.outputs),
        segments=[_segment_to_pb(segment, put) for segment in model.segments],
        tensors=map(TENSOR.to_pb, model.tensors.values()),
        nodes=map(NODE.to_pb, model.nodes),
        parameters=[pb.Parameter(name=name, value=text) for name, text in model.parameters.items()],
    )


def _model_from_pb(message: pb.Model, get: GetSection) -> BpuModel:
    tensors = {spec.name: spec for spec in all_of(TENSOR.from_pb, message.tensors, "tensors")}
    parameters = {item.name: item.value for item in message.parameters}
    if len(tensors) != len(message.tensors):
        raise ModelFormatError("two tensors of one name")
    if len(parameters) != len(message.parameters):
        raise ModelFormatError("two parameters of one name")
    return BpuModel(
        name=message.name,
        march=message.march,
        machine=message.machine,
        inputs=tuple(all_of(INPUT.from_pb, message.inputs, "inputs")),
        outputs=tuple(all_of(TENSOR.from_pb, message.outputs, "outputs")),
        segments=tuple(
            all_of(lambda item: _segment_from_pb(item, get), message.segments, "segments")
        ),
        tensors=tensors,
        nodes=tuple(all_of(NODE.from_pb, message.nodes, "nodes")),
        parameters=parameters,
    )


def _segment_to_pb(segment: Segment, put: PutSection) -> pb.Segment:
    match segment:
        case BpuSegment():
            bpu = pb.BpuSegment(
                name=segment.name,
                inputs=segment.inputs,
                outputs=segment.outputs,
                program_section=put(SectionKind.PROGRAM, encode_program(segment.program)),
                fast_path_section=put(SectionKind.GRAPH, segment.fast_path),
                weights_section=put(SectionKind.WEIGHTS, segment.weights),
                constants=map(_CONSTANT.to_pb, segment.constants),
                macs=segment.macs,
            )
            return pb.Segment(bpu_segment=bpu)
        case CpuSegment():
            cpu = pb.CpuSegment(
                name=segment.name,
                inputs=segment.inputs,
                outputs=segment.outputs,
                graph_section=put(SectionKind.GRAPH, segment.graph),
                nodes=map(_CPU_NODE.to_pb, segment.nodes),
            )
            return pb.Segment(cpu_segment=cpu)


def _segment_from_pb(message: pb.Segment, get: GetSection) -> Segment:
    match message.WhichOneof("kind"):
        case "bpu_segment":
            bpu = message.bpu_segment
            try:
                program = decode_program(get(SectionKind.PROGRAM, bpu.program_section))
            except ModelFormatError as error:
                raise prefixed(error, "program") from None
            return BpuSegment(
                name=bpu.name,
                inputs=tuple(bpu.inputs),
                outputs=tuple(bpu.outputs),
                program=program,
                fast_path=get(SectionKind.GRAPH, bpu.fast_path_section),
                constants=tuple(all_of(_CONSTANT.from_pb, bpu.constants, "constants")),
                weights=get(SectionKind.WEIGHTS, bpu.weights_section),
                macs=bpu.macs,
            )
        case "cpu_segment":
            cpu = message.cpu_segment
            return CpuSegment(
                name=cpu.name,
                inputs=tuple(cpu.inputs),
                outputs=tuple(cpu.outputs),
                graph=get(SectionKind.GRAPH, cpu.graph_section),
                nodes=tuple(all_of(_CPU_NODE.from_pb, cpu.nodes, "nodes")),
            )
        case _:
            raise ModelFormatError("segment of no known kind")
