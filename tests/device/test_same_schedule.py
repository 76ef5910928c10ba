"""The schedule of random work is the one that was recorded before the simulator was made faster.

`golden/event_logs.json` holds a digest of the event log for each seed, written by the first, plain
form of the device (one heap action and one event object for everything), with the core of a
cancelled call that does not end reset, and CPU cores that do not slow each other down. Ties are
frequent, cores, queues and CPUs vary, tasks are cancelled, hang, and submit others when they end.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from bpu_common.machine import X3M, MachineSpec
from bpu_common.task import (
    FINAL_KINDS,
    BpuStep,
    CallCost,
    CpuStep,
    Step,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_sim.device import Chip

RECORDED = Path(__file__).parent / "golden" / "event_logs.json"
SEEDS = range(400)


class Dice:
    """Choices that every version of Python makes alike: `random()` alone is promised to be so."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, count: int) -> int:
        return int(self._random() * count)

    def of(self, *values: int) -> int:
        return values[self.below(len(values))]


def spec_of(dice: Dice) -> MachineSpec:
    cpu = replace(X3M.cpu, cores=dice.of(1, 2, 4), submit_ns=dice.of(2, 7, 150_000), contention=0.0)
    return replace(
        X3M,
        cores=dice.of(1, 2, 2, 3),
        hardware_queue_limit=dice.of(1, 1, 2, 3),
        watchdog_ns=dice.of(50, 400_000),
        cpu=cpu,
    )


def plan_of(dice: Dice, unit: int) -> TaskPlan:
    steps: list[Step] = []
    for index in range(1 + dice.below(5)):
        if dice.below(2):
            steps.append(CpuStep(f"cpu{index}", "Softmax", unit * dice.below(4)))
        else:
            costs = []
            for call in range(dice.of(0, 1, 1, 2, 3)):
                cycles = unit * dice.below(6)
                ddr_cycles = dice.below(cycles + 1)
                costs.append(
                    CallCost(f"c{call}", cycles, ddr_cycles, dice.of(0, 3, 12) * ddr_cycles)
                )
            steps.append(BpuStep(f"bpu{index}", tuple(costs)))
    return TaskPlan("ab"[dice.below(2)], tuple(steps))


def control_of(dice: Dice, cores: int, unit: int) -> TaskControl:
    deadline_ns = unit * dice.below(30) if dice.below(5) == 0 else None
    return TaskControl(
        dice.below(cores + 1), dice.of(0, 0, 3, 254, 255), dice.below(2), deadline_ns
    )


def log_of(seed: int, *, every_event: bool) -> list[TaskEvent]:
    """All events of one random load."""
    dice = Dice(seed)
    spec, unit = spec_of(dice), dice.of(1, 3, 10_000)
    hanging = {(dice.below(12), dice.below(3), 1 + dice.below(2)) for _ in range(dice.of(0, 0, 4))}
    chip = Chip(spec, hangs=(lambda *what: what in hanging) if hanging else None)
    plans = [plan_of(dice, unit) for _ in range(3)]
    jobs = [(plans[dice.below(3)], control_of(dice, spec.cores, unit)) for _ in range(24)]
    log: list[TaskEvent] = []
    waiting = jobs[8:]

    def on_event(event: TaskEvent) -> None:
        log.append(event)
        if event.kind in FINAL_KINDS and waiting:
            plan, control = waiting.pop()
            chip.submit(plan, control, on_event, every_event=every_event)
        if event.kind is TaskEventKind.PARKED and event.task % 5 == 0:
            chip.cancel(event.task)

    for plan, control in jobs[:8]:
        at_ns = unit * dice.below(3)
        chip.submit(plan, control, on_event, every_event=every_event, at_ns=at_ns)
    for at_ns in sorted(unit * dice.below(40) for _ in range(dice.of(0, 3, 6))):
        chip.run_until(at_ns)
        chip.cancel(1 + dice.below(16))
    chip.run_until_idle()
    return log


def digest(log: list[TaskEvent]) -> str:
    """Of the fields that events had when the logs were recorded."""
    lines = "\n".join(repr((*event[:1], event.kind.value, *event[2:11])) for event in log)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_event_logs_are_those_recorded() -> None:
    recorded: list[str] = json.loads(RECORDED.read_text())
    assert len(recorded) == len(SEEDS)
    found = [digest(log_of(seed, every_event=True)) for seed in SEEDS]
    assert [seed for seed in SEEDS if found[seed] != recorded[seed]] == []


@pytest.mark.parametrize("seed", range(60))
def test_watching_less_changes_no_end(seed: int) -> None:
    full = [e for e in log_of(seed, every_event=True) if e.kind in FINAL_KINDS]
    brief = [e for e in log_of(seed, every_event=False) if e.kind in FINAL_KINDS]
    assert brief == full
