"""Cumulative counters and recent latencies of one model."""

from __future__ import annotations

from bpu_board.profiler.histogram import WindowedHistogram
from bpu_common.inference import ModelTotals
from bpu_common.task import TaskEventKind
from bpu_common.telemetry import LATENCY_WINDOW_NS, ModelSample


class ModelCounters:
    """Counts the ends of a model's frames. Not thread-safe: the dispatcher's lock guards it.

    Attributes:
        running: frames on the device.
        priority: of the frame seen last.
        loads: loads that keep the model in use.
        last_ns: device time at which the last frame was done, -1 before.
        latency_total_ns, pending_total_ns, bpu_total_ns: of all frames that are done; what is
            neither pending nor on the BPU is work on the CPU.
        host_total_ns: host time in which the outputs of done frames were computed or fetched. It
            is no device time and no part of a latency.
    """

    __slots__ = (
        "bpu",
        "bpu_total_ns",
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
        "latency_total_ns",
        "loads",
        "name",
        "pending",
        "pending_total_ns",
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
        self.latency_total_ns = 0
        self.pending_total_ns = 0
        self.bpu_total_ns = 0
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
        pending_ns = latency_ns - bpu_ns - cpu_ns
        self.last_ns = now_ns
        self.latency_total_ns += latency_ns
        self.pending_total_ns += pending_ns
        self.bpu_total_ns += bpu_ns
        self.latency.add(now_ns, latency_ns)
        self.pending.add(now_ns, pending_ns)
        self.bpu.add(now_ns, bpu_ns)
        self.cpu.add(now_ns, cpu_ns)

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
        return ModelTotals(
            name=self.name,
            done=self.done,
            failed=self.failed + self.cancelled + self.expired,
            latency_ns=self.latency_total_ns,
            pending_ns=self.pending_total_ns,
            host_ns=self.host_total_ns,
            last_ms=(self.last_ns + wall_offset_ns) // 1_000_000 if self.done else 0,
        )

    def sample(self, now_ns: int) -> ModelSample:
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
            bpu_busy_ns=self.bpu_total_ns,
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
