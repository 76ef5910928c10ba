"""The course of tasks through the chip, in device time.

A frame goes through its plan's steps in order. CPU steps take a core of the CPU cluster; a BPU step
waits half of `CpuSpec.submit_ns` (the submission), goes through the driver, and waits the other
half (interrupt and wake-up). While other frames keep the BPU busy these waits cost no throughput.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import TypeAlias

from bpu_common.machine import MachineSpec
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind, TaskPlan
from bpu_common.telemetry import CallSlice
from bpu_sim.device.cpu import CpuCluster
from bpu_sim.device.ddr import DdrBus
from bpu_sim.device.driver import Action, Driver, Failed, Finished, Parked, Start
from bpu_sim.device.kernel import ARRIVAL, COMPLETION, WATCHDOG, Kernel, Tie
from bpu_sim.device.route import END, SEGMENT, Routes
from bpu_sim.device.state import CPU_QUEUE, DRIVER, TRANSIT, ChipSample, Core, OnEvent, Task
from bpu_sim.device.trace import CallTrace

Outbox: TypeAlias = list[tuple[OnEvent, TaskEvent]]
Hangs: TypeAlias = Callable[[int, int, int], bool]
_Kind = TaskEventKind
_made = tuple.__new__  # a named tuple from its fields, without a call of Python
_Ticket: TypeAlias = "tuple[Core, int]"


class Course:
    """All tasks on the chip. Every method runs inside a kernel action or under the chip's lock.

    Actions of the kernel take the time and their task. They push what follows onto its heap
    themselves, since a frame does so about eight times. The attributes are the state of the chip,
    with the kernel's heap all of it (`bpu_sim.device.relative` reads and moves it).
    """

    def __init__(
        self, spec: MachineSpec, kernel: Kernel, outbox: Outbox, hangs: Hangs | None
    ) -> None:
        self._kernel = kernel
        self._heap, self._order = kernel.heap, kernel.order
        self._outbox = outbox
        self._hangs = hangs
        self._watchdog_ns = spec.watchdog_ns
        self._submit_ns = spec.cpu.submit_ns // 2
        self._interrupt_ns = spec.cpu.submit_ns - self._submit_ns
        self.driver = Driver(spec.cores, spec.hardware_queue_limit, spec.preempting_priorities)
        self.bus = DdrBus(spec)
        self.cpu = CpuCluster(spec.cpu.cores)
        self._stretch = [spec.cpu.stretch(busy) for busy in range(spec.cpu.cores + 1)]
        self._routes = Routes(spec)
        self.tasks: dict[int, Task] = {}
        self.next_id = 1
        self.cores = tuple(Core(index) for index in range(spec.cores))
        self.cpu_busy_ns = 0
        self.done = 0
        self.trace = CallTrace()

    @property
    def alive(self) -> int:
        """Tasks that were submitted and are not yet over."""
        return len(self.tasks)

    def submit(
        self,
        plan: TaskPlan,
        control: TaskControl,
        on_event: OnEvent | None,
        every_event: bool,
        arrival_ns: int,
        turn: int = 0,
    ) -> int:
        """Let a frame arrive at `arrival_ns`; returns its id."""
        number = self.next_id
        self.next_id = number + 1
        route = self._routes.known.get(id(plan)) or self._routes.of(plan)
        self.tasks[number] = task = Task(number, route, control, on_event)
        if turn:
            task.turn = turn
        arrive = self._next_step
        if every_event and on_event is not None:
            task.every_event = True
            arrive = self._arrive
        now_ns = self._kernel.now_ns
        if arrival_ns < now_ns:
            arrival_ns = now_ns
        heappush(self._heap, (arrival_ns, ARRIVAL + self._order(), arrive, task))
        return number

    def cancel(self, number: int, now_ns: int) -> bool:
        """Let a cancellation arrive now."""
        task = self.tasks.get(number)
        if task is None or task.cancelled:
            return False
        self._kernel.at(now_ns, Tie.ARRIVAL, self._cancel, task)
        return True

    def sample(self, now_ns: int) -> ChipSample:
        cores, driver = self.cores, self.driver
        running = tuple(driver.running(core.index) for core in cores)
        busy_ns = tuple(
            core.busy_ns + (now_ns - core.since_ns if running[core.index] else 0) for core in cores
        )
        return ChipSample(
            time_ns=now_ns,
            core_busy_ns=busy_ns,
            core_calls=tuple(core.calls for core in cores),
            preemptions=tuple(core.preemptions for core in cores),
            running=running,
            models=tuple(core.task.route.model if running[core.index] else "" for core in cores),
            waiting=driver.waiting_count,
            cpu_busy_ns=self.cpu_busy_ns,
            cpu_running=self.cpu.busy_count,
            core_ddr_bytes=tuple(core.ddr_bytes for core in cores),
            core_ddr_wait_ns=tuple(core.ddr_wait_ns for core in cores),
            tasks_alive=len(self.tasks),
            tasks_done=self.done,
        )

    def running_calls(self, now_ns: int) -> tuple[CallSlice, ...]:
        """The function calls on the cores, by core."""
        return tuple(
            CallSlice(
                core.index, core.task.id, core.task.route.model, core.call, core.demand.name,
                core.since_ns, now_ns, running=True,
            )
            for core in self.cores
            if self.driver.running(core.index) is not None
        )  # fmt: skip

    # -- life of a task -----------------------------------------------------------------------

    def _emit(
        self,
        now_ns: int,
        task: Task,
        kind: TaskEventKind,
        core: int = -1,
        call: int = -1,
        other: int = -1,
    ) -> None:
        """Report a fact about the current step; callers ask `task.every_event` first."""
        assert task.on_event is not None
        event = TaskEvent(now_ns, kind, task.id, task.route.model, core, task.step, call, other)
        self._outbox.append((task.on_event, event))

    def _arrive(self, now_ns: int, task: Task) -> None:
        """The arrival of a task whose every event is wanted."""
        assert task.on_event is not None
        event = TaskEvent(now_ns, _Kind.SUBMITTED, task.id, task.route.model)
        self._outbox.append((task.on_event, event))
        self._next_step(now_ns, task)

    def _next_step(self, now_ns: int, task: Task) -> None:
        """Begin the step that `task.step` names, or end the task."""
        time_ns = task.route.times_ns[task.step]
        if task.cancelled:
            self._end(now_ns, task, _Kind.CANCELLED)
        elif time_ns >= 0:
            if not self.cpu.acquire(task.id):
                task.place = CPU_QUEUE
            elif task.begun_ns >= 0 or self._begin(now_ns, task):
                if task.every_event:
                    self._emit(now_ns, task, _Kind.STEP_STARTED)
                self._run_operator(now_ns, task, time_ns)
        elif time_ns == SEGMENT:
            heir = self.cpu.release(task.id)
            if heir is not None:
                self._inherit(now_ns, heir)
            if task.begun_ns < 0 and not self._begin(now_ns, task):
                return
            if task.every_event:
                self._emit(now_ns, task, _Kind.STEP_STARTED)
            arrival_ns = now_ns + self._submit_ns
            heappush(self._heap, (arrival_ns, ARRIVAL + self._order(), self._to_driver, task))
        else:
            assert time_ns == END
            self._end(now_ns, task, _Kind.DONE)

    def _begin(self, now_ns: int, task: Task) -> bool:
        """Begin a first step; False if the deadline passed before it."""
        deadline_ns = task.control.deadline_ns
        if deadline_ns is not None and now_ns > deadline_ns:
            self._end(now_ns, task, _Kind.EXPIRED)
            return False
        task.begun_ns = now_ns
        if task.every_event:
            self._emit(now_ns, task, _Kind.STARTED)
        return True

    def _end(self, now_ns: int, task: Task, kind: TaskEventKind, detail: str = "") -> None:
        del self.tasks[task.id]
        if kind is _Kind.DONE:
            self.done += 1
        if task.on_event is not None:
            route = task.route
            fields = (
                now_ns, kind, task.id, route.model, -1, -1, -1, -1, detail,
                task.bpu_ns, task.cpu_ns, task.begun_ns,
            )  # fmt: skip
            self._outbox.append((task.on_event, _made(TaskEvent, fields)))
        heir = self.cpu.release(task.id)
        if heir is not None:
            self._inherit(now_ns, heir)

    def _cancel(self, now_ns: int, task: Task) -> None:
        if task.id not in self.tasks or task.cancelled:
            return
        task.cancelled = True
        if task.place == CPU_QUEUE:
            self.cpu.withdraw(task.id)
            self._end(now_ns, task, _Kind.CANCELLED)
        elif task.place == DRIVER:
            self._apply(now_ns, self.driver.cancel(task.id, now_ns))
            self._watch_end(now_ns, task)

    def _watch_end(self, now_ns: int, task: Task) -> None:
        """Reset the core of a cancelled task whose call does not end within the watchdog's time."""
        for core in self.cores:
            running = self.driver.running(core.index)
            if running is None or running[0] != task.id:
                continue
            if core.demand.alone_ns > self._watchdog_ns:
                order, due_ns = WATCHDOG + self._order(), now_ns + self._watchdog_ns
                heappush(self._heap, (due_ns, order, self._overdue, (core, running)))

    def _overdue(self, now_ns: int, given: tuple[Core, tuple[int, int]]) -> None:
        core, running = given
        if self.driver.running(core.index) == running:
            core.ticket += 1
            self._reschedule(self.bus.stop(core.index, now_ns))
            self._reset(now_ns, core)

    # -- CPU steps ----------------------------------------------------------------------------

    def _run_operator(self, now_ns: int, task: Task, alone_ns: int) -> None:
        """A CPU operator begins; other cores at work slow it down."""
        took_ns = round(alone_ns * self._stretch[self.cpu.busy_count])
        task.operator_ns = took_ns
        end_ns = now_ns + took_ns
        heappush(self._heap, (end_ns, COMPLETION + self._order(), self._cpu_done, task))

    def _cpu_done(self, now_ns: int, task: Task) -> None:
        step, times_ns = task.step, task.route.times_ns
        self.cpu_busy_ns += task.operator_ns
        task.cpu_ns += task.operator_ns
        if task.every_event:
            self._emit(now_ns, task, _Kind.STEP_DONE)
        task.step = step + 1
        time_ns = times_ns[step + 1]
        if time_ns < 0 or task.cancelled:
            self._next_step(now_ns, task)
        else:  # it keeps its core
            if task.every_event:
                self._emit(now_ns, task, _Kind.STEP_STARTED)
            self._run_operator(now_ns, task, time_ns)

    def _step_done(self, now_ns: int, task: Task) -> None:
        if task.every_event:
            self._emit(now_ns, task, _Kind.STEP_DONE)
        task.step += 1
        task.place = TRANSIT
        self._next_step(now_ns, task)

    def _inherit(self, now_ns: int, heir: int) -> None:
        """A task that waited has a CPU core now."""
        task = self.tasks[heir]
        task.place = TRANSIT
        heappush(self._heap, (now_ns, COMPLETION + self._order(), self._next_step, task))

    # -- BPU steps ----------------------------------------------------------------------------

    def _to_driver(self, now_ns: int, task: Task) -> None:
        calls = len(task.route.calls[task.step])
        if task.cancelled:
            self._end(now_ns, task, _Kind.CANCELLED)
        elif not calls:
            self._step_done(now_ns, task)
        else:
            task.place = DRIVER
            actions = self.driver.submit(task.id, calls, task.control, now_ns, task.turn)
            if actions:
                self._apply(now_ns, actions)

    def _apply(self, now_ns: int, actions: list[Action]) -> None:
        """Carry out what the driver decided, in its order."""
        for action in actions:
            task = self.tasks[action.task]
            if isinstance(action, Start):
                self._start(now_ns, task, action)
            elif isinstance(action, Finished):
                task.place = TRANSIT
                if action.core < 0:
                    self._end(now_ns, task, _Kind.CANCELLED)
                    continue
                then = self._segment_cancelled if action.cancelled else self._step_done
                end_ns = now_ns + self._interrupt_ns
                heappush(self._heap, (end_ns, COMPLETION + self._order(), then, task))
            elif isinstance(action, Parked):
                self.cores[action.core].preemptions += 1
                self.trace.parked(action.core, action.task, action.other)
                if task.on_event is not None:
                    self._emit(now_ns, task, _Kind.PARKED, action.core, other=action.other)
            else:
                self._fail(now_ns, task, action)

    def _segment_cancelled(self, now_ns: int, task: Task) -> None:
        self._end(now_ns, task, _Kind.CANCELLED)

    def _start(self, now_ns: int, task: Task, start: Start) -> None:
        index, _, call, resumed, attempt = start
        core, demand = self.cores[index], task.route.calls[task.step][call]
        core.task, core.call, core.demand, core.since_ns = task, call, demand, now_ns
        if task.every_event:
            if resumed:
                self._emit(now_ns, task, _Kind.RESUMED, index, call)
            self._emit(now_ns, task, _Kind.CALL_STARTED, index, call)
        if self._hangs is not None and self._hangs(task.id, call, attempt):
            core.ticket += 1
            order, ticket = WATCHDOG + self._order(), (core, core.ticket)
            heappush(self._heap, (now_ns + self._watchdog_ns, order, self._watchdog, ticket))
            return
        self._reschedule(self.bus.start(index, demand, now_ns))

    def _reschedule(self, ends: list[tuple[int, int]]) -> None:
        for index, end_ns in ends:
            core = self.cores[index]
            core.ticket = ticket = core.ticket + 1
            order = COMPLETION + self._order()
            heappush(self._heap, (end_ns, order, self._call_done, (core, ticket)))

    def _call_done(self, now_ns: int, given: _Ticket) -> None:
        core, ticket = given
        if ticket != core.ticket:
            return  # the end moved when another core started or stopped
        task, demand, index, since_ns = core.task, core.demand, core.index, core.since_ns
        took_ns = now_ns - since_ns
        core.busy_ns += took_ns
        core.calls += 1
        core.ddr_bytes += demand.ddr_bytes
        core.ddr_wait_ns += took_ns - demand.alone_ns
        task.bpu_ns += took_ns
        self.trace.ended(
            [index, task.id, task.route.model, core.call, demand.name, since_ns, now_ns, -1]
        )
        if task.every_event:
            self._emit(now_ns, task, _Kind.CALL_DONE, index, core.call)
        others = self.bus.stop(index, now_ns)
        if others:
            self._reschedule(others)
        self._apply(now_ns, self.driver.call_done(index, now_ns))

    def _watchdog(self, now_ns: int, given: _Ticket) -> None:
        core, ticket = given
        if ticket == core.ticket:
            self._reset(now_ns, core)

    def _reset(self, now_ns: int, core: Core) -> None:
        """End the call of a core that makes no progress."""
        core.busy_ns += now_ns - core.since_ns
        self._apply(now_ns, self.driver.hung(core.index, now_ns))

    def _fail(self, now_ns: int, task: Task, failed: Failed) -> None:
        self._end(
            now_ns,
            task,
            _Kind.FAILED,
            f"BPU core {failed.core} made no progress in function call {failed.call}"
            f" of {task.route.model} and was reset",
        )
