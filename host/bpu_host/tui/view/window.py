"""Parts of a stream of frames: this boot, the last seconds; and whether the clock stands still."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from bpu_common.telemetry import CallSlice, TelemetryFrame

RATE_WINDOW_NS = 2_000_000_000
"""Rates (frames and calls a second) are means over so much device time."""

SERIES_NS = 60_000_000_000
"""Lines over time go back so far."""

STOPPED_NS = 1_000_000_000
"""A device whose time has not moved for so long of wall time stands still."""


def clock(wall_ns: int, zone: tzinfo) -> str:
    """A wall time as HH:MM:SS.mmm."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, zone)
    return f"{moment:%H:%M:%S}.{rest_ns // 1_000_000:03d}"


def wall_ns(frame: TelemetryFrame) -> int:
    """When a frame was made, nanoseconds since the Unix epoch."""
    return frame.time_ns + frame.wall_offset_ns


def same_boot(frames: Sequence[TelemetryFrame]) -> Sequence[TelemetryFrame]:
    """The frames since the last restart: counters and times of others mean nothing here."""
    if frames and frames[0].boot_id == frames[-1].boot_id:
        return frames
    start = len(frames)
    while start and frames[start - 1].boot_id == frames[-1].boot_id:
        start -= 1
    return frames[start:]


def since(frames: Sequence[TelemetryFrame], time_ns: int) -> Sequence[TelemetryFrame]:
    """The frames from device time `time_ns` on."""
    return frames[bisect_left(frames, time_ns, key=lambda frame: frame.time_ns) :]


def stands_still(frames: Sequence[TelemetryFrame]) -> bool:
    """Wall time has passed and device time has not: a virtual clock between tasks."""
    last = frames[-1]
    for frame in reversed(frames):
        if frame.time_ns != last.time_ns:
            return False
        if wall_ns(last) - wall_ns(frame) >= STOPPED_NS:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Window:
    """The last minute of a board, of one boot.

    Attributes:
        frames: at most a minute of device time and of wall time; never empty.
        before: the first frame of the time that rates are taken over.
        elapsed_s: that time; 0 when no rate can be told.
        stopped: the device's clock stands still, so nothing happens.
        late: its clock is paced and has lost time meanwhile: its computer is too slow.
    """

    frames: Sequence[TelemetryFrame]
    before: TelemetryFrame
    elapsed_s: float
    stopped: bool
    late: bool

    @classmethod
    def of(cls, boot: Sequence[TelemetryFrame]) -> Window:
        """The end of a boot's frames, which must not be empty."""
        last = boot[-1]
        recent = since(boot, last.time_ns - SERIES_NS)
        oldest_ns = wall_ns(last) - SERIES_NS
        recent = recent[bisect_left(recent, oldest_ns, key=wall_ns) :]
        before = since(recent, last.time_ns - RATE_WINDOW_NS)[0]
        stopped = stands_still(recent)
        elapsed_s = 0.0 if stopped else (last.time_ns - before.time_ns) / 1e9
        return cls(recent, before, elapsed_s, stopped, last.late_ns > before.late_ns)

    @property
    def last(self) -> TelemetryFrame:
        return self.frames[-1]

    def rate(self, now: float, before: float) -> float:
        """A counter's growth a second."""
        return (now - before) / self.elapsed_s if self.elapsed_s > 0 else 0.0


def calls_of(frames: Iterable[TelemetryFrame]) -> list[CallSlice]:
    """Every function call once, as the last frame that tells of it does; by start."""
    found: dict[tuple[int, int], CallSlice] = {}
    for frame in frames:
        for call in frame.slices:
            found[call.core, call.start_ns] = call
    return sorted(found.values(), key=lambda call: (call.start_ns, call.core))
