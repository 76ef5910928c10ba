"""What the frames say is what the raw event log of the device gives."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_board.devices.simulated import SimDevice
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime import Runtime
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.task import FINAL_KINDS, TaskControl, TaskEvent, TaskEventKind
from bpu_common.telemetry import MAX_SLICES, CallSlice, TelemetryFrame
from bpu_sim.device.trace import KEPT_CALLS
from tests.support.models_board import install, slow_model, tiny_model

Kind = TaskEventKind
ZEROS = {"data": np.zeros((1, 8, 16, 3), np.uint8)}


class LoggedDevice(SimDevice):
    """Keeps every event of every task."""

    def __init__(self) -> None:
        super().__init__(X3M)
        self.log: list[TaskEvent] = []
        self.submitted_ns: dict[int, int] = {}

    def submit(self, handle, inputs, control, on_event, every_event=True, turn=0):
        def take(event: TaskEvent) -> None:
            self.log.append(event)
            if every_event or event.kind in {Kind.STARTED, Kind.PARKED, *FINAL_KINDS}:
                on_event(event)

        return super().submit(handle, inputs, control, take, True)


def slices_of(log: list[TaskEvent]) -> list[CallSlice]:
    """The ended function calls, from the events alone."""
    running: dict[int, TaskEvent] = {}
    found: list[CallSlice] = []
    for event in log:
        if event.kind is Kind.CALL_STARTED:
            running[event.core] = event
        elif event.kind is Kind.CALL_DONE:
            start = running.pop(event.core)
            found.append(
                CallSlice(
                    event.core, event.task, event.model, event.call, f"call_{event.call % 2}",
                    start.time_ns, event.time_ns,
                )
            )  # fmt: skip
        elif event.kind is Kind.PARKED:
            last = next(i for i in reversed(range(len(found))) if found[i].core == event.core)
            assert found[last].task == event.task
            found[last] = replace(found[last], preempted_by=event.other)
    return found


def nearest_rank(values: list[int], q: int) -> int:
    return sorted(values)[math.ceil(len(values) * q / 100) - 1]


def split_of(log: list[TaskEvent], model: str) -> dict[str, list[int]]:
    """Time on BPU cores and on the CPU of each frame that is done, from the events alone."""
    opened: dict[tuple[int, Kind], int] = {}
    bpu: Counter[int] = Counter()
    cpu: Counter[int] = Counter()
    calls: Counter[tuple[int, int]] = Counter()
    done = []
    for event in log:
        if event.model != model:
            continue
        task = event.task
        if event.kind in {Kind.CALL_STARTED, Kind.STEP_STARTED}:
            opened[task, event.kind] = event.time_ns
        elif event.kind is Kind.CALL_DONE:
            bpu[task] += event.time_ns - opened[task, Kind.CALL_STARTED]
            calls[task, event.step] += 1
        elif event.kind is Kind.STEP_DONE and not calls[task, event.step]:
            cpu[task] += event.time_ns - opened[task, Kind.STEP_STARTED]
        elif event.kind is Kind.DONE:
            done.append(task)
    return {"bpu": [bpu[task] for task in done], "cpu": [cpu[task] for task in done]}


def check_frames(frames: list[TelemetryFrame], device: LoggedDevice, names: list[str]) -> None:
    log, last = device.log, frames[-1]
    ended = [item for frame in frames for item in frame.slices if not item.running]
    assert ended == slices_of(log)
    assert not any(frame.slices_dropped for frame in frames)
    # each running call is the beginning of one that a later frame has in full
    complete = {(s.core, s.task, s.start_ns): s for s in ended}
    for frame in frames:
        for item in frame.slices:
            assert item.end_ns <= frame.time_ns
            if item.running:
                whole = complete[item.core, item.task, item.start_ns]
                assert item.end_ns == frame.time_ns < whole.end_ns
                assert (item.model, item.call, item.name) == (whole.model, whole.call, whole.name)
        running = {s.core: (s.task, s.model, s.call) for s in frame.slices if s.running}
        shown = {c.index: (c.task, c.model, c.call) for c in frame.cores if c.task >= 0}
        assert running == shown
    parked = [event for event in log if event.kind is Kind.PARKED]
    model_of = {event.task: event.model for event in log}
    for name in names:
        sample = next(each for each in last.models if each.name == name)
        finals = Counter(e.kind for e in log if e.model == name and e.kind in FINAL_KINDS)
        assert sample.done == finals[Kind.DONE]
        assert sample.preempted == sum(event.model == name for event in parked)
        assert sample.preempting == sum(model_of[event.other] == name for event in parked)
        assert (sample.running, sample.waiting, sample.alive) == (0, 0, 0)
        parts = split_of(log, name)
        for part, values in parts.items():
            shown = getattr(sample, part)
            assert shown.count == len(values)
            if values:
                assert shown.max_ns == max(values)
                assert shown.p50_ns == pytest.approx(nearest_rank(values, 50), rel=0.021, abs=2)
                assert shown.p99_ns == pytest.approx(nearest_rank(values, 99), rel=0.021, abs=2)
    for core in last.cores:
        mine = [item for item in ended if item.core == core.index]
        assert core.busy_ns == sum(item.end_ns - item.start_ns for item in mine)
        assert core.calls_done == len(mine)
        assert core.preemptions == sum(item.preempted_by >= 0 for item in mine)


JOBS = st.lists(
    st.tuples(
        st.sampled_from(["tiny", "classes", "slow"]),
        st.sampled_from([0, 0, 3, 255]),
        st.sampled_from([0, 0, 1, 2]),
        st.integers(0, 150_000),  # device time that passes before it
        st.sampled_from([False, False, False, True]),  # taken back
    ),
    min_size=1,
    max_size=25,
)


@given(JOBS)
@settings(max_examples=25, deadline=None)
def test_frames_equal_the_event_log(jobs: list[tuple[str, int, int, int, bool]]) -> None:
    device = LoggedDevice()
    runtime = Runtime(device)
    install(runtime, tiny_model(), tiny_model("classes", classify=True), slow_model(calls=12))
    frames, pending = [], []
    for name, priority, core, pause_ns, cancel in jobs:
        pending.append(runtime.submit(name, ZEROS, TaskControl(core, priority)))
        device.run_until(device.now_ns() + pause_ns)
        if cancel:
            pending[-1].cancel()
        frames.append(runtime.telemetry())
    device.wait(lambda: all(each.done for each in pending), 60)
    frames.append(runtime.telemetry())
    check_frames(frames, device, ["tiny", "classes", "slow"])


def test_several_readers_each_get_everything() -> None:
    device = LoggedDevice()
    runtime = Runtime(device)
    install(runtime, slow_model(calls=10))
    readers = [runtime.watch() for _ in range(3)]
    seen: dict[int, list[CallSlice]] = defaultdict(list)
    frames = []
    for round_ in range(12):
        runtime.infer("slow", ZEROS)
        for index, reader in enumerate(readers):
            if round_ % (index + 1) == 0 or round_ == 11:
                frames.append(runtime.telemetry(reader))
                seen[index] += frames[-1].slices
    wanted = slices_of(device.log)
    assert len(wanted) == 120
    assert all(found == wanted for found in seen.values())
    assert all(a.sequence < b.sequence for a, b in pairwise(frames))
    assert runtime.telemetry(runtime.watch()).slices == ()  # a new reader begins now


def test_slices_are_bounded_and_the_loss_is_told() -> None:
    runtime = Runtime(SimDevice(X3M))
    install(runtime, slow_model(calls=50))
    runtime.perf(PerfRequest("slow", frame_count=200))
    frame = runtime.telemetry()
    assert len(frame.slices) == MAX_SLICES < KEPT_CALLS
    assert frame.slices_dropped == 200 * 50 - MAX_SLICES
    assert all(a.end_ns <= b.end_ns for a, b in pairwise(frame.slices))
    assert runtime.telemetry().slices == ()


def test_queue_depth_of_each_model() -> None:
    runtime = Runtime(SimDevice(X3M))
    install(runtime, tiny_model(), slow_model())
    pending = [runtime.submit("slow", ZEROS, TaskControl(priority=7)) for _ in range(6)]
    pending += [runtime.submit("tiny", ZEROS, TaskControl(priority=3)) for _ in range(5)]
    tiny, slow = runtime.telemetry().models
    assert (slow.running, slow.waiting, slow.priority) == (6, 0, 7)
    assert (tiny.running, tiny.waiting, tiny.priority) == (2, 3, 3)
    for each in pending:
        each.result()
    tiny, slow = runtime.telemetry().models
    assert (tiny.running, tiny.waiting, slow.running, slow.waiting) == (0, 0, 0, 0)
    # the split is exact: waiting, BPU and CPU make up the latency
    assert slow.pending.max_ns + slow.bpu.max_ns == pytest.approx(slow.latency.max_ns, rel=0.05)


def test_the_log_tells_what_happened() -> None:
    runtime = Runtime(SimDevice(X3M))
    install(runtime, tiny_model(), slow_model())
    blockers = [runtime.submit("slow", ZEROS) for _ in range(8)]
    now_ns = runtime.device.now_ns()
    for _ in range(5):
        runtime.submit("tiny", ZEROS, TaskControl(deadline_ns=now_ns + 1))
    for each in blockers:
        each.result()
    for _ in range(3):
        low = [runtime.submit("slow", ZEROS) for _ in range(2)]
        runtime.device.run_until(runtime.device.now_ns() + 100_000)
        runtime.infer("tiny", ZEROS, TaskControl(priority=255))
        for each in low:
            each.result()
    runtime.unload("tiny")
    lines = runtime.telemetry().log
    texts = [line.text for line in lines]
    assert texts == [
        "tiny loaded",
        "slow loaded",
        "tiny missed a deadline, the frame was dropped",
        "slow preempted by tiny",
        "tiny unloaded",
    ]
    assert [line.level for line in lines] == ["info", "info", "warning", "info", "info"]
    runtime.device.run_until(runtime.device.now_ns() + 2_000_000_000)
    later = [line.text for line in runtime.telemetry().log]
    assert later == [
        "tiny missed a deadline, the frame was dropped (4 more times)",
        "slow preempted by tiny (2 more times)",
    ]
    assert runtime.telemetry().log == ()
    assert [line.text for line in runtime.telemetry(runtime.watch()).log] == texts + later


def test_the_log_is_bounded_and_quiet() -> None:
    log = EventLog(kept=10)
    for time_ns in range(0, 10_000_000_000, 1_000_000):
        log.warn_often(time_ns, "again")
    lines, mark = log.since(0, 12_000_000_000)
    assert len(lines) == 10
    assert lines[-1].text.startswith("again (")
    for number in range(1000):
        log.info_often(12_000_000_001, f"event {number}")
    assert len(log._bursts) <= 256
    lines, _ = log.since(mark, 12_000_000_001)
    assert len(lines) == 10


def test_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensor:
        def __init__(self, label: str, current: float) -> None:
            self.label, self.current = label, current

    found = {"bpu_thermal": [Sensor("", 51.25)], "cpu": [Sensor("die", 48), Sensor("", math.nan)]}
    monkeypatch.setattr("psutil.sensors_temperatures", lambda: found, raising=False)
    runtime = Runtime(SimDevice(X3M))
    wanted = {"bpu_thermal 0": 51_250, "cpu die": 48_000}
    assert runtime.telemetry().temperature_millicelsius == wanted
    monkeypatch.delattr("psutil.sensors_temperatures", raising=False)
    assert Runtime(SimDevice(X3M)).telemetry().temperature_millicelsius == {}
