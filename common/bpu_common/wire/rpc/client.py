"""The caller's end of `openbpu.v1.BoardService`: values in and out, failures as BpuError."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

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
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import board, perf, telemetry
from bpu_common.wire.rpc.address import Address
from bpu_common.wire.rpc.errors import from_call
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS

SERVICE = pb.DESCRIPTOR.services_by_name["BoardService"].full_name

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)


def open_channel(address: Address) -> grpc.Channel:
    """A plaintext channel; it connects with the first call."""
    options: list[tuple[str, int | str]] = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
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
        self._deploy = _Upload(channel, "Deploy", pb.DeployResponse, where)
        self._list = _Unary(channel, "ListModels", pb.ListModelsResponse, where)
        self._remove = _Unary(channel, "RemoveModel", pb.RemoveModelResponse, where)
        self._info = _Unary(channel, "GetModelInfo", pb.ModelInfo, where)
        self._infer = _Unary(channel, "Infer", pb.InferResponse, where)
        self._perf = _Stream(channel, "Perf", pb.PerfEvent, where)
        self._telemetry = _Stream(channel, "Telemetry", pb.TelemetryFrame, where)
        self._capabilities = _Unary(channel, "GetCapabilities", pb.Capabilities, where)

    def deploy(
        self, header: UploadHeader, chunks: Iterable[bytes] = (), timeout_s: float | None = None
    ) -> UploadState:
        """One upload stream; without chunks it asks how far the upload has come."""
        requests = itertools.chain((board.header_to_pb(header),), map(board.chunk_to_pb, chunks))
        return board.state_from_pb(self._deploy(requests, timeout_s))

    def list_models(self, timeout_s: float | None = None) -> tuple[ModelEntry, ...]:
        answer = self._list(pb.ListModelsRequest(), timeout_s)
        return tuple(board.entry_from_pb(item) for item in answer.models)

    def remove_model(self, model: str, timeout_s: float | None = None) -> None:
        self._remove(pb.RemoveModelRequest(model=model), timeout_s)

    def model_info(self, model: str, timeout_s: float | None = None) -> ModelInfo:
        return board.info_from_pb(self._info(pb.GetModelInfoRequest(model=model), timeout_s))

    def infer(
        self, request: InferRequest, timeout_s: float | None = None
    ) -> tuple[InferResult, int]:
        """The result and the wall time the board's runtime took for it (ns)."""
        message = _in_range(perf.infer_request_to_pb, request)
        answer = self._infer(message, timeout_s)
        return perf.infer_result_from_pb(answer), answer.runtime_wall_ns

    def perf(
        self, request: PerfRequest, timeout_s: float | None = None
    ) -> Iterator[PerfProgress | PerfResult]:
        """Reports while it runs, the result at the end."""
        for event in self._perf(_in_range(perf.perf_request_to_pb, request), timeout_s):
            if event.HasField("result"):
                yield perf.perf_result_from_pb(event.result)
            else:
                yield perf.progress_from_pb(event.progress)

    def telemetry(self, period_ms: int = 0, frame_count: int = 0) -> Iterator[TelemetryFrame]:
        """Frames until `frame_count` of them, or until the iteration is left."""
        request = pb.TelemetryRequest(period_ms=period_ms, frame_count=frame_count)
        for frame in self._telemetry(request, None):
            yield telemetry.frame_from_pb(frame)

    def capabilities(self, timeout_s: float | None = None) -> BoardInfo:
        return board.capabilities_from_pb(
            self._capabilities(pb.GetCapabilitiesRequest(), timeout_s)
        )


class _Unary(Generic[_A]):
    """Request -> answer."""

    def __init__(self, channel: grpc.Channel, method: str, answer: type[_A], where: str) -> None:
        self._call = channel.unary_unary(_path(method), _serialize, _parser(answer))
        self._where = where

    def __call__(self, request: Message, timeout_s: float | None) -> _A:
        try:
            return cast("_A", self._call(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None


class _Upload(Generic[_A]):
    """Stream of requests -> answer."""

    def __init__(self, channel: grpc.Channel, method: str, answer: type[_A], where: str) -> None:
        self._call = channel.stream_unary(_path(method), _serialize, _parser(answer))
        self._where = where

    def __call__(self, requests: Iterable[Message], timeout_s: float | None) -> _A:
        try:
            return cast("_A", self._call(iter(requests), timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None


class _Stream(Generic[_A]):
    """Request -> stream of answers; leaving the iteration cancels the call."""

    def __init__(self, channel: grpc.Channel, method: str, answer: type[_A], where: str) -> None:
        self._call = channel.unary_stream(_path(method), _serialize, _parser(answer))
        self._where = where

    def __call__(self, request: Message, timeout_s: float | None) -> Iterator[_A]:
        stream = self._call(request, timeout=timeout_s)
        try:
            yield from cast("Iterator[_A]", stream)
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]  # its stub has no annotations


_R = TypeVar("_R")


def _in_range(convert: Callable[[_R], _Q], request: _R) -> _Q:
    """The message of a request whose numbers may not fit their fields."""
    try:
        return convert(request)
    except ValueError as error:
        raise InputError(f"a value of the request is out of range: {error}") from None


def _path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _parser(answer: type[_A]) -> Callable[[bytes], _A]:
    return answer.FromString
