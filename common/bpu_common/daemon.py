"""What the host daemon (`bpud`) tells: its boards, its jobs, the telemetry it keeps.

Wall times are nanoseconds since the Unix epoch; ages and spans are measured by a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bpu_common.perf import PerfProgress, PerfRequest, PerfResult

DAEMON_API_VERSION = 1
"""Version of the daemon's service; host tools and daemon come from one package."""

HISTORY_NS = 600_000_000_000
"""The daemon keeps ten minutes of telemetry."""

PRIORITY_MOST = 255
"""Highest priority of a job in a board's queue; 0 is the usual one."""


class LinkState(Enum):
    """The daemon's connection to one board."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class BoardLink:
    """A board and the connection to it.

    Attributes:
        address: where its agent can be dialled from this host; empty unless `state` is UP.
        since_wall_ns: when the state began.
        attempts: that failed in a row.
        error, error_code: of the last failure, kept until the board is up; the code is the one of
            a `BpuError` class.
        retry_in_ns: until the next attempt, while DOWN.
        history_frames, history_bytes: telemetry that is kept, and the memory that it takes.
        history_span_ns: age of the oldest frame.
        connections: made since the daemon started.
    """

    board: str
    state: LinkState
    address: str = ""
    since_wall_ns: int = 0
    attempts: int = 0
    error: str = ""
    error_code: str = ""
    retry_in_ns: int = 0
    history_frames: int = 0
    history_bytes: int = 0
    history_span_ns: int = 0
    connections: int = 0


class JobState(Enum):
    """What became of a job. LOST: the daemon died while it was waiting or running."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_active(self) -> bool:
        return self in {JobState.WAITING, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement, from the queue to its result.

    Attributes:
        priority: in the board's queue, 0..255: larger first, then arrival. It is not the priority
            on the device.
        client: who asked, in words; `detail`: what was asked, in words.
        waits_for: ids of the jobs that come before it, the running one first.
        frames_done, frames_total: while running; the total is 0 when time bounds the run.
    """

    id: int
    board: str
    model: str
    state: JobState
    kind: str = "perf"
    priority: int = 0
    client: str = ""
    detail: str = ""
    created_wall_ns: int = 0
    started_wall_ns: int = 0
    ended_wall_ns: int = 0
    error: str = ""
    error_code: str = ""
    waits_for: tuple[int, ...] = ()
    result: PerfResult | None = None
    frames_done: int = 0
    frames_total: int = 0


JobEvent = Job | PerfProgress | PerfResult
"""The job when its place changes, then reports, then the result."""


@dataclass(frozen=True, slots=True, eq=False)
class PerfJobRequest:
    """A measurement for the queue of a board (by its name in the inventory)."""

    board: str
    request: PerfRequest
    priority: int = 0
    client: str = ""


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The daemon at one instant.

    Attributes:
        run_id: random id of this run of the daemon.
        jobs: the waiting and the running ones.
        watchers: telemetry streams that are open.
        history_bytes: memory that the telemetry of all boards takes, at most
            `history_limit_bytes`.
        inventory_error: why the list of boards could not be read; the last good one is used.
    """

    process_id: int
    version: str
    api_version: int
    run_id: str
    started_wall_ns: int
    socket: str
    boards: tuple[BoardLink, ...] = ()
    jobs: tuple[Job, ...] = ()
    watchers: int = 0
    history_bytes: int = 0
    history_limit_bytes: int = 0
    inventory_error: str = ""


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Which telemetry: of which boards (none: all), how far back, and whether to go on live."""

    boards: tuple[str, ...] = ()
    history_ns: int = 0
    follow: bool = True


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """A telemetry frame of a board, or a change of its connection.

    Attributes:
        age_ns: since the frame reached the daemon.
        frame: an encoded frame (`bpu_common.wire.messages.daemon.frame_from_bytes`), if any.
        dropped: events that this reader was too slow for, since the previous one.
    """

    board: str
    age_ns: int = 0
    frame: bytes = b""
    link: BoardLink | None = None
    dropped: int = 0
