"""A measured run: a closed loop of virtual threads on the device.

Each virtual thread submits its next frame when the one before is done; no operating-system thread
stands behind it. All times are device time.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from bpu_board.device import Device, Observes, OnEvent, Plans, late_ns_of
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.meter import NodeMeters
from bpu_board.runtime.dispatcher import Dispatcher
from bpu_board.runtime.frame import Frame
from bpu_common.errors import BpuError, Cancelled, DeviceFault
from bpu_common.perf import FRAMES_PER_REPORT, PerfProgress, PerfRequest, PerfResult
from bpu_common.shares import OWN
from bpu_common.task import TaskControl, TaskEvent, TaskEventKind
from bpu_common.words import counted

OnProgress: TypeAlias = Callable[[PerfProgress], None]


class PerfLoop:
    """One run of one model. The frames run for their time only; numbers are the caller's matter."""

    def __init__(
        self,
        device: Device,
        dispatcher: Dispatcher,
        handle: int,
        counters: ModelCounters,
        request: PerfRequest,
        client: str = OWN,
    ) -> None:
        self._client = client
        self._device = device
        self._dispatcher = dispatcher
        self._handle = handle
        self._counters = counters
        self._request = request
        self._control = TaskControl(core_id=request.core_id, priority=request.priority)
        self._meters: NodeMeters | None = None
        if request.profile and isinstance(device, Plans):
            self._meters = NodeMeters(device.plan(handle))
        # Ends of frames come one at a time. Only when the device fails may several threads tell of
        # them, and then no frame follows.
        self._latencies = array("q")
        self._submitted = 0
        self._frames: set[Frame] = set()  # one for each virtual thread that goes on
        self._end_ns: int | None = None
        self._last_ns = 0
        self._busy_after: tuple[int, ...] = ()
        self._error: BpuError | None = None

    def run(
        self,
        on_progress: OnProgress | None,
        stop: threading.Event | None,
        *,
        partial: bool = False,
    ) -> PerfResult:
        """Run to the end; reports come on the calling thread.

        Args:
            partial: what a run that `stop` ended gives: a result of the frames that are done.

        Raises:
            CapacityError: the queue had no place for a frame.
            DeviceFault: a frame failed.
            Cancelled: `stop` was set, and `partial` was not or no frame is done; frames in flight
                have been taken back.
        """
        wall_start = time.perf_counter_ns()
        start_ns = self._device.now_ns()
        self._busy_after = busy_before = self._busy_ns()
        late_before_ns = late_ns_of(self._device)
        if self._request.duration_ns:
            self._end_ns = start_ns + self._request.duration_ns
        self._begin()
        self._watch(start_ns, on_progress, stop)
        wall_ns = time.perf_counter_ns() - wall_start
        if stop is not None and stop.is_set():
            if not (partial and self._latencies):
                done = counted(len(self._latencies), "frame")
                raise Cancelled(f"the measurement was stopped after {done}")
        elif self._error is not None:
            raise self._error
        busy_ns = tuple(b - a for a, b in zip(busy_before, self._busy_after, strict=True))
        late_ns = late_ns_of(self._device) - late_before_ns
        return self._result(self._last_ns - start_ns, busy_ns, wall_ns, late_ns)

    def _busy_ns(self) -> tuple[int, ...]:
        """By core; empty if the device does not tell."""
        if not isinstance(self._device, Observes):
            return ()
        return tuple(core.busy_ns for core in self._device.cores())

    def _begin(self) -> None:
        """Submit the first frame of each virtual thread."""
        request = self._request
        threads = request.thread_num
        if not request.duration_ns:
            threads = min(threads, request.frame_count)
        self._submitted = threads
        frames = [
            Frame(self._dispatcher, self._handle, None, self._control, self._counters, self._client)
            for _ in range(threads)
        ]
        self._frames.update(frames)
        for frame in frames:
            frame.on_final = self._done
            if self._meters is not None:
                frame.listener = self._listener(frame)
            try:
                if self._error is None:
                    self._dispatcher.submit(frame, self._device.now_ns())
                    continue
            except BpuError as error:
                self._error = error
            self._frames.discard(frame)

    def _listener(self, frame: Frame) -> OnEvent:
        meters = self._meters
        assert meters is not None

        def listen(event: TaskEvent) -> None:
            meters.on_event(event, frame.submitted_ns)

        return listen

    def _done(self, frame: Frame) -> None:
        """The end of a frame; its virtual thread goes on with the next one."""
        now_ns = frame.done_ns
        if frame.final is TaskEventKind.DONE:
            self._latencies.append(now_ns - frame.submitted_ns)
            self._last_ns = now_ns
        elif self._error is None:
            self._error = DeviceFault(
                f"a frame of {self._counters.name} ended as {_name(frame)}: "
                f"{frame.detail or 'no reason given'}"
            )
        end_ns = self._end_ns
        if self._error is None and (
            self._submitted < self._request.frame_count if end_ns is None else now_ns < end_ns
        ):
            self._submitted += 1
            frame.again()
            try:
                self._dispatcher.submit(frame, now_ns)
                return
            except BpuError as error:
                self._error = error
        if len(self._frames) == 1:  # the last one: what others do from now on is not of the run
            self._busy_after = self._busy_ns()
        self._frames.discard(frame)

    def _watch(
        self, start_ns: int, on_progress: OnProgress | None, stop: threading.Event | None
    ) -> None:
        """Wait for the end; report every `FRAMES_PER_REPORT` frames and once at the end."""
        reported = 0
        step = FRAMES_PER_REPORT if on_progress is not None else 1 << 62
        while True:
            asked = None if self._error is not None else stop
            finished = self._dispatcher.wait_until(
                partial(self._reached, reported + step, asked), 0.5
            )
            if stop is not None and stop.is_set():
                self._take_back()
            while on_progress is not None and len(self._latencies) >= reported + step:
                on_progress(self._progress(reported, reported + step, start_ns))
                reported += step
            if not self._frames:
                break
            if not finished and self._device.capabilities.virtual_time:
                time.sleep(0)
        if on_progress is not None and len(self._latencies) > reported:
            on_progress(self._progress(reported, len(self._latencies), start_ns))

    def _take_back(self) -> None:
        """Submit nothing more and cancel what is in flight."""
        self._error = self._error or Cancelled("stopped")
        for frame in tuple(self._frames):
            frame.cancel()

    def _reached(self, frames: int, stop: threading.Event | None) -> bool:
        """There is something to do: the end, a report, or a stop that nobody has seen yet."""
        if stop is not None and stop.is_set():
            return True
        return not self._frames or len(self._latencies) >= frames

    def _progress(self, first: int, last: int, start_ns: int) -> PerfProgress:
        part = self._latencies[first:last]
        return PerfProgress(
            frames_done=last,
            frames_total=0 if self._request.duration_ns else self._request.frame_count,
            elapsed_ns=self._device.now_ns() - start_ns,
            average_ns=sum(part) / len(part),
            max_ns=max(part),
            min_ns=min(part),
        )

    def _result(
        self, run_time_ns: int, busy_ns: tuple[int, ...], wall_ns: int, late_ns: int
    ) -> PerfResult:
        values = np.sort(np.frombuffer(self._latencies, np.int64))
        ranks = [-(-len(values) * q // 100) - 1 for q in (50, 90, 99)]
        p50, p90, p99 = (int(values[rank]) for rank in ranks)
        device = self._device.capabilities
        return PerfResult(
            model=self._counters.name,
            machine=device.machine,
            thread_num=self._request.thread_num,
            frame_count=len(values),
            core_id=self._request.core_id,
            run_time_ns=run_time_ns,
            total_latency_ns=int(values.sum()),
            min_ns=int(values[0]),
            max_ns=int(values[-1]),
            p50_ns=p50,
            p90_ns=p90,
            p99_ns=p99,
            core_busy_ns=busy_ns,
            wall_ns=wall_ns,
            profile=None if self._meters is None else self._meters.profile(),
            device=device.device,
            clock=device.clock,
            late_ns=late_ns,
        )


def _name(frame: Frame) -> str:
    return frame.final.value if frame.final is not None else "nothing"
