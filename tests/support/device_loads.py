"""Random work for the tests of the device, and a small event loop that runs a bare driver."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from hypothesis import strategies as st

from bpu_common.task import BpuStep, CallCost, CpuStep, Step, TaskControl, TaskPlan
from bpu_sim.device import Action, Driver, Failed, Finished, Parked, Start


@dataclass(frozen=True)
class Load:
    """One job for a bare driver."""

    arrival_ns: int
    control: TaskControl
    durations_ns: tuple[int, ...]
    cancel_ns: int | None = None


@st.composite
def loads(draw: st.DrawFn, cancels: bool = False) -> list[Load]:
    """Jobs with clustered arrivals (ties included), all affinities and some urgent ones."""
    found = []
    for _ in range(draw(st.integers(1, 12))):
        control = TaskControl(
            core_id=draw(st.sampled_from([0, 0, 0, 1, 2])),
            priority=draw(st.sampled_from([0, 0, 7, 254, 255])),
            custom_id=draw(st.integers(0, 2)),
        )
        durations = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
        arrival = draw(st.integers(0, 20))
        cancel = arrival + draw(st.integers(0, 15)) if cancels and draw(st.booleans()) else None
        found.append(Load(arrival, control, tuple(durations), cancel))
    return found


@dataclass
class Running:
    task: int
    call: int
    end_ns: int


@dataclass
class World:
    """Runs loads on a driver; keeps what the properties need. Tasks are indices of the loads.

    Attributes:
        log: (time, action) in order.
        waiting_since: when a job began to wait for a core.
        snapshots: after each instant: (time, running per core, waiting tasks per core).
    """

    jobs: list[Load]
    driver: Driver
    cores: int = 2
    log: list[tuple[int, Action]] = field(default_factory=list)
    running: dict[int, Running] = field(default_factory=dict)
    snapshots: list[tuple[int, dict[int, int], list[tuple[int, ...]]]] = field(default_factory=list)

    def run(self) -> World:
        events: list[tuple[int, int, int, str]] = []
        for task, load in enumerate(self.jobs):
            heapq.heappush(events, (load.arrival_ns, 1, task, "submit"))
            if load.cancel_ns is not None:
                heapq.heappush(events, (load.cancel_ns, 2, task, "cancel"))
        while events or self.running:
            due = events[0][0] if events else None
            ends = [(r.end_ns, core) for core, r in self.running.items()]
            if ends and (due is None or min(ends)[0] <= due):
                now, core = min(ends)
                del self.running[core]
                self._apply(now, self.driver.call_done(core, now))
            else:
                now, _, task, what = heapq.heappop(events)
                load = self.jobs[task]
                if what == "submit":
                    calls = len(load.durations_ns)
                    actions = self.driver.submit(task, calls, load.control, now)
                else:
                    actions = self.driver.cancel(task, now)
                self._apply(now, actions)
            self.snapshots.append(
                (
                    now,
                    {core: r.task for core, r in self.running.items()},
                    [self.driver.waiting_tasks(core) for core in range(self.cores)],
                )
            )
        return self

    def _apply(self, now: int, actions: list[Action]) -> None:
        for action in actions:
            self.log.append((now, action))
            if isinstance(action, Start):
                assert action.core not in self.running, "a core starts one call at a time"
                duration = self.jobs[action.task].durations_ns[action.call]
                self.running[action.core] = Running(action.task, action.call, now + duration)

    def of(self, kind: type[Start | Parked | Finished | Failed]) -> list[tuple[int, Action]]:
        return [(now, action) for now, action in self.log if isinstance(action, kind)]


@st.composite
def plans(draw: st.DrawFn) -> TaskPlan:
    """CPU and BPU steps in any order, demands on the bus from none to more than all of it."""
    steps: list[Step] = []
    for index in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            steps.append(CpuStep(f"cpu{index}", "Softmax", draw(st.integers(0, 50_000))))
        else:
            costs = []
            for call in range(draw(st.integers(1, 3))):
                cycles = draw(st.integers(1, 400_000))
                ddr_cycles = draw(st.integers(0, cycles))
                rate = draw(st.sampled_from([0.0, 3.0, 8.6, 12.0]))
                costs.append(CallCost(f"c{call}", cycles, ddr_cycles, int(rate * ddr_cycles)))
            steps.append(BpuStep(f"bpu{index}", tuple(costs)))
    return TaskPlan(draw(st.sampled_from(["a", "b"])), tuple(steps))


def bpu_plan(*cycles: int, name: str = "net") -> TaskPlan:
    """A plan of one BPU step with calls of these lengths and no DDR traffic."""
    calls = tuple(CallCost(f"call{i}", c, 0, 0) for i, c in enumerate(cycles))
    return TaskPlan(name, (BpuStep("subgraph", calls),))


def frame_plan(bpu_cycles: int = 2_000_000) -> TaskPlan:
    """A classifier's frame: preprocess, one function call, dequantize, softmax."""
    return TaskPlan(
        "classifier",
        (
            CpuStep("Preprocess", "Preprocess", 9_000),
            BpuStep("subgraph", (CallCost("call", bpu_cycles, bpu_cycles // 8, bpu_cycles),)),
            CpuStep("logits", "HzDequantize", 35_000),
            CpuStep("prob", "Softmax", 46_000),
        ),
    )
