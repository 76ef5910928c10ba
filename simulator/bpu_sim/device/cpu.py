"""The CPU cluster: identical cores, one queue.

A task keeps its core through consecutive CPU operators (a thread that goes on running); tasks that
find no core free wait in order of arrival. Priorities do not matter here, as the operating system
does not know them.
"""

from __future__ import annotations

from collections import deque


class CpuCluster:
    """Which tasks hold a CPU core; a pure state machine like the driver."""

    __slots__ = ("_holders", "_queue", "cores")

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._holders: set[int] = set()
        self._queue: deque[int] = deque()

    def acquire(self, task: int) -> bool:
        """True if `task` has a core now, False if it waits for `release` to name it."""
        if task in self._holders:
            return True
        if len(self._holders) < self.cores:
            self._holders.add(task)
            return True
        self._queue.append(task)
        return False

    def release(self, task: int) -> int | None:
        """`task` gives its core up, if it has one; returns the task that gets it."""
        if task not in self._holders:
            return None
        self._holders.discard(task)
        if not self._queue:
            return None
        heir = self._queue.popleft()
        self._holders.add(heir)
        return heir

    def withdraw(self, task: int) -> bool:
        """Take a waiting `task` out of the queue; False if it does not wait."""
        if task not in self._queue:
            return False
        self._queue.remove(task)
        return True

    def shape(self, first: int) -> object:
        """All that decides what it will answer, tasks counted from `first`; to be compared."""
        return {task - first for task in self._holders}, [task - first for task in self._queue]

    def leap(self, tasks: int) -> None:
        """All numbers of tasks are larger by `tasks`."""
        self._holders = {task + tasks for task in self._holders}
        self._queue = deque(task + tasks for task in self._queue)

    @property
    def busy_count(self) -> int:
        return len(self._holders)

    @property
    def waiting_count(self) -> int:
        return len(self._queue)
