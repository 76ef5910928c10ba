"""Predictions for published rows: frames on the simulated chip, one after the other or many."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.fidelity.networks import WITHOUT_DEQUANTIZE
from benchmarks.fidelity.published import Row
from bpu_common.machine import X3M, MachineSpec
from bpu_common.model import BpuModel
from bpu_common.task import CpuStep, TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_sim.device import Chip
from bpu_sim.timing import task_plan

FRAMES = 60
FULL_THREADS = 8
"""Frames in flight when the queue is full (the runtime runs at most eight)."""


def machine_of(row: Row) -> MachineSpec:
    """X3M with the CPU clock of the row's source."""
    return replace(X3M, cpu=replace(X3M.cpu, clock_hz=row.cpu_mhz * 1_000_000))


def plan_of(name: str, model: BpuModel, spec: MachineSpec) -> TaskPlan:
    """The steps of a frame, without those that the published model had removed."""
    plan = task_plan(model, spec)
    if name not in WITHOUT_DEQUANTIZE:
        return plan
    kept = (s for s in plan.steps if not (isinstance(s, CpuStep) and s.op_type == "HzDequantize"))
    return TaskPlan(plan.model, tuple(kept))


def closed_loop(plan: TaskPlan, spec: MachineSpec, threads: int, frames: int) -> float:
    """Frames per second when each thread submits its next frame as soon as the last is done."""
    chip = Chip(spec)
    left = frames - threads
    ends: list[int] = []

    def on_event(event: TaskEvent) -> None:
        nonlocal left
        if event.kind is not TaskEventKind.DONE:
            return
        ends.append(event.time_ns)
        if left > 0:
            left -= 1
            chip.submit(plan, TaskControl(), on_event, every_event=False)

    for _ in range(threads):
        chip.submit(plan, TaskControl(), on_event, every_event=False)
    chip.run_until_idle()
    return frames * 1e9 / ends[-1]


def predicted(row: Row, plan: TaskPlan, spec: MachineSpec) -> tuple[float, float | None]:
    """Latency in ms and frames per second of a row; the second where it was published."""
    fps = closed_loop(plan, spec, row.threads, row.threads if row.threads == 1 else FRAMES)
    latency_ms = row.threads * 1e3 / fps
    if row.fps_max is None:
        return latency_ms, None
    if row.threads > 1:
        return latency_ms, fps
    return latency_ms, closed_loop(plan, spec, FULL_THREADS, 4 * FRAMES)
