"""Compiled models <-> the manifest and the sections it refers to.

This module knows which value goes where; what a file looks like is the container's business. Bytes
are handed over through `put` (store a section, get its index) and `get` (section of an index).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

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
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages.budget import check_budget
from bpu_common.wire.messages.program import program_from_pb, program_to_pb
from bpu_common.wire.messages.tensors import (
    DTYPE_FROM_PB,
    DTYPE_TO_PB,
    enum_from,
    input_from_pb,
    input_to_pb,
    shape_from,
    tensor_from_pb,
    tensor_to_pb,
)


class SectionKind(enum.IntEnum):
    """What a section of the file holds."""

    MANIFEST = 1
    PROGRAM = 2
    GRAPH = 3
    WEIGHTS = 4


Bytes = bytes | memoryview
PutSection = Callable[[SectionKind, Bytes], int]
GetSection = Callable[[SectionKind, int], memoryview]

_M = TypeVar("_M", bound=Message)


def parse(kind: type[_M], data: Bytes, what: str) -> _M:
    """The message in `data`.

    Raises:
        ModelFormatError: not such a message, or one that would need far more memory than bytes.
    """
    message = kind()
    descriptor: Descriptor = kind.DESCRIPTOR  # type: ignore[assignment]  # upb's own class, alike
    check_budget(data, descriptor, what)
    try:
        message.ParseFromString(bytes(data))
    except DecodeError as error:
        raise ModelFormatError(f"{what} is not a valid message ({error})") from None
    return message


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
    models = []
    for index, item in enumerate(message.models):
        try:
            models.append(_model_from_pb(item, get))
        except ModelFormatError as error:
            raise prefixed(error, f"model[{index}]") from None
    return tuple(models)


def encode_program(program: Program) -> bytes:
    return program_to_pb(program).SerializeToString(deterministic=True)


def decode_program(data: Bytes) -> Program:
    return program_from_pb(parse(pb.Program, data, "program"))


def prefixed(error: ModelFormatError, place: str) -> ModelFormatError:
    """The same error with `place` before its `where`."""
    where = f"{place}.{error.where}" if error.where else place
    return ModelFormatError(error.message, where=where, hint=error.hint)


def _model_to_pb(model: BpuModel, put: PutSection) -> pb.Model:
    return pb.Model(
        name=model.name,
        march=model.march,
        machine=model.machine,
        inputs=[input_to_pb(value) for value in model.inputs],
        outputs=[tensor_to_pb(spec) for spec in model.outputs],
        segments=[_segment_to_pb(segment, put) for segment in model.segments],
        tensors=[tensor_to_pb(spec) for spec in model.tensors.values()],
        nodes=[node_to_pb(node) for node in model.nodes],
        parameters=parameters_to_pb(model.parameters),
    )


def _model_from_pb(message: pb.Model, get: GetSection) -> BpuModel:
    segments: list[Segment] = []
    for index, item in enumerate(message.segments):
        try:
            segments.append(_segment_from_pb(item, get))
        except ModelFormatError as error:
            raise prefixed(error, f"segment[{index}]") from None
    tensors = {spec.name: tensor_from_pb(spec) for spec in message.tensors}
    if len(tensors) != len(message.tensors):
        raise ModelFormatError("two tensors of one name")
    return BpuModel(
        name=message.name,
        march=message.march,
        machine=message.machine,
        inputs=tuple(input_from_pb(item) for item in message.inputs),
        outputs=tuple(tensor_from_pb(item) for item in message.outputs),
        segments=tuple(segments),
        tensors=tensors,
        nodes=tuple(node_from_pb(item) for item in message.nodes),
        parameters=parameters_from_pb(message.parameters),
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
                constants=[_constant_to_pb(constant) for constant in segment.constants],
                macs=segment.macs,
            )
            return pb.Segment(bpu=bpu)
        case CpuSegment():
            cpu = pb.CpuSegment(
                name=segment.name,
                inputs=segment.inputs,
                outputs=segment.outputs,
                graph_section=put(SectionKind.GRAPH, segment.graph),
                nodes=[
                    pb.CpuNode(
                        name=node.name, op_type=node.op_type, element_count=node.element_count
                    )
                    for node in segment.nodes
                ],
            )
            return pb.Segment(cpu=cpu)


def _segment_from_pb(message: pb.Segment, get: GetSection) -> Segment:
    match message.WhichOneof("kind"):
        case "bpu":
            bpu = message.bpu
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
                constants=tuple(_constant_from_pb(item) for item in bpu.constants),
                weights=get(SectionKind.WEIGHTS, bpu.weights_section),
                macs=bpu.macs,
            )
        case "cpu":
            cpu = message.cpu
            return CpuSegment(
                name=cpu.name,
                inputs=tuple(cpu.inputs),
                outputs=tuple(cpu.outputs),
                graph=get(SectionKind.GRAPH, cpu.graph_section),
                nodes=tuple(CpuNode(n.name, n.op_type, n.element_count) for n in cpu.nodes),
            )
        case _:
            raise ModelFormatError("segment of no known kind")


def _constant_to_pb(constant: ExternalConstant) -> pb.ExternalConstant:
    return pb.ExternalConstant(
        name=constant.name,
        offset_bytes=constant.offset_bytes,
        dtype=DTYPE_TO_PB[constant.dtype],
        shape=constant.shape,
    )


def _constant_from_pb(message: pb.ExternalConstant) -> ExternalConstant:
    return ExternalConstant(
        name=message.name,
        offset_bytes=message.offset_bytes,
        dtype=enum_from(DTYPE_FROM_PB, message.dtype, "element type"),
        shape=shape_from(message.shape, f"constant {message.name}"),
    )


def node_to_pb(node: NodeInfo) -> pb.NodeInfo:
    return pb.NodeInfo(
        name=node.name,
        on=node.on,
        subgraph=node.subgraph,
        op_type=node.op_type,
        cosine=node.cosine,
        threshold=node.threshold,
        in_dtype=node.in_dtype,
        out_dtype=node.out_dtype,
    )


def node_from_pb(message: pb.NodeInfo) -> NodeInfo:
    return NodeInfo(
        name=message.name,
        on=message.on,
        subgraph=message.subgraph,
        op_type=message.op_type,
        cosine=message.cosine,
        threshold=message.threshold,
        in_dtype=message.in_dtype,
        out_dtype=message.out_dtype,
    )


def parameters_to_pb(parameters: Mapping[str, str]) -> list[pb.Parameter]:
    return [pb.Parameter(key=key, value=value) for key, value in parameters.items()]


def parameters_from_pb(messages: Sequence[pb.Parameter]) -> dict[str, str]:
    parameters = {item.key: item.value for item in messages}
    if len(parameters) != len(messages):
        raise ModelFormatError("two parameters of one name")
    return parameters
