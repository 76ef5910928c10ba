"""Latency percentiles over a moving window, in bounded memory and with bounded error."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

import numpy as np

from bpu_common.telemetry import LatencySample
from bpu_common.tensor import I64

_GROWTH = 1.04
"""A bucket's upper edge over its lower one; its middle is then within 2 % of all its values."""

_SCALE = 1.0 / math.log(_GROWTH)
_MIDDLE = math.sqrt(_GROWTH)


def bucket_of(value_ns: int) -> int:
    """Index of the log bucket of a positive value; 0 for everything below 2 ns."""
    return int(math.log(value_ns) * _SCALE) if value_ns > 1 else 0


def middle_of(bucket: int) -> int:
    """The value that stands for a bucket, within 2 % of every value in it."""
    return round(_GROWTH**bucket * _MIDDLE)


class WindowedHistogram:
    """Values of the last `window_ns`, forgotten in steps of a twentieth of it.

    Not thread-safe: the owner holds a lock.
    """

    __slots__ = ("_current", "_slices", "_width_ns", "_window_ns")

    def __init__(self, window_ns: int, slice_count: int = 20) -> None:
        self._window_ns = window_ns
        self._width_ns = window_ns // slice_count
        self._slices: deque[_Slice] = deque()
        self._current: _Slice | None = None

    def add(self, now_ns: int, value_ns: int) -> None:
        """Count one value at device time `now_ns` (times never go back)."""
        part = self._slice(now_ns)
        bucket = bucket_of(value_ns)
        part.counts[bucket] = part.counts.get(bucket, 0) + 1
        part.max_ns = max(part.max_ns, value_ns)

    def add_all(self, times_ns: I64, values_ns: I64) -> None:
        """As `add` for each, in the order of their times."""
        buckets = (np.log(np.maximum(values_ns, 1)) * _SCALE).astype(np.int64)
        slices = times_ns // self._width_ns
        starts = [0, *(np.flatnonzero(np.diff(slices)) + 1), len(slices)]
        for start, end in pairwise(starts):
            part = self._slice(int(times_ns[start]))
            found, counts = np.unique(buckets[start:end], return_counts=True)
            for bucket, count in zip(found.tolist(), counts.tolist(), strict=True):
                part.counts[bucket] = part.counts.get(bucket, 0) + count
            part.max_ns = max(part.max_ns, int(values_ns[start:end].max()))

    def _slice(self, now_ns: int) -> _Slice:
        """The slice that a time falls in: the newest, or a new one."""
        part = self._current
        if part is None or now_ns >= part.end_ns:
            part = self._current = _Slice((now_ns // self._width_ns + 1) * self._width_ns)
            self._slices.append(part)
            self._forget(now_ns)
        return part

    def sample(self, now_ns: int) -> LatencySample:
        """Percentiles (nearest rank) over the window that ends at `now_ns`."""
        self._forget(now_ns)
        merged: dict[int, int] = {}
        for part in self._slices:
            for bucket, count in part.counts.items():
                merged[bucket] = merged.get(bucket, 0) + count
        total = sum(merged.values())
        if total == 0:
            return LatencySample()
        ordered = sorted(merged.items())
        p50, p90, p99 = (_rank(ordered, math.ceil(total * q / 100)) for q in (50, 90, 99))
        return LatencySample(total, p50, p90, p99, max(part.max_ns for part in self._slices))

    def _forget(self, now_ns: int) -> None:
        oldest = now_ns - self._window_ns
        while self._slices and self._slices[0].end_ns <= oldest:
            self._slices.popleft()


class _Slice:
    """Counts of one stretch of time that ends (exclusively) at `end_ns`."""

    __slots__ = ("counts", "end_ns", "max_ns")

    def __init__(self, end_ns: int) -> None:
        self.end_ns = end_ns
        self.counts: dict[int, int] = {}
        self.max_ns = 0


def _rank(ordered: list[tuple[int, int]], rank: int) -> int:
    """The value at a 1-based rank."""
    seen = 0
    for bucket, count in ordered:
        seen += count
        if seen >= rank:
            return middle_of(bucket)
    raise AssertionError("rank beyond the number of values")
