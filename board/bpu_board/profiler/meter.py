"""Per-node times out of task events, kept as running statistics (no event is stored)."""

from __future__ import annotations

from bpu_common.perf import NodeProfile, TimeStat
from bpu_common.task import BpuStep, Step, TaskEvent, TaskEventKind, TaskPlan

_PREPROCESS = "Preprocess"


class Meter:
    """Average, maximum and minimum of a time."""

    __slots__ = ("count", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self.max_ns = 0
        self.min_ns = 0

    def add(self, value_ns: int) -> None:
        if value_ns > self.max_ns or not self.count:
            self.max_ns = value_ns
        if value_ns < self.min_ns or not self.count:
            self.min_ns = value_ns
        self.total_ns += value_ns
        self.count += 1

    def stat(self) -> TimeStat:
        average_ns = self.total_ns / self.count if self.count else 0.0
        return TimeStat(average_ns, self.max_ns, self.min_ns, self.count)


class _Frame:
    """What is open of one task."""

    __slots__ = ("bpu_ns", "call_since", "cpu_ns", "started", "step_ns", "step_since", "submitted")

    def __init__(self, submitted: int) -> None:
        self.submitted = submitted
        self.started = submitted
        self.step_since = 0
        self.call_since = -1
        self.step_ns = 0
        self.bpu_ns = 0
        self.cpu_ns = 0


class NodeMeters:
    """Listens to the events of one model's tasks.

    A BPU segment is charged the time its function calls occupy a core (waiting for a core and
    being parked belong to TaskRunningTime only); a CPU node the time from its start to its end.
    Only tasks that are DONE count in the per-frame times.
    """

    def __init__(self, plan: TaskPlan) -> None:
        self._on_bpu = [isinstance(step, BpuStep) for step in plan.steps]
        self._keys = [_key(step) for step in plan.steps]
        self._nodes: dict[str, Meter] = {key: Meter() for key in self._keys}
        self._bpu = Meter()
        self._cpu = Meter()
        self._pending = Meter()
        self._running = Meter()
        self._frames: dict[int, _Frame] = {}

    def on_event(self, event: TaskEvent, submitted_ns: int) -> None:
        """Take one event; `submitted_ns` is when the runtime accepted its task."""
        kind, now_ns = event.kind, event.time_ns
        frame = self._frames.get(event.task)
        if frame is None:
            frame = self._frames[event.task] = _Frame(submitted_ns)
        if kind is TaskEventKind.CALL_STARTED:
            frame.call_since = now_ns
        elif kind is TaskEventKind.CALL_DONE:
            frame.step_ns += now_ns - frame.call_since
        elif kind is TaskEventKind.STEP_STARTED:
            frame.step_since = now_ns
            frame.step_ns = 0
        elif kind is TaskEventKind.STEP_DONE:
            self._step_done(frame, event.step, now_ns)
        elif kind is TaskEventKind.STARTED:
            frame.started = now_ns
        elif kind is TaskEventKind.DONE:
            self._pending.add(frame.started - frame.submitted)
            self._running.add(now_ns - frame.started)
            self._bpu.add(frame.bpu_ns)
            self._cpu.add(frame.cpu_ns)
            del self._frames[event.task]
        elif kind in {TaskEventKind.FAILED, TaskEventKind.CANCELLED, TaskEventKind.EXPIRED}:
            del self._frames[event.task]

    def profile(self) -> NodeProfile:
        """The statistics so far; nodes that never ran are left out."""
        return NodeProfile(
            processor_latency={
                "BPU_inference_time_cost": self._bpu.stat(),
                "CPU_inference_time_cost": self._cpu.stat(),
            },
            model_latency={key: m.stat() for key, m in sorted(self._nodes.items()) if m.count},
            task_latency={
                "TaskPendingTime": self._pending.stat(),
                "TaskRunningTime": self._running.stat(),
            },
        )

    def _step_done(self, frame: _Frame, step: int, now_ns: int) -> None:
        if self._on_bpu[step]:
            duration_ns = frame.step_ns
            frame.bpu_ns += duration_ns
        else:
            duration_ns = now_ns - frame.step_since
            frame.cpu_ns += duration_ns
        self._nodes[self._keys[step]].add(duration_ns)


def _key(step: Step) -> str:
    """Name of a step in `profiler.log` (docs/board.md "`profiler.log` and `profiler.csv`")."""
    if isinstance(step, BpuStep):
        return f"BPU_{step.name}"
    if step.op_type == _PREPROCESS:
        return _PREPROCESS
    return f"{step.op_type.removeprefix('Hz')}_{step.name}"
