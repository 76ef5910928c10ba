"""The shape of a state is of all that decides what happens next, and no attribute is forgotten."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from types import FunctionType

import pytest

from bpu_common.machine import X3M
from bpu_common.task import TaskControl
from bpu_sim.device import Chip
from bpu_sim.device.relative import shape
from tests.support.device_loads import bpu_plan

STATE = (
    "Kernel: heap now_ns order",
    (
        "Course: _hangs _heap _interrupt_ns _kernel _order _outbox _routes _stretch _submit_ns"
        " _watchdog_ns bus cores cpu cpu_busy_ns done driver next_id tasks trace"
    ),
    (
        "Task: begun_ns bpu_ns cancelled control cpu_ns every_event id on_event operator_ns place"
        " route step turn"
    ),
    "Core: busy_ns call calls ddr_bytes ddr_wait_ns demand index preemptions since_ns task ticket",
    "Driver: _cores _has_parked _limit _order _preempting _runs _waiting",
    (
        "_Run: attempt calls cancelled control in_ring next_call order parked_by resuming task turn"
        " waiting"
    ),
    "_Core: index owner ring since_ns",
    "DdrBus: _bus _excess _running",
    "_Running: demand left_ns since_ns stretch",
    "CpuCluster: _holders _queue cores",
)
"""The attributes that `bpu_sim.device.relative` and every `shape` and `leap` were written for."""


def test_the_shape_was_written_for_all_of_the_state() -> None:
    """A new attribute belongs into `shape` if it decides anything, into `leap` if it is a time or
    the number of a task; then its name belongs here."""
    parts = parts_of(busy_chip())
    assert tuple(f"{type(part).__name__}: {' '.join(attributes(part))}" for part in parts) == STATE


def busy_chip() -> Chip:
    """Both cores work for one task each, and a third one waits."""
    chip = Chip(X3M)
    plan = bpu_plan(1_000_000, 1_000_000)
    for _ in range(3):
        chip.submit(plan, TaskControl(), lambda _: None)
    chip.run_until(500_000)
    return chip


def parts_of(chip: Chip) -> tuple[object, ...]:
    """An object of each class that is part of the state; of tasks and runs, the one that waits."""
    course = chip._course
    driver, bus = course.driver, course.bus
    task, run, running = (
        list(each.values())[-1] for each in (course.tasks, driver._runs, bus._running)
    )
    return (
        chip._kernel, course, task, course.cores[0], driver, run, driver._cores[0], bus, running,
        course.cpu,
    )  # fmt: skip


DECIDES = (
    "Kernel: now_ns",
    (
        "Task: begun_ns bpu_ns cancelled control cpu_ns every_event on_event operator_ns place"
        " route step turn"
    ),
    "Core: call demand since_ns ticket",
    "_Run: attempt calls cancelled control in_ring next_call parked_by resuming turn waiting",
    "_Core: owner ring",
    "DdrBus: _excess",
    "_Running: demand left_ns since_ns stretch",
    "CpuCluster: _holders _queue",
)
"""What changes the future, so that states which differ in it must not have one shape."""


@pytest.mark.parametrize(
    "where",
    [(each.split(":")[0], name) for each in DECIDES for name in each.split()[1:]],
    ids=".".join,
)
def test_what_decides_is_in_the_shape(where: tuple[str, str]) -> None:
    chip = busy_chip()
    (part,) = (each for each in parts_of(chip) if type(each).__name__ == where[0])
    before = shape(chip._course, chip._kernel)
    assert before == shape(chip._course, chip._kernel)
    setattr(part, where[1], another(getattr(part, where[1])))
    assert shape(chip._course, chip._kernel) != before


def another(value: object) -> object:
    """A value of the same type that is not equal."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case TaskControl():
            return replace(value, custom_id=7)
        case set():
            return value | {1}
        case deque():
            return deque([*value, *([value[0]] if value else [1])])
        case _:
            return None  # none at all


def attributes(part: object) -> list[str]:
    """Names of what an object keeps, in its slots, itself or (where it never changed) its class."""
    kept = {
        name
        for name, value in vars(type(part)).items()
        if not name.startswith("__") and not isinstance(value, FunctionType | property)
    }
    return sorted(kept | set(getattr(part, "__dict__", {})))
