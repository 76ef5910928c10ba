"""The board's end of `openbpu.v1.BoardService`: values in and out, errors as statuses.

Nothing but a status leaves this module: a BpuError with all it says, anything else as INTERNAL with
the details in the board's log.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from bpu_common.board import (
    BoardInfo,
    InferRequest,
    ModelEntry,
    ModelInfo,
    UploadHeader,
    UploadState,
)
from bpu_common.errors import UsageError
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import board
from bpu_common.wire.rpc.client import SERVICE
from bpu_common.wire.rpc.handlers import Context, many, one, serialize
from bpu_common.wire.rpc.intake import RequestParser
from bpu_common.wire.rpc.limits import CHUNK_BYTES, MAX_MESSAGE_BYTES

_MOST_CHUNK_BYTES = 2 * CHUNK_BYTES


class BoardServicer(abc.ABC):
    """What a board implements. A BpuError raised by a method reaches the caller unchanged."""

    def needed_request_bytes(self) -> int:
        """The largest request with tensors that a model here takes; called for each large one."""
        return MAX_MESSAGE_BYTES

    @abc.abstractmethod
    async def deploy(self, header: UploadHeader, chunks: AsyncIterator[bytes]) -> UploadState:
        """Take an upload; without chunks, tell how far it has come."""

    @abc.abstractmethod
    async def list_models(self) -> tuple[ModelEntry, ...]:
        """Every model that can be run."""

    @abc.abstractmethod
    async def remove_model(self, model: str) -> None:
        """Delete a model."""

    @abc.abstractmethod
    async def model_info(self, model: str) -> ModelInfo:
        """Describe a model."""

    @abc.abstractmethod
    async def infer(self, request: InferRequest, left_s: float | None) -> tuple[InferResult, int]:
        """Run one frame; `left_s` is the time its caller will still wait.

        Returns:
            The result, and the wall time it took in ns. On cancellation the frame is taken back.
        """

    @abc.abstractmethod
    def perf(self, request: PerfRequest) -> AsyncIterator[PerfProgress | PerfResult]:
        """Measure a model; the result comes last."""

    @abc.abstractmethod
    def telemetry(self, period_ms: int, frame_count: int) -> AsyncIterator[TelemetryFrame]:
        """Frames every `period_ms` (0: the default), `frame_count` of them (0: no end)."""

    @abc.abstractmethod
    async def start_load(self, request: LoadRequest) -> LoadState:
        """Let the board make frames by itself."""

    @abc.abstractmethod
    async def stop_load(self, name: str) -> LoadState:
        """End a load; returns its last state."""

    @abc.abstractmethod
    async def loads(self) -> tuple[LoadState, ...]:
        """The loads that run."""

    @abc.abstractmethod
    async def capabilities(self) -> BoardInfo:
        """What this board is."""


def add_board_service(server: grpc.aio.Server, servicer: BoardServicer) -> None:
    """Register the service; call before the server starts."""
    calls, needed_bytes = _Calls(servicer), servicer.needed_request_bytes
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers = {
        "Deploy": grpc.stream_unary_rpc_method_handler(
            one(calls.deploy), RequestParser(pb.DeployRequest, _MOST_CHUNK_BYTES), serialize
        ),
        "ListModels": unary(one(calls.list_models), RequestParser(pb.ListModelsRequest), serialize),
        "RemoveModel": unary(
            one(calls.remove_model), RequestParser(pb.RemoveModelRequest), serialize
        ),
        "GetModelInfo": unary(
            one(calls.model_info), RequestParser(pb.GetModelInfoRequest), serialize
        ),
        "Infer": unary(
            one(calls.infer),
            RequestParser(pb.InferRequest, MAX_MESSAGE_BYTES, needed_bytes),
            serialize,
        ),
        "Perf": stream(
            many(calls.perf),
            RequestParser(pb.PerfRequest, MAX_MESSAGE_BYTES, needed_bytes),
            serialize,
        ),
        "Telemetry": stream(many(calls.telemetry), RequestParser(pb.TelemetryRequest), serialize),
        "GetCapabilities": unary(
            one(calls.capabilities), RequestParser(pb.GetCapabilitiesRequest), serialize
        ),
        "StartLoad": unary(one(calls.start_load), RequestParser(pb.StartLoadRequest), serialize),
        "StopLoad": unary(one(calls.stop_load), RequestParser(pb.StopLoadRequest), serialize),
        "ListLoads": unary(one(calls.loads), RequestParser(pb.ListLoadsRequest), serialize),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class _Calls:
    """Decode, call, encode."""

    def __init__(self, servicer: BoardServicer) -> None:
        self._servicer = servicer

    async def deploy(
        self, requests: AsyncIterator[pb.DeployRequest], _: Context
    ) -> pb.DeployResponse:
        async for first in requests:
            header = board.header_from_pb(first)
            state = await self._servicer.deploy(header, _chunks(requests))
            return board.UPLOAD_STATE.to_pb(state)
        raise UsageError("an upload begins with a header")

    async def list_models(self, _: pb.ListModelsRequest, __: Context) -> pb.ListModelsResponse:
        entries = await self._servicer.list_models()
        return pb.ListModelsResponse(models=[board.MODEL_ENTRY.to_pb(entry) for entry in entries])

    async def remove_model(
        self, request: pb.RemoveModelRequest, _: Context
    ) -> pb.RemoveModelResponse:
        await self._servicer.remove_model(request.model)
        return pb.RemoveModelResponse()

    async def model_info(self, request: pb.GetModelInfoRequest, _: Context) -> pb.ModelInfo:
        return board.MODEL_INFO.to_pb(await self._servicer.model_info(request.model))

    async def infer(self, request: pb.InferRequest, context: Context) -> pb.InferResponse:
        left_s = context.time_remaining()
        result, wall_ns = await self._servicer.infer(board.INFER_REQUEST.from_pb(request), left_s)
        answer = board.INFER_RESULT.to_pb(result)
        answer.runtime_wall_ns = wall_ns
        return answer

    async def perf(self, request: pb.PerfRequest, _: Context) -> AsyncIterator[pb.PerfEvent]:
        async for event in self._servicer.perf(board.PERF_REQUEST.from_pb(request)):
            yield board.PERF_EVENT.to_pb(event)

    async def telemetry(
        self, request: pb.TelemetryRequest, _: Context
    ) -> AsyncIterator[pb.TelemetryFrame]:
        async for frame in self._servicer.telemetry(request.period_ms, request.frame_count):
            yield board.TELEMETRY_FRAME.to_pb(frame)

    async def start_load(self, request: pb.StartLoadRequest, _: Context) -> pb.LoadState:
        state = await self._servicer.start_load(board.LOAD_REQUEST.from_pb(request))
        return board.LOAD_STATE.to_pb(state)

    async def stop_load(self, request: pb.StopLoadRequest, _: Context) -> pb.LoadState:
        return board.LOAD_STATE.to_pb(await self._servicer.stop_load(request.name))

    async def loads(self, _: pb.ListLoadsRequest, __: Context) -> pb.ListLoadsResponse:
        states = await self._servicer.loads()
        return pb.ListLoadsResponse(loads=[board.LOAD_STATE.to_pb(state) for state in states])

    async def capabilities(self, _: pb.GetCapabilitiesRequest, __: Context) -> pb.Capabilities:
        return board.BOARD_INFO.to_pb(await self._servicer.capabilities())


async def _chunks(requests: AsyncIterator[pb.DeployRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield board.chunk_from_pb(request)
