"""Programs and networks that keep every rule of form and ask for too much work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_board.devices.simulated import SimDevice
from bpu_common import container
from bpu_common.container import check_program
from bpu_common.errors import CapacityError, ModelFormatError, ModelUnsupported
from bpu_common.machine import X3M
from bpu_common.model import BpuModel
from bpu_common.network import check
from bpu_common.task import BpuStep, CallCost, TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_sim import arith
from bpu_sim.device import Chip
from bpu_sim.machine import ExactPart, kernels, part
from bpu_sim.timing import plan, task_plan
from tests.support.models_board import slow_model, tiny_model, with_program

DAYS_46 = CallCost("endless", 46 * 86_400 * X3M.clock_hz, 0, 0)
SHORT = CallCost("short", 1_000, 0, 0)


def one_step(*calls: CallCost) -> TaskPlan:
    return TaskPlan("m", (BpuStep("bpu", calls),))


def test_a_function_call_longer_than_the_watchdog_is_refused(monkeypatch):
    model = slow_model(calls=2, work=200)
    (step,) = (step for step in task_plan(model, X3M).steps if isinstance(step, BpuStep))
    long_ns = min(call.cycles for call in step.calls)  # at 1 GHz
    with pytest.raises(ModelUnsupported, match="function call 0 takes"):
        task_plan(model, replace(X3M, watchdog_ns=long_ns // 2))
    with pytest.raises(ModelUnsupported, match="function call 0 takes"):
        SimDevice(replace(X3M, watchdog_ns=long_ns // 2)).load(model)
    monkeypatch.setattr(plan, "MAX_FRAME_NS", long_ns)
    with pytest.raises(ModelUnsupported, match="a frame takes"):
        task_plan(model, X3M)
    monkeypatch.setattr(plan, "_require_an_end", lambda *_: None)
    assert task_plan(model, replace(X3M, watchdog_ns=long_ns // 2)).steps


@pytest.mark.parametrize("resets", [True, False])
def test_a_cancelled_call_that_does_not_end_is_reset(monkeypatch, resets):
    """Without the reset both cores are gone: not even the highest priority gets one."""
    if not resets:
        monkeypatch.setattr("bpu_sim.device.course.Course._watch_end", lambda *_: None)
    chip = Chip(X3M)
    events: list[TaskEvent] = []
    tasks = [
        chip.submit(one_step(DAYS_46), TaskControl(), events.append, at_ns=0) for _ in range(2)
    ]
    chip.run_until(1_000_000)
    for task in tasks:
        chip.cancel(task)
    last: list[TaskEvent] = []  # its end alone
    control = TaskControl(priority=255)
    chip.submit(one_step(SHORT), control, last.append, every_event=False, at_ns=2_000_000)
    chip.run_until(3 * X3M.watchdog_ns)
    kinds = [event.kind for event in events if event.kind is TaskEventKind.CANCELLED]
    assert len(kinds) == (2 if resets else 0)
    assert [event.kind for event in last] == ([TaskEventKind.DONE] if resets else [])
    sample = chip.sample()
    assert sample.tasks_alive == (0 if resets else 3)
    if resets:
        assert all(busy <= 2 * X3M.watchdog_ns for busy in sample.core_busy_ns)


def test_a_hung_call_of_a_cancelled_frame_is_not_replayed():
    attempts: list[int] = []

    def hangs(task: int, call: int, attempt: int) -> bool:
        attempts.append(attempt)
        return True

    chip = Chip(X3M, hangs=hangs)
    events: list[TaskEvent] = []
    task = chip.submit(one_step(SHORT), TaskControl(), events.append, at_ns=0)
    chip.run_until(1_000_000)
    chip.cancel(task)
    chip.run_until_idle()
    assert attempts == [1]
    assert events[-1].kind is TaskEventKind.CANCELLED


def refused(model: BpuModel, match: str) -> None:
    with pytest.raises(ModelFormatError, match=match):
        container.dump([model])


def test_instructions_and_their_waits_are_counted(monkeypatch):
    model = slow_model(calls=4, work=20)
    assert container.loads(container.dump([model]))
    monkeypatch.setattr(check_program, "MAX_INSTRUCTIONS", 80)
    refused(model, "number of instructions")
    monkeypatch.undo()
    monkeypatch.setattr(check_program, "MAX_WAITS", 0)
    refused(model, "number of waits")


def test_the_work_of_a_network_is_counted(monkeypatch):
    model = tiny_model()
    work = sum(check.work_of(op, model.network.tensors) for op in model.network.ops)
    assert work == 8 * 16 * 8 * 3
    monkeypatch.setattr(check, "MAX_WORK", work - 1)
    refused(model, f"{work} element operations")
    monkeypatch.setattr(check, "MAX_WORK", work)
    assert container.dump([model])


def test_on_chip_memory_is_that_of_the_chip():
    model = tiny_model()
    [(_, made)] = model.bpu_parts
    assert container.dump([with_program(model, replace(made.program, sram_bytes=X3M.sram_bytes))])
    more = replace(made.program, sram_bytes=X3M.sram_bytes + 1)
    refused(with_program(model, more), "on-chip memory")


def test_memory_of_instructions_one_by_one_is_limited(monkeypatch):
    model = tiny_model()
    [(of, made)] = model.bpu_parts
    program = replace(made.program, scratch_bytes=1 << 28)
    changed = replace(made, program=program)
    with pytest.raises(CapacityError, match="one by one"):
        ExactPart(of.name, changed, model.network.images)
    monkeypatch.setattr(part, "MAX_MEMORY_BYTES", 1 << 40)
    assert ExactPart(of.name, changed, model.network.images)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    seed=st.integers(0, 99),
)
def test_a_maximum_by_rows_and_columns_is_the_maximum(shape, kernel, stride, pads, seed):
    x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    if shape[0] + pads[0] + pads[2] < kernel[0] or shape[1] + pads[1] + pads[3] < kernel[1]:
        return
    wanted = arith.max_pool(x, kernel, stride, pads)
    np.testing.assert_array_equal(kernels.max_pool(x, kernel, stride, pads), wanted)
