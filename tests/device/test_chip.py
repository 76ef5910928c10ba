"""The chip: tasks through CPU, driver and cores in device time, under both clocks."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import DeviceFault, UsageError
from bpu_common.machine import X3E, X3M
from bpu_common.task import (
    FINAL_KINDS,
    BpuStep,
    CallCost,
    CpuStep,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_sim.device import Chip, PacedClock
from tests.support.device_loads import bpu_plan, frame_plan, plans

Kind = TaskEventKind
SUBMIT_NS = X3M.cpu.submit_ns


def controls() -> st.SearchStrategy[TaskControl]:
    return st.builds(
        TaskControl,
        core_id=st.sampled_from([0, 0, 1, 2]),
        priority=st.sampled_from([0, 3, 254, 255]),
        custom_id=st.integers(0, 1),
        deadline_ns=st.sampled_from([None, None, 200_000]),
    )


work = st.lists(st.tuples(st.integers(0, 500_000), plans(), controls()), min_size=1, max_size=10)


def play(
    chip: Chip, jobs: list[tuple[int, TaskPlan, TaskControl]], cancels: dict[int, int] | None = None
) -> list[TaskEvent]:
    """Submit all jobs at their times, let them run, return every event."""
    log: list[TaskEvent] = []
    for at_ns, plan, control in jobs:
        chip.submit(plan, control, log.append, at_ns=at_ns)
    for at_ns, task in sorted((t, task) for task, t in (cancels or {}).items()):
        chip.run_until(at_ns)
        chip.cancel(task)
    chip.run_until_idle()
    return log


@given(work, st.dictionaries(st.integers(1, 10), st.integers(0, 2_000_000), max_size=3))
@settings(max_examples=100, deadline=None)
def test_every_task_is_submitted_first_and_ends_once(
    jobs: list[tuple[int, TaskPlan, TaskControl]], cancels: dict[int, int]
) -> None:
    chip = Chip(X3M)
    log = play(chip, jobs, cancels)
    assert [e.time_ns for e in log] == sorted(e.time_ns for e in log)
    for task in range(1, len(jobs) + 1):
        kinds = [e.kind for e in log if e.task == task]
        assert kinds[0] is Kind.SUBMITTED
        assert kinds[-1] in FINAL_KINDS
        assert sum(k in FINAL_KINDS for k in kinds) == 1
        assert kinds.count(Kind.CALL_STARTED) == kinds.count(Kind.CALL_DONE)
        assert kinds.count(Kind.RESUMED) <= kinds.count(Kind.PARKED)
        if kinds[-1] is Kind.DONE:
            plan = jobs[task - 1][1]
            done = [e.step for e in log if e.task == task and e.kind is Kind.STEP_DONE]
            assert done == list(range(len(plan.steps)))
            assert kinds.count(Kind.RESUMED) == kinds.count(Kind.PARKED)
    sample = chip.sample()
    assert sample.tasks_alive == sample.waiting == sample.cpu_running == 0
    assert sample.running == (None, None)


@given(work)
@settings(max_examples=50, deadline=None)
def test_same_work_same_log(jobs: list[tuple[int, TaskPlan, TaskControl]]) -> None:
    assert play(Chip(X3M), jobs) == play(Chip(X3M), jobs)


@given(work)
@settings(max_examples=50, deadline=None)
def test_watching_less_changes_nothing(jobs: list[tuple[int, TaskPlan, TaskControl]]) -> None:
    full = play(Chip(X3M), jobs)
    brief: list[TaskEvent] = []
    chip = Chip(X3M)
    for at_ns, plan, control in jobs:
        chip.submit(plan, control, brief.append, at_ns=at_ns, every_event=False)
    chip.run_until_idle()
    assert brief == [e for e in full if e.kind in {Kind.PARKED, *FINAL_KINDS}]
    started_ns = {e.task: e.time_ns for e in full if e.kind is Kind.STARTED}
    for event in brief:
        if event.kind in FINAL_KINDS:
            assert event.started_ns == started_ns.get(event.task, -1)


@given(work)
@settings(max_examples=5, deadline=None)
def test_paced_and_virtual_time_give_the_same_log(
    jobs: list[tuple[int, TaskPlan, TaskControl]],
) -> None:
    paced = Chip(X3M, PacedClock(speed=2.0))
    try:
        assert play(paced, jobs) == play(Chip(X3M), jobs)
        assert paced.now_ns() > 0
    finally:
        paced.close()


@given(work)
@settings(max_examples=10, deadline=None)
def test_a_clock_that_is_too_fast_gives_way_and_the_log_stays_the_same(
    jobs: list[tuple[int, TaskPlan, TaskControl]],
) -> None:
    """No computer simulates a second in a nanosecond: device time goes at the simulation's pace."""
    late = Chip(X3M, PacedClock(speed=1e9))
    try:
        assert play(late, jobs) == play(Chip(X3M), jobs)
        assert late.late_ns > 0
    finally:
        late.close()


def test_what_arrives_at_a_late_chip_finds_no_backlog_and_time_never_goes_back() -> None:
    """A closed loop that no computer keeps up with: others still have the latency of the chip."""
    chip, plan = Chip(X3M, PacedClock(speed=1e6)), bpu_plan(20_000)
    stop = threading.Event()
    seen: list[int] = []

    def again(event: TaskEvent) -> None:
        if event.kind is Kind.DONE and not stop.is_set():
            chip.submit(plan, TaskControl(), again, every_event=False)

    def look() -> None:
        while not stop.is_set():
            seen.append(chip.now_ns())
            busy_ns = chip.sample().core_busy_ns
            assert max(busy_ns) <= chip.now_ns()

    chip.start()
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(4):
            chip.submit(plan, TaskControl(), again, every_event=False)
        for _ in range(20):
            ended: list[TaskEvent] = []
            done = threading.Event()

            def take(event: TaskEvent, ended=ended, done=done) -> None:
                ended.append(event)
                if event.kind is Kind.DONE:
                    done.set()

            chip.submit(plan, TaskControl(), take)
            assert done.wait(30)
            latency_ns = ended[-1].time_ns - ended[0].time_ns
            assert 20_000 <= latency_ns <= 5 * (20_000 + SUBMIT_NS + 35_000)
    finally:
        stop.set()
        looking.join()
        chip.close()
    assert chip.late_ns > 0
    assert seen == sorted(seen)


def test_a_serial_frame_is_the_sum_of_its_parts() -> None:
    log = play(Chip(X3M), [(0, frame_plan(2_000_000), TaskControl())])
    assert log[-1].kind is Kind.DONE
    assert log[-1].time_ns == 9_000 + SUBMIT_NS + 2_000_000 + 35_000 + 46_000
    spans = {e.kind: e.time_ns for e in log if e.step == 1}
    assert spans[Kind.STEP_DONE] - spans[Kind.STEP_STARTED] == 2_000_000 + SUBMIT_NS
    assert spans[Kind.CALL_DONE] - spans[Kind.CALL_STARTED] == 2_000_000


def closed_loop(chip: Chip, plan: TaskPlan, threads: int, frames: int) -> float:
    """Frames per device second with `threads` frames always in flight."""
    left = frames

    def on_event(event: TaskEvent) -> None:
        nonlocal left
        if event.kind is Kind.DONE and left:
            left -= 1
            chip.submit(plan, TaskControl(), on_event)

    for _ in range(threads):
        left -= 1
        chip.submit(plan, TaskControl(), on_event)
    chip.run_until_idle()
    assert chip.sample().tasks_done == frames
    return frames / chip.now_ns() * 1e9


def test_a_full_queue_hides_submission_and_cpu_time() -> None:
    assert closed_loop(Chip(X3M), frame_plan(), 8, 800) == pytest.approx(1000, rel=0.01)
    assert closed_loop(Chip(X3M), frame_plan(), 1, 100) == pytest.approx(1e9 / 2_150_000, rel=0.01)


def test_what_two_cores_take_from_the_bus_is_counted() -> None:
    """Oracle: by `bpu_sim.device.ddr`, two equal streams take their bytes over the bus's rate."""
    cost = CallCost("stream", 1_000_000, 1_000_000, 8_600_000)
    chip = Chip(X3M)
    for _ in range(2):
        chip.submit(TaskPlan("stream", (BpuStep("stream", (cost,)),)), TaskControl())
    chip.run_until_idle()
    sample = chip.sample()
    assert sample.core_ddr_bytes == (8_600_000, 8_600_000)
    shared_ns = 2 * 8_600_000 / X3M.ddr_total_bytes_per_cycle / X3M.clock_hz * 1e9
    assert sample.core_ddr_wait_ns == pytest.approx([shared_ns - 1_000_000] * 2, abs=2)
    alone = Chip(X3M)
    alone.submit(TaskPlan("stream", (BpuStep("stream", (cost,)),)), TaskControl())
    alone.run_until_idle()
    assert alone.sample().core_ddr_wait_ns == (0, 0)


def test_a_slower_clock_takes_longer() -> None:
    assert closed_loop(Chip(X3E), frame_plan(), 8, 400) == pytest.approx(600, rel=0.02)


def test_cpu_operators_wait_for_a_core() -> None:
    chip = Chip(replace(X3M, cpu=replace(X3M.cpu, cores=2, contention=0.0)))
    plan = TaskPlan("cpu", (CpuStep("op", "Softmax", 1_000), CpuStep("op2", "Softmax", 500)))
    log = play(chip, [(0, plan, TaskControl()) for _ in range(5)])
    ends = [e.time_ns for e in log if e.kind is Kind.DONE]
    assert ends == [1_500, 1_500, 3_000, 3_000, 4_500]
    assert chip.sample().cpu_busy_ns == 5 * 1_500


def test_urgent_work_parks_a_task_at_its_call_boundary() -> None:
    jobs = [
        (0, bpu_plan(1_000_000, 1_000_000, name="slow"), TaskControl(core_id=1)),
        (400_000, bpu_plan(50_000, name="urgent"), TaskControl(core_id=1, priority=255)),
    ]
    log = play(Chip(X3M), jobs)
    half = SUBMIT_NS // 2
    facts = [
        (e.kind, e.task, e.time_ns)
        for e in log
        if e.kind in {Kind.PARKED, Kind.RESUMED, Kind.CALL_STARTED}
    ]
    assert facts == [
        (Kind.CALL_STARTED, 1, half),
        (Kind.PARKED, 1, half + 1_000_000),
        (Kind.CALL_STARTED, 2, half + 1_000_000),
        (Kind.RESUMED, 1, half + 1_050_000),
        (Kind.CALL_STARTED, 1, half + 1_050_000),
    ]
    parked = next(e for e in log if e.kind is Kind.PARKED)
    assert parked.other == 2


def test_a_deadline_drops_only_what_has_not_begun() -> None:
    plan = TaskPlan("cpu", (CpuStep("op", "Softmax", 1_000),))
    chip = Chip(replace(X3M, cpu=replace(X3M.cpu, cores=1)))
    jobs = [(0, plan, TaskControl(deadline_ns=10)) for _ in range(2)]
    ends = [(e.task, e.kind, e.time_ns) for e in play(chip, jobs) if e.kind in FINAL_KINDS]
    assert ends == [(1, Kind.DONE, 1_000), (2, Kind.EXPIRED, 1_000)]


def test_cancelled_on_the_core_ends_after_its_call() -> None:
    chip = Chip(X3M)
    log: list[TaskEvent] = []
    task = chip.submit(bpu_plan(100_000, 100_000), TaskControl(), log.append)
    chip.run_until(50_000)
    assert chip.cancel(task)
    chip.run_until_idle()
    assert log[-1].kind is Kind.CANCELLED
    assert log[-1].time_ns == SUBMIT_NS + 100_000
    assert not chip.cancel(task)


def test_a_hung_core_is_reset_and_the_call_replayed() -> None:
    chip = Chip(X3M, hangs=lambda task, call, attempt: (task, call, attempt) == (1, 1, 1))
    log = play(chip, [(0, bpu_plan(1_000, 2_000), TaskControl())])
    assert log[-1].kind is Kind.DONE
    assert log[-1].time_ns == SUBMIT_NS + 3_000 + X3M.watchdog_ns


def test_a_core_that_keeps_hanging_fails_the_task_and_serves_the_next() -> None:
    chip = Chip(X3M, hangs=lambda task, call, attempt: task == 1)
    one = TaskControl(core_id=1)
    log = play(chip, [(0, bpu_plan(1_000), one), (0, bpu_plan(2_000), one)])
    finals = {e.task: e for e in log if e.kind in FINAL_KINDS}
    assert finals[1].kind is Kind.FAILED
    assert "no progress" in finals[1].detail
    assert finals[2].kind is Kind.DONE


def test_memory_stays_flat_over_many_frames() -> None:
    chip = Chip(X3M)
    closed_loop(chip, frame_plan(10_000), 8, 3_000)
    course = chip._course
    assert not course.tasks
    assert not len(chip._kernel)
    assert not course.driver._runs
    assert sum(len(heap) for heap in course.driver._waiting) == 0


def test_submissions_from_several_threads_all_finish() -> None:
    chip = Chip(X3M, PacedClock())
    done = threading.Semaphore(0)
    try:

        def on_event(event: TaskEvent) -> None:
            if event.kind is Kind.DONE:
                done.release()

        def client() -> None:
            for _ in range(10):
                chip.submit(bpu_plan(20_000), TaskControl(), on_event)

        chip.start()
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(done.acquire(timeout=30) for _ in range(40))
        chip.run_until_idle()
        assert chip.sample().tasks_done == 40
    finally:
        chip.close()


def test_a_failing_listener_surfaces_where_the_device_is_driven() -> None:
    def fail(event: TaskEvent) -> None:
        raise ValueError("listener")

    chip = Chip(X3M)
    chip.submit(bpu_plan(10), TaskControl(), fail)
    with pytest.raises(DeviceFault, match="ValueError: listener") as caught:
        chip.run_until_idle()
    assert isinstance(caught.value.__cause__, ValueError)
    assert "listener" in chip.failure
    with pytest.raises(DeviceFault, match="listener"):
        chip.submit(bpu_plan(10), TaskControl())


@pytest.mark.parametrize(
    "control", [TaskControl(core_id=3), TaskControl(core_id=-1), TaskControl(priority=256)]
)
def test_a_control_the_chip_cannot_do_is_refused(control: TaskControl) -> None:
    with pytest.raises(UsageError):
        Chip(X3M).submit(bpu_plan(10), control)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_cpu_operators_slow_each_other_down(threads: int) -> None:
    """Equal operators that start together: the k-th finds k - 1 others at work."""
    chip = Chip(X3M)
    plan = TaskPlan("cpu", (CpuStep("op", "HzLut", 1_000_000),))
    log = play(chip, [(0, plan, TaskControl()) for _ in range(threads)])
    ends = sorted(e.time_ns for e in log if e.kind is Kind.DONE)
    slower = [1 + X3M.cpu.contention * others**2 for others in range(threads)]
    assert ends == [round(1_000_000 * each) for each in slower]
    assert chip.sample().cpu_busy_ns == sum(ends)
    assert sorted(e.cpu_ns for e in log if e.kind is Kind.DONE) == ends
