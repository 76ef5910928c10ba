"""Per-node times from task events, and the files they are written to."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from bpu_board.profiler.log import CSV_COLUMNS, csv_text, log_text, write_profile
from bpu_board.profiler.meter import NodeMeters
from bpu_common.errors import UsageError
from bpu_common.perf import PerfResult
from bpu_common.task import BpuStep, CallCost, CpuStep, TaskEvent, TaskEventKind, TaskPlan

K = TaskEventKind
PLAN = TaskPlan(
    "net",
    (
        CpuStep("Preprocess", "Preprocess", 9),
        BpuStep("net_subgraph_0", (CallCost("a", 1, 1, 1), CallCost("b", 1, 1, 1))),
        CpuStep("fc_HzDequantize", "HzDequantize", 35),
        CpuStep("prob", "Softmax", 46),
    ),
)


def play(meters: NodeMeters, task: int, offset: int, submitted: int) -> None:
    """One frame: waits 10, runs 10 + (5 + parked 100 + 7) + 35 + 46."""
    script = [
        (10, K.STARTED, -1),
        (10, K.STEP_STARTED, 0),
        (20, K.STEP_DONE, 0),
        (20, K.STEP_STARTED, 1),
        (25, K.CALL_STARTED, 1),
        (30, K.CALL_DONE, 1),
        (30, K.PARKED, 1),
        (130, K.RESUMED, 1),
        (130, K.CALL_STARTED, 1),
        (137, K.CALL_DONE, 1),
        (140, K.STEP_DONE, 1),
        (140, K.STEP_STARTED, 2),
        (175, K.STEP_DONE, 2),
        (175, K.STEP_STARTED, 3),
        (221, K.STEP_DONE, 3),
        (221, K.DONE, -1),
    ]
    for time_ns, kind, step in script:
        meters.on_event(TaskEvent(offset + time_ns, kind, task, "net", step=step), submitted)


def result(profile=None) -> PerfResult:
    return PerfResult("net", "x3m", 2, 3, 0, 3_000_000, 4_500_000, 1, 2, 1, 1, 2, profile=profile)


def test_meters_charge_cores_only_for_running_calls():
    meters = NodeMeters(PLAN)
    play(meters, 1, 0, 0)
    play(meters, 2, 1000, 990)
    profile = meters.profile()
    assert list(profile.model_latency) == [
        "BPU_net_subgraph_0",
        "Dequantize_fc_HzDequantize",
        "Preprocess",
        "Softmax_prob",
    ]
    assert profile.model_latency["BPU_net_subgraph_0"].average_ns == 12
    assert profile.processor_latency["BPU_inference_time_cost"].average_ns == 12
    assert profile.processor_latency["CPU_inference_time_cost"].average_ns == 10 + 35 + 46
    pending = profile.task_latency["TaskPendingTime"]
    assert (pending.min_ns, pending.average_ns, pending.max_ns, pending.count) == (10, 15, 20, 2)
    assert profile.task_latency["TaskRunningTime"].average_ns == 211


def test_unfinished_and_failed_tasks_do_not_count():
    meters = NodeMeters(PLAN)
    meters.on_event(TaskEvent(5, K.STARTED, 7, "net"), 0)
    meters.on_event(TaskEvent(6, K.CANCELLED, 7, "net"), 0)
    assert meters.profile().task_latency["TaskRunningTime"].count == 0
    assert not meters.profile().model_latency


def test_profiler_log_is_two_sorted_objects():
    meters = NodeMeters(PLAN)
    play(meters, 1, 0, 0)
    text = log_text(result(), meters.profile())
    first, second = text.split("\n***\n")
    condition, nodes = json.loads(first), json.loads(second)
    assert list(condition) == ["perf_result", "running_condition"]
    assert list(condition["perf_result"]) == ["FPS", "average_latency"]
    assert condition["perf_result"] == {"FPS": 1000.0, "average_latency": 1.5}
    assert list(condition["running_condition"]) == [
        "core_id",
        "frame_count",
        "model_name",
        "run_time",
        "thread_num",
    ]
    assert list(nodes) == ["chip_latency", "model_latency", "task_latency"]
    assert list(nodes["chip_latency"]) == ["BPU_inference_time_cost", "CPU_inference_time_cost"]
    assert list(nodes["task_latency"]) == ["TaskPendingTime", "TaskRunningTime"]
    assert nodes["model_latency"]["Preprocess"] == {
        "avg_time": 1e-05,
        "max_time": 1e-05,
        "min_time": 1e-05,
    }
    assert list(nodes["model_latency"]) == sorted(nodes["model_latency"])


def test_profiler_csv():
    meters = NodeMeters(PLAN)
    play(meters, 1, 0, 0)
    rows = list(csv.reader(io.StringIO(csv_text(meters.profile()))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert ["model_latency", "Softmax_prob", "4.6e-05", "4.6e-05", "4.6e-05", "1"] in rows
    assert len(rows) == 1 + 2 + 4 + 2


def test_write_profile_makes_the_folder(tmp_path):
    meters = NodeMeters(PLAN)
    play(meters, 1, 0, 0)
    written = write_profile(tmp_path / "a" / "b", result(meters.profile()))
    assert [path.name for path in written] == ["profiler.log", "profiler.csv"]
    assert all(path.exists() for path in written)


def test_write_profile_needs_a_profile_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match="not profiled"):
        write_profile(tmp_path, result())
    meters = NodeMeters(PLAN)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot write"):
        write_profile(Path(tmp_path / "file"), result(meters.profile()))
