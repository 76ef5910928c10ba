"""Cumulative counters and recent latencies of one model."""

from __future__ import annotations

from bpu_board.profiler.histogram import WindowedHistogram
from bpu_common.task import TaskEventKind
from bpu_common.telemetry import LATENCY_WINDOW_NS, ModelSample


class ModelCounters:
    """Counts the ends of a model's tasks. Not thread-safe: the dispatcher's lock guards it.

    Attributes:
        bpu_ns: time one frame occupies BPU cores, alone.
    """

    __slots__ = (
        "bpu_ns",
        "cancelled",
        "digest",
        "done",
        "expired",
        "failed",
        "late",
        "latency",
        "name",
        "refused",
        "submitted",
    )

    def __init__(self, name: str, digest: str, bpu_ns: int) -> None:
        self.name = name
        self.digest = digest
        self.bpu_ns = bpu_ns
        self.submitted = 0
        self.done = 0
        self.failed = 0
        self.cancelled = 0
        self.expired = 0
        self.late = 0
        self.refused = 0
        self.latency = WindowedHistogram(LATENCY_WINDOW_NS)

    @property
    def alive(self) -> int:
        """Accepted and not ended."""
        return self.submitted - self.done - self.failed - self.cancelled - self.expired

    def ended(self, kind: TaskEventKind, now_ns: int, latency_ns: int, late: bool) -> None:
        """Count one final event."""
        if kind is TaskEventKind.DONE:
            self.done += 1
            self.late += late
            self.latency.add(now_ns, latency_ns)
        elif kind is TaskEventKind.FAILED:
            self.failed += 1
        elif kind is TaskEventKind.CANCELLED:
            self.cancelled += 1
        else:
            self.expired += 1

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
            bpu_busy_ns=self.bpu_ns * self.done,
            latency=self.latency.sample(now_ns),
        )
