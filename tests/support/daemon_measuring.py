"""Measurements by a daemon, on threads of their own."""

from __future__ import annotations

import threading

from bpu_common.daemon import BoardLink, Job, JobState
from bpu_common.errors import BpuError
from bpu_common.perf import PerfRequest, PerfResult
from bpu_host.daemon.client import Daemon

RECOVER_S = 5.0
"""Everything recovers within this time."""

LONG = PerfRequest("tiny", frame_count=50_000_000)
SHORT = PerfRequest("tiny", frame_count=400)


def link(daemon: Daemon, board: str) -> BoardLink:
    """The daemon's connection to a board, as it is now."""
    found = daemon.link(board, 0)
    assert found is not None
    return found


class Measuring:
    """A measurement on a thread; its job is known once it is queued."""

    def __init__(self, daemon: Daemon, request: PerfRequest, priority: int = 0) -> None:
        self.daemon = daemon
        self.seen: list[Job] = []
        self.result: PerfResult | None = None
        self.error: Exception | None = None
        self._queued = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(request, priority))
        self._thread.start()
        assert self._queued.wait(20)

    @property
    def id(self) -> int:
        return self.seen[0].id

    def _run(self, request: PerfRequest, priority: int) -> None:
        def tell(job: Job) -> None:
            self.seen.append(job)
            if job.waits_for or job.state is JobState.RUNNING:
                self._queued.set()

        try:
            self.result = self.daemon.perf("desk", request, on_job=tell, priority=priority)
        except BpuError as error:
            self.error = error
        self._queued.set()

    def wait(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()
