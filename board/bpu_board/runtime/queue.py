"""The runtime's queue: which frames go to the device next, and who may have how many.

A pure state machine: no clock, no thread, no I/O. Each client may have `running` frames on the
device and `alive` ones that are accepted and neither ended nor taken (8 and 32 on X3), or fewer
where clients share (`bpu_common.shares`): there are twice as many places in all.

What waits is ordered by priority (larger first), then by whose turn it is, then, among the frames
of one client, `custom_id` (smaller first) and arrival. Turns are those of start-time fair queueing
(Goyal, Vin and Cheng 1996): each frame that is started moves its client's turn on by what it costs,
and a client that comes back goes on where the frames on the device are. The turn of a frame goes
with it to the device. A client that is alone stays at its turn, so its own order is all there is.

A waiting frame whose deadline passes is dropped; a frame on the device is never dropped here. One
that is done and has outputs counts among the alive until its result is taken: computing and
fetching it takes time too, and callers feel it here and nowhere else.
"""

from __future__ import annotations

import enum
from bisect import insort
from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from bpu_common.errors import CapacityError
from bpu_common.shares import OWN, may_take, places_for
from bpu_common.task import TaskControl

RUNNING_LIMIT = 8
"""Frames of a client on the device at once; those beyond it wait (docs/board.md "Limits")."""

ALIVE_LIMIT = 32
"""Frames of a client accepted and not given back (docs/board.md "Limits and order")."""

ALIVE_TOTAL = places_for(ALIVE_LIMIT)
"""Those of all clients."""

_REMEMBERED_NS = 10_000_000_000
"""For so long after its last frame a client's turn is known, and others count their turns."""
_REMEMBERED = 64

_F = TypeVar("_F", bound=Hashable)
_Key: TypeAlias = tuple[int, int, int]  # (-priority, custom_id, arrival)


class ActionKind(enum.Enum):
    """What the owner of the queue has to do for a frame."""

    START = "start"  # hand it to the device, with its `turn`
    STOP = "stop"  # it is on the device: ask the device to cancel it
    EXPIRE = "expire"  # it was waiting and is dropped: its deadline passed
    CANCEL = "cancel"  # it was waiting and is dropped: its caller took it back


Actions: TypeAlias = Sequence[tuple[ActionKind, _F]]


class _Client:
    """What one client has here; `waiting` holds the keys of its frames in their order."""

    __slots__ = ("alive", "idle_since_ns", "name", "running", "turn", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = self.running = self.turn = self.idle_since_ns = 0
        self.waiting: list[_Key] = []


class _Waiting(NamedTuple):
    client: _Client
    key: _Key
    deadline_ns: int | None
    cost_ns: int


class RuntimeQueue(Generic[_F]):
    """State machine over frames, whatever its owner takes for one (they are told apart by hash).

    Methods that take the device time return the actions that follow, in order.
    """

    __slots__ = (
        "_alive", "_alive_places", "_arrivals", "_clients", "_frames", "_idle", "_keys", "_now_ns",
        "_running", "_running_places", "_served", "_untaken", "alive_limit", "running_limit",
    )  # fmt: skip

    def __init__(self, running_limit: int = RUNNING_LIMIT, alive_limit: int = ALIVE_LIMIT) -> None:
        self.running_limit = running_limit
        self.alive_limit = alive_limit
        self._running_places, self._alive_places = map(places_for, (running_limit, alive_limit))
        self._clients: dict[str, _Client] = {}
        self._idle: dict[str, _Client] = {}  # those without a frame, the longest idle first
        self._running: dict[_F, tuple[_Client, int]] = {}
        self._untaken: dict[_F, _Client] = {}
        self._frames: dict[_Key, _F] = {}
        self._keys: dict[_F, _Waiting] = {}
        self._alive = self._arrivals = self._now_ns = 0
        self._served = 0  # the last turn of those that left the device

    @property
    def running(self) -> int:
        """Frames on the device."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Frames accepted and not yet on the device."""
        return len(self._keys)

    @property
    def untaken(self) -> int:
        """Frames that are done and whose result nobody has taken."""
        return len(self._untaken)

    @property
    def alive(self) -> int:
        return self._alive

    @property
    def limits(self) -> tuple[int, int]:
        """How many may be on the device and alive: of one client alone, or of all together."""
        if len(self._clients) > 1:
            return self._running_places, self._alive_places
        return self.running_limit, self.alive_limit

    def turn(self, frame: _F) -> int:
        """The turn of a frame on the device, smaller first."""
        return self._running[frame][1]

    def submit(
        self, frame: _F, control: TaskControl, now_ns: int, client: str = OWN, cost_ns: int = 1
    ) -> Actions[_F]:
        """Accept a frame.

        Args:
            cost_ns: how long it occupies the device, as far as that is known.

        Raises:
            CapacityError: its client has as many as it may have, even after dropping what has
                expired; nothing changed.
        """
        self._now_ns = now_ns
        owner, deadline_ns = self._clients.get(client), control.deadline_ns
        if owner is None:
            owner = self._welcome(client)
        expired: list[tuple[ActionKind, _F]] = []
        if owner.alive >= self._alive_places - self._alive:  # `may_take`, without a call
            self._check_room(owner, now_ns)
            expired = self._drop_expired(now_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            return [*expired, (ActionKind.EXPIRE, frame)]
        if not owner.alive:
            self._idle.pop(client, None)
        self._alive += 1
        owner.alive += 1
        free = self._running_places - len(self._running)
        if owner.running < free and deadline_ns is None and not owner.waiting and not expired:
            self._start(frame, owner, cost_ns)  # the usual case: what waits has no room there
            return ((ActionKind.START, frame),)
        key = (-control.priority, control.custom_id, self._arrivals)
        self._arrivals += 1
        insort(owner.waiting, key)
        self._frames[key] = frame
        self._keys[frame] = _Waiting(owner, key, deadline_ns, cost_ns)
        return [*expired, *self._fill(now_ns)]

    def finished(self, frame: _F, now_ns: int, has_result: bool = False) -> Actions[_F]:
        """A frame has ended, on the device or with it (waiting). Unknown frames are ignored.

        Args:
            has_result: it stays alive until `taken`.
        """
        self._now_ns = now_ns
        found = self._running.pop(frame, None)
        if found is None:
            if frame in self._keys:
                self._remove(frame)
            return ()
        owner, turn = found
        owner.running -= 1
        if turn > self._served:
            self._served = turn
        if has_result:
            self._untaken[frame] = owner
        else:
            self._left(owner)
        return self._fill(now_ns) if self._keys else ()

    def taken(self, frame: _F) -> None:
        """The result of a finished frame was taken, or will not be. Others are ignored."""
        owner = self._untaken.pop(frame, None)
        if owner is not None:
            self._left(owner)

    def cancel(self, frame: _F, now_ns: int) -> Actions[_F]:
        """The caller takes a frame back. Finished or unknown frames are ignored.

        A frame on the device stays counted as running until `finished`.
        """
        self._now_ns = now_ns
        if frame in self._running:
            return ((ActionKind.STOP, frame),)
        if frame not in self._keys:
            return ()
        self._remove(frame)
        return [(ActionKind.CANCEL, frame), *self._fill(now_ns)]

    def expire(self, now_ns: int) -> Actions[_F]:
        """Drop the waiting frames whose deadline is not after `now_ns`."""
        return self._drop_expired(now_ns)

    # -- clients ------------------------------------------------------------------------------

    def _welcome(self, name: str) -> _Client:
        """A client that is new, or was forgotten."""
        client = _Client(name)
        client.turn = self._earliest() if self._clients else self._served
        client.idle_since_ns = self._now_ns
        self._clients[name] = self._idle[name] = client
        self._forget()
        return client

    def _left(self, owner: _Client) -> None:
        """A frame of a client is alive no more."""
        self._alive -= 1
        owner.alive -= 1
        if not owner.alive:
            owner.idle_since_ns = self._now_ns
            self._idle[owner.name] = owner

    def _forget(self) -> None:
        """Forget those that have been idle for long, or are too many; never the only one."""
        while len(self._clients) > 1 and self._idle:
            first = next(iter(self._idle.values()))
            if (
                first.idle_since_ns + _REMEMBERED_NS > self._now_ns
                and len(self._clients) <= _REMEMBERED
            ):
                return
            del self._idle[first.name], self._clients[first.name]

    def _check_room(self, owner: _Client, now_ns: int) -> None:
        """Raise unless dropping what has expired makes room for one more of `owner`."""
        late = [each for each in self._keys.values() if _is_late(each, now_ns)]
        held = owner.alive - sum(each.client is owner for each in late)
        if late and may_take(held, self._alive_places - self._alive + len(late)):
            return
        raise CapacityError(
            f"{owner.alive} tasks are alive already, no more are accepted "
            "(HB_DNN_TASK_NUM_EXCEED_LIMIT)",
            hint="take the result of a task before submitting the next, or use fewer threads",
        )

    # -- turns --------------------------------------------------------------------------------

    def _turn_of(self, owner: _Client) -> int:
        """The turn of the next frame of a client; nobody saves up turns while away."""
        if owner.running or len(self._clients) == 1:
            return owner.turn
        return max(owner.turn, self._earliest())

    def _earliest(self) -> int:
        """The turn before all that are on the device."""
        return min((turn for _, turn in self._running.values()), default=self._served) - 1

    def _start(self, frame: _F, owner: _Client, cost_ns: int) -> None:
        turn = owner.turn
        if len(self._clients) > 1:
            turn = self._turn_of(owner)
            owner.turn = turn + cost_ns
            self._forget()
        owner.running += 1
        self._running[frame] = owner, turn

    def _next(self) -> _Waiting | None:
        """What is started next, None if nothing waits that has room on the device."""
        free = self._running_places - len(self._running)
        best: tuple[int, int, int, int] | None = None
        for owner in self._clients.values():
            if owner.waiting and may_take(owner.running, free):
                priority, custom_id, arrival = owner.waiting[0]
                rank = (priority, self._turn_of(owner), custom_id, arrival)
                if best is None or rank < best:
                    best = rank
        if best is None:
            return None
        return self._keys[self._frames[best[0], best[2], best[3]]]

    def _fill(self, now_ns: int) -> list[tuple[ActionKind, _F]]:
        actions = self._drop_expired(now_ns)
        while (chosen := self._next()) is not None:
            frame = self._frames[chosen.key]
            self._dequeue(frame)
            self._start(frame, chosen.client, chosen.cost_ns)
            actions.append((ActionKind.START, frame))
        return actions

    # -- what waits ---------------------------------------------------------------------------

    def _drop_expired(self, now_ns: int) -> list[tuple[ActionKind, _F]]:
        late = sorted(
            (each.key, frame) for frame, each in self._keys.items() if _is_late(each, now_ns)
        )
        for _, frame in late:
            self._remove(frame)
        return [(ActionKind.EXPIRE, frame) for _, frame in late]

    def _remove(self, frame: _F) -> None:
        """A waiting frame is alive no more."""
        self._left(self._dequeue(frame))

    def _dequeue(self, frame: _F) -> _Client:
        owner, key, _, _ = self._keys.pop(frame)
        del self._frames[key]
        owner.waiting.remove(key)
        return owner


def _is_late(waiting: _Waiting, now_ns: int) -> bool:
    return waiting.deadline_ns is not None and waiting.deadline_ns <= now_ns
