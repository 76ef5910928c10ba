"""Tasks as the device seam sees them: what is asked for, and what happened when.

All times are device time: monotonic nanoseconds of the device's own clock (virtual or real).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

PRIORITY_LOWEST = 0
PRIORITY_HIGHEST = 255
CORE_ANY = 0


@dataclass(frozen=True, slots=True)
class TaskControl:
    """How a task is to be run (docs/board.md "Tensors and tasks").

    Attributes:
        core_id: 0 any core, 1 core 0, 2 core 1.
        priority: 0..255; which levels preempt is data in `MachineSpec`.
        custom_id: order among equal priorities, smaller first.
        deadline_ns: absolute device time after which an unstarted task is dropped.
    """

    core_id: int = CORE_ANY
    priority: int = PRIORITY_LOWEST
    custom_id: int = 0
    deadline_ns: int | None = None


class TaskEventKind(enum.Enum):
    """What happened to a task."""

    SUBMITTED = "submitted"  # accepted by the device
    STARTED = "started"  # its first step began
    STEP_STARTED = "step_started"  # a CPU operator or BPU segment began (`step`)
    CALL_STARTED = "call_started"  # a function call occupies `core`
    CALL_DONE = "call_done"
    PARKED = "parked"  # preempted at a call boundary by task `other`
    RESUMED = "resumed"
    STEP_DONE = "step_done"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # deadline passed before the start


FINAL_KINDS = frozenset(
    {TaskEventKind.DONE, TaskEventKind.FAILED, TaskEventKind.CANCELLED, TaskEventKind.EXPIRED}
)


class TaskEvent(NamedTuple):
    """One fact in the life of a task; a tuple because a run makes millions of them.

    Attributes:
        task: id unique on the device.
        model: name of its model.
        core: BPU core index, -1 when none is concerned.
        step: index of the step in the task's plan, -1 when none is concerned.
        call: index of the function call in the segment, -1 when none is concerned.
        other: the preempting task for PARKED, else -1.
        detail: sentence for FAILED, else empty.
        bpu_ns: of a final event: how long the task's completed function calls occupied a core.
        cpu_ns: of a final event: how long its completed CPU operators ran.
        started_ns: of a final event: when its first step began; -1: it never did, or the device
            does not say.
    """

    time_ns: int
    kind: TaskEventKind
    task: int
    model: str
    core: int = -1
    step: int = -1
    call: int = -1
    other: int = -1
    detail: str = ""
    bpu_ns: int = 0
    cpu_ns: int = 0
    started_ns: int = -1


@dataclass(frozen=True, slots=True)
class CallCost:
    """What one function call asks of the chip.

    Attributes:
        cycles: duration alone on a core, in BPU cycles.
        ddr_cycles: cycles of it in which its DDR port is busy (contention between cores).
        ddr_bytes: bytes loaded and stored.
    """

    name: str
    cycles: int
    ddr_cycles: int
    ddr_bytes: int


@dataclass(frozen=True, slots=True)
class CpuStep:
    """One CPU operator of a task, with its modelled duration."""

    name: str
    op_type: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class BpuStep:
    """One BPU segment of a task: its function calls in order."""

    name: str
    calls: tuple[CallCost, ...]


Step: TypeAlias = CpuStep | BpuStep


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """The whole course of one frame of a model on the device, in order."""

    model: str
    steps: tuple[Step, ...]

    def work_ns(self, clock_hz: int) -> int:
        """Time of all its steps, each alone on a core; at least 1."""
        cpu_ns = sum(each.duration_ns for each in self.steps if isinstance(each, CpuStep))
        calls = (call for each in self.steps if isinstance(each, BpuStep) for call in each.calls)
        return max(1, cpu_ns + sum(call.cycles for call in calls) * 1_000_000_000 // clock_hz)
