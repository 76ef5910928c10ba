"""What is asked of a board and what it answers: one inference, or a measured run of many frames.

All times are device time in nanoseconds (see `bpu_common.task`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import UsageError
from bpu_common.frame import FrameInput
from bpu_common.task import CORE_ANY, PRIORITY_HIGHEST, PRIORITY_LOWEST
from bpu_common.tensor import AnyArray

MAX_THREADS = 8
"""`thread_num` above this acts as this (docs/board.md "`hrt_model_exec`")."""

DEFAULT_FRAME_COUNT = 200
FRAMES_PER_REPORT = 200
"""A progress report is made once for so many frames (docs/board.md "`hrt_model_exec`")."""

MINUTE_NS = 60 * 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class InferResult:
    """Outputs of one frame and when it ran.

    Attributes:
        outputs: by output name, arrays of the shape and dtype of the model's output specs.
        submitted_ns: accepted by the runtime; `started_ns`: first step began; `done_ns`: finished.
        late: done after its deadline (it is returned all the same).
    """

    model: str
    task: int
    outputs: dict[str, AnyArray]
    submitted_ns: int
    started_ns: int
    done_ns: int
    late: bool = False

    @property
    def latency_ns(self) -> int:
        """From submit to done, waiting included."""
        return self.done_ns - self.submitted_ns

    @property
    def pending_ns(self) -> int:
        """Time in queues before the first step."""
        return self.started_ns - self.submitted_ns

    @property
    def running_ns(self) -> int:
        return self.done_ns - self.started_ns


@dataclass(frozen=True, slots=True, eq=False)
class PerfRequest:
    """A closed loop: each of `thread_num` virtual threads submits its next frame on completion.

    Attributes:
        model: name or digest of the model.
        frame_count: frames of all threads together; used if `duration_ns` is 0.
        duration_ns: device time to run for (frames submitted before its end are completed).
        core_id: 0 any core, 1 core 0, 2 core 1.
        profile: collect the per-node profile (`PerfResult.profile`).
        exact: also run the instructions on the modelled machine, once, and compare.
        inputs: by name; empty means random tensors.
    """

    model: str
    frame_count: int = DEFAULT_FRAME_COUNT
    duration_ns: int = 0
    thread_num: int = 1
    core_id: int = CORE_ANY
    priority: int = PRIORITY_LOWEST
    profile: bool = False
    exact: bool = False
    inputs: dict[str, FrameInput] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a value out of range; the message names it and its range.
        """
        if self.thread_num < 1:
            raise UsageError(f"thread_num {self.thread_num} is not in [1,{MAX_THREADS}]")
        if self.duration_ns < 0:
            raise UsageError(f"perf time {self.duration_ns} ns is negative")
        if self.duration_ns == 0 and self.frame_count < 1:
            raise UsageError(f"frame_count {self.frame_count} is not at least 1")
        if not PRIORITY_LOWEST <= self.priority <= PRIORITY_HIGHEST:
            raise UsageError(
                f"priority {self.priority} is not in [{PRIORITY_LOWEST},{PRIORITY_HIGHEST}]"
            )
        object.__setattr__(self, "thread_num", min(self.thread_num, MAX_THREADS))


@dataclass(frozen=True, slots=True)
class PerfProgress:
    """State of a running measurement; the figures are over the frames since the last report.

    Attributes:
        frames_done: since the start.
        frames_total: 0 when the run is bounded by time.
        elapsed_ns: since the start of the run.
    """

    frames_done: int
    frames_total: int
    elapsed_ns: int
    average_ns: float
    max_ns: int
    min_ns: int


@dataclass(frozen=True, slots=True)
class TimeStat:
    """Average, largest and smallest of one measured time; `count` frames were seen."""

    average_ns: float
    max_ns: int
    min_ns: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """Per-node times of a measured run (the second object of `profiler.log`).

    Attributes:
        processor_latency: `BPU_inference_time_cost`, `CPU_inference_time_cost` per frame.
        model_latency: by node: `BPU_<segment>`, `<OpType>_<node>`.
        task_latency: `TaskPendingTime`, `TaskRunningTime`.
    """

    processor_latency: dict[str, TimeStat]
    model_latency: dict[str, TimeStat]
    task_latency: dict[str, TimeStat]


@dataclass(frozen=True, slots=True)
class PerfResult:
    """Outcome of a measured run.

    Attributes:
        run_time_ns: first submit to last completion.
        total_latency_ns: sum of the frames' latencies over all threads.
        p50_ns, p90_ns, p99_ns: exact percentiles of the frames' latencies (nearest rank).
        core_busy_ns: by core, time it executed function calls of the run.
        wall_ns: host time that the run took.
        device, clock: what the times come from.
        late_ns: device time that a paced clock lost meanwhile; the other times are not touched.
    """

    model: str
    machine: str
    thread_num: int
    frame_count: int
    core_id: int
    run_time_ns: int
    total_latency_ns: int
    min_ns: int
    max_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    core_busy_ns: tuple[int, ...] = ()
    wall_ns: int = 0
    profile: NodeProfile | None = None
    device: DeviceKind = DeviceKind.UNKNOWN
    clock: Clock = Clock.UNKNOWN
    late_ns: int = 0

    @property
    def average_ns(self) -> float:
        return self.total_latency_ns / self.frame_count

    @property
    def fps(self) -> float:
        return self.frame_count * 1e9 / self.run_time_ns
