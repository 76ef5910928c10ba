"""The caller's end of `openbpu.v1.DaemonService`: values in and out, failures as BpuError."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

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
from bpu_common.wire.rpc.calls import Stream, Unary

DAEMON_SERVICE = pb.DESCRIPTOR.services_by_name["DaemonService"].full_name


class DaemonCalls:
    """Every call of the service on one channel; thread-safe.

    Args:
        where: the address that errors name.
    """

    def __init__(self, channel: grpc.Channel, where: str) -> None:
        def path(method: str) -> str:
            return f"/{DAEMON_SERVICE}/{method}"

        self._status = Unary(channel, path("GetStatus"), pb.DaemonStatus.FromString, where)
        self._resolve = Unary(
            channel, path("ResolveBoard"), pb.ResolveBoardResponse.FromString, where
        )
        self._perf = Stream(channel, path("RunPerf"), pb.PerfJobEvent.FromString, where)
        self._jobs = Unary(channel, path("ListJobs"), pb.ListJobsResponse.FromString, where)
        self._cancel = Unary(channel, path("CancelJob"), pb.Job.FromString, where)
        self._watch = Stream(channel, path("WatchTelemetry"), pb.BoardEvent.FromString, where)
        self._hold = Stream(channel, path("HoldBoard"), pb.HoldBoardEvent.FromString, where)
        self._stop = Unary(channel, path("StopDaemon"), pb.StopDaemonResponse.FromString, where)

    def status(self, timeout_s: float) -> DaemonStatus:
        return daemon.STATUS.from_pb(self._status(pb.GetDaemonStatusRequest(), timeout_s))

    def resolve(self, board: str, wait_ms: int, timeout_s: float) -> BoardLink | None:
        """The board's connection; None if the daemon does not know it."""
        request = pb.ResolveBoardRequest(board=board, wait_ms=wait_ms)
        answer = self._resolve(request, timeout_s)
        return daemon.LINK.from_pb(answer.link) if answer.known else None

    def perf(self, job: PerfJobRequest, timeout_s: float | None) -> Iterator[JobEvent]:
        for event in self._perf(daemon.PERF_JOB_REQUEST.to_pb(job), timeout_s):
            yield daemon.JOB_EVENT.from_pb(event)

    def jobs(self, board: str, limit: int, active_only: bool, timeout_s: float) -> tuple[Job, ...]:
        request = pb.ListJobsRequest(board=board, limit=limit, active_only=active_only)
        return tuple(daemon.JOB.from_pb(item) for item in self._jobs(request, timeout_s).jobs)

    def cancel(self, job: int, timeout_s: float) -> Job:
        return daemon.JOB.from_pb(self._cancel(pb.CancelJobRequest(id=job), timeout_s))

    def watch(self, request: WatchRequest) -> Iterator[BoardEvent]:
        for event in self._watch(daemon.WATCH_REQUEST.to_pb(request), None):
            yield daemon.BOARD_EVENT.from_pb(event)

    def hold(self, board: str) -> Iterator[None]:
        """One answer once the daemon is away from the board; it returns when this is left."""
        for _ in self._hold(pb.HoldBoardRequest(board=board), None):
            yield None

    def stop(self, timeout_s: float) -> None:
        self._stop(pb.StopDaemonRequest(), timeout_s)
