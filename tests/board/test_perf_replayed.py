"""A measured run tells the same whether the chip repeats from its record or simulates all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.machine import X3M
from bpu_common.perf import MINUTE_NS, PerfProgress, PerfRequest
from bpu_sim.device import Chip
from tests.support.models_board import install, slow_model, tiny_model

REQUESTS = {
    "one thread": PerfRequest("slow", frame_count=300),
    "eight threads": PerfRequest("slow", frame_count=1000, thread_num=8),
    "one core": PerfRequest("tiny", frame_count=500, thread_num=3, core_id=2),
    "urgent": PerfRequest("tiny", frame_count=500, thread_num=8, priority=255),
    "profile": PerfRequest("classes", frame_count=200, thread_num=4, profile=True),
    "time": PerfRequest("slow", duration_ns=MINUTE_NS // 1000, thread_num=2),
}


def measured(request: PerfRequest, *, replay: bool) -> tuple[object, ...]:
    """The results of two runs, the reports on the way, and what telemetry shows of the first."""
    device = SimDevice(X3M)
    device._chip = Chip(X3M, replay=replay)
    runtime = Runtime(device)
    install(runtime, tiny_model(), tiny_model("classes", classify=True), slow_model())
    reports: list[PerfProgress] = []

    def on_progress(progress: PerfProgress) -> None:
        reports.append(replace(progress, elapsed_ns=0))  # when this thread looked, not a frame

    first = runtime.perf(request, on_progress)
    shown = runtime.telemetry()  # of a time that lies behind the run, nobody says how far
    second = runtime.perf(request)
    models = [(each.done, each.alive, each.bpu_busy_ns) for each in shown.models]
    told = models, shown.slices, shown.slices_dropped, shown.log
    return replace(first, wall_ns=0), replace(second, wall_ns=0), reports, told


@pytest.mark.parametrize("name", REQUESTS)
def test_the_figures_are_those_of_the_simulation(name: str) -> None:
    assert measured(REQUESTS[name], replay=True) == measured(REQUESTS[name], replay=False)
