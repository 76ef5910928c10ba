"""Carries out what the queue decides: frames go to the device, their ends come back.

One lock guards the queue and the counters. The device is never called with it held, and the
device's events may take it, so the two can never wait for each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache, partial

from bpu_board.device import Device, Plans
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime.frame import Frame
from bpu_board.runtime.queue import ActionKind, Actions, RuntimeQueue
from bpu_common.errors import BpuError, Cancelled, CapacityError, DeadlineExceeded, DeviceFault
from bpu_common.perf import InferResult
from bpu_common.stop import Stop
from bpu_common.task import FINAL_KINDS, TaskEvent, TaskEventKind
from bpu_common.telemetry import QueueSample

_KNOWN_COSTS = 256

_LOOK_S = 0.25

_STALL_S = 5.0
"""An idle device with an unfinished task for so long has lost it."""


class Dispatcher:
    """The runtime's queue in front of one device; thread-safe."""

    def __init__(
        self,
        device: Device,
        queue: RuntimeQueue[Frame] | None = None,
        log: EventLog | None = None,
    ) -> None:
        self._device = device
        self._queue: RuntimeQueue[Frame] = queue or RuntimeQueue()
        self._log = log or EventLog()
        self._lock = threading.Lock()
        self._under_way: set[Frame] = set()  # accepted, no final event yet
        self._cost_ns = lru_cache(_KNOWN_COSTS)(partial(_frame_cost_ns, device))

    def submit(self, frame: Frame, now_ns: int | None = None) -> None:
        """Accept a frame.

        Args:
            now_ns: device time, if the caller knows it (in the handler of an event).

        Raises:
            CapacityError: too many frames are alive; nothing changed.
        """
        if now_ns is None:
            now_ns = self._device.now_ns()
        cost_ns = self._cost_ns(frame.handle)
        with self._lock:
            try:
                actions = self._queue.submit(frame, frame.control, now_ns, frame.client, cost_ns)
            except CapacityError:
                frame.counters.refused += 1
                raise
            frame.submitted_ns = frame.started_ns = now_ns
            frame.counters.submitted += 1
            frame.counters.priority = frame.control.priority
            self._under_way.add(frame)
            self._place(actions)
        self._carry_out(actions, now_ns)

    def cancel(self, frame: Frame, deadline_missed: bool = False) -> None:
        """Take a frame back; of one that has ended, only its result is given up."""
        now_ns = self._device.now_ns()
        with self._lock:
            frame.cancel_wanted = True  # first: `result` says that it is awaited, then looks here
            if frame.final is not None:
                if frame.stop is None:
                    self._queue.taken(frame)
                else:
                    frame.stop.now()
                return
            frame.deadline_missed = deadline_missed
            actions = self._queue.cancel(frame, now_ns)
            self._place(actions)
        self._carry_out(actions, now_ns)

    def expire(self) -> None:
        """Drop what waits and is past its deadline."""
        now_ns = self._device.now_ns()
        with self._lock:
            actions = self._queue.expire(now_ns)
            self._place(actions)
        self._carry_out(actions, now_ns)

    def result(self, frame: Frame, timeout_s: float | None) -> InferResult:
        """See `Frame.result`."""
        name = frame.counters.name
        frame.stop = stop = Stop(timeout_s, f"a frame of model {name}")
        if not self._wait(frame, timeout_s):
            self.cancel(frame, deadline_missed=frame.control.deadline_ns is not None)
            raise DeadlineExceeded(
                f"model {name} gave no result within {timeout_s:g} s; the frame was cancelled",
                hint="allow more time, or give the frame a higher priority",
            )
        if frame.final is TaskEventKind.EXPIRED:
            raise DeadlineExceeded(
                f"the deadline of a frame of model {name} passed before it was started",
                hint="the board is busy: allow more time, or give the frame a higher priority",
            )
        if frame.final is TaskEventKind.CANCELLED:
            raise Cancelled(f"a frame of model {name} was cancelled")
        if frame.final is TaskEventKind.FAILED:
            reason = frame.detail or "no reason given"
            raise DeviceFault(f"a frame of model {name} failed: {reason}")
        started_ns = time.perf_counter_ns()
        try:
            outputs = self._device.outputs(frame.task, stop)
            if frame.cancel_wanted:  # they may have come from another frame's computation
                raise Cancelled(f"a frame of model {name} was cancelled")
        finally:
            host_ns = time.perf_counter_ns() - started_ns
            with self._lock:
                self._queue.taken(frame)
                frame.counters.taken(frame.done_ns, host_ns)
        return InferResult(
            model=name,
            task=frame.task,
            outputs=outputs,
            submitted_ns=frame.submitted_ns,
            started_ns=frame.started_ns,
            done_ns=frame.done_ns,
            late=frame.late,
        )

    def wait_until(self, done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """As `Device.wait`; a device that has stopped working fails all frames instead of raising.

        Returns:
            Whether `done` holds.
        """
        try:
            return self._device.wait(done, timeout_s)
        except DeviceFault as error:
            self.fail_all(error.message)
            return done()

    def fail_all(self, reason: str) -> None:
        """End every frame that is under way: the device does not work any more."""
        now_ns = self._device.now_ns()
        with self._lock:
            frames = tuple(self._under_way)
        for frame in frames:
            self._end(frame, _own_event(frame, TaskEventKind.FAILED, now_ns, reason))

    def queue_sample(self) -> QueueSample:
        with self._lock:
            queue = self._queue
            return QueueSample(queue.running, queue.waiting, *queue.limits, queue.untaken)

    def locked(self) -> threading.Lock:
        """The lock that guards all `ModelCounters`."""
        return self._lock

    def _wait(self, frame: Frame, timeout_s: float | None) -> bool:
        """Block until the frame has ended; False after `timeout_s` of wall time."""
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._device.capabilities.virtual_time:
            return self._await(frame, ends)
        stalled_since: float | None = None
        while frame.final is None:
            left_s = None if ends is None else ends - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            if self.wait_until(lambda: frame.final is not None, left_s):
                break
            self.expire()  # idle: another thread is about to submit
            stalled_since = stalled_since or time.monotonic()
            if time.monotonic() - stalled_since > _STALL_S:
                self.fail_all("the device went idle without finishing it")
            time.sleep(0.0005)
        return True

    def _await(self, frame: Frame, ends: float | None) -> bool:
        """As `_wait`, for a device whose time passes by itself: only its own end wakes a frame."""
        frame.ended = ended = threading.Event()
        while frame.final is None:
            slice_s = (
                self._slice_s(frame)
                if ends is None
                else min(self._slice_s(frame), ends - time.monotonic())
            )
            if slice_s <= 0:
                return False
            if ended.wait(slice_s):
                break
            if self._device.failure:
                self.fail_all(self._device.failure)
            self.expire()
        return True

    def _place(self, actions: Actions[Frame]) -> None:
        """Book what goes to the device; the lock is held."""
        for kind, frame in actions:
            if kind is ActionKind.START:
                frame.placed = True
                frame.turn = self._queue.turn(frame)
                frame.counters.running += 1

    def _slice_s(self, frame: Frame) -> float:
        """How long to wait before looking at the device and at the frame's deadline again."""
        deadline_ns = frame.control.deadline_ns
        if deadline_ns is None:
            return _LOOK_S
        return min(max((deadline_ns - self._device.now_ns()) / 1e9, 0.01), _LOOK_S)

    def _carry_out(self, actions: Actions[Frame], now_ns: int) -> None:
        for kind, frame in actions:
            if kind is ActionKind.START:
                self._start(frame)
            elif kind is ActionKind.STOP:
                if frame.task >= 0:  # else `_start` sees that it is wanted
                    self._device.cancel(frame.task)
            elif kind is ActionKind.EXPIRE:
                self._end(frame, _own_event(frame, TaskEventKind.EXPIRED, now_ns))
            else:
                self._end(frame, _own_event(frame, TaskEventKind.CANCELLED, now_ns))

    def _start(self, frame: Frame) -> None:
        every_event = frame.listener is not None
        try:
            frame.task = self._device.submit(
                frame.handle, frame.inputs, frame.control, frame.on_event, every_event, frame.turn
            )
        except BpuError as error:
            now_ns = self._device.now_ns()
            self._end(frame, _own_event(frame, TaskEventKind.FAILED, now_ns, error.message))
            return
        if frame.cancel_wanted:
            self._device.cancel(frame.task)

    def take(self, frame: Frame, event: TaskEvent) -> None:
        """What the device tells of a frame."""
        if frame.listener is not None:
            frame.listener(event)
        kind = event.kind
        if kind is TaskEventKind.DONE or kind in FINAL_KINDS:
            self._end(frame, event)
        elif kind is TaskEventKind.STARTED:
            frame.started_ns = event.time_ns
        elif kind is TaskEventKind.PARKED:
            self._preempted(frame, event)

    def _preempted(self, frame: Frame, event: TaskEvent) -> None:
        with self._lock:
            other = next((each for each in self._under_way if each.task == event.other), None)
            frame.counters.preempted += 1
            if other is not None:
                other.counters.preempting += 1
        by = "another task" if other is None else other.counters.name
        self._log.info_often(event.time_ns, f"{frame.counters.name} preempted by {by}")

    def _end(self, frame: Frame, event: TaskEvent) -> None:
        now_ns, kind, counters = event.time_ns, event.kind, frame.counters
        done, deadline_ns = kind is TaskEventKind.DONE, frame.control.deadline_ns
        with self._lock:
            if frame.final is not None:
                return
            frame.done_ns = now_ns
            if event.started_ns >= 0:
                frame.started_ns = event.started_ns
            if done:
                late = deadline_ns is not None and frame.late
                latency_ns = now_ns - frame.submitted_ns
                counters.finished(now_ns, latency_ns, event.bpu_ns, event.cpu_ns, late)
            elif kind is TaskEventKind.CANCELLED and frame.deadline_missed:
                counters.dropped(TaskEventKind.EXPIRED)
            else:
                frame.detail = event.detail
                counters.dropped(kind)
            if frame.placed:
                counters.running -= 1
            self._under_way.discard(frame)
            has_result = done and frame.inputs is not None and not frame.cancel_wanted
            actions = self._queue.finished(frame, now_ns, has_result)
            if actions:
                self._place(actions)
            frame.final = kind
            if frame.ended is not None:
                frame.ended.set()
        if not done or deadline_ns is not None:
            self._report(frame, kind, now_ns)
        if actions:
            self._carry_out(actions, now_ns)
        if frame.on_final is not None:
            frame.on_final(frame)

    def _report(self, frame: Frame, kind: TaskEventKind, now_ns: int) -> None:
        """Write down what a person should know about an end."""
        name = frame.counters.name
        if kind is TaskEventKind.FAILED:
            reason = frame.detail or "no reason given"
            self._log.error(now_ns, f"a frame of {name} failed: {reason}")
        elif kind is TaskEventKind.DONE:
            if frame.late:
                self._log.warn_often(now_ns, f"{name} was late for a deadline")
        elif kind is TaskEventKind.EXPIRED or frame.deadline_missed:
            self._log.warn_often(now_ns, f"{name} missed a deadline, the frame was dropped")


def _frame_cost_ns(device: Device, handle: int) -> int:
    """How long a frame occupies the chip; 1 where the device cannot tell, so frames are counted."""
    if not isinstance(device, Plans):
        return 1
    return device.plan(handle).work_ns(device.capabilities.clock_hz)


def _own_event(frame: Frame, kind: TaskEventKind, now_ns: int, detail: str = "") -> TaskEvent:
    """The end of a frame that the device does not know of."""
    return TaskEvent(now_ns, kind, frame.task, frame.counters.name, detail=detail)
