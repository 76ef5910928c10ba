"""The board's event log: what a person watching it wants to read, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice

from bpu_common.telemetry import LogLine
from bpu_common.words import counted

KEPT_LINES = 256
BURST_NS = 1_000_000_000
"""Repetitions of an event within this time of its line are counted, not written."""

_MAX_BURSTS = 256
_INFO, _WARNING, _ERROR = "info", "warning", "error"


class EventLog:
    """The last lines; thread-safe.

    An event that comes often has one line when it begins and then one per second that says how
    often it came again.
    """

    def __init__(self, kept: int = KEPT_LINES) -> None:
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque(maxlen=kept)
        self._written = 0
        self._bursts: dict[tuple[str, str], list[int]] = {}  # [since, times since then]

    def info(self, time_ns: int, text: str) -> None:
        with self._lock:
            self._write(time_ns, _INFO, text)

    def error(self, time_ns: int, text: str) -> None:
        """Something failed; repetitions are counted."""
        self._burst(time_ns, _ERROR, text)

    def warn_often(self, time_ns: int, text: str) -> None:
        self._burst(time_ns, _WARNING, text)

    def info_often(self, time_ns: int, text: str) -> None:
        self._burst(time_ns, _INFO, text)

    def since(self, mark: int, now_ns: int) -> tuple[tuple[LogLine, ...], int]:
        """Lines written after `mark` lines (0: everything kept), and the mark to go on with."""
        with self._lock:
            for key in list(self._bursts):
                self._flush(key, now_ns)
            count = min(max(0, self._written - mark), len(self._lines))
            return tuple(islice(self._lines, len(self._lines) - count, None)), self._written

    def _burst(self, time_ns: int, level: str, text: str) -> None:
        key = (level, text)
        with self._lock:
            burst = self._bursts.get(key)
            if burst is not None and time_ns < burst[0] + BURST_NS:
                burst[1] += 1
                return
            if burst is not None:
                self._flush(key, time_ns)
            if len(self._bursts) >= _MAX_BURSTS:
                self._bursts.clear()
            if key in self._bursts:  # it goes on: this one is the first of the next second
                self._bursts[key][1] += 1
                return
            self._bursts[key] = [time_ns, 0]
            self._write(time_ns, level, text)

    def _flush(self, key: tuple[str, str], now_ns: int) -> None:
        """Write the count of a second that is over; a second without repetitions ends the burst."""
        burst = self._bursts[key]
        if now_ns < burst[0] + BURST_NS:
            return
        if not burst[1]:
            del self._bursts[key]
            return
        self._write(now_ns, key[0], f"{key[1]} ({counted(burst[1], 'more time')})")
        burst[0], burst[1] = now_ns, 0

    def _write(self, time_ns: int, level: str, text: str) -> None:
        self._lines.append(LogLine(time_ns, level, text))
        self._written += 1
