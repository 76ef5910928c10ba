"""The BPU driver and its cores: a pure state machine over function calls.

No clock, thread or I/O: every method takes the time and returns what follows from it. Rules:

- A core runs one function call at a time and is never interrupted within it.
- A run (one BPU segment of one frame) keeps its core from call to call, unless a waiting run of a
  preempting level (`MachineSpec.preempting_priorities`) above its own wants the core: then it is
  parked at the boundary.
- Waiting runs are taken by priority (high first), parked before fresh ones of their level, then by
  turn (small first: whose it is among several clients, as the runtime says), then by custom id
  (small first), then by arrival. A run may have any core its control allows; a parked
  one may resume on another, as function calls leave nothing on chip.
- The core with the fewest queued calls is filled first, then the lower index.
- At most `hardware_queue_limit` calls, the running one included, are bound to a core.
- A core that makes no progress is reset: its call is replayed once, then the run has failed. The
  call of a cancelled run is not replayed: its end was only waited for.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple, TypeAlias

from bpu_common.task import TaskControl

MAX_ATTEMPTS = 2
"""How often a function call is started before its run fails."""


class Start(NamedTuple):
    """Core `core` begins call `call`; `resumed` if its run had been parked before this call."""

    core: int
    task: int
    call: int
    resumed: bool
    attempt: int


class Parked(NamedTuple):
    """`task` lost `core` to `other` at a call boundary."""

    core: int
    task: int
    other: int


class Finished(NamedTuple):
    """`task` left the driver: all calls done, or `cancelled`; `core` is -1 if it held none."""

    core: int
    task: int
    cancelled: bool


class Failed(NamedTuple):
    """`task` was dropped, its core having hung `MAX_ATTEMPTS` times in the same call."""

    core: int
    task: int
    call: int


Action: TypeAlias = Start | Parked | Finished | Failed


class _Run:
    """One run; what most runs never change is an attribute of the class."""

    attempt = 1
    cancelled = False
    in_ring = 0
    next_call = 0
    parked_by = -1
    resuming = False
    turn = 0
    waiting = False

    def __init__(self, task: int, calls: int, control: TaskControl, order: int) -> None:
        self.task = task
        self.calls = calls
        self.control = control
        self.order = order


class _Core:
    __slots__ = ("index", "owner", "ring", "since_ns")

    def __init__(self, index: int) -> None:
        self.index = index
        self.ring: deque[tuple[_Run, int]] = deque()
        self.owner: _Run | None = None  # the run whose further calls belong to this core
        self.since_ns = 0


_made = tuple.__new__  # a named tuple from its fields, without a call of Python
_Key: TypeAlias = tuple[int, int, int, int, int]


class Driver:
    """Queues of waiting runs and the rings of `cores` cores."""

    def __init__(self, cores: int, queue_limit: int, preempting: tuple[int, ...]) -> None:
        self._cores = tuple(_Core(i) for i in range(cores))
        self._limit = max(1, queue_limit)
        self._preempting = frozenset(preempting)
        self._waiting: tuple[list[tuple[_Key, _Run]], ...] = tuple([] for _ in range(cores + 1))
        self._runs: dict[int, _Run] = {}
        self._order = 0
        self._has_parked = False

    def submit(
        self, task: int, calls: int, control: TaskControl, now_ns: int, turn: int = 0
    ) -> list[Action]:
        """A new run of `calls` function calls (at least one). `task` must not be in the driver."""
        self._order += 1
        self._runs[task] = run = _Run(task, calls, control, self._order)
        if turn:
            run.turn = turn
        self._enqueue(run)
        actions: list[Action] = []
        for place in self._cores:
            if len(place.ring) < self._limit:
                self._fill(actions, now_ns)
                break
        return actions

    def call_done(self, core: int, now_ns: int) -> list[Action]:
        """The running call of `core` is complete."""
        place = self._cores[core]
        run, _ = place.ring.popleft()
        run.in_ring -= 1
        if run.attempt > 1:
            run.attempt = 1
        actions: list[Action] = []
        if not run.in_ring:
            if run.cancelled or run.next_call == run.calls:
                self._leave(place, run)
                actions.append(_made(Finished, (core, run.task, run.cancelled)))
            elif run.parked_by >= 0:
                self._park(place, run, run.parked_by, actions)
        if place.ring:
            self._start_head(place, actions, now_ns)
        self._fill(actions, now_ns)
        return actions

    def cancel(self, task: int, now_ns: int) -> list[Action]:
        """Drop what has not started; calls already bound to a core complete first."""
        run = self._runs.get(task)
        if run is None or run.cancelled:
            return []
        run.cancelled = True
        if run.waiting:
            run.waiting = False
            del self._runs[task]
            return [Finished(-1, task, True)]
        for place in self._cores:
            if place.owner is run:
                place.owner = None
        actions: list[Action] = []
        self._fill(actions, now_ns)
        return actions

    def hung(self, core: int, now_ns: int) -> list[Action]:
        """The watchdog found no end of the call on `core`: replay it, or give its run up."""
        place = self._cores[core]
        run, call = place.ring[0]
        actions: list[Action] = []
        if run.attempt < MAX_ATTEMPTS and not run.cancelled:
            run.attempt += 1
            self._start_head(place, actions, now_ns)
            return actions
        place.ring = deque(entry for entry in place.ring if entry[0] is not run)
        self._leave(place, run)
        left = Finished(core, run.task, True) if run.cancelled else Failed(core, run.task, call)
        actions.append(left)
        if place.ring:
            self._start_head(place, actions, now_ns)
        self._fill(actions, now_ns)
        return actions

    def running(self, core: int) -> tuple[int, int] | None:
        """(task, call) that `core` executes, None if it is idle."""
        ring = self._cores[core].ring
        return (ring[0][0].task, ring[0][1]) if ring else None

    def running_since_ns(self, core: int) -> int:
        """When the call that `core` executes was started."""
        return self._cores[core].since_ns

    @property
    def waiting_count(self) -> int:
        """Runs in the driver that hold no core."""
        return sum(run.waiting for run in self._runs.values())

    def waiting_tasks(self, core: int) -> tuple[int, ...]:
        """Tasks that `core` may take now, in the order in which it would."""
        heaps = (self._waiting[core], self._waiting[-1])
        entries = sorted(entry for heap in heaps for entry in heap if entry[1].waiting)
        return tuple(run.task for _, run in entries)

    def shape(self, first: int) -> object:
        """All that decides what it will do, tasks counted from `first`; to be compared."""
        waiting = [
            [run.task - first for _, run in sorted(heap) if run.waiting] for heap in self._waiting
        ]
        rings = [[(run.task - first, call) for run, call in core.ring] for core in self._cores]
        owners = [c.owner.task - first if c.owner is not None else None for c in self._cores]
        runs = [
            (
                run.task - first, run.calls, run.control, run.attempt, run.cancelled, run.in_ring,
                run.next_call, first - run.parked_by if run.parked_by >= 0 else None, run.resuming,
                run.turn,
            )
            for run in self._runs.values()
        ]  # fmt: skip
        return waiting, rings, owners, runs

    def leap(self, time_ns: int, tasks: int) -> None:
        """All times are later by `time_ns`, and all numbers of tasks larger by `tasks`."""
        for core in self._cores:
            core.since_ns += time_ns
        for run in self._runs.values():
            run.task += tasks
            if run.parked_by >= 0:
                run.parked_by += tasks
        self._runs = {run.task: run for run in self._runs.values()}

    # -- inside -------------------------------------------------------------------------------

    def _enqueue(self, run: _Run) -> None:
        run.waiting = True
        control = run.control
        fresh = 0 if run.resuming else 1
        key = (-control.priority, fresh, run.turn, control.custom_id, run.order)
        heapq.heappush(self._waiting[control.core_id - 1], (key, run))  # index -1: any core

    def _best(self, core: int) -> list[tuple[_Key, _Run]] | None:
        """The heap whose head `core` would take next, None if nothing waits for it."""
        best: list[tuple[_Key, _Run]] | None = None
        for heap in (self._waiting[core], self._waiting[-1]):
            if not heap:
                continue
            while heap and not heap[0][1].waiting:
                heapq.heappop(heap)
            if heap and (best is None or heap[0][0] < best[0][0]):
                best = heap
        return best

    def _fill(self, actions: list[Action], now_ns: int) -> None:
        """Bind calls to cores until no core has room and work."""
        if self._limit == 1:
            # A second pass only after parking: an idle core passed over may take the parked run.
            self._has_parked = True
            while self._has_parked:
                self._has_parked = False
                for place in self._cores:
                    if not place.ring:
                        self._feed(place, actions, now_ns)
            return
        while True:
            room = [c for c in self._cores if len(c.ring) < self._limit]
            room.sort(key=lambda c: len(c.ring))
            if not any(self._feed(place, actions, now_ns) for place in room):
                return

    def _feed(self, place: _Core, actions: list[Action], now_ns: int) -> bool:
        """Bind the next call to a core; False if there is none for it."""
        heap = self._best(place.index)
        run = place.owner
        if run is not None and heap is not None:
            other, level = heap[0][1], heap[0][1].control.priority
            if level in self._preempting and level > run.control.priority:
                place.owner = None
                if run.in_ring:
                    run.parked_by = other.task
                else:
                    self._park(place, run, other.task, actions)
                run = None
        if run is None:
            if heap is None:
                return False
            run = heapq.heappop(heap)[1]
            run.waiting = False
            place.owner = run
        place.ring.append((run, run.next_call))
        run.next_call += 1
        run.in_ring += 1
        if run.next_call == run.calls:
            place.owner = None
        if len(place.ring) == 1:
            self._start_head(place, actions, now_ns)
        return True

    def _start_head(self, place: _Core, actions: list[Action], now_ns: int) -> None:
        run, call = place.ring[0]
        place.since_ns = now_ns
        fields = (place.index, run.task, call, run.resuming, run.attempt)
        actions.append(_made(Start, fields))
        run.resuming = False

    def _park(self, place: _Core, run: _Run, other: int, actions: list[Action]) -> None:
        run.parked_by = -1
        run.resuming = True
        self._has_parked = True
        self._enqueue(run)
        actions.append(Parked(place.index, run.task, other))

    def _leave(self, place: _Core, run: _Run) -> None:
        if place.owner is run:
            place.owner = None
        del self._runs[run.task]
