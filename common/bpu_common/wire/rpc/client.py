"""The caller's end of `openbpu.v1.BoardService`: values in and out, failures as BpuError."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from bpu_common.board import (
    BoardInfo,
    InferRequest,
    ModelEntry,
    ModelInfo,
    UploadHeader,
    UploadState,
)
from bpu_common.errors import InputError
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import board
from bpu_common.wire.rpc.address import Address
from bpu_common.wire.rpc.calls import Stream, Unary, Upload
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS

SERVICE = pb.DESCRIPTOR.services_by_name["BoardService"].full_name

_Q = TypeVar("_Q", bound=Message)


def open_channel(address: Address) -> grpc.Channel:
    """A plaintext channel; it connects with the first call."""
    options: list[tuple[str, int | str]] = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
    # An agent that was killed is back within a second or two: do not wait longer than that.
    options += [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
    if address.path:  # else the percent-encoded path, which some servers refuse
        options.append(("grpc.default_authority", "localhost"))
    return grpc.insecure_channel(address.target, options=options)


class BoardClient:
    """Every call of the service on one channel; thread-safe.

    Args:
        where: the address that errors name.
    """

    def __init__(self, channel: grpc.Channel, where: str) -> None:
        self._where = where
        self._deploy = Upload(channel, _path("Deploy"), pb.DeployResponse.FromString, where)
        self._list = Unary(channel, _path("ListModels"), pb.ListModelsResponse.FromString, where)
        self._remove = Unary(
            channel, _path("RemoveModel"), pb.RemoveModelResponse.FromString, where
        )
        self._info = Unary(channel, _path("GetModelInfo"), pb.ModelInfo.FromString, where)
        self._infer = Unary(channel, _path("Infer"), pb.InferResponse.FromString, where)
        self._perf = Stream(channel, _path("Perf"), pb.PerfEvent.FromString, where)
        self._telemetry = Stream(channel, _path("Telemetry"), pb.TelemetryFrame.FromString, where)
        self._frames = Stream(channel, _path("Telemetry"), bytes, where)
        self._capabilities = Unary(
            channel, _path("GetCapabilities"), pb.Capabilities.FromString, where
        )
        self._start_load = Unary(channel, _path("StartLoad"), pb.LoadState.FromString, where)
        self._stop_load = Unary(channel, _path("StopLoad"), pb.LoadState.FromString, where)
        self._loads = Unary(channel, _path("ListLoads"), pb.ListLoadsResponse.FromString, where)

    def deploy(
        self, header: UploadHeader, chunks: Iterable[bytes] = (), timeout_s: float | None = None
    ) -> UploadState:
        """One upload stream; without chunks it asks how far the upload has come."""
        requests = itertools.chain((board.header_to_pb(header),), map(board.chunk_to_pb, chunks))
        return board.UPLOAD_STATE.from_pb(self._deploy(requests, timeout_s))

    def list_models(self, timeout_s: float | None = None) -> tuple[ModelEntry, ...]:
        answer = self._list(pb.ListModelsRequest(), timeout_s)
        return tuple(board.MODEL_ENTRY.from_pb(item) for item in answer.models)

    def remove_model(self, model: str, timeout_s: float | None = None) -> None:
        self._remove(pb.RemoveModelRequest(model=model), timeout_s)

    def model_info(self, model: str, timeout_s: float | None = None) -> ModelInfo:
        return board.MODEL_INFO.from_pb(self._info(pb.GetModelInfoRequest(model=model), timeout_s))

    def infer(
        self, request: InferRequest, timeout_s: float | None = None
    ) -> tuple[InferResult, int]:
        """The result and the wall time the board's runtime took for it (ns)."""
        message = _in_range(board.INFER_REQUEST.to_pb, request)
        answer = self._infer(message, timeout_s)
        return board.INFER_RESULT.from_pb(answer), answer.runtime_wall_ns

    def perf(
        self, request: PerfRequest, timeout_s: float | None = None
    ) -> Iterator[PerfProgress | PerfResult]:
        """Reports while it runs, the result at the end."""
        for event in self._perf(_in_range(board.PERF_REQUEST.to_pb, request), timeout_s):
            yield board.PERF_EVENT.from_pb(event)

    def telemetry(self, period_ms: int = 0, frame_count: int = 0) -> Iterator[TelemetryFrame]:
        """Frames until `frame_count` of them, or until the iteration is left."""
        request = pb.TelemetryRequest(period_ms=period_ms, frame_count=frame_count)
        for frame in self._telemetry(request, None):
            yield board.TELEMETRY_FRAME.from_pb(frame)

    def telemetry_bytes(self, period_ms: int = 0) -> Iterator[bytes]:
        """As `telemetry` without end, each frame as the board sent it (see `frame_from_bytes`)."""
        return self._frames(pb.TelemetryRequest(period_ms=period_ms), None)

    def start_load(self, request: LoadRequest, timeout_s: float | None = None) -> LoadState:
        message = _in_range(board.LOAD_REQUEST.to_pb, request)
        return board.LOAD_STATE.from_pb(self._start_load(message, timeout_s))

    def stop_load(self, name: str, timeout_s: float | None = None) -> LoadState:
        answer = self._stop_load(pb.StopLoadRequest(name=name), timeout_s)
        return board.LOAD_STATE.from_pb(answer)

    def loads(self, timeout_s: float | None = None) -> tuple[LoadState, ...]:
        answer = self._loads(pb.ListLoadsRequest(), timeout_s)
        return tuple(board.LOAD_STATE.from_pb(item) for item in answer.loads)

    def capabilities(self, timeout_s: float | None = None) -> BoardInfo:
        return board.BOARD_INFO.from_pb(self._capabilities(pb.GetCapabilitiesRequest(), timeout_s))


_R = TypeVar("_R")


def _in_range(convert: Callable[[_R], _Q], request: _R) -> _Q:
    """The message of a request whose numbers may not fit their fields."""
    try:
        return convert(request)
    except ValueError as error:
        raise InputError(f"a value of the request is out of range: {error}") from None


def _path(method: str) -> str:
    return f"/{SERVICE}/{method}"
