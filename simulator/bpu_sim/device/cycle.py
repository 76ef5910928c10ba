"""A repetition of the chip: what is submitted and what it tells, once around, as a record."""

from __future__ import annotations

from typing import TypeAlias

from bpu_common.task import FINAL_KINDS, TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_sim.device.course import Course, Outbox
from bpu_sim.device.kernel import Kernel
from bpu_sim.device.relative import counters, shape
from bpu_sim.device.trace import KEPT_CALLS

Submission: TypeAlias = tuple[TaskPlan, TaskControl, bool, int]
"""Plan, control, whether every event is wanted, turn."""

Told: TypeAlias = tuple[
    int, bool, TaskEventKind, str, int, int, int, int | None, str, int, int, int | None
]
"""An event without its time: task from the first of the repetition, whether the task ends with it,
kind, model, core, step, call, the other task like the task, detail, BPU and CPU time, how long ago
the task was started."""

Turn: TypeAlias = tuple[tuple[Submission, ...], int, tuple[Told, ...]]
"""What is submitted, how long after the last events the next ones come, and those."""

MAX_COMPARISONS = 8
"""Of whole states while one record is kept."""


class Cycle:
    """One repetition.

    Attributes:
        turns: in order; the last one brings the chip back to the state before the first.
        period_ns: how long all turns take.
        tasks: how many are submitted.
        calls: function calls that end.
        gained: by how much the counters of the chip rise.
    """

    __slots__ = ("calls", "gained", "period_ns", "tasks", "turns")

    def __init__(
        self, turns: list[Turn], period_ns: int, tasks: int, calls: int, gained: list[int]
    ) -> None:
        self.turns = turns
        self.period_ns = period_ns
        self.tasks = tasks
        self.calls = calls
        self.gained = gained


class Record:
    """What has happened since a state of the chip that might come back.

    Attributes:
        submitted: since the last events.
    """

    __slots__ = (
        "_counters", "_course", "_due_ns", "_first", "_kernel", "_mark", "_shape", "_start_ns",
        "_turns", "_wrong", "submitted",
    )  # fmt: skip

    def __init__(self, course: Course, kernel: Kernel) -> None:
        self._course = course
        self._kernel = kernel
        self._shape = shape(course, kernel)
        self._due_ns = self._next_in_ns()
        self._counters = counters(course)
        self._mark = course.trace.mark
        self._first = course.next_id
        self._start_ns = kernel.now_ns
        self._turns: list[tuple[list[Submission], int, Outbox]] = []
        self._wrong = 0 if self._shape is not None else MAX_COMPARISONS
        self.submitted: list[Submission] = []

    def told(self, batch: Outbox) -> bool:
        """Events have come; returns whether the chip is again in the state of the beginning."""
        self._turns.append((self.submitted, self._kernel.now_ns, batch))
        self.submitted = []
        if self._next_in_ns() != self._due_ns or self._wrong >= MAX_COMPARISONS:
            return False  # two states seldom have that time in common, or they are alike
        if shape(self._course, self._kernel) == self._shape:
            return True
        self._wrong += 1
        return False

    def _next_in_ns(self) -> int:
        """How soon something happens; -1: nothing will."""
        heap = self._kernel.heap
        return heap[0][0] - self._kernel.now_ns if heap else -1

    def cycle(self) -> Cycle | None:
        """What was recorded, the state of its beginning being back; None: it cannot be repeated."""
        tasks = self._course.next_id - self._first
        calls = self._course.trace.mark - self._mark
        if not tasks or calls > KEPT_CALLS:
            return None
        turns: list[Turn] = []
        last_ns = self._start_ns
        for submitted, now_ns, batch in self._turns:
            events = tuple(self._without_time(event) for _, event in batch)
            turns.append((tuple(submitted), now_ns - last_ns, events))
            last_ns = now_ns
        gained = [
            now - then for now, then in zip(counters(self._course), self._counters, strict=True)
        ]
        return Cycle(turns, last_ns - self._start_ns, tasks, calls, gained)

    def _without_time(self, event: TaskEvent) -> Told:
        return (
            event.task - self._first,
            event.kind in FINAL_KINDS,
            event.kind,
            event.model,
            event.core,
            event.step,
            event.call,
            event.other - self._first if event.other >= 0 else None,
            event.detail,
            event.bpu_ns,
            event.cpu_ns,
            event.time_ns - event.started_ns if event.started_ns >= 0 else None,
        )
