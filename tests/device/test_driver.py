"""Properties of the driver over random workloads, and the rules one by one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.task import TaskControl
from bpu_sim.device import Driver, Failed, Finished, Parked, Start
from tests.support.device_loads import Load, World, loads

URGENT = 255


def world(jobs: list[Load], limit: int = 1, cores: int = 2) -> World:
    return World(jobs, Driver(cores, limit, (URGENT,)), cores).run()


@given(loads(cancels=True), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_every_task_ends_once_and_every_call_runs_once_in_order(
    jobs: list[Load], limit: int
) -> None:
    run = world(jobs, limit)
    ended = Counter(action.task for _, action in run.of(Finished))
    assert ended == Counter(range(len(jobs)))
    calls: dict[int, list[int]] = {task: [] for task in range(len(jobs))}
    for _, action in run.of(Start):
        calls[action.task].append(action.call)
    cancelled = {action.task for _, action in run.of(Finished) if action.cancelled}
    for task, load in enumerate(jobs):
        assert calls[task] == list(range(len(calls[task])))
        if task not in cancelled:
            assert len(calls[task]) == len(load.durations_ns)
    assert run.driver.waiting_count == 0


@given(loads(cancels=True))
@settings(max_examples=200, deadline=None)
def test_no_core_is_idle_while_work_waits_for_it(jobs: list[Load]) -> None:
    for now, running, waiting in world(jobs).snapshots:
        for core, tasks in enumerate(waiting):
            assert core in running or not tasks, f"core {core} idle at {now} ns with {tasks}"


@given(loads(), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_affinity_is_kept(jobs: list[Load], limit: int) -> None:
    for _, action in world(jobs, limit).of(Start):
        wanted = jobs[action.task].control.core_id
        assert wanted in (0, action.core + 1)


@given(loads())
@settings(max_examples=200, deadline=None)
def test_an_urgent_task_waits_at_most_one_function_call_of_others(jobs: list[Load]) -> None:
    """From its arrival until its start no lower task starts a call where it could run."""
    run = world(jobs)
    starts = run.of(Start)
    for task, load in enumerate(jobs):
        if load.control.priority != URGENT:
            continue
        begun = next(now for now, a in starts if a.task == task)
        for now, action in starts:
            lower = jobs[action.task].control.priority < URGENT
            allowed = load.control.core_id in (0, action.core + 1)
            assert not (lower and allowed and load.arrival_ns < now < begun)


@given(loads())
@settings(max_examples=200, deadline=None)
def test_only_urgent_tasks_park_others_and_the_parked_resume(jobs: list[Load]) -> None:
    run = world(jobs)
    parked: Counter[int] = Counter()
    for _, action in run.log:
        if isinstance(action, Parked):
            assert jobs[action.other].control.priority == URGENT
            assert jobs[action.task].control.priority < URGENT
            parked[action.task] += 1
        elif isinstance(action, Start) and parked[action.task]:
            assert action.resumed
            parked[action.task] -= 1
        elif isinstance(action, Start):
            assert not action.resumed
    assert not +parked


@given(loads())
@settings(max_examples=200, deadline=None)
def test_fresh_jobs_start_by_priority_then_custom_id_then_arrival(jobs: list[Load]) -> None:
    run = world(jobs)
    first: dict[int, int] = {}
    for position, (_, action) in enumerate(run.log):
        if isinstance(action, Start):
            first.setdefault(action.task, position)
    for (now, running, waiting), _ in zip(run.snapshots, run.snapshots[1:], strict=False):
        del now, running
        for tasks in waiting:
            fresh = [t for t in tasks if not any(a.task == t for _, a in run.of(Parked))]
            keys = [
                (-jobs[t].control.priority, jobs[t].control.custom_id, jobs[t].arrival_ns, t)
                for t in fresh
            ]
            assert keys == sorted(keys)


@given(loads(cancels=True), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_same_input_same_log(jobs: list[Load], limit: int) -> None:
    assert world(jobs, limit).log == world(jobs, limit).log


@given(loads(), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_at_most_the_limit_is_bound_to_a_core(jobs: list[Load], limit: int) -> None:
    """With limit n an urgent task waits for at most n calls that were bound before it came."""
    run = world(jobs, limit)
    starts = run.of(Start)
    for task, load in enumerate(jobs):
        if load.control.priority != URGENT:
            continue
        begun, start = next((now, a) for now, a in starts if a.task == task)
        between = [
            a
            for now, a in starts
            if a.core == start.core
            and load.arrival_ns < now < begun
            and jobs[a.task].control.priority < URGENT
        ]
        assert len(between) <= limit - 1


def run_one_core(*jobs: Load) -> list[tuple[int, str, int]]:
    """(time, action, task) on a chip with one core."""
    return [
        (now, type(action).__name__, action.task) for now, action in world(list(jobs), cores=1).log
    ]


def test_the_parked_task_resumes_before_others_of_its_level() -> None:
    log = run_one_core(
        Load(0, TaskControl(custom_id=9), (10, 10)),
        Load(1, TaskControl(custom_id=0), (10,)),
        Load(2, TaskControl(priority=URGENT), (5,)),
    )
    assert log == [
        (0, "Start", 0),
        (10, "Parked", 0),
        (10, "Start", 2),
        (15, "Finished", 2),
        (15, "Start", 0),
        (25, "Finished", 0),
        (25, "Start", 1),
        (35, "Finished", 1),
    ]


def test_254_does_not_preempt_but_goes_first() -> None:
    log = run_one_core(
        Load(0, TaskControl(), (10, 10)),
        Load(1, TaskControl(), (10,)),
        Load(2, TaskControl(priority=254), (5,)),
    )
    assert [entry for entry in log if entry[1] == "Start"] == [
        (0, "Start", 0),
        (10, "Start", 0),
        (20, "Start", 2),
        (25, "Start", 1),
    ]


def test_a_parked_task_may_resume_on_another_core() -> None:
    run = world(
        [
            Load(0, TaskControl(), (4, 4)),  # core 0
            Load(0, TaskControl(), (5,)),  # core 1
            Load(1, TaskControl(core_id=1, priority=URGENT), (50,)),
        ]
    )
    assert (4, Parked(0, 0, 2)) in run.log
    assert (5, Start(1, 0, 1, True, 1)) in run.log


def test_an_idle_core_takes_a_task_parked_in_the_same_instant() -> None:
    run = world(
        [
            Load(0, TaskControl(core_id=1), (3,)),
            Load(0, TaskControl(), (4, 4)),  # core 1
            Load(1, TaskControl(core_id=2, priority=URGENT), (9,)),
        ]
    )
    assert (4, Start(0, 1, 1, True, 1)) in run.log


def test_which_levels_preempt_is_data() -> None:
    driver = Driver(1, 1, (254, 255))
    driver.submit(0, 3, TaskControl(), 0)
    driver.submit(1, 2, TaskControl(priority=254), 1)
    assert driver.call_done(0, 5) == [Parked(0, 0, 1), Start(0, 1, 0, False, 1)]
    driver.submit(2, 1, TaskControl(priority=255), 6)
    assert driver.call_done(0, 9) == [Parked(0, 1, 2), Start(0, 2, 0, False, 1)]
    assert driver.call_done(0, 12) == [Finished(0, 2, False), Start(0, 1, 1, True, 1)]


def test_cancel_lets_the_running_call_complete() -> None:
    driver = Driver(1, 1, (URGENT,))
    driver.submit(0, 3, TaskControl(), 0)
    driver.submit(1, 1, TaskControl(), 0)
    assert driver.cancel(0, 2) == []
    assert driver.cancel(0, 3) == []
    assert driver.call_done(0, 5) == [Finished(0, 0, True), Start(0, 1, 0, False, 1)]
    assert driver.cancel(7, 6) == []


def test_cancel_drops_a_waiting_job_at_once() -> None:
    driver = Driver(1, 1, (URGENT,))
    driver.submit(0, 1, TaskControl(), 0)
    driver.submit(1, 1, TaskControl(), 0)
    assert driver.cancel(1, 2) == [Finished(-1, 1, True)]
    assert driver.call_done(0, 5) == [Finished(0, 0, False)]
    assert driver.running(0) is None


def test_a_hung_call_is_replayed_once_then_its_job_fails() -> None:
    driver = Driver(1, 1, (URGENT,))
    driver.submit(0, 2, TaskControl(), 0)
    driver.submit(1, 1, TaskControl(), 0)
    assert driver.hung(0, 100) == [Start(0, 0, 0, False, 2)]
    assert driver.hung(0, 200) == [Failed(0, 0, 0), Start(0, 1, 0, False, 1)]
    assert driver.call_done(0, 210) == [Finished(0, 1, False)]


def test_a_replayed_call_that_completes_counts_as_done() -> None:
    driver = Driver(1, 1, (URGENT,))
    driver.submit(0, 2, TaskControl(), 0)
    driver.hung(0, 100)
    assert driver.call_done(0, 110) == [Start(0, 0, 1, False, 1)]
    assert driver.running(0) == (0, 1)
    assert driver.running_since_ns(0) == 110


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_a_job_of_one_core_never_runs_on_two(limit: int) -> None:
    jobs = [Load(0, TaskControl(), (3, 3, 3, 3, 3, 3)) for _ in range(3)]
    run = world(jobs, limit)
    busy: dict[int, int] = {}
    for now, action in run.log:
        if isinstance(action, Start):
            assert busy.get(action.task, 0) <= now
            busy[action.task] = now + jobs[action.task].durations_ns[action.call]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_fresh_runs_of_a_level_go_by_turn_then_by_arrival(turns: list[int]) -> None:
    driver = Driver(1, 1, (URGENT,))
    driver.submit(0, 1, TaskControl(), 0)
    for task, turn in enumerate(turns, 1):
        driver.submit(task, 1, TaskControl(), 0, turn)
    assert driver.waiting_tasks(0) == tuple(
        sorted(range(1, len(turns) + 1), key=lambda task: (turns[task - 1], task))
    )
