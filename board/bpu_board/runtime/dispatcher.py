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
    """

    __slots__ = (
        "cancel_wanted",
        "control",
        "counters",
        "detail",
        "device_task",
        "done_ns",
        "final",
        "handle",
        "inputs",
        "listener",
        "on_final",
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

    @property
    def late(self) -> bool:
        """Done after its deadline."""
        deadline_ns = self.control.deadline_ns
        return deadline_ns is not None and self.done_ns > deadline_ns


class Dispatcher:
    """The runtime's queue in front of one device; thread-safe."""

    def __init__(self, device: Device, queue: RuntimeQueue | None = None) -> None:
        self._device = device
        self._queue = queue or RuntimeQueue()
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
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
            self._jobs[ticket] = job
        if len(actions) == 1 and actions[0].kind is ActionKind.START:
            self._start(self._jobs[actions[0].ticket])
        else:
            self._carry_out(actions, now_ns)

    def cancel(self, job: Job) -> None:
        """Take a job back; nothing happens if it has ended."""
        now_ns = self._device.now_ns()
        with self._lock:
            actions = self._queue.cancel(job.ticket, now_ns)
        self._carry_out(actions, now_ns)

    def expire(self) -> None:
        """Drop what waits and is past its deadline."""
        now_ns = self._device.now_ns()
        with self._lock:
            actions = self._queue.expire(now_ns)
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
                self._end(job, TaskEventKind.EXPIRED, now_ns, "")
            else:
                self._end(job, TaskEventKind.CANCELLED, now_ns, "")

    def _start(self, job: Job) -> None:
        every_event = job.listener is not None
        try:
            job.device_task = self._device.submit(
                job.handle, job.inputs, job.control, partial(self._on_event, job), every_event
            )
        except BpuError as error:
            self._end(job, TaskEventKind.FAILED, self._device.now_ns(), error.message)
            return
        if job.cancel_wanted:
            self._device.cancel(job.device_task)

    def _on_event(self, job: Job, event: TaskEvent) -> None:
        if job.listener is not None:
            job.listener(event)
        kind = event.kind
        if kind is TaskEventKind.STARTED:
            job.started_ns = event.time_ns
        elif kind is TaskEventKind.DONE or kind in FINAL_KINDS:
            self._end(job, kind, event.time_ns, event.detail)

    def _end(self, job: Job, kind: TaskEventKind, now_ns: int, detail: str) -> None:
        with self._lock:
            if job.final is not None:
                return
            job.done_ns = now_ns
            job.detail = detail
            job.counters.ended(kind, now_ns, now_ns - job.submitted_ns, job.late)
            del self._jobs[job.ticket]
            actions = self._queue.finished(job.ticket, now_ns)
            job.final = kind
        if actions:
            self._carry_out(actions, now_ns)
        if job.on_final is not None:
            job.on_final(job)
