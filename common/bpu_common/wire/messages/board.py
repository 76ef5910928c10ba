"""The board's service: its values <-> messages."""

from __future__ import annotations

from bpu_common.board import (
    BoardInfo,
    InferRequest,
    ModelEntry,
    ModelInfo,
    UploadHeader,
    UploadState,
)
from bpu_common.errors import InputError, UsageError
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages.derive import Converter
from bpu_common.wire.messages.rules import WIRE

UPLOAD_HEADER = WIRE.converter(UploadHeader, pb.DeployHeader, InputError)
UPLOAD_STATE = WIRE.converter(UploadState, pb.DeployResponse, InputError)
MODEL_ENTRY = WIRE.converter(ModelEntry, pb.ModelEntry, InputError)
MODEL_INFO = WIRE.converter(ModelInfo, pb.ModelInfo, InputError)
BOARD_INFO = WIRE.converter(BoardInfo, pb.Capabilities, InputError)
INFER_REQUEST = WIRE.converter(InferRequest, pb.InferRequest, InputError)
INFER_RESULT = WIRE.converter(InferResult, pb.InferResponse, InputError, apart=("runtime_wall_ns",))
PERF_REQUEST = WIRE.converter(PerfRequest, pb.PerfRequest, InputError)
PERF_RESULT = WIRE.converter(PerfResult, pb.PerfResult, InputError)
PERF_EVENT: Converter[PerfProgress | PerfResult, pb.PerfEvent] = WIRE.converter(
    PerfProgress | PerfResult, pb.PerfEvent, InputError
)
LOAD_REQUEST = WIRE.converter(LoadRequest, pb.StartLoadRequest, InputError)
LOAD_STATE = WIRE.converter(LoadState, pb.LoadState, InputError)
TELEMETRY_FRAME = WIRE.converter(TelemetryFrame, pb.TelemetryFrame, InputError)


def header_to_pb(header: UploadHeader) -> pb.DeployRequest:
    return pb.DeployRequest(header=UPLOAD_HEADER.to_pb(header))


def header_from_pb(message: pb.DeployRequest) -> UploadHeader:
    """The header of an upload.

    Raises:
        UsageError: the stream begins with something else.
    """
    if message.WhichOneof("part") != "header":
        raise UsageError("an upload begins with a header")
    return UPLOAD_HEADER.from_pb(message.header)


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
