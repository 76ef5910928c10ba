"""Contention on the DDR bus: the event-driven fluid model against a time-stepped one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.machine import X3M, MachineSpec
from bpu_common.task import CallCost
from bpu_sim.device import DdrBus, Demand

THREE_CORES = replace(X3M, cores=3)


@st.composite
def costs(draw: st.DrawFn) -> CallCost:
    cycles = draw(st.integers(1_000, 4_000))
    ddr_cycles = draw(st.integers(0, cycles))
    rate = draw(st.floats(0, 12.0))
    return CallCost("call", cycles, ddr_cycles, int(rate * ddr_cycles))


def event_driven(spec: MachineSpec, calls: list[tuple[int, CallCost]]) -> list[int]:
    """End times of calls, one per core, that start at the given times."""
    bus = DdrBus(spec)
    ends: dict[int, int] = {}
    finished: dict[int, int] = {}
    waiting = sorted((start, core) for core, (start, _) in enumerate(calls))
    while waiting or ends:
        if ends and (not waiting or min(ends.values()) <= waiting[0][0]):
            core = min(ends, key=lambda c: (ends[c], c))
            now = finished[core] = ends.pop(core)
            ends.update(bus.stop(core, now))
        else:
            now, core = waiting.pop(0)
            ends.update(bus.start(core, Demand(calls[core][1], spec), now))
    return [finished[core] for core in range(len(calls))]


def time_stepped(spec: MachineSpec, calls: list[tuple[int, CallCost]]) -> list[int]:
    """The same by the formula of `bpu_sim.device.ddr`, one nanosecond after the other."""
    left = [float(cost.cycles) for _, cost in calls]
    finished = [-1] * len(calls)
    now = 0
    while min(finished) < 0:
        running = [i for i, (start, _) in enumerate(calls) if start <= now and finished[i] < 0]
        demand = sum(calls[i][1].ddr_bytes / calls[i][1].cycles for i in running)
        excess = max(1.0, demand / spec.ddr_total_bytes_per_cycle)
        now += 1
        for i in running:
            cost = calls[i][1]
            left[i] -= 1 / (1 + cost.ddr_cycles / cost.cycles * (excess - 1))
            if left[i] <= 1e-6:
                finished[i] = now
    return finished


@given(st.lists(st.tuples(st.integers(0, 3_000), costs()), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_equals_the_time_stepped_oracle(calls: list[tuple[int, CallCost]]) -> None:
    found = event_driven(THREE_CORES, calls)
    for mine, oracle in zip(found, time_stepped(THREE_CORES, calls), strict=True):
        assert mine == pytest.approx(oracle, abs=4)


@given(st.lists(st.tuples(st.integers(0, 3_000), costs()), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_company_never_helps(calls: list[tuple[int, CallCost]]) -> None:
    together = event_driven(THREE_CORES, calls)
    for end, (start, cost) in zip(together, calls, strict=True):
        assert end >= start + cost.cycles


def test_two_light_calls_do_not_touch_each_other() -> None:
    light = CallCost("light", 10_000, 3_000, 25_000)
    assert event_driven(X3M, [(0, light), (500, light)]) == [10_000, 10_500]


def test_two_streams_share_the_bus() -> None:
    stream = CallCost("stream", 10_000, 10_000, 86_000)
    ends = event_driven(X3M, [(0, stream), (0, stream)])
    assert ends == pytest.approx([2 * 86_000 / X3M.ddr_total_bytes_per_cycle] * 2, abs=2)


def test_only_the_ddr_part_stretches() -> None:
    stream = CallCost("stream", 10_000, 10_000, 100_000)
    half = CallCost("half", 10_000, 5_000, 60_000)
    excess = 16 / X3M.ddr_total_bytes_per_cycle
    assert event_driven(X3M, [(0, stream), (0, half)])[1] == pytest.approx(
        5_000 + 5_000 * excess, abs=2
    )
