"""The runtime's queue: which frames go to the device next.

A pure state machine: no clock, no thread, no I/O. At most `running` frames are on the device, at
most `alive` are accepted and neither ended nor taken (8 and 32 on X3). What waits is ordered by
priority (larger first), then `custom_id` (smaller first), then arrival. A waiting frame whose
deadline passes is dropped; a frame on the device is never dropped here. One that is done and has
outputs counts among the alive until its result is taken: computing and fetching it takes time too,
and callers feel it here and nowhere else.
"""

from __future__ import annotations

import enum
from bisect import insort
from collections.abc import Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

from bpu_common.errors import CapacityError
from bpu_common.task import TaskControl

RUNNING_LIMIT = 8
"""Frames on the device at once; those beyond it wait (docs/board.md "Limits and order")."""

ALIVE_LIMIT = 32
"""Frames accepted and not given back (docs/board.md "Limits and order")."""

_F = TypeVar("_F", bound=Hashable)
_Key: TypeAlias = tuple[int, int, int]  # (-priority, custom_id, arrival)


class ActionKind(enum.Enum):
    """What the owner of the queue has to do for a frame."""

    START = "start"  # hand it to the device
    STOP = "stop"  # it is on the device: ask the device to cancel it
    EXPIRE = "expire"  # it was waiting and is dropped: its deadline passed
    CANCEL = "cancel"  # it was waiting and is dropped: its caller took it back


Actions: TypeAlias = Sequence[tuple[ActionKind, _F]]


class RuntimeQueue(Generic[_F]):
    """State machine over frames, whatever its owner takes for one (they are told apart by hash).

    Methods that take the device time return the actions that follow, in order.
    """

    __slots__ = (
        "_arrivals",
        "_frames",
        "_keys",
        "_running",
        "_untaken",
        "_waiting",
        "alive_limit",
        "running_limit",
    )

    def __init__(self, running_limit: int = RUNNING_LIMIT, alive_limit: int = ALIVE_LIMIT) -> None:
        self.running_limit = running_limit
        self.alive_limit = alive_limit
        self._running: set[_F] = set()
        self._untaken: set[_F] = set()
        self._waiting: list[_Key] = []
        self._frames: dict[_Key, _F] = {}
        self._keys: dict[_F, tuple[_Key, int | None]] = {}
        self._arrivals = 0

    @property
    def running(self) -> int:
        """Frames on the device."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Frames accepted and not yet on the device."""
        return len(self._waiting)

    @property
    def untaken(self) -> int:
        """Frames that are done and whose result nobody has taken."""
        return len(self._untaken)

    @property
    def alive(self) -> int:
        return len(self._running) + len(self._waiting) + len(self._untaken)

    def submit(self, frame: _F, control: TaskControl, now_ns: int) -> Actions[_F]:
        """Accept a frame.

        Raises:
            CapacityError: the queue is full even after dropping what has expired; nothing changed.
        """
        running, waiting, deadline_ns = self._running, self._waiting, control.deadline_ns
        room = len(running) + len(waiting) + len(self._untaken) < self.alive_limit
        if room and deadline_ns is None and not waiting and len(running) < self.running_limit:
            running.add(frame)  # the usual case
            return ((ActionKind.START, frame),)
        expired: list[tuple[ActionKind, _F]] = []
        if not room:
            if not any(self._is_late(each, now_ns) for each in self._keys):
                raise self._full()
            expired = self._drop_expired(now_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            return [*expired, (ActionKind.EXPIRE, frame)]
        key = (-control.priority, control.custom_id, self._arrivals)
        self._arrivals += 1
        insort(waiting, key)
        self._frames[key] = frame
        self._keys[frame] = (key, deadline_ns)
        return [*expired, *self._fill(now_ns)]

    def finished(self, frame: _F, now_ns: int, has_result: bool = False) -> Actions[_F]:
        """A frame has ended, on the device or with it (waiting). Unknown frames are ignored.

        Args:
            has_result: it stays alive until `taken`.
        """
        if frame not in self._running:
            if frame in self._keys:
                self._remove(frame)
            return ()
        self._running.remove(frame)
        if has_result:
            self._untaken.add(frame)
        return self._fill(now_ns) if self._waiting else ()

    def taken(self, frame: _F) -> None:
        """The result of a finished frame was taken, or will not be. Others are ignored."""
        self._untaken.discard(frame)

    def cancel(self, frame: _F, now_ns: int) -> Actions[_F]:
        """The caller takes a frame back. Finished or unknown frames are ignored.

        A frame on the device stays counted as running until `finished`.
        """
        if frame in self._running:
            return ((ActionKind.STOP, frame),)
        if frame not in self._keys:
            return ()
        self._remove(frame)
        return [(ActionKind.CANCEL, frame), *self._fill(now_ns)]

    def expire(self, now_ns: int) -> Actions[_F]:
        """Drop the waiting frames whose deadline is not after `now_ns`."""
        return self._drop_expired(now_ns)

    def _fill(self, now_ns: int) -> list[tuple[ActionKind, _F]]:
        actions = self._drop_expired(now_ns)
        while self._waiting and len(self._running) < self.running_limit:
            frame = self._frames[self._waiting[0]]
            self._remove(frame)
            self._running.add(frame)
            actions.append((ActionKind.START, frame))
        return actions

    def _is_late(self, frame: _F, now_ns: int) -> bool:
        deadline_ns = self._keys[frame][1]
        return deadline_ns is not None and deadline_ns <= now_ns

    def _drop_expired(self, now_ns: int) -> list[tuple[ActionKind, _F]]:
        waiting = [self._frames[key] for key in self._waiting]
        late = [frame for frame in waiting if self._is_late(frame, now_ns)]
        for frame in late:
            self._remove(frame)
        return [(ActionKind.EXPIRE, frame) for frame in late]

    def _remove(self, frame: _F) -> None:
        key, _ = self._keys.pop(frame)
        del self._frames[key]
        self._waiting.remove(key)

    def _full(self) -> CapacityError:
        return CapacityError(
            f"{self.alive_limit} tasks are alive already, no more are accepted "
            "(HB_DNN_TASK_NUM_EXCEED_LIMIT)",
            hint="take the result of a task before submitting the next, or use fewer threads",
        )
