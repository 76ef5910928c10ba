"""The frames of the last minutes, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from bpu_common.telemetry import TelemetryFrame

MAX_FRAMES = 6000
"""Ten minutes at ten frames a second."""

MAX_SLICES = 150_000
"""Function calls kept; older frames lose theirs first (about 40 MB)."""


class History:
    """Frames in order of arrival. Positions count all frames ever added, so they stay valid."""

    def __init__(self, max_frames: int = MAX_FRAMES, max_slices: int = MAX_SLICES) -> None:
        self._max_frames = max_frames
        self._max_slices = max_slices
        self._frames: deque[TelemetryFrame] = deque()
        self._first = 0
        self._whole = 0  # position of the oldest frame that may still have its slices
        self._slices = 0

    @property
    def first(self) -> int:
        """Position of the oldest frame."""
        return self._first

    @property
    def end(self) -> int:
        """Position after the newest frame."""
        return self._first + len(self._frames)

    @property
    def newest(self) -> TelemetryFrame | None:
        return self._frames[-1] if self._frames else None

    def add(self, frame: TelemetryFrame) -> None:
        """Append the newest frame."""
        self._frames.append(frame)
        self._slices += len(frame.slices)
        while self._slices > self._max_slices and self._whole < self.end - 1:
            self._strip()
        while len(self._frames) > self._max_frames:
            if self._whole == self._first:
                self._strip()
            self._frames.popleft()
            self._first += 1

    def until(self, end: int) -> tuple[TelemetryFrame, ...]:
        """The frames before position `end`."""
        count = max(0, min(end, self.end) - self._first)
        return tuple(self._frames)[:count]

    def _strip(self) -> None:
        """Take the slices from the oldest frame that has any."""
        index = self._whole - self._first
        frame = self._frames[index]
        self._slices -= len(frame.slices)
        if frame.slices:
            self._frames[index] = replace(frame, slices=())
        self._whole += 1
