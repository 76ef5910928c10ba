"""The course of tasks through the chip, in device time.

A frame goes through its plan's steps in order. CPU steps take a core of the CPU cluster; a BPU step
waits half of `CpuSpec.submit_ns` (the submission), goes through the driver, and waits the other
half (interrupt and wake-up). While other frames keep the BPU busy these waits cost no throughput.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bpu_common.machine import MachineSpec
from bpu_common.task import (
    BpuStep,
    CpuStep,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_common.telemetry import CallSlice
from bpu_sim.device.cpu import CpuCluster
from bpu_sim.device.ddr import DdrBus
from bpu_sim.device.driver import Action, Driver, Failed, Finished, Parked, Start
from bpu_sim.device.kernel import Kernel, Tie
from bpu_sim.device.sample import ChipSample
from bpu_sim.device.trace import CallTrace

OnEvent: TypeAlias = Callable[[TaskEvent], None]
Outbox: TypeAlias = list[tuple[OnEvent, TaskEvent]]
Hangs: TypeAlias = Callable[[int, int, int], bool]
_Kind = TaskEventKind


class _Task:
    __slots__ = (
        "begun",
        "bpu_ns",
        "cancelled",
        "control",
        "cpu_ns",
        "every_event",
        "id",
        "model",
        "on_event",
        "place",
        "since_ns",
        "step",
        "steps",
    )

    def __init__(
        self, number: int, plan: TaskPlan, control: TaskControl, on_event: OnEvent | None
    ) -> None:
        self.id = number
        self.steps = plan.steps
        self.model = plan.model
        self.control = control
        self.on_event = on_event
        self.every_event = True
        self.step = 0
        self.begun = False
        self.cancelled = False
        self.place = _TRANSIT
        self.since_ns = 0
        self.bpu_ns = 0
        self.cpu_ns = 0


# Where a task is: decides what `cancel` can do at once.
_TRANSIT, _CPU_QUEUE, _CPU, _DRIVER = range(4)


class Course:
    """All tasks on the chip. Every method runs inside a kernel action or under the chip's lock."""

    def __init__(
        self, spec: MachineSpec, kernel: Kernel, outbox: Outbox, hangs: Hangs | None
    ) -> None:
        self._kernel = kernel
        self._outbox = outbox
        self._hangs = hangs
        self._watchdog_ns = spec.watchdog_ns
        self._submit_ns = spec.cpu.submit_ns // 2
        self._interrupt_ns = spec.cpu.submit_ns - self._submit_ns
        self._driver = Driver(spec.cores, spec.hardware_queue_limit, spec.preempting_priorities)
        self._bus = DdrBus(spec)
        self._cpu = CpuCluster(spec.cpu.cores)
        self._tasks: dict[int, _Task] = {}
        self._next_id = 1
        self._tickets = [0] * spec.cores  # a completion counts only with its core's last ticket
        self._core_busy_ns = [0] * spec.cores
        self._core_calls = [0] * spec.cores
        self._preemptions = [0] * spec.cores
        self._cpu_busy_ns = 0
        self._core_ddr_bytes = [0] * spec.cores
        self._core_ddr_wait_ns = [0] * spec.cores
        self._done = 0
        self.trace = CallTrace()

    def submit(
        self,
        plan: TaskPlan,
        control: TaskControl,
        on_event: OnEvent | None,
        every_event: bool,
        arrival_ns: int,
    ) -> int:
        """Let a frame arrive at `arrival_ns`; returns its id."""
        task = _Task(self._next_id, plan, control, on_event)
        task.every_event = every_event and on_event is not None
        self._next_id += 1
        self._tasks[task.id] = task
        self._kernel.at(arrival_ns, Tie.ARRIVAL, self._arrive, task)
        return task.id

    def cancel(self, number: int, now_ns: int) -> bool:
        """Let a cancellation arrive now."""
        task = self._tasks.get(number)
        if task is None or task.cancelled:
            return False
        self._kernel.at(now_ns, Tie.ARRIVAL, self._cancel, task)
        return True

    def sample(self, now_ns: int) -> ChipSample:
        cores = range(len(self._core_busy_ns))
        running = tuple(self._driver.running(core) for core in cores)
        busy_ns = tuple(
            busy + (now_ns - self._driver.running_since_ns(core) if running[core] else 0)
            for core, busy in enumerate(self._core_busy_ns)
        )
        return ChipSample(
            time_ns=now_ns,
            core_busy_ns=busy_ns,
            core_calls=tuple(self._core_calls),
            preemptions=tuple(self._preemptions),
            running=running,
            waiting=self._driver.waiting_count,
            cpu_busy_ns=self._cpu_busy_ns,
            cpu_running=self._cpu.busy_count,
            core_ddr_bytes=tuple(self._core_ddr_bytes),
            core_ddr_wait_ns=tuple(self._core_ddr_wait_ns),
            tasks_alive=len(self._tasks),
            tasks_done=self._done,
        )

    def running_calls(self, now_ns: int) -> tuple[CallSlice, ...]:
        """The function calls on the cores, by core."""
        found = []
        for core in range(len(self._core_busy_ns)):
            running = self._driver.running(core)
            if running is not None:
                number, call = running
                task = self._tasks[number]
                step = task.steps[task.step]
                assert isinstance(step, BpuStep)
                since_ns = self._driver.running_since_ns(core)
                name = step.calls[call].name
                found.append(
                    CallSlice(core, number, task.model, call, name, since_ns, now_ns, running=True)
                )
        return tuple(found)

    # -- life of a task -----------------------------------------------------------------------

    def _emit(
        self, task: _Task, kind: TaskEventKind, core: int = -1, call: int = -1, other: int = -1
    ) -> None:
        """Report a fact about the current step; callers ask `task.every_event` first."""
        assert task.on_event is not None
        event = TaskEvent(
            self._kernel.now_ns, kind, task.id, task.model, core, task.step, call, other
        )
        self._outbox.append((task.on_event, event))

    def _arrive(self, task: _Task) -> None:
        if task.every_event and task.on_event is not None:
            event = TaskEvent(self._kernel.now_ns, _Kind.SUBMITTED, task.id, task.model)
            self._outbox.append((task.on_event, event))
        self._next_step(task)

    def _next_step(self, task: _Task) -> None:
        """Begin the step that `task.step` names, or end the task."""
        if task.cancelled:
            self._end(task, _Kind.CANCELLED)
            return
        if task.step == len(task.steps):
            self._end(task, _Kind.DONE)
            return
        step = task.steps[task.step]
        if isinstance(step, CpuStep):
            if self._cpu.acquire(task.id):
                self._run_cpu(task, step)
            else:
                task.place = _CPU_QUEUE
            return
        self._release_cpu(task)
        if not self._begin(task):
            return
        if task.every_event:
            self._emit(task, _Kind.STEP_STARTED)
        task.place = _TRANSIT
        now_ns = self._kernel.now_ns
        self._kernel.at(now_ns + self._submit_ns, Tie.ARRIVAL, self._to_driver, task, step)

    def _begin(self, task: _Task) -> bool:
        """Mark the first step; False if the deadline passed before it."""
        if task.begun:
            return True
        deadline_ns = task.control.deadline_ns
        if deadline_ns is not None and self._kernel.now_ns > deadline_ns:
            self._end(task, _Kind.EXPIRED)
            return False
        task.begun = True
        if task.on_event is not None:
            self._emit(task, _Kind.STARTED)
        return True

    def _end(self, task: _Task, kind: TaskEventKind, detail: str = "") -> None:
        del self._tasks[task.id]
        self._done += kind is _Kind.DONE
        if task.on_event is not None:
            event = TaskEvent(
                self._kernel.now_ns, kind, task.id, task.model, -1, -1, -1, -1, detail,
                task.bpu_ns, task.cpu_ns,
            )  # fmt: skip
            self._outbox.append((task.on_event, event))
        self._release_cpu(task)

    def _cancel(self, task: _Task) -> None:
        if task.id not in self._tasks or task.cancelled:
            return
        task.cancelled = True
        if task.place == _CPU_QUEUE:
            self._cpu.withdraw(task.id)
            self._end(task, _Kind.CANCELLED)
        elif task.place == _DRIVER:
            self._apply(self._driver.cancel(task.id, self._kernel.now_ns))
            self._watch_end(task)

    def _watch_end(self, task: _Task) -> None:
        """Reset the core of a cancelled task whose call does not end within the watchdog's time."""
        step = task.steps[task.step]
        for core in range(len(self._tickets)):
            number, call = self._driver.running(core) or (-1, -1)
            if number != task.id or not isinstance(step, BpuStep):
                continue
            if self._bus.alone_ns(step.calls[call]) > self._watchdog_ns:
                due_ns = self._kernel.now_ns + self._watchdog_ns
                self._kernel.at(due_ns, Tie.WATCHDOG, self._overdue, task, core, call)

    def _overdue(self, task: _Task, core: int, call: int) -> None:
        if self._driver.running(core) == (task.id, call):
            self._tickets[core] += 1
            now_ns = self._kernel.now_ns
            self._core_busy_ns[core] += now_ns - task.since_ns
            self._reschedule(self._bus.stop(core, now_ns))
            self._apply(self._driver.hung(core, now_ns))

    # -- CPU steps ----------------------------------------------------------------------------

    def _run_cpu(self, task: _Task, step: CpuStep) -> None:
        if not self._begin(task):
            return
        task.place = _CPU
        if task.every_event:
            self._emit(task, _Kind.STEP_STARTED)
        end_ns = self._kernel.now_ns + step.duration_ns
        self._kernel.at(end_ns, Tie.COMPLETION, self._cpu_done, task, step)

    def _cpu_done(self, task: _Task, step: CpuStep) -> None:
        self._cpu_busy_ns += step.duration_ns
        task.cpu_ns += step.duration_ns
        self._step_done(task)

    def _step_done(self, task: _Task) -> None:
        if task.every_event:
            self._emit(task, _Kind.STEP_DONE)
        task.step += 1
        task.place = _TRANSIT
        self._next_step(task)

    def _release_cpu(self, task: _Task) -> None:
        heir = self._cpu.release(task.id)
        if heir is not None:
            waiting = self._tasks[heir]
            waiting.place = _TRANSIT
            self._kernel.at(self._kernel.now_ns, Tie.COMPLETION, self._next_step, waiting)

    # -- BPU steps ----------------------------------------------------------------------------

    def _to_driver(self, task: _Task, step: BpuStep) -> None:
        if task.cancelled:
            self._end(task, _Kind.CANCELLED)
        elif not step.calls:
            self._step_done(task)
        else:
            task.place = _DRIVER
            now_ns = self._kernel.now_ns
            self._apply(self._driver.submit(task.id, len(step.calls), task.control, now_ns))

    def _apply(self, actions: list[Action]) -> None:
        """Carry out what the driver decided, in its order."""
        now_ns = self._kernel.now_ns
        for action in actions:
            task = self._tasks[action.task]
            if isinstance(action, Start):
                self._start(task, action)
            elif isinstance(action, Parked):
                self._preemptions[action.core] += 1
                self.trace.parked(action.core, action.task, action.other)
                if task.on_event is not None:
                    self._emit(task, _Kind.PARKED, action.core, other=action.other)
            elif isinstance(action, Finished):
                task.place = _TRANSIT
                if action.core < 0:
                    self._end(task, _Kind.CANCELLED)
                else:
                    end_ns = now_ns + self._interrupt_ns
                    self._kernel.at(end_ns, Tie.COMPLETION, self._segment_done, task, action)
            else:
                self._fail(task, action)

    def _segment_done(self, task: _Task, finished: Finished) -> None:
        if finished.cancelled:
            self._end(task, _Kind.CANCELLED)
        else:
            self._step_done(task)

    def _start(self, task: _Task, start: Start) -> None:
        core = start.core
        step = task.steps[task.step]
        assert isinstance(step, BpuStep)
        if task.every_event:
            if start.resumed:
                self._emit(task, _Kind.RESUMED, core, start.call)
            self._emit(task, _Kind.CALL_STARTED, core, start.call)
        task.since_ns = self._kernel.now_ns
        if self._hangs is not None and self._hangs(task.id, start.call, start.attempt):
            self._tickets[core] += 1
            end_ns = self._kernel.now_ns + self._watchdog_ns
            ticket = self._tickets[core]
            self._kernel.at(end_ns, Tie.WATCHDOG, self._watchdog, core, ticket)
            return
        self._reschedule(self._bus.start(core, step.calls[start.call], self._kernel.now_ns))

    def _reschedule(self, ends: list[tuple[int, int]]) -> None:
        for core, end_ns in ends:
            ticket = self._tickets[core] + 1
            self._tickets[core] = ticket
            self._kernel.at(end_ns, Tie.COMPLETION, self._call_done, core, ticket)

    def _call_done(self, core: int, ticket: int) -> None:
        if ticket != self._tickets[core]:
            return  # the end moved when another core started or stopped
        running = self._driver.running(core)
        assert running is not None
        number, call = running
        task = self._tasks[number]
        step = task.steps[task.step]
        assert isinstance(step, BpuStep)
        now_ns = self._kernel.now_ns
        took_ns = now_ns - task.since_ns
        cost = step.calls[call]
        self._core_busy_ns[core] += took_ns
        task.bpu_ns += took_ns
        self.trace.ended(core, number, task.model, call, cost.name, task.since_ns, now_ns)
        self._core_calls[core] += 1
        self._core_ddr_bytes[core] += cost.ddr_bytes
        self._core_ddr_wait_ns[core] += took_ns - self._bus.alone_ns(cost)
        if task.every_event:
            self._emit(task, _Kind.CALL_DONE, core, call)
        self._reschedule(self._bus.stop(core, now_ns))
        self._apply(self._driver.call_done(core, now_ns))

    def _watchdog(self, core: int, ticket: int) -> None:
        if ticket == self._tickets[core]:
            self._core_busy_ns[core] += self._watchdog_ns
            self._apply(self._driver.hung(core, self._kernel.now_ns))

    def _fail(self, task: _Task, failed: Failed) -> None:
        self._end(
            task,
            _Kind.FAILED,
            f"BPU core {failed.core} made no progress in function call {failed.call}"
            f" of {task.model} and was reset",
        )
