"""The daemon's service: what its clients ask for, put together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing

from bpu_common import __version__
from bpu_common.daemon import (
    DAEMON_API_VERSION,
    HISTORY_NS,
    BoardEvent,
    BoardLink,
    DaemonStatus,
    Job,
    JobEvent,
    PerfJobRequest,
    WatchRequest,
)
from bpu_common.errors import UsageError
from bpu_common.wire.rpc.daemon_server import DaemonServicer
from bpu_host.daemon.files import Record
from bpu_host.daemon.hub import HISTORY_BYTES, Hub
from bpu_host.daemon.jobs import JobRunner

MAX_WAIT_MS = 10_000
DEFAULT_JOBS = 100
MAX_JOBS = 1000


class Service(DaemonServicer):
    """Answers from a hub and a job runner."""

    def __init__(self, record: Record, socket: str, started_wall_ns: int) -> None:
        self._record = record
        self._socket = socket
        self._started_wall_ns = started_wall_ns
        self.stopping = asyncio.Event()
        self.hub: Hub
        self.runner: JobRunner

    async def status(self) -> DaemonStatus:
        return DaemonStatus(
            process_id=os.getpid(),
            version=__version__,
            api_version=DAEMON_API_VERSION,
            run_id=self._record.run_id,
            started_wall_ns=self._started_wall_ns,
            socket=self._socket,
            boards=self.hub.links(),
            jobs=self.runner.active(),
            watchers=self.hub.watcher_count,
            history_bytes=self.hub.history_bytes,
            history_limit_bytes=HISTORY_BYTES,
            inventory_error=self.hub.inventory_error,
        )

    async def resolve(self, board: str, wait_ms: int) -> BoardLink | None:
        return await self.hub.find(board, min(wait_ms, MAX_WAIT_MS) / 1000)

    async def perf(self, job: PerfJobRequest) -> AsyncIterator[JobEvent]:
        async with aclosing(self.runner.run(job)) as events:
            async for event in events:
                yield event

    async def jobs(self, board: str, limit: int, active_only: bool) -> tuple[Job, ...]:
        limit = min(limit or DEFAULT_JOBS, MAX_JOBS)
        return await self.runner.listed(board, limit, active_only)

    async def cancel(self, job: int) -> Job:
        return await self.runner.cancel(job)

    async def watch(self, request: WatchRequest) -> AsyncIterator[BoardEvent]:
        if request.history_ns > HISTORY_NS:
            raise UsageError(f"at most the last {HISTORY_NS // 10**9} s are kept")
        async with aclosing(self.hub.watch(request)) as events:
            async for event in events:
                yield event

    async def hold(self, board: str) -> AsyncIterator[None]:
        async with aclosing(self.hub.hold(board)) as held:
            async for each in held:
                yield each

    async def stop_daemon(self) -> None:
        self.stopping.set()
