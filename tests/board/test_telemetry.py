"""Telemetry frames: complete in themselves, cumulative, true."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.task import BpuStep
from bpu_sim.timing.plan import task_plan
from tests.support.models_board import install, slow_model, tiny_model

ZEROS = {"data": np.zeros((1, 8, 16, 3), np.uint8)}


@pytest.fixture
def runtime():
    made = Runtime(SimDevice(X3M))
    install(made, tiny_model(), slow_model())
    return made


def test_frame_of_an_idle_board(runtime):
    frame = runtime.telemetry()
    assert frame.sequence == 0
    assert frame.machine == "x3m"
    assert [model.name for model in frame.models] == ["tiny", "slow"]
    assert [core.index for core in frame.cores] == [0, 1]
    assert all(core.task == -1 and core.busy_ns == 0 for core in frame.cores)
    assert (frame.queue.running_limit, frame.queue.alive_limit) == (8, 32)
    assert frame.system.memory_total_bytes > frame.system.process_bytes > 0
    assert abs(frame.time_ns + frame.wall_offset_ns - time.time_ns()) < 60_000_000_000


def test_sequence_and_boot(runtime):
    first, second = runtime.telemetry(), runtime.telemetry()
    assert second.sequence == first.sequence + 1
    assert first.boot_id == second.boot_id == runtime.boot_id
    other = Runtime(SimDevice(X3M))
    assert other.boot_id != runtime.boot_id


def test_counters_and_percentiles(runtime):
    latencies = sorted(runtime.infer("slow", ZEROS).latency_ns for _ in range(10))
    sample = runtime.telemetry().models[1]
    assert (sample.submitted, sample.done, sample.alive) == (10, 10, 0)
    assert sample.latency.count == 10
    assert sample.latency.max_ns == latencies[-1]
    assert sample.latency.p50_ns == pytest.approx(latencies[4], rel=0.02)


def test_utilisation_is_the_share_of_the_last_second(runtime):
    runtime.telemetry()
    result = runtime.perf(PerfRequest("slow", duration_ns=2_000_000_000, thread_num=8))
    frame = runtime.telemetry()
    for core, busy_ns in zip(frame.cores, result.core_busy_ns, strict=True):
        assert core.busy_ns == busy_ns
        share = 1000 * busy_ns / result.run_time_ns
        assert core.utilisation_permille == pytest.approx(share, abs=30)
    assert frame.models[1].bpu_busy_ns == pytest.approx(sum(result.core_busy_ns), rel=0.05)


def test_utilisation_falls_to_nothing_while_device_time_stands(runtime, monkeypatch):
    now_s = [time.monotonic()]
    monkeypatch.setattr("bpu_board.profiler.sampler.time.monotonic", lambda: now_s[0])

    def shares():
        return [core.utilisation_permille for core in runtime.telemetry().cores]

    runtime.telemetry()
    for _ in range(2):  # it works again after it stood
        runtime.perf(PerfRequest("slow", duration_ns=2_000_000_000, thread_num=8))
        assert min(shares()) > 500
        now_s[0] += 0.9
        assert min(shares()) > 500
        now_s[0] += 0.2
        assert shares() == [0, 0]


def test_ddr_bytes_are_those_of_the_plan(runtime):
    runtime.perf(PerfRequest("slow", frame_count=10, thread_num=2))
    steps = [step for step in task_plan(slow_model(), X3M).steps if isinstance(step, BpuStep)]
    frame_bytes = sum(call.ddr_bytes for step in steps for call in step.calls)
    cores = runtime.telemetry().cores
    assert sum(core.ddr_bytes for core in cores) == 10 * frame_bytes > 0
    assert all(0 <= core.ddr_wait_ns < core.busy_ns for core in cores)


def test_running_task_is_shown(runtime):
    runtime.device.wait(lambda: False, 0)
    pending = [runtime.submit("slow", ZEROS) for _ in range(4)]
    seen = []

    def look():
        seen.append(runtime.telemetry())
        return any(core.task >= 0 for core in seen[-1].cores)

    assert runtime.device.wait(look, 60)
    busy = [core for core in seen[-1].cores if core.task >= 0]
    assert busy[0].model == "slow"
    assert busy[0].call >= 0
    for each in pending:
        each.result()


def test_frame_after_unload_has_no_trace_of_the_model(runtime):
    runtime.unload("slow")
    assert [model.name for model in runtime.telemetry().models] == ["tiny"]
