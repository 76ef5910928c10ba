"""What a board tells about itself and its models <-> messages."""

from __future__ import annotations

from bpu_common.board import (
    BoardInfo,
    ModelEntry,
    ModelInfo,
    SegmentInfo,
    UploadHeader,
    UploadState,
)
from bpu_common.errors import UsageError
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages.model import (
    node_from_pb,
    node_to_pb,
    parameters_from_pb,
    parameters_to_pb,
)
from bpu_common.wire.messages.tensors import (
    input_from_pb,
    input_to_pb,
    tensor_from_pb,
    tensor_to_pb,
)


def header_to_pb(header: UploadHeader) -> pb.DeployRequest:
    return pb.DeployRequest(
        header=pb.DeployHeader(
            digest=header.digest,
            size_bytes=header.size_bytes,
            offset_bytes=header.offset_bytes,
            replace=header.replace,
        )
    )


def header_from_pb(message: pb.DeployRequest) -> UploadHeader:
    """The header of an upload.

    Raises:
        UsageError: the stream begins with something else.
    """
    if message.WhichOneof("part") != "header":
        raise UsageError("an upload begins with a header")
    header = message.header
    return UploadHeader(header.digest, header.size_bytes, header.offset_bytes, header.replace)


def chunk_to_pb(chunk: bytes) -> pb.DeployRequest:
    return pb.DeployRequest(chunk=chunk)


def chunk_from_pb(message: pb.DeployRequest) -> bytes:
    """The bytes of a chunk.

    Raises:
        UsageError: not a chunk, or an empty one.
    """
    if message.WhichOneof("part") != "chunk" or not message.chunk:
        raise UsageError("an upload goes on with chunks that are not empty")
    return message.chunk


def state_to_pb(state: UploadState) -> pb.DeployResponse:
    return pb.DeployResponse(
        digest=state.digest,
        offset_bytes=state.offset_bytes,
        complete=state.complete,
        models=state.models,
        replaced=state.replaced,
    )


def state_from_pb(message: pb.DeployResponse) -> UploadState:
    return UploadState(
        message.digest,
        message.offset_bytes,
        message.complete,
        tuple(message.models),
        tuple(message.replaced),
    )


def entry_to_pb(entry: ModelEntry) -> pb.ModelEntry:
    return pb.ModelEntry(
        name=entry.name, digest=entry.digest, size_bytes=entry.size_bytes, loaded=entry.loaded
    )


def entry_from_pb(message: pb.ModelEntry) -> ModelEntry:
    return ModelEntry(message.name, message.digest, message.size_bytes, message.loaded)


def info_to_pb(info: ModelInfo) -> pb.ModelInfo:
    return pb.ModelInfo(
        name=info.name,
        march=info.march,
        machine=info.machine,
        inputs=[input_to_pb(value) for value in info.inputs],
        outputs=[tensor_to_pb(spec) for spec in info.outputs],
        segments=[_segment_to_pb(segment) for segment in info.segments],
        nodes=[node_to_pb(node) for node in info.nodes],
        parameters=parameters_to_pb(info.parameters),
    )


def info_from_pb(message: pb.ModelInfo) -> ModelInfo:
    return ModelInfo(
        name=message.name,
        march=message.march,
        machine=message.machine,
        inputs=tuple(input_from_pb(item) for item in message.inputs),
        outputs=tuple(tensor_from_pb(item) for item in message.outputs),
        segments=tuple(_segment_from_pb(item) for item in message.segments),
        nodes=tuple(node_from_pb(item) for item in message.nodes),
        parameters=parameters_from_pb(message.parameters),
    )


def capabilities_to_pb(info: BoardInfo) -> pb.Capabilities:
    return pb.Capabilities(
        version=info.version,
        api_version=info.api_version,
        boot_id=info.boot_id,
        machine=info.machine,
        core_count=info.core_count,
        clock_hz=info.clock_hz,
        virtual_time=info.virtual_time,
        step_times=info.step_times,
        preemption_visible=info.preemption_visible,
        max_message_bytes=info.max_message_bytes,
        max_model_bytes=info.max_model_bytes,
    )


def capabilities_from_pb(message: pb.Capabilities) -> BoardInfo:
    return BoardInfo(
        version=message.version,
        api_version=message.api_version,
        boot_id=message.boot_id,
        machine=message.machine,
        core_count=message.core_count,
        clock_hz=message.clock_hz,
        virtual_time=message.virtual_time,
        step_times=message.step_times,
        preemption_visible=message.preemption_visible,
        max_message_bytes=message.max_message_bytes,
        max_model_bytes=message.max_model_bytes,
    )


def _segment_to_pb(segment: SegmentInfo) -> pb.SegmentInfo:
    return pb.SegmentInfo(
        name=segment.name,
        on=segment.on,
        inputs=segment.inputs,
        outputs=segment.outputs,
        weights_bytes=segment.weights_bytes,
        macs=segment.macs,
        function_calls=segment.function_calls,
        predicted_cycles=segment.predicted_cycles,
    )


def _segment_from_pb(message: pb.SegmentInfo) -> SegmentInfo:
    return SegmentInfo(
        name=message.name,
        on=message.on,
        inputs=tuple(message.inputs),
        outputs=tuple(message.outputs),
        weights_bytes=message.weights_bytes,
        macs=message.macs,
        function_calls=message.function_calls,
        predicted_cycles=message.predicted_cycles,
    )
