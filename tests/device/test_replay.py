"""What is told from a record is what the simulation would have told, bit for bit.

Random closed loops run on two chips, one of which never looks for repetitions. All events with all
their fields, the samples of the chip and its function calls must be equal, whatever disturbs the
loops: tasks on the side, cancellations, deadlines, looks at the chip, time that passes in slices.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pytest

from bpu_common.machine import X3M
from bpu_common.task import (
    FINAL_KINDS,
    PRIORITY_HIGHEST,
    BpuStep,
    CallCost,
    CpuStep,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_sim.device import Chip, ChipSample, PacedClock
from bpu_sim.device.cycle import Cycle
from bpu_sim.device.replay import Replay
from bpu_sim.device.trace import KEPT_CALLS, Calls
from tests.device.test_same_schedule import Dice, plan_of, spec_of
from tests.support.device_loads import frame_plan

SEEDS = range(300)
PREEMPTING = range(100)

TASK = TaskControl()

Seen: TypeAlias = "tuple[ChipSample, Calls]"


@dataclass
class Told:
    """How many events came from records, and how many looks fell into the middle of a round."""

    events: int = 0
    interrupted: int = 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Counts while the test runs."""
    count = Told()
    tell, settle = Replay._tell, Replay.settle

    def counting_tell(self: Replay, cycle: Cycle, now_ns: int) -> object:
        batch = tell(self, cycle, now_ns)
        count.events += len(batch)
        return batch

    def counting_settle(self: Replay) -> None:
        count.interrupted += self._cycle is not None and self._rounds > 0 and self._turn > 0
        settle(self)

    monkeypatch.setattr(Replay, "_tell", counting_tell)
    monkeypatch.setattr(Replay, "settle", counting_settle)
    return count


@dataclass
class Load:
    """Closed loops of the choices of one seed, on one chip."""

    dice: Dice
    chip: Chip
    unit: int
    plans: list[TaskPlan]
    left: int
    calm: int  # one end in so many is followed by a disturbance
    every: bool
    log: list[TaskEvent] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    mark: int = 0
    look_in: int = 0  # one end in so many is followed by a look

    def begin(self, plan: TaskPlan, control: TaskControl, at_ns: int) -> None:
        """One virtual thread."""
        every = self.every and self.dice.below(2) == 0
        turn = self.dice.below(3)

        def on_event(event: TaskEvent) -> None:
            self.log.append(event)
            if event.kind not in FINAL_KINDS or self.left <= 0:
                return
            self.left -= 1
            if self.calm and self.dice.below(self.calm) == 0:
                self.disturb(event, plan)
            if self.look_in and self.dice.below(self.look_in) == 0:
                self.look()
            self.chip.submit(plan, control, on_event, every_event=every, turn=turn)

        self.chip.submit(plan, control, on_event, every_event=every, at_ns=at_ns, turn=turn)

    def disturb(self, event: TaskEvent, plan: TaskPlan) -> None:
        dice, chip = self.dice, self.chip
        what = dice.below(6)
        if what == 0:
            self.look()
        elif what == 1:
            chip.cancel(event.task - 2 + dice.below(5))
        elif what == 2:
            late = TaskControl(deadline_ns=event.time_ns + self.unit * dice.below(9))
            chip.submit(plan, late, self.log.append, every_event=False)
        elif what == 3:
            other = TaskControl(0, dice.of(0, 255), 0)
            turn = dice.below(4)
            chip.submit(dice_plan(dice, self.plans), other, self.log.append, turn=turn)
        elif what == 4:
            at_ns = event.time_ns + self.unit * dice.below(5)
            chip.submit(plan, TaskControl(), self.log.append, every_event=False, at_ns=at_ns)
        else:
            chip.submit(plan, TaskControl())

    def look(self) -> None:
        """At everything that can be asked."""
        activity = self.chip.activity(self.mark, KEPT_CALLS + 8)
        self.seen.append(activity)
        self.mark = activity[1].mark
        assert self.chip.sample() == activity[0]
        assert self.chip.alive == activity[0].tasks_alive
        assert self.chip.now_ns() == activity[0].time_ns


def dice_plan(dice: Dice, plans: list[TaskPlan]) -> TaskPlan:
    return plans[dice.below(len(plans))]


def outcome(seed: int, *, replay: bool) -> tuple[list[TaskEvent], list[Seen]]:
    """Events and looks of one random load."""
    dice = Dice(seed)
    spec, unit = spec_of(dice), dice.of(1, 3, 10_000)
    spec = replace(spec, cpu=replace(spec.cpu, contention=seed % 2 * X3M.cpu.contention))
    chip = Chip(spec, replay=replay)
    plans = [plan for plan in (plan_of(dice, unit) for _ in range(4)) if plan.steps]
    calm, every = dice.of(0, 0, 100, 20, 3), bool(dice.below(2))
    load = Load(dice, chip, unit, plans, 100 + dice.below(150), calm, every)
    alike = dice.below(2)
    plan, control = dice_plan(dice, plans), TaskControl(0, dice.of(0, 0, 3, 255))
    for _ in range(1 + dice.below(8)):
        if not alike:
            plan = dice_plan(dice, plans)
            control = TaskControl(dice.below(spec.cores + 1), dice.of(0, 0, 3, 254, 255))
        load.begin(plan, control, unit * dice.below(3))
    time_ns = 0
    for _ in range(dice.of(0, 5, 60)):
        time_ns += unit * dice.below(dice.of(4, 40))
        chip.run_until(time_ns)
        what = dice.below(8)
        if what == 0:
            load.look()
        elif what == 1:
            chip.cancel(1 + dice.below(200))
        elif what == 2 and plans:
            chip.submit(plans[0], TaskControl(), load.log.append)
    chip.run_until_idle()
    load.look()
    return load.log, load.seen


def test_random_loads_go_as_if_simulated(told: Told) -> None:
    events = 0
    for seed in SEEDS:
        found = outcome(seed, replay=True)
        assert found == outcome(seed, replay=False), f"seed {seed}"
        events += len(found[0])
    assert told.events > events // 5  # or the comparison says nothing
    assert told.interrupted > len(SEEDS) // 4


def preempting(seed: int, *, replay: bool) -> tuple[list[TaskEvent], list[Seen]]:
    """Loops of short urgent frames that wait for their CPU, over loops of many function calls."""
    dice = Dice(seed)
    cpu = replace(X3M.cpu, cores=dice.of(1, 4), submit_ns=dice.of(2, 8))
    spec = replace(X3M, cores=dice.of(1, 2), hardware_queue_limit=dice.of(1, 2, 3), cpu=cpu)
    chip = Chip(spec, replay=replay)
    load = Load(dice, chip, 1, [], 250, 0, bool(dice.below(2)))
    load.look_in = dice.of(0, 40)

    def plan_of_calls(name: str, cpu_ns: int, count: int) -> TaskPlan:
        calls = [
            CallCost("c", 1 + dice.below(6), dice.below(2), dice.of(0, 30)) for _ in range(count)
        ]
        return TaskPlan(name, (CpuStep("p", "P", cpu_ns), BpuStep("b", tuple(calls))))

    low = plan_of_calls("low", dice.below(3), 2 + dice.below(6))
    high = plan_of_calls("high", 5 + dice.below(20), 1 + dice.below(2))
    for _ in range(dice.of(1, 2, 3)):
        load.begin(low, TaskControl(dice.of(0, 0, 1), dice.of(0, 3)), 0)
    for _ in range(dice.of(1, 1, 2)):
        load.begin(high, TaskControl(0, PRIORITY_HIGHEST), 0)
    chip.run_until_idle()
    load.look()
    return load.log, load.seen


def test_preempting_loops_go_as_if_simulated(told: Told) -> None:
    events = parked = 0
    for seed in PREEMPTING:
        found = preempting(seed, replay=True)
        assert found == preempting(seed, replay=False), f"seed {seed}"
        events += len(found[0])
        parked += sum(event.kind is TaskEventKind.PARKED for event in found[0])
    assert told.events > events // 3
    assert parked > 1000


def in_time(seed: int, *, replay: bool) -> tuple[list[TaskEvent], list[Seen]]:
    """A closed loop, and frames that come from outside at a fixed rate."""
    dice = Dice(seed)
    chip = Chip(replace(X3M, cpu=replace(X3M.cpu, submit_ns=dice.of(2, 8))), replay=replay)
    load = Load(dice, chip, 1, [], 150, 0, every=False)
    plan = plan_of(dice, 3)
    for _ in range(dice.below(3)):
        load.begin(plan, TaskControl(), 0)
    period_ns = 1 + dice.below(60)
    for beat in range(150):
        chip.run_until(beat * period_ns)
        chip.submit(plan, TaskControl(), load.log.append, every_event=False)
    chip.run_until_idle()
    load.look()
    return load.log, load.seen


def test_loads_in_time_go_as_if_simulated(told: Told) -> None:
    for seed in range(100):
        assert in_time(seed, replay=True) == in_time(seed, replay=False), f"seed {seed}"
    assert told.events


def loop(
    chip: Chip, plan: TaskPlan, threads: int, frames: int, control: TaskControl = TASK
) -> list[TaskEvent]:
    """A closed loop; returns the final events."""
    log: list[TaskEvent] = []

    def on_event(event: TaskEvent) -> None:
        log.append(event)
        if len(log) + threads <= frames:
            chip.submit(plan, control, on_event, every_event=False)

    for _ in range(threads):
        chip.submit(plan, control, on_event, every_event=False)
    chip.run_until_idle()
    return log


@pytest.mark.parametrize("cycles", [10_000, 2_000_000])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_a_loop_of_equal_frames_comes_from_the_record(
    threads: int, cycles: int, told: Told
) -> None:
    plan = frame_plan(cycles)
    log = loop(Chip(X3M), plan, threads, 1_000)
    assert log == loop(Chip(X3M, replay=False), plan, threads, 1_000)
    told.events = 0
    spec = replace(X3M, cpu=replace(X3M.cpu, contention=0.0))  # with it, some repeat later
    log = loop(Chip(spec), plan, threads, 1_000)
    assert log == loop(Chip(spec, replay=False), plan, threads, 1_000)
    assert told.events > 900


@pytest.mark.parametrize("calls", [1, 7, KEPT_CALLS, KEPT_CALLS + 1])
def test_calls_are_those_of_the_simulation(calls: int, told: Told) -> None:
    costs = tuple(CallCost(f"c{nth}", 1000 + nth, 0, 0) for nth in range(calls))
    plan = TaskPlan("model", (BpuStep("part", costs),))
    chips = Chip(X3M), Chip(X3M, replay=False)
    frames = 2 * KEPT_CALLS // calls + 12
    for chip in chips:
        loop(chip, plan, 1, frames)
    found, plain = (chip.activity(0, 10 * KEPT_CALLS) for chip in chips)
    assert found == plain
    assert found[1].dropped > 0
    assert bool(told.events) is (calls <= KEPT_CALLS)


def test_a_deadline_that_all_frames_share_ends_them(told: Told) -> None:
    control = TaskControl(deadline_ns=20_000_000)
    log = loop(Chip(X3M), frame_plan(), 1, 100, control)
    assert log == loop(Chip(X3M, replay=False), frame_plan(), 1, 100, control)
    assert {event.kind for event in log} == {TaskEventKind.DONE, TaskEventKind.EXPIRED}
    assert not told.events


def test_nothing_is_recorded_along_the_wall_clock(told: Told) -> None:
    chip = Chip(X3M, PacedClock(speed=1000.0))
    try:
        assert all(e.kind is TaskEventKind.DONE for e in loop(chip, frame_plan(10_000), 4, 200))
    finally:
        chip.close()
    assert told.events == 0
