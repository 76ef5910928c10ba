"""Takes frames from a source on a thread of its own, and comes back when the source was lost."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from bpu_common.errors import BpuError
from bpu_common.telemetry import TelemetryFrame
from bpu_common.telemetry.lines import Recorder
from bpu_host.tui.history import MAX_FRAMES
from bpu_host.tui.source import FrameSource
from bpu_host.tui.state import Link, Replay

_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_WAITING = MAX_FRAMES
"""Frames that wait for the screen at most; a screen that is slower loses the oldest."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The source was found, lost, or has ended; `replay`: what is known of a recording."""

    link: Link
    detail: str = ""
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """Nothing more is written to the recording."""

    reason: str


Item = TelemetryFrame | LinkChange | RecordingStopped


class Feed:
    """`start`, then `take` now and then, `stop` at the end."""

    def __init__(self, source: FrameSource, recorder: Recorder | None = None) -> None:
        self._source = source
        self._recorder = recorder
        self._items: deque[Item] = deque(maxlen=_WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self) -> list[Item]:
        """What has come since the last call, in order."""
        found = []
        while self._items:
            found.append(self._items.popleft())
        return found

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the stream and the recording."""
        self._stopped.set()
        self._source.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._recorder is not None:
            self._recorder.close()

    def _run(self) -> None:
        attempt = 0
        while not self._stopped.is_set():
            seen, error = self._read()
            if self._stopped.is_set():
                return
            if not self._source.lasting:
                self._items.append(LinkChange(Link.ENDED, error))
                return
            attempt = 0 if seen else attempt + 1
            wait_s = _WAITS_S[min(attempt, len(_WAITS_S) - 1)]
            self._items.append(LinkChange(Link.LOST, error or "the board ended the stream"))
            self._stopped.wait(wait_s)

    def _read(self) -> tuple[bool, str]:
        """Pass the frames of one stream on: whether there were any, and why it ended."""
        seen = False
        try:
            for frame in self._source.frames():
                if not seen:
                    replay = self._source.replay
                    link = Link.LIVE if replay is None else Link.REPLAY
                    self._items.append(LinkChange(link, replay=replay))
                    seen = True
                self._items.append(frame)
                self._record(frame)
                if self._stopped.is_set():
                    break
        except BpuError as error:
            return seen, f"{error.where}: {error.message}" if error.where else error.message
        except ValueError as error:  # what a closed channel raises
            return seen, str(error)
        return seen, ""

    def _record(self, frame: TelemetryFrame) -> None:
        recorder = self._recorder
        if recorder is None or recorder.full:
            return
        reason = "the recording has reached its size limit"
        try:
            if recorder.add(frame):
                return
        except BpuError as error:
            reason = error.message
        self._items.append(RecordingStopped(reason))
