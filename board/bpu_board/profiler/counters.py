"""Cumulative counters and recent latencies of one model."""

from __future__ import annotations

import numpy as np

from bpu_board.profiler.histogram import WindowedHistogram
from bpu_common.inference import ModelTotals
from bpu_common.task import TaskEventKind
from bpu_common.telemetry import LATENCY_WINDOW_NS, ModelSample

_ENDS = 1024
"""Ends of frames that are noted before they are sorted into histograms, all at once."""


class ModelCounters:
    """Counts the ends of a model's frames. Not thread-safe: the dispatcher's lock guards it.

    Attributes:
        running: frames on the device.
        priority: of the frame seen last.
        loads: loads that keep the model in use.
        last_ns: device time at which the last frame was done, -1 before.
        host_total_ns: host time in which the outputs of done frames were computed or fetched. It
            is no device time and no part of a latency.
    """

    __slots__ = (
        "_bpu_total_ns",
        "_ends",
        "_latency_total_ns",
        "_pending_total_ns",
        "bpu",
        "cancelled",
        "cpu",
        "digest",
        "done",
        "expired",
        "failed",
        "host",
        "host_total_ns",
        "last_ns",
        "late",
        "latency",
        "loads",
        "name",
        "pending",
        "preempted",
        "preempting",
        "priority",
        "refused",
        "running",
        "submitted",
    )

    def __init__(self, name: str, digest: str) -> None:
        self.name = name
        self.digest = digest
        self.submitted = 0
        self.done = 0
        self.failed = 0
        self.cancelled = 0
        self.expired = 0
        self.late = 0
        self.refused = 0
        self.running = 0
        self.preempted = 0
        self.preempting = 0
        self.priority = 0
        self.loads = 0
        self.last_ns = -1
        # Of all frames that are done and sorted; what is neither pending nor on the BPU is work on
        # the CPU.
        self._latency_total_ns = 0
        self._pending_total_ns = 0
        self._bpu_total_ns = 0
        self._ends: list[tuple[int, int, int, int]] = []  # time, latency, BPU and CPU time
        self.host_total_ns = 0
        self.latency = WindowedHistogram(LATENCY_WINDOW_NS)
        self.pending = WindowedHistogram(LATENCY_WINDOW_NS)
        self.bpu = WindowedHistogram(LATENCY_WINDOW_NS)
        self.cpu = WindowedHistogram(LATENCY_WINDOW_NS)
        self.host = WindowedHistogram(LATENCY_WINDOW_NS)

    @property
    def alive(self) -> int:
        """Accepted and not ended."""
        return self.submitted - self.done - self.failed - self.cancelled - self.expired

    def finished(self, now_ns: int, latency_ns: int, bpu_ns: int, cpu_ns: int, late: bool) -> None:
        """Count a frame that is done."""
        self.done += 1
        self.late += late
        self.last_ns = now_ns
        self._ends.append((now_ns, latency_ns, bpu_ns, cpu_ns))
        if len(self._ends) == _ENDS:
            self._sort_ends()

    def _sort_ends(self) -> None:
        """Take what was noted of ends into totals and histograms."""
        if not self._ends:
            return
        now_ns, latency_ns, bpu_ns, cpu_ns = np.array(self._ends, np.int64).T
        self._ends.clear()
        pending_ns = latency_ns - bpu_ns - cpu_ns
        self._latency_total_ns += int(latency_ns.sum())
        self._pending_total_ns += int(pending_ns.sum())
        self._bpu_total_ns += int(bpu_ns.sum())
        self.latency.add_all(now_ns, latency_ns)
        self.pending.add_all(now_ns, pending_ns)
        self.bpu.add_all(now_ns, bpu_ns)
        self.cpu.add_all(now_ns, cpu_ns)

    def taken(self, now_ns: int, host_ns: int) -> None:
        """Count the host time of a result that was taken."""
        self.host_total_ns += host_ns
        self.host.add(now_ns, host_ns)

    def dropped(self, kind: TaskEventKind) -> None:
        """Count a frame that ended without a result."""
        if kind is TaskEventKind.FAILED:
            self.failed += 1
        elif kind is TaskEventKind.CANCELLED:
            self.cancelled += 1
        else:
            self.expired += 1

    def totals(self, wall_offset_ns: int) -> ModelTotals:
        """The figures since the model was loaded.

        Args:
            wall_offset_ns: what to add to device time to get ns since the Unix epoch.
        """
        self._sort_ends()
        return ModelTotals(
            name=self.name,
            done=self.done,
            failed=self.failed + self.cancelled + self.expired,
            latency_ns=self._latency_total_ns,
            pending_ns=self._pending_total_ns,
            host_ns=self.host_total_ns,
            last_ms=(self.last_ns + wall_offset_ns) // 1_000_000 if self.done else 0,
        )

    def sample(self, now_ns: int) -> ModelSample:
        self._sort_ends()
        return ModelSample(
            name=self.name,
            digest=self.digest,
            submitted=self.submitted,
            done=self.done,
            failed=self.failed,
            cancelled=self.cancelled,
            expired=self.expired,
            late=self.late,
            refused=self.refused,
            alive=self.alive,
            bpu_busy_ns=self._bpu_total_ns,
            latency=self.latency.sample(now_ns),
            running=self.running,
            waiting=self.alive - self.running,
            preempted=self.preempted,
            preempting=self.preempting,
            priority=self.priority,
            pending=self.pending.sample(now_ns),
            bpu=self.bpu.sample(now_ns),
            cpu=self.cpu.sample(now_ns),
            host=self.host.sample(now_ns),
        )
