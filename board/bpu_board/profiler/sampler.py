"""Makes telemetry frames: the whole visible state of the board at one instant."""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable

import psutil

from bpu_board.device import Activity, CoreState, Device, Observes, late_ns_of
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.eventlog import EventLog
from bpu_common.telemetry import (
    UTILISATION_WINDOW_NS,
    CoreSample,
    QueueSample,
    SystemSample,
    TelemetryFrame,
)

_SYSTEM_PERIOD_S = 0.05
"""The computer is looked at no more often: shares of shorter times mean nothing."""


class Watch:
    """How far one reader of the frames has come in function calls and log lines."""

    __slots__ = ("calls", "lines")

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.lines = 0


class Sampler:
    """Turns the state of device, queue and models into frames; thread-safe.

    `frame` may be called at any rate by several streams, each with a `Watch` of its own; each call
    makes a new frame with the next sequence number.
    """

    def __init__(self, device: Device, log: EventLog) -> None:
        self._device = device
        self._log = log
        self._boot_id = secrets.token_hex(8)
        self._sequence = 0
        self._lock = threading.Lock()
        self._busy: deque[tuple[int, tuple[int, ...]]] = deque()
        self._computer: SystemSample | None = None
        self._temperatures: dict[str, int] = {}
        self._looked_s = 0.0
        self._moved = (-1, 0.0)  # device time as last seen, and when it was last seen to move
        self._process = psutil.Process(os.getpid())
        psutil.cpu_percent(None)  # the first call only sets the mark

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def watch(self, now: bool = False) -> Watch:
        """A new reader; with `now` it gets no function call that has ended before."""
        return Watch(self._activity(-1).mark if now else 0)

    def frame(
        self,
        watch: Watch,
        queue: QueueSample,
        counters: Iterable[ModelCounters],
        counters_lock: threading.Lock,
    ) -> TelemetryFrame:
        """The frame of now."""
        with self._lock:
            activity = self._activity(watch.calls)
            watch.calls = activity.mark
            now_ns = activity.time_ns
            wall_ns = time.time_ns()
            lines, watch.lines = self._log.since(watch.lines, now_ns)
            self._look()
            assert self._computer is not None
            with counters_lock:
                models = tuple(each.sample(now_ns) for each in counters)
            sequence = self._sequence
            self._sequence += 1
            capabilities = self._device.capabilities
            return TelemetryFrame(
                sequence=sequence,
                boot_id=self._boot_id,
                time_ns=now_ns,
                wall_offset_ns=wall_ns - now_ns,
                machine=capabilities.machine,
                models=models,
                queue=queue,
                cores=self._cores(now_ns, activity.cores, capabilities.clock_hz),
                system=self._computer,
                slices=activity.calls,
                slices_dropped=activity.dropped,
                log=lines,
                temperature_millicelsius=self._temperatures,
                device=capabilities.device,
                clock=capabilities.clock,
                late_ns=late_ns_of(self._device),
            )

    def _activity(self, mark: int) -> Activity:
        """What the device tells; of one that does not tell, only its time."""
        if isinstance(self._device, Observes):
            return self._device.activity(mark)
        return Activity(self._device.now_ns(), (), (), 0, 0)

    def _cores(
        self, now_ns: int, states: tuple[CoreState, ...], clock_hz: int
    ) -> tuple[CoreSample, ...]:
        busy = tuple(state.busy_ns for state in states)
        marks = self._busy
        if marks and marks[-1][0] == now_ns:
            marks.pop()
        marks.append((now_ns, busy))
        while len(marks) > 2 and marks[1][0] <= now_ns - UTILISATION_WINDOW_NS:
            marks.popleft()
        then_ns, before = marks[0]
        elapsed_ns = 0 if self._stands_still(now_ns) else now_ns - then_ns
        return tuple(
            CoreSample(
                index=state.index,
                clock_hz=clock_hz,
                utilisation_permille=_permille(state.busy_ns - before[i], elapsed_ns),
                busy_ns=state.busy_ns,
                calls_done=state.calls_done,
                preemptions=state.preemptions,
                task=state.task,
                model=state.model,
                call=state.call,
                ddr_bytes=state.ddr_bytes,
                ddr_wait_ns=state.ddr_wait_ns,
            )
            for i, state in enumerate(states)
        )

    def _stands_still(self, now_ns: int) -> bool:
        """Whether device time has not passed for as long as utilisation looks back.

        A virtual clock stands between tasks; what was busy before is no news of now.
        """
        seen_ns, moved_s = self._moved
        now_s = time.monotonic()
        if now_ns != seen_ns:
            self._moved = now_ns, now_s
            return False
        return now_s - moved_s >= UTILISATION_WINDOW_NS / 1e9

    def _look(self) -> None:
        """Look at the computer, unless that was done just now for another reader."""
        now_s = time.monotonic()
        if self._computer is not None and now_s < self._looked_s + _SYSTEM_PERIOD_S:
            return
        self._looked_s = now_s
        self._temperatures = temperatures()
        memory = psutil.virtual_memory()
        self._computer = SystemSample(
            cpu_permille=round(psutil.cpu_percent(None) * 10),
            cpu_count=psutil.cpu_count() or 1,
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            process_bytes=self._process.memory_info().rss,
        )


def temperatures() -> dict[str, int]:
    """Thousandths of a degree Celsius by sensor; empty where the computer shows none."""
    read = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return {}
    found = {}
    for chip, sensors in read().items():
        for index, sensor in enumerate(sensors):
            if math.isfinite(sensor.current):
                name = f"{chip} {sensor.label or index}"
                found[name] = round(sensor.current * 1000)
    return found


def _permille(part_ns: int, whole_ns: int) -> int:
    return min(1000, max(0, round(1000 * part_ns / whole_ns))) if whole_ns > 0 else 0
