"""The daemon's end of `openbpu.v1.DaemonService`: values in and out, errors as statuses."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from bpu_common.daemon import (
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    JobEvent,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.wire.gen.openbpu.v1 import daemon_pb2 as pb
from bpu_common.wire.messages import daemon
from bpu_common.wire.rpc.daemon_client import DAEMON_SERVICE
from bpu_common.wire.rpc.handlers import Context, many, one, serialize
from bpu_common.wire.rpc.intake import RequestParser
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES


class DaemonServicer(abc.ABC):
    """What the daemon implements. A BpuError raised by a method reaches the caller unchanged."""

    @abc.abstractmethod
    async def status(self) -> DaemonStatus:
        """Everything at this instant."""

    @abc.abstractmethod
    async def resolve(self, board: str, wait_ms: int) -> BoardLink | None:
        """A board's connection, waiting for one that is being made; None if it is unknown."""

    @abc.abstractmethod
    def perf(self, job: PerfJobRequest) -> AsyncIterator[JobEvent]:
        """Queue and measure; the result comes last. Cancellation cancels the job."""

    @abc.abstractmethod
    async def jobs(self, board: str, limit: int, active_only: bool) -> tuple[Job, ...]:
        """Newest first."""

    @abc.abstractmethod
    async def cancel(self, job: int) -> Job:
        """Take a job back; returns it as it is afterwards."""

    @abc.abstractmethod
    def watch(self, request: WatchRequest) -> AsyncIterator[BoardEvent]:
        """Kept frames, then live ones."""

    @abc.abstractmethod
    def hold(self, board: str) -> AsyncIterator[None]:
        """Let go of a board, answer once, take it again at the end."""

    @abc.abstractmethod
    async def stop_daemon(self) -> None:
        """Begin to end."""


def add_daemon_service(server: grpc.aio.Server, servicer: DaemonServicer) -> None:
    """Register the service; call before the server starts."""
    calls = _Calls(servicer)
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers = {
        "GetStatus": unary(one(calls.status), RequestParser(pb.GetDaemonStatusRequest), serialize),
        "ResolveBoard": unary(one(calls.resolve), RequestParser(pb.ResolveBoardRequest), serialize),
        "RunPerf": stream(
            many(calls.perf), RequestParser(pb.PerfJobRequest, MAX_MESSAGE_BYTES), serialize
        ),
        "ListJobs": unary(one(calls.jobs), RequestParser(pb.ListJobsRequest), serialize),
        "CancelJob": unary(one(calls.cancel), RequestParser(pb.CancelJobRequest), serialize),
        "WatchTelemetry": stream(
            many(calls.watch), RequestParser(pb.WatchTelemetryRequest), serialize
        ),
        "HoldBoard": stream(many(calls.hold), RequestParser(pb.HoldBoardRequest), serialize),
        "StopDaemon": unary(one(calls.stop_daemon), RequestParser(pb.StopDaemonRequest), serialize),
    }
    handler = grpc.method_handlers_generic_handler(DAEMON_SERVICE, handlers)
    server.add_generic_rpc_handlers((handler,))


class _Calls:
    """Decode, call, encode."""

    def __init__(self, servicer: DaemonServicer) -> None:
        self._servicer = servicer

    async def status(self, _: pb.GetDaemonStatusRequest, __: Context) -> pb.DaemonStatus:
        return daemon.STATUS.to_pb(await self._servicer.status())

    async def resolve(self, request: pb.ResolveBoardRequest, _: Context) -> pb.ResolveBoardResponse:
        link = await self._servicer.resolve(request.board, request.wait_ms)
        if link is None:
            return pb.ResolveBoardResponse(known=False)
        return pb.ResolveBoardResponse(known=True, link=daemon.LINK.to_pb(link))

    async def perf(self, request: pb.PerfJobRequest, _: Context) -> AsyncIterator[pb.PerfJobEvent]:
        async for event in self._servicer.perf(daemon.PERF_JOB_REQUEST.from_pb(request)):
            yield daemon.JOB_EVENT.to_pb(event)

    async def jobs(self, request: pb.ListJobsRequest, _: Context) -> pb.ListJobsResponse:
        jobs = await self._servicer.jobs(request.board, request.limit, request.active_only)
        return pb.ListJobsResponse(jobs=[daemon.JOB.to_pb(job) for job in jobs])

    async def cancel(self, request: pb.CancelJobRequest, _: Context) -> pb.Job:
        return daemon.JOB.to_pb(await self._servicer.cancel(request.id))

    async def watch(
        self, request: pb.WatchTelemetryRequest, _: Context
    ) -> AsyncIterator[pb.BoardEvent]:
        async for event in self._servicer.watch(daemon.WATCH_REQUEST.from_pb(request)):
            yield daemon.BOARD_EVENT.to_pb(event)

    async def hold(
        self, request: pb.HoldBoardRequest, _: Context
    ) -> AsyncIterator[pb.HoldBoardEvent]:
        async for _held in self._servicer.hold(request.board):
            yield pb.HoldBoardEvent()

    async def stop_daemon(self, _: pb.StopDaemonRequest, __: Context) -> pb.StopDaemonResponse:
        await self._servicer.stop_daemon()
        return pb.StopDaemonResponse()
