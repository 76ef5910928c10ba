"""The whole way: what `view` shows of a simulated chip equals that chip's own event log."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.machine import X3M
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.state import UiState
from bpu_host.tui.view import view
from tests.support.models_board import install, slow_model, tiny_model

Kind = TaskEventKind
ZEROS = {"data": np.zeros((1, 8, 16, 3), np.uint8)}
FRAME_NS = 2_000_000
SPAN_NS = 10_000_000_000


class LoggedDevice(SimDevice):
    """Keeps every event of every task."""

    def __init__(self) -> None:
        super().__init__(X3M)
        self.log: list[TaskEvent] = []

    def submit(self, handle, inputs, control, on_event, every_event=True, turn=0):
        def take(event: TaskEvent) -> None:
            self.log.append(event)
            on_event(event)

        return super().submit(handle, inputs, control, take, True)


@pytest.fixture(scope="module")
def run() -> tuple[list[TaskEvent], list[TelemetryFrame]]:
    """Two models of low priority keep both cores busy, a third of 255 arrives at random."""
    device = LoggedDevice()
    runtime = Runtime(device)
    install(runtime, slow_model("low", 12, 20), slow_model("mid", 5, 30), tiny_model("urgent"))
    random = np.random.default_rng(7)
    pending, frames = [], []
    for _ in range(60):
        free = 8 - sum(not each.done for each in pending)
        for each in pending:
            if each.done:
                each.cancel()  # nobody wants its result
        if free > 2:
            pending.append(runtime.submit("low", ZEROS, TaskControl(priority=0)))
            pending.append(runtime.submit("mid", ZEROS, TaskControl(priority=9)))
        if random.random() < 0.6:
            core = int(random.integers(0, 3))
            pending.append(runtime.submit("urgent", ZEROS, TaskControl(core, 255)))
        device._chip.run_until(device.now_ns() + int(random.integers(FRAME_NS // 4, FRAME_NS)))
        frames.append(runtime.telemetry())
    device.wait(lambda: all(each.done for each in pending), 60)
    frames.append(runtime.telemetry())
    runtime.close()
    return device.log, frames


def test_counts(run: tuple[list[TaskEvent], list[TelemetryFrame]]) -> None:
    log, frames = run
    seen = view(frames, UiState(span_ns=SPAN_NS))
    parked = [event for event in log if event.kind is Kind.PARKED]
    model_of = {event.task: event.model for event in log}
    done = Counter(event.model for event in log if event.kind is Kind.DONE)
    assert len(parked) > 10
    assert {row.name: row.done for row in seen.models} == done
    assert {row.name: row.preempted for row in seen.models if row.preempted} == Counter(
        event.model for event in parked
    )
    assert {row.name: row.preempting for row in seen.models if row.preempting} == Counter(
        model_of[event.other] for event in parked
    )
    assert sum(core.preemptions for core in seen.timeline.cores) == len(parked)


@pytest.mark.parametrize("upto", [20, 40, 61])
def test_bars_and_marks(run: tuple[list[TaskEvent], list[TelemetryFrame]], upto: int) -> None:
    log, frames = run[0], run[1][:upto]
    now_ns = frames[-1].time_ns
    seen = view(frames, UiState(span_ns=SPAN_NS))
    started: dict[tuple[int, int, int], TaskEvent] = {}
    bars: dict[int, list[tuple[str, int, int, int, int]]] = {0: [], 1: []}
    marks: dict[int, list[tuple[int, str, str]]] = {0: [], 1: []}
    model_of = {event.task: event.model for event in log}
    for event in log:
        if event.time_ns > now_ns:
            continue
        key = (event.task, event.step, event.call)
        if event.kind is Kind.CALL_STARTED and event.time_ns < now_ns:
            started[key] = event
        elif event.kind is Kind.CALL_DONE:
            begin = started.pop(key)
            bars[event.core].append(
                (event.model, event.task, event.call, begin.time_ns, event.time_ns)
            )
        elif event.kind is Kind.PARKED:
            marks[event.core].append((event.time_ns, model_of[event.other], event.model))
    for event in started.values():  # still running
        bars[event.core].append((event.model, event.task, event.call, event.time_ns, now_ns))
    names = [row.name for row in seen.models]
    for core in seen.timeline.cores:
        shown = [(b.name, b.task, b.call, b.start_ns, b.end_ns) for b in core.bars]
        assert shown == sorted(bars[core.index], key=lambda each: each[3])
        assert [(m.time_ns, names[m.by], names[m.lost]) for m in core.marks] == marks[core.index]


def test_the_core_says_what_runs(run: tuple[list[TaskEvent], list[TelemetryFrame]]) -> None:
    for upto in range(1, len(run[1])):
        for core in view(run[1][:upto], UiState()).timeline.cores:
            running = [bar for bar in core.bars if bar.running]
            assert [(bar.name, bar.call) for bar in running] == (
                [(core.model, core.call)] if core.model else []
            )
