"""Measured runs: the figures agree with each other and with single frames."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.errors import Cancelled, InputError, UsageError
from bpu_common.frame import FrameInput, as_frame_inputs
from bpu_common.machine import J3, X3M
from bpu_common.perf import MINUTE_NS, PerfRequest
from bpu_sim.device import PacedClock
from tests.support.models_board import install, slow_model, tiny_model


@pytest.fixture
def runtime():
    made = Runtime(SimDevice(X3M))
    install(made, tiny_model(), tiny_model("classes", classify=True), slow_model())
    return made


def test_one_thread_is_the_latency_of_a_frame(runtime):
    inputs = {"data": np.zeros((1, 8, 16, 3), np.uint8)}
    alone = runtime.infer("classes", inputs)
    result = runtime.perf(PerfRequest("classes", frame_count=10, inputs=as_frame_inputs(inputs)))
    assert result.min_ns == result.max_ns == result.p50_ns == alone.latency_ns
    assert result.total_latency_ns == 10 * alone.latency_ns == result.run_time_ns
    assert result.average_ns == alone.latency_ns
    assert result.fps == pytest.approx(1e9 / alone.latency_ns)
    assert result.frame_count == 10


@pytest.mark.parametrize("threads", [1, 2, 4, 8])
def test_figures_agree(runtime, threads):
    reports = []
    request = PerfRequest("slow", frame_count=430, thread_num=threads)
    result = runtime.perf(request, reports.append)
    assert result.thread_num == threads
    assert result.fps == pytest.approx(430 * 1e9 / result.run_time_ns)
    assert result.average_ns == pytest.approx(result.total_latency_ns / 430)
    assert [report.frames_done for report in reports] == [200, 400, 430]
    weights = (200, 200, 30)
    total = sum(r.average_ns * w for r, w in zip(reports, weights, strict=True))
    assert total == pytest.approx(result.total_latency_ns)
    assert max(r.max_ns for r in reports) == result.max_ns
    assert min(r.min_ns for r in reports) == result.min_ns
    assert result.min_ns <= result.p50_ns <= result.p90_ns <= result.p99_ns <= result.max_ns
    # A closed loop: at any time `threads` frames are in flight, but for the end of the run.
    assert result.total_latency_ns <= threads * result.run_time_ns
    assert result.total_latency_ns >= 0.9 * threads * result.run_time_ns
    assert sum(result.core_busy_ns) <= 2 * result.run_time_ns


def test_a_time_that_is_over_at_once_still_has_a_frame():
    made = Runtime(SimDevice(X3M, PacedClock()))
    install(made, tiny_model())
    assert made.perf(PerfRequest("tiny", duration_ns=1)).frame_count == 1
    made.close()


def test_two_threads_use_both_cores(runtime):
    one = runtime.perf(PerfRequest("slow", frame_count=100))
    eight = runtime.perf(PerfRequest("slow", frame_count=100, thread_num=8))
    bound = runtime.perf(PerfRequest("slow", frame_count=100, thread_num=8, core_id=1))
    assert eight.fps > 1.8 * one.fps
    assert min(eight.core_busy_ns) > 0.8 * eight.run_time_ns
    assert bound.core_busy_ns[1] == 0
    assert bound.fps == pytest.approx(eight.fps / 2, rel=0.1)


def test_more_than_eight_threads_act_as_eight(runtime):
    eight = runtime.perf(PerfRequest("slow", frame_count=50, thread_num=8))
    many = runtime.perf(PerfRequest("slow", frame_count=50, thread_num=99))
    assert many.thread_num == 8
    assert many.run_time_ns == eight.run_time_ns


def test_fewer_frames_than_threads(runtime):
    assert runtime.perf(PerfRequest("tiny", frame_count=3, thread_num=8)).frame_count == 3


def test_run_bounded_by_time(runtime):
    result = runtime.perf(PerfRequest("slow", duration_ns=MINUTE_NS // 1000, thread_num=2))
    assert MINUTE_NS // 1000 <= result.run_time_ns < MINUTE_NS // 1000 + 2 * result.max_ns


def test_same_run_gives_the_same_figures():
    results = []
    for _ in range(2):
        runtime = Runtime(SimDevice(X3M))
        install(runtime, slow_model())
        results.append(runtime.perf(PerfRequest("slow", frame_count=300, thread_num=5)))
    first, second = results
    assert first.run_time_ns == second.run_time_ns
    assert first.total_latency_ns == second.total_latency_ns
    assert first.core_busy_ns == second.core_busy_ns


def test_slower_machine_is_slower():
    runtime = Runtime(SimDevice(J3))
    install(runtime, slow_model())
    other = Runtime(SimDevice(X3M))
    install(other, slow_model())
    slower = runtime.perf(PerfRequest("slow", frame_count=5))
    assert slower.average_ns > other.perf(PerfRequest("slow", frame_count=5)).average_ns
    assert slower.machine == "j3"


def test_profile_adds_up(runtime):
    result = runtime.perf(PerfRequest("classes", frame_count=20, profile=True))
    profile = result.profile
    assert profile is not None
    assert set(profile.model_latency) == {
        "Preprocess",
        "BPU_classes_subgraph_0",
        "Dequantize_codes_HzDequantize",
        "GlobalAveragePool_mean",
        "Reshape_flat",
        "Softmax_prob",
    }
    nodes = sum(stat.average_ns for stat in profile.model_latency.values())
    cost = sum(stat.average_ns for stat in profile.processor_latency.values())
    assert nodes == pytest.approx(cost)
    task = sum(stat.average_ns for stat in profile.task_latency.values())
    assert task == pytest.approx(result.average_ns)
    assert cost <= task
    assert profile.task_latency["TaskRunningTime"].count == 20


def test_profile_does_not_change_the_times(runtime):
    plain = runtime.perf(PerfRequest("classes", frame_count=50, thread_num=4))
    profiled = runtime.perf(PerfRequest("classes", frame_count=50, thread_num=4, profile=True))
    assert plain.total_latency_ns == profiled.total_latency_ns


def test_stop_ends_the_run(runtime):
    stop = threading.Event()
    with pytest.raises(Cancelled):
        runtime.perf(PerfRequest("slow", frame_count=100_000), lambda _: stop.set(), stop)
    assert runtime.telemetry().queue.running == 0
    assert runtime.perf(PerfRequest("slow", frame_count=5)).frame_count == 5


def test_bad_requests(runtime):
    for bad in (
        {"thread_num": 0},
        {"frame_count": 0},
        {"duration_ns": -1},
        {"priority": 256},
    ):
        with pytest.raises(UsageError):
            PerfRequest("tiny", **bad)
    with pytest.raises(UsageError, match="core_id 3"):
        runtime.perf(PerfRequest("tiny", core_id=3))
    with pytest.raises(InputError):
        runtime.perf(PerfRequest("tiny", inputs={"data": FrameInput(np.zeros(5, np.uint8))}))


def test_exact_run_compares_once(runtime):
    assert runtime.perf(PerfRequest("classes", frame_count=3, exact=True)).frame_count == 3


def test_inference_next_to_a_run_is_served(runtime):
    results = []

    def measure():
        results.append(runtime.perf(PerfRequest("slow", frame_count=2000, thread_num=4)))

    thread = threading.Thread(target=measure)
    thread.start()
    inputs = {"data": np.zeros((1, 8, 16, 3), np.uint8)}
    for _ in range(5):
        assert runtime.infer("tiny", inputs, timeout_s=60).latency_ns > 0
    thread.join()
    assert results[0].frame_count == 2000
