"""An urgent frame waits for one function call at most; the table of the benchmark, small."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.preemption import SPEC, Scene, marks, measure
from bpu_common.load import arrivals
from bpu_common.machine import X3M
from bpu_common.task import (
    BpuStep,
    CallCost,
    CpuStep,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_sim.device import Chip
from tests.support.models_board import slow_model, tiny_model

Kind = TaskEventKind


@pytest.mark.parametrize("core_id", [0, 1])
def test_the_table_in_small(core_id: int) -> None:
    times_ns = list(islice(arrivals(30.0, 3), 150))
    urgent = slow_model("classifier", calls=1, work=100)
    whole, cut = slow_model("detector", 1, 1500), slow_model("detector", 15, 100)
    table = measure(urgent, whole, cut, times_ns, core_id)
    for sentence, holds in marks(table):
        assert holds, sentence
    first, second, last = table.cases.values()
    for case in (first, second, last):
        assert len(case.classifier.latencies) == len(times_ns)
    p99 = [case.classifier.percentile(99) for case in (first, second, last)]
    assert p99 == sorted(p99, reverse=True)
    assert (first.preemptions, second.preemptions) == (0, 0)
    assert last.preemptions > 100
    assert last.detector.longest_call < whole_call(second) / 10
    # being preempted costs the detector something, but not much
    assert 0.85 * second.fps < last.fps < second.fps


def whole_call(outcome) -> int:
    return outcome.detector.longest_call


def test_the_same_seed_gives_the_same_table() -> None:
    def run() -> list[int]:
        scene = Scene(tiny_model("urgent"), slow_model("detector", 10, 50))
        times_ns = list(islice(arrivals(30.0, 5), 40))
        return scene.run(times_ns, 4, 255).classifier.latencies

    assert run() == run()


COSTS = st.lists(st.integers(1_000, 2_000_000), min_size=1, max_size=8)


@given(
    detectors=st.lists(COSTS, min_size=1, max_size=3),
    threads=st.integers(2, 6),
    urgent=st.lists(st.integers(1_000, 900_000), min_size=1, max_size=3),
    cpu_ns=st.sampled_from([0, 9_000, 50_000]),
    core_id=st.sampled_from([0, 0, 1, 2]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_no_urgent_frame_waits_for_more_than_one_call(
    detectors: list[list[int]],
    threads: int,
    urgent: list[int],
    cpu_ns: int,
    core_id: int,
    seed: int,
) -> None:
    """For any mix of lower priorities, at any time, on any core."""
    lengths = {"low": [], "urgent": []}
    latencies: list[int] = []
    opened: dict[int, int] = {}
    chip = Chip(X3M)
    ends_ns = 60_000_000

    def on_event(event: TaskEvent) -> None:
        if event.kind is Kind.CALL_STARTED:
            opened[event.core] = event.time_ns
        elif event.kind is Kind.CALL_DONE:
            lengths[event.model].append(event.time_ns - opened[event.core])

    def again(plan: TaskPlan, control: TaskControl):
        def handler(event: TaskEvent) -> None:
            on_event(event)
            if event.kind is Kind.DONE and event.time_ns < ends_ns:
                chip.submit(plan, control, handler)

        return handler

    for index in range(threads):
        calls = detectors[index % len(detectors)]
        step = BpuStep("s", tuple(CallCost(f"c{i}", c, 0, 0) for i, c in enumerate(calls)))
        plan, control = TaskPlan("low", (step,)), TaskControl(core_id, 254 * (index % 2))
        chip.submit(plan, control, again(plan, control))
    steps = BpuStep("s", tuple(CallCost(f"c{i}", c, 0, 0) for i, c in enumerate(urgent)))
    plan = TaskPlan("urgent", (CpuStep("pre", "Preprocess", cpu_ns), steps))
    alone_ns = cpu_ns + X3M.cpu.submit_ns + sum(urgent)

    for at_ns in arrivals(100.0, seed):
        if at_ns >= ends_ns:
            break

        def handler(event: TaskEvent, at_ns: int = at_ns) -> None:
            on_event(event)
            if event.kind is Kind.DONE:
                latencies.append(event.time_ns - at_ns)

        chip.submit(plan, TaskControl(core_id, 255), handler, at_ns=at_ns)
    chip.run_until_idle()
    assert len(latencies) >= 5
    assert max(latencies) <= alone_ns + max(lengths["low"])
    assert min(latencies) >= alone_ns
    assert SPEC is X3M
