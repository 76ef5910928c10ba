"""Loads: frames that the board makes by itself, so that there is something to watch.

A closed loop submits its next frame when one is done, on the thread that advances the device; an
open loop's frames are submitted by one thread that waits for their times. Device time must follow
the wall clock, since nobody else waits for it to pass.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from functools import partial

from bpu_board.device import Device
from bpu_board.profiler.counters import ModelCounters
from bpu_board.profiler.eventlog import EventLog
from bpu_board.runtime.dispatcher import Dispatcher
from bpu_board.runtime.frame import Frame
from bpu_common.errors import BpuError, CapacityError, UsageError
from bpu_common.load import LoadRequest, LoadState, arrivals
from bpu_common.shares import OWN
from bpu_common.task import TaskControl, TaskEventKind
from bpu_common.words import counted

MAX_LOADS = 16

_RETRY_NS = 1_000_000  # the queue was full
_PAUSE_NS = 50_000_000  # a frame failed
_LONGEST_WAIT_S = 0.05
_STOP_S = 2.0


class _Load:
    """One load; `Loads` guards it with its lock."""

    def __init__(
        self,
        name: str,
        request: LoadRequest,
        handle: int,
        counters: ModelCounters,
        client: str,
        now_ns: int,
    ) -> None:
        self.name = name
        self.client = client
        self.request = request
        self.handle = handle
        self.counters = counters
        self.control = TaskControl(core_id=request.core_id, priority=request.priority)
        self.started_ns = now_ns
        self.times: Iterator[int] | None = None
        if request.rate_hz:
            self.times = arrivals(request.rate_hz, request.seed)
        self.stopped = False
        self.frames: set[Frame] = set()
        self.submitted = 0
        self.done = 0
        self.failed = 0
        self.refused = 0

    def state(self) -> LoadState:
        return LoadState(
            self.name,
            self.request,
            self.started_ns,
            self.submitted,
            self.done,
            self.failed,
            self.refused,
        )

    def describe(self) -> str:
        request = self.request
        kind = f"{request.rate_hz:g} Hz" if request.rate_hz else counted(request.threads, "thread")
        core = f"core {request.core_id - 1}" if request.core_id else "any core"
        return f"{self.counters.name}, {kind}, {core}, priority {request.priority}"


class Loads:
    """The loads of one device; thread-safe."""

    def __init__(self, device: Device, dispatcher: Dispatcher, log: EventLog) -> None:
        self._device = device
        self._dispatcher = dispatcher
        self._log = log
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._loads: dict[str, _Load] = {}
        self._due: list[tuple[int, int, _Load]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(
        self, request: LoadRequest, handle: int, counters: ModelCounters, client: str = OWN
    ) -> LoadState:
        """Begin a load.

        Raises:
            UsageError: its name is taken, or device time does not follow the wall clock.
            CapacityError: `MAX_LOADS` run.
        """
        if self._device.capabilities.virtual_time:
            raise UsageError(
                "loads need device time to follow the wall clock, this board's is virtual",
                hint="start the agent with --clock paced, or measure with `bpu perf`",
            )
        now_ns = self._device.now_ns()
        with self._lock:
            if len(self._loads) >= MAX_LOADS:
                raise CapacityError(f"{MAX_LOADS} loads run already", hint="stop one of them")
            name = request.name or self._free_name(counters.name)
            if name in self._loads:
                raise UsageError(f"a load named {name!r} runs already", hint="stop it first")
            load = _Load(name, request, handle, counters, client, now_ns)
            self._loads[name] = load
            if load.times is None:
                for _ in range(request.threads):
                    self._plan(now_ns, load)
            else:
                self._plan(now_ns + next(load.times), load)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="loads", daemon=True)
                self._thread.start()
            state = load.state()
        with self._dispatcher.locked():
            counters.loads += 1
        self._log.info(now_ns, f"load {name} started: {load.describe()}")
        return state

    def stop(self, name: str) -> LoadState:
        """End a load and cancel its frames; waits for the function calls that run."""
        with self._lock:
            load = self._loads.pop(name, None)
            if load is None:
                known = ", ".join(self._loads) or "none"
                raise UsageError(f"no load named {name!r} runs", hint=f"running: {known}")
            load.stopped = True
            flying = tuple(load.frames)
        for frame in flying:
            frame.cancel()
        self._dispatcher.wait_until(lambda: not load.frames, _STOP_S)
        with self._dispatcher.locked():
            load.counters.loads -= 1
        with self._lock:
            state = load.state()
        self._log.info(
            self._device.now_ns(), f"load {name} stopped after {counted(state.done, 'frame')}"
        )
        return state

    def states(self) -> tuple[LoadState, ...]:
        with self._lock:
            return tuple(load.state() for load in self._loads.values())

    def close(self) -> None:
        """Submit nothing more."""
        with self._changed:
            self._closed = True
            for load in self._loads.values():
                load.stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    # -- inside -------------------------------------------------------------------------------

    def _free_name(self, model: str) -> str:
        for number in itertools.count(1):
            name = f"{model[:56]}-{number}"
            if name not in self._loads:
                return name
        raise AssertionError("count ends")

    def _plan(self, time_ns: int, load: _Load) -> None:
        """Submit a frame at that device time; the lock is held."""
        heapq.heappush(self._due, (time_ns, next(self._order), load))
        self._changed.notify_all()

    def _run(self) -> None:
        """Body of the thread."""
        while True:
            with self._changed:
                load = self._next_due()
                while load is None and not self._closed:
                    self._changed.wait(self._wait_s())
                    load = self._next_due()
                if self._closed or load is None:
                    return
            self._submit(load)

    def _next_due(self) -> _Load | None:
        if not self._due or self._due[0][0] > self._device.now_ns():
            return None
        _, _, load = heapq.heappop(self._due)
        if load.times is not None and not load.stopped:
            self._plan(load.started_ns + next(load.times), load)
        return load

    def _wait_s(self) -> float | None:
        if not self._due:
            return None
        left_s = (self._due[0][0] - self._device.now_ns()) / 1e9
        return min(max(left_s, 0.0), _LONGEST_WAIT_S)

    def _submit(self, load: _Load, now_ns: int | None = None) -> None:
        frame = Frame(self._dispatcher, load.handle, None, load.control, load.counters, load.client)
        frame.on_final = partial(self._final, load)
        with self._lock:
            if load.stopped:
                return
            load.frames.add(frame)
            load.submitted += 1
        try:
            self._dispatcher.submit(frame, now_ns)
        except BpuError:
            with self._lock:
                load.frames.discard(frame)
                load.submitted -= 1
                load.refused += 1
                self._again(load, _RETRY_NS)

    def _final(self, load: _Load, frame: Frame) -> None:
        """The end of a frame, on the thread that advances the device."""
        done = frame.final is TaskEventKind.DONE
        with self._lock:
            load.frames.discard(frame)
            load.done += done
            load.failed += frame.final is TaskEventKind.FAILED
            if not done:
                self._again(load, _PAUSE_NS)
        if done and load.times is None:
            self._submit(load, frame.done_ns)

    def _again(self, load: _Load, pause_ns: int) -> None:
        """Let one frame of a closed loop follow after a pause; the lock is held."""
        if load.times is None and not load.stopped:
            self._plan(self._device.now_ns() + pause_ns, load)
