"""The BPU driver and its cores: a pure state machine over function calls.

No clock, thread or I/O: every method takes the time and returns what follows from it. Rules:

- A core runs one function call at a time and is never interrupted within it.
- A job (one BPU segment of one frame) keeps its core from call to call, unless a waiting job of a
  preempting level (`MachineSpec.preempting_priorities`) above its own wants the core: then it is
  parked at the boundary.
- Waiting jobs are taken by priority (high first), parked before fresh ones of their level, then by
  custom id (small first), then by arrival. A job may run on any core its control allows; a parked
  job may resume on another one, as function calls leave nothing on chip.
- The core with the fewest queued calls is filled first, then the lower index.
- At most `hardware_queue_limit` calls, the running one included, are bound to a core.
- A core that makes no progress is reset: its call is replayed once, then the job has failed.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple, TypeAlias

from bpu_common.task import TaskControl

MAX_ATTEMPTS = 2
"""How often a function call is started before its job fails."""


class Start(NamedTuple):
    """Core `core` begins call `call`; `resumed` if its job had been parked before this call."""

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


class _Job:
    __slots__ = (
        "attempt",
        "calls",
        "cancelled",
        "core",
        "custom_id",
        "in_ring",
        "next_call",
        "order",
        "parked_by",
        "priority",
        "resuming",
        "task",
        "waiting",
    )

    def __init__(self, task: int, calls: int, control: TaskControl, order: int) -> None:
        self.task = task
        self.calls = calls
        self.core = control.core_id - 1  # -1: any
        self.priority = control.priority
        self.custom_id = control.custom_id
        self.order = order
        self.next_call = 0
        self.in_ring = 0
        self.attempt = 1
        self.waiting = False
        self.resuming = False
        self.cancelled = False
        self.parked_by = -1


class _Core:
    __slots__ = ("index", "owner", "ring", "since_ns")

    def __init__(self, index: int) -> None:
        self.index = index
        self.ring: deque[tuple[_Job, int]] = deque()
        self.owner: _Job | None = None  # the job whose further calls belong to this core
        self.since_ns = 0


_Key: TypeAlias = tuple[int, int, int, int]


class Driver:
    """Queues of waiting jobs and the rings of `cores` cores."""

    def __init__(self, cores: int, queue_limit: int, preempting: tuple[int, ...]) -> None:
        self._cores = tuple(_Core(i) for i in range(cores))
        self._limit = max(1, queue_limit)
        self._preempting = frozenset(preempting)
        self._waiting: tuple[list[tuple[_Key, _Job]], ...] = tuple([] for _ in range(cores + 1))
        self._jobs: dict[int, _Job] = {}
        self._order = 0
        self._has_parked = False

    def submit(self, task: int, calls: int, control: TaskControl, now_ns: int) -> list[Action]:
        """A new job of `calls` function calls (at least one). `task` must not be in the driver."""
        self._order += 1
        job = _Job(task, calls, control, self._order)
        self._jobs[task] = job
        self._enqueue(job)
        actions: list[Action] = []
        self._fill(actions, now_ns)
        return actions

    def call_done(self, core: int, now_ns: int) -> list[Action]:
        """The running call of `core` is complete."""
        place = self._cores[core]
        job, _ = place.ring.popleft()
        job.in_ring -= 1
        job.attempt = 1
        actions: list[Action] = []
        if not job.in_ring:
            if job.cancelled or job.next_call == job.calls:
                self._leave(place, job)
                actions.append(Finished(core, job.task, job.cancelled))
            elif job.parked_by >= 0:
                self._park(place, job, job.parked_by, actions)
        if place.ring:
            self._start_head(place, actions, now_ns)
        self._fill(actions, now_ns)
        return actions

    def cancel(self, task: int, now_ns: int) -> list[Action]:
        """Drop what has not started; calls already bound to a core complete first."""
        job = self._jobs.get(task)
        if job is None or job.cancelled:
            return []
        job.cancelled = True
        if job.waiting:
            job.waiting = False
            del self._jobs[task]
            return [Finished(-1, task, True)]
        for place in self._cores:
            if place.owner is job:
                place.owner = None
        actions: list[Action] = []
        self._fill(actions, now_ns)
        return actions

    def hung(self, core: int, now_ns: int) -> list[Action]:
        """The watchdog found no progress on `core`: replay its call, or give its job up."""
        place = self._cores[core]
        job, call = place.ring[0]
        actions: list[Action] = []
        if job.attempt < MAX_ATTEMPTS:
            job.attempt += 1
            self._start_head(place, actions, now_ns)
            return actions
        place.ring = deque(entry for entry in place.ring if entry[0] is not job)
        self._leave(place, job)
        actions.append(Failed(core, job.task, call))
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
        """Jobs in the driver that hold no core."""
        return sum(job.waiting for job in self._jobs.values())

    def waiting_tasks(self, core: int) -> tuple[int, ...]:
        """Tasks that `core` may take now, in the order in which it would."""
        heaps = (self._waiting[core], self._waiting[-1])
        entries = sorted(entry for heap in heaps for entry in heap if entry[1].waiting)
        return tuple(job.task for _, job in entries)

    # -- inside -------------------------------------------------------------------------------

    def _enqueue(self, job: _Job) -> None:
        job.waiting = True
        key = (-job.priority, 0 if job.resuming else 1, job.custom_id, job.order)
        heapq.heappush(self._waiting[job.core], (key, job))  # index -1: the any-core heap

    def _best(self, core: int) -> list[tuple[_Key, _Job]] | None:
        """The heap whose head `core` would take next, None if nothing waits for it."""
        best: list[tuple[_Key, _Job]] | None = None
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
            # A second pass only after parking: an idle core passed over may take the parked job.
            again = True
            while again:
                self._has_parked = False
                for place in self._cores:
                    if not place.ring:
                        self._feed(place, actions, now_ns)
                again = self._has_parked
            return
        while True:
            room = [c for c in self._cores if len(c.ring) < self._limit]
            room.sort(key=lambda c: len(c.ring))
            if not any(self._feed(place, actions, now_ns) for place in room):
                return

    def _feed(self, place: _Core, actions: list[Action], now_ns: int) -> bool:
        heap = self._best(place.index)
        job = place.owner
        if job is not None and heap is not None:
            other = heap[0][1]
            if other.priority in self._preempting and other.priority > job.priority:
                place.owner = None
                if job.in_ring:
                    job.parked_by = other.task
                else:
                    self._park(place, job, other.task, actions)
                job = None
        if job is None:
            if heap is None:
                return False
            job = heapq.heappop(heap)[1]
            job.waiting = False
            place.owner = job
        self._bind(place, job, actions, now_ns)
        return True

    def _bind(self, place: _Core, job: _Job, actions: list[Action], now_ns: int) -> None:
        place.ring.append((job, job.next_call))
        job.next_call += 1
        job.in_ring += 1
        if job.next_call == job.calls:
            place.owner = None
        if len(place.ring) == 1:
            self._start_head(place, actions, now_ns)

    def _start_head(self, place: _Core, actions: list[Action], now_ns: int) -> None:
        job, call = place.ring[0]
        place.since_ns = now_ns
        actions.append(Start(place.index, job.task, call, job.resuming, job.attempt))
        job.resuming = False

    def _park(self, place: _Core, job: _Job, other: int, actions: list[Action]) -> None:
        job.parked_by = -1
        job.resuming = True
        self._has_parked = True
        self._enqueue(job)
        actions.append(Parked(place.index, job.task, other))

    def _leave(self, place: _Core, job: _Job) -> None:
        if place.owner is job:
            place.owner = None
        del self._jobs[job.task]
