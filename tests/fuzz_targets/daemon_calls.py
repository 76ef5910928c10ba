"""Requests to `bpud`, which knows one board that nobody reaches."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

import grpc.aio

from bpu_common.errors import BoardUnreachable
from bpu_common.wire.gen.openbpu.v1 import daemon_pb2 as pb
from bpu_common.wire.rpc.daemon_client import DAEMON_SERVICE
from bpu_common.wire.rpc.daemon_server import add_daemon_service
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.daemon import service as daemon_service
from bpu_host.daemon.files import Record
from bpu_host.daemon.hub import Hub
from bpu_host.daemon.joblog import JobLog
from bpu_host.daemon.jobs import JobRunner
from tests.fuzz_targets.calls import Form, Served
from tests.fuzz_targets.target import Target

_FORM = Form({
    f"/{DAEMON_SERVICE}/{method.name}": method
    for method in pb.DESCRIPTOR.services_by_name["DaemonService"].methods
})  # fmt: skip


class _Daemon(Served):
    """The daemon's service over an inventory of its own."""

    def __init__(self, folder: Path) -> None:
        self._inventory = Inventory(folder / "boards.json")
        self._inventory.put(BoardEntry("desk", "localhost", address="unix:/nobody"))
        self._jobs = folder / "jobs.sqlite"
        daemon_service.MAX_WAIT_MS = 10  # for a board that never comes
        super().__init__(folder, self._add)

    async def _add(self, server: grpc.aio.Server) -> None:
        service = daemon_service.Service(Record(1, "run", "0"), self.address, time.time_ns())
        service.hub = Hub(self._inventory, _unreachable)
        service.runner = JobRunner(JobLog(self._jobs, time.time_ns()), service.hub)
        add_daemon_service(server, service)
        await service.hub.start()


def _unreachable(*_: object) -> NoReturn:
    raise BoardUnreachable("nobody is there")


@cache
def _daemon(folder: Path) -> _Daemon:
    return _Daemon(folder)


@cache
def seeds() -> Sequence[bytes]:
    """A good request of each kind."""
    job = pb.PerfJobRequest(board="desk", client="me")
    job.request.model = "tiny"
    ours = {
        "ResolveBoard": [pb.ResolveBoardRequest(board="desk", wait_ms=1)],
        "RunPerf": [job],
        "ListJobs": [pb.ListJobsRequest(board="desk", limit=10)],
        "CancelJob": [pb.CancelJobRequest(id=1)],
        "WatchTelemetry": [pb.WatchTelemetryRequest(boards=["desk"], history_ns=1)],
        "HoldBoard": [pb.HoldBoardRequest(board="desk")],
    }
    return _FORM.seeds({f"/{DAEMON_SERVICE}/{name}": each for name, each in ours.items()})


def change(source: random.Random, data: bytes) -> bytes:
    """Another call."""
    return _FORM.change(source, data)


def run(data: bytes, folder: Path) -> str:
    """Ask."""
    return _daemon(folder).ask(*_FORM.call_of(data))


TARGET = Target("daemon_calls", seeds, run, change)
