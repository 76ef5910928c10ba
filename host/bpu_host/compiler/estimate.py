"""What one frame of the whole model costs: frames are run on the modelled chip, without numbers.

The figures are those that `hrt_model_exec perf` measures on the simulated device: both run the
same plan on the same chip. How well it fits published boards is in docs/machine.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel
from bpu_common.perf import DEFAULT_FRAME_COUNT, MAX_THREADS
from bpu_common.task import BpuStep, CpuStep, TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_host.compiler.causes import Cause
from bpu_sim.device import Chip
from bpu_sim.timing import PREPROCESS, cycles_to_ns, task_plan

EVERY_FRAME = Cause(PREPROCESS, "every frame begins with it")


@dataclass(frozen=True, slots=True)
class PartEstimate:
    """What one BPU part is predicted to cost, alone on one core."""

    name: str
    latency_us: float
    ddr_bytes: int

    @property
    def frames_per_second(self) -> float:
        return 1e6 / self.latency_us if self.latency_us else float("inf")


@dataclass(frozen=True, slots=True)
class CpuEstimate:
    """What one operator costs on a CPU core, and what keeps it there."""

    name: str
    op_type: str
    duration_ns: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What a frame of the whole model is predicted to cost on a chip that does nothing else.

    Attributes:
        latency_ns: of a frame when one thread runs one after the other.
        bpu_ns, cpu_ns, submit_ns: its parts: function calls, CPU operators, and handing work to
            the BPU and back.
        threads: of a closed loop that keeps all cores busy; `frames_per_second`: its rate.
        parts: the BPU parts, in order.
        cpu: the operators on the CPU, in order.
    """

    machine: str
    core_count: int
    latency_ns: int
    bpu_ns: int
    cpu_ns: int
    threads: int
    frames_per_second: float
    parts: tuple[PartEstimate, ...]
    cpu: tuple[CpuEstimate, ...]

    @property
    def submit_ns(self) -> int:
        return self.latency_ns - self.bpu_ns - self.cpu_ns

    @property
    def frames_per_second_alone(self) -> float:
        """The rate of one thread."""
        return 1e9 / self.latency_ns


def estimate(model: BpuModel, spec: MachineSpec, causes: Mapping[str, Cause]) -> ModelEstimate:
    """Predict the whole model.

    Args:
        causes: by name of each operation on the CPU.

    Raises:
        ModelUnsupported: a program that the driver of the chip cannot run.
    """
    plan = task_plan(model, spec)
    done = _closed_loop(plan, spec, 1, 1)[0]
    loop = _closed_loop(plan, spec, MAX_THREADS, DEFAULT_FRAME_COUNT)
    return ModelEstimate(
        machine=spec.name,
        core_count=spec.cores,
        latency_ns=done.time_ns,
        bpu_ns=done.bpu_ns,
        cpu_ns=done.cpu_ns,
        threads=MAX_THREADS,
        frames_per_second=len(loop) * 1e9 / loop[-1].time_ns,
        parts=tuple(_part(step, spec) for step in plan.steps if isinstance(step, BpuStep)),
        cpu=tuple(
            CpuEstimate(
                step.name, step.op_type, step.duration_ns, causes.get(step.name, EVERY_FRAME)
            )
            for step in plan.steps
            if isinstance(step, CpuStep)
        ),
    )


def _part(step: BpuStep, spec: MachineSpec) -> PartEstimate:
    cycles = sum(call.cycles for call in step.calls)
    latency_us = cycles_to_ns(cycles, spec.clock_hz) / 1e3
    return PartEstimate(step.name, latency_us, sum(call.ddr_bytes for call in step.calls))


def _closed_loop(
    plan: TaskPlan, spec: MachineSpec, threads: int, frame_count: int
) -> list[TaskEvent]:
    """The last events of frames, in order: each thread submits its next when the last is done."""
    chip = Chip(spec)
    done: list[TaskEvent] = []
    submitted = 0

    def submit() -> None:
        nonlocal submitted
        if submitted < frame_count:
            submitted += 1
            chip.submit(plan, TaskControl(), take, every_event=False)

    def take(event: TaskEvent) -> None:
        if event.kind is TaskEventKind.DONE:
            done.append(event)
            submit()

    for _ in range(threads):
        submit()
    chip.run_until_idle()
    return done
