"""Carries out what the queue decides: tasks go to the device, their ends come back.

One lock guards the queue and the counters. The device is never called with it held, and the
device's events may take it, so the two can never wait for each other.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from bpu_board.device import Device, Inputs, OnEvent
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime.queue import Action, ActionKind, RuntimeQueue
from bpu_common.errors import BpuError, CapacityError, DeviceFault
from bpu_common.task import FINAL_KINDS, TaskControl, TaskEvent, TaskEventKind
from bpu_common.telemetry import QueueSample

_STALL_S = 5.0
"""An idle device with an unfinished task for so long has lost it."""

OnFinal: TypeAlias = "Callable[[Job], None]"


class Job:
    """One accepted frame and what has become of it. Written by the dispatcher only.

    Attributes:
        final: its final event kind, None while it is alive.
        device_task: the device's id for it, -1 before it is there.
        detail: why it FAILED.
        placed: it was handed to the device.
        deadline_missed: its caller took it back because its deadline had passed.
    """

    __slots__ = (
        "cancel_wanted",
        "control",
        "counters",
        "deadline_missed",
        "detail",
        "device_task",
        "done_ns",
        "final",
        "handle",
        "inputs",
        "listener",
        "on_final",
        "placed",
        "started_ns",
        "submitted_ns",
        "ticket",
    )

    def __init__(
        self, handle: int, inputs: Inputs | None, control: TaskControl, counters: ModelCounters
    ) -> None:
        self.handle = handle
        self.inputs = inputs
        self.control = control
        self.counters = counters
        self.on_final: OnFinal | None = None
        self.listener: OnEvent | None = None
        self.ticket = -1
        self.device_task = -1
        self.submitted_ns = 0
        self.started_ns = 0
        self.done_ns = 0
        self.final: TaskEventKind | None = None
        self.detail = ""
        self.cancel_wanted = False
        self.deadline_missed = False
        self.placed = False

    @property
    def late(self) -> bool:
        """Done after its deadline."""
        deadline_ns = self.control.deadline_ns
        return deadline_ns is not None and self.done_ns > deadline_ns


class Dispatcher:
    """The runtime's queue in front of one device; thread-safe."""

    def __init__(
        self, device: Device, queue: RuntimeQueue | None = None, log: EventLog | None = None
    ) -> None:
        self._device = device
        self._queue = queue or RuntimeQueue()
        self._log = log or EventLog()
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._begun: dict[int, Job] = {}  # by the device's id, from STARTED to the end
        self._tickets = itertools.count(1)

    def submit(self, job: Job, now_ns: int | None = None) -> None:
        """Accept a job; its `on_final` is called once, on the thread that advances the device.

        Args:
            now_ns: device time, if the caller knows it (in the handler of an event).

        Raises:
            CapacityError: too many tasks are alive; nothing changed.
        """
        if now_ns is None:
            now_ns = self._device.now_ns()
        with self._lock:
            ticket = next(self._tickets)
            try:
                actions = self._queue.submit(ticket, job.control, now_ns)
            except CapacityError:
                job.counters.refused += 1
                raise
            job.ticket = ticket
            job.submitted_ns = now_ns
            job.counters.submitted += 1
            job.counters.priority = job.control.priority
            self._jobs[ticket] = job
            self._place(actions)
        if len(actions) == 1 and actions[0].kind is ActionKind.START:
            self._start(self._jobs[actions[0].ticket])
        else:
            self._carry_out(actions, now_ns)

    def cancel(self, job: Job, deadline_missed: bool = False) -> None:
        """Take a job back; nothing happens if it has ended.

        Args:
            deadline_missed: its caller gave up because its deadline has passed: it is counted so.
        """
        now_ns = self._device.now_ns()
        with self._lock:
            job.deadline_missed = deadline_missed
            actions = self._queue.cancel(job.ticket, now_ns)
            self._place(actions)
        self._carry_out(actions, now_ns)

    def expire(self) -> None:
        """Drop what waits and is past its deadline."""
        now_ns = self._device.now_ns()
        with self._lock:
            actions = self._queue.expire(now_ns)
            self._place(actions)
        self._carry_out(actions, now_ns)

    def wait(self, job: Job, timeout_s: float | None) -> bool:
        """Block until the job has ended; False after `timeout_s` of wall time.

        Raises:
            DeviceFault: the device lost the task.
        """
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        stalled_since: float | None = None
        while job.final is None:
            left_s = None if ends is None else ends - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            if self._device.wait(lambda: job.final is not None, self._slice_s(job, left_s)):
                break
            self.expire()
            if self._device.capabilities.virtual_time:  # idle: another thread is about to submit
                stalled_since = stalled_since or time.monotonic()
                if time.monotonic() - stalled_since > _STALL_S:
                    raise DeviceFault(f"the device went idle without finishing task {job.ticket}")
                time.sleep(0.0005)
        return True

    def queue_sample(self) -> QueueSample:
        with self._lock:
            queue = self._queue
            return QueueSample(queue.running, queue.waiting, queue.running_limit, queue.alive_limit)

    def locked(self) -> threading.Lock:
        """The lock that guards all `ModelCounters`."""
        return self._lock

    def _place(self, actions: Sequence[Action]) -> None:
        """Book what goes to the device; the lock is held."""
        for action in actions:
            if action.kind is ActionKind.START:
                job = self._jobs[action.ticket]
                job.placed = True
                job.counters.running += 1

    def _slice_s(self, job: Job, left_s: float | None) -> float | None:
        """How long to wait before looking at the job's deadline again."""
        deadline_ns = job.control.deadline_ns
        if deadline_ns is None or self._device.capabilities.virtual_time:
            return left_s
        slice_s = max((deadline_ns - self._device.now_ns()) / 1e9, 0.01)
        return slice_s if left_s is None else min(slice_s, left_s)

    def _carry_out(self, actions: Sequence[Action], now_ns: int) -> None:
        for action in actions:
            job = self._jobs.get(action.ticket)
            if job is None:
                continue
            if action.kind is ActionKind.START:
                self._start(job)
            elif action.kind is ActionKind.STOP:
                job.cancel_wanted = True
                if job.device_task >= 0:
                    self._device.cancel(job.device_task)
            elif action.kind is ActionKind.EXPIRE:
                self._end(job, _own_event(job, TaskEventKind.EXPIRED, now_ns))
            else:
                self._end(job, _own_event(job, TaskEventKind.CANCELLED, now_ns))

    def _start(self, job: Job) -> None:
        every_event = job.listener is not None
        try:
            job.device_task = self._device.submit(
                job.handle, job.inputs, job.control, partial(self._on_event, job), every_event
            )
        except BpuError as error:
            now_ns = self._device.now_ns()
            self._end(job, _own_event(job, TaskEventKind.FAILED, now_ns, error.message))
            return
        if job.cancel_wanted:
            self._device.cancel(job.device_task)

    def _on_event(self, job: Job, event: TaskEvent) -> None:
        if job.listener is not None:
            job.listener(event)
        kind = event.kind
        if kind is TaskEventKind.STARTED:
            job.started_ns = event.time_ns
            self._begun[event.task] = job
        elif kind is TaskEventKind.DONE or kind in FINAL_KINDS:
            self._begun.pop(event.task, None)
            self._end(job, event)
        elif kind is TaskEventKind.PARKED:
            self._preempted(job, event)

    def _preempted(self, job: Job, event: TaskEvent) -> None:
        other = self._begun.get(event.other)
        by = "another task" if other is None else other.counters.name
        with self._lock:
            job.counters.preempted += 1
            if other is not None:
                other.counters.preempting += 1
        self._log.info_often(event.time_ns, f"{job.counters.name} preempted by {by}")

    def _end(self, job: Job, event: TaskEvent) -> None:
        now_ns, kind, counters = event.time_ns, event.kind, job.counters
        with self._lock:
            if job.final is not None:
                return
            job.done_ns = now_ns
            job.detail = event.detail
            if kind is TaskEventKind.DONE:
                latency_ns = now_ns - job.submitted_ns
                counters.finished(now_ns, latency_ns, event.bpu_ns, event.cpu_ns, job.late)
            elif kind is TaskEventKind.CANCELLED and job.deadline_missed:
                counters.dropped(TaskEventKind.EXPIRED)
            else:
                counters.dropped(kind)
            counters.running -= job.placed
            del self._jobs[job.ticket]
            actions = self._queue.finished(job.ticket, now_ns)
            self._place(actions)
            job.final = kind
        if kind is not TaskEventKind.DONE or job.control.deadline_ns is not None:
            self._report(job, kind, now_ns)
        if actions:
            self._carry_out(actions, now_ns)
        if job.on_final is not None:
            job.on_final(job)

    def _report(self, job: Job, kind: TaskEventKind, now_ns: int) -> None:
        """Write down what a person should know about an end."""
        name = job.counters.name
        if kind is TaskEventKind.FAILED:
            self._log.error(now_ns, f"a frame of {name} failed: {job.detail or 'no reason given'}")
        elif kind is TaskEventKind.DONE:
            if job.late:
                self._log.warn_often(now_ns, f"{name} was late for a deadline")
        elif kind is TaskEventKind.EXPIRED or job.deadline_missed:
            self._log.warn_often(now_ns, f"{name} missed a deadline, the frame was dropped")


def _own_event(job: Job, kind: TaskEventKind, now_ns: int, detail: str = "") -> TaskEvent:
    """The end of a job that the device does not know of."""
    return TaskEvent(now_ns, kind, job.device_task, job.counters.name, detail=detail)
