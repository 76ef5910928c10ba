"""When a computation has to end: at a moment, or as soon as somebody says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpu_common.errors import Cancelled, DeadlineExceeded

_LOOK_S = 0.05


class Stop:
    """Given to one computation; any thread may end it.

    Args:
        timeout_s: wall time from now on that it may take; None: as long as it needs.
        what: it is, as errors call it.
        event: ends it as `now` does, as soon as it is looked at.
    """

    def __init__(
        self,
        timeout_s: float | None = None,
        what: str = "the computation",
        event: threading.Event | None = None,
    ) -> None:
        self._what = what
        self._timeout_s = timeout_s
        self._ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._lock = threading.Lock()
        self._wanted = event or threading.Event()
        self._end: Callable[[], None] | None = None

    def now(self) -> None:
        """End it."""
        with self._lock:
            self._wanted.set()
            if self._end is not None:
                self._end()

    def left_s(self) -> float | None:
        """Wall time that is left, at least 0; None: no end is set."""
        return None if self._ends_s is None else max(0.0, self._ends_s - time.monotonic())

    def check(self) -> None:
        """Go on unless it has to end.

        Raises:
            Cancelled: somebody said so.
            DeadlineExceeded: its time is over.
        """
        if self._wanted.is_set():
            raise Cancelled(f"{self._what} was cancelled")
        if self.left_s() == 0:
            raise DeadlineExceeded(
                f"{self._what} gave no result within {self._timeout_s:g} s",
                hint="allow more time",
            )

    @contextmanager
    def holding(self, lock: threading.Lock | threading.Semaphore) -> Iterator[None]:
        """Have a lock, or a place of several, waited for no longer than this goes on.

        Raises:
            Cancelled, DeadlineExceeded: as `check`, while another one had it.
        """
        while not lock.acquire(timeout=_LOOK_S):
            self.check()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def calling(self, end: Callable[[], None]) -> Iterator[None]:
        """While this is open, `now` calls `end` (with a lock held: it must be short)."""
        with self._lock:
            self._end = end
            if self._wanted.is_set():
                end()
        try:
            yield
        finally:
            with self._lock:
                self._end = None
