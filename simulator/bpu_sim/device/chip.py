"""The simulated chip: tasks go in, events come out, in device time.

`Chip` is the thread-safe door: it owns the clock, the lock and the delivery of events. What happens
in device time is in `bpu_sim.device.course`; scheduling is in `bpu_sim.device.driver`.
"""

from __future__ import annotations

import threading

from bpu_common.errors import DeviceFault, UsageError
from bpu_common.machine import MachineSpec
from bpu_common.task import PRIORITY_HIGHEST, PRIORITY_LOWEST, TaskControl, TaskPlan
from bpu_sim.device.clock import Clock, PacedClock, VirtualClock
from bpu_sim.device.course import Course, Hangs, Outbox
from bpu_sim.device.kernel import Kernel
from bpu_sim.device.replay import Replay
from bpu_sim.device.state import ChipSample, OnEvent
from bpu_sim.device.trace import Calls


class Chip:
    """Driver, BPU cores, DDR bus and CPU cluster of one `MachineSpec`, running task plans.

    With a `VirtualClock` time passes inside `run_until_idle` and `run_until`, called by any one
    thread at a time. With a `PacedClock` a thread started by `start` lets it pass; the same methods
    then wait. Events are delivered outside the lock, in order, by whoever drives; `on_event` may
    submit and cancel tasks (at the event's own time), must not block on a thread that is waiting
    for the chip, and must not raise: time cannot go on behind an event that was not taken, so the
    chip has failed then (`failure`), and all who wait for it or submit to it are told.

    Args:
        hangs: fault injection: (task, call, attempt) -> True if that call never completes.
        replay: False: nothing is told from a record (`bpu_sim.device.replay`), all is simulated.
            With a paced clock or `hangs` it always is.
    """

    def __init__(
        self,
        spec: MachineSpec,
        clock: Clock | None = None,
        hangs: Hangs | None = None,
        *,
        replay: bool = True,
    ) -> None:
        self.spec = spec
        self._clock = VirtualClock() if clock is None else clock
        self._kernel = Kernel()
        self._outbox: Outbox = []
        self._course = Course(spec, self._kernel, self._outbox, hangs)
        allowed = replay and hangs is None and not isinstance(self._clock, PacedClock)
        self._replay = Replay(self._course, self._kernel, self._outbox, allowed)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._driving = threading.RLock()
        self._thread: threading.Thread | None = None
        self._paced = isinstance(self._clock, PacedClock)
        self._closed = False
        self._failure = ""
        self._delivering = False
        self._checked: TaskControl | None = None  # the last one that was

    def submit(
        self,
        plan: TaskPlan,
        control: TaskControl,
        on_event: OnEvent | None = None,
        *,
        every_event: bool = True,
        at_ns: int | None = None,
        turn: int = 0,
    ) -> int:
        """Hand one frame of `plan` to the device.

        Args:
            every_event: False asks only for PARKED and the final event: that is cheaper.
            at_ns: device time of the arrival; None: now.
            turn: among runs of a priority that are not parked, the smaller one goes first.

        Returns:
            The task's id, unique on this chip.

        Raises:
            UsageError: a core or priority that the chip does not have.
            DeviceFault: the chip has failed.
        """
        if control is not self._checked:
            self._check(control)
            self._checked = control
        with self._lock:
            if self._failure:
                self._check_works()
            arrival_ns = at_ns
            if arrival_ns is None:
                arrival_ns = self._now_ns() if self._paced else self._kernel.now_ns
            task = self._replay.submit(plan, control, on_event, every_event, arrival_ns, turn)
            if self._paced:
                self._changed.notify_all()
        return task

    def cancel(self, task: int) -> bool:
        """Take a task back; its event `CANCELLED` follows once its running step lets it go.

        Returns:
            False if the task is already over (or was never there).
        """
        with self._changed:
            self._replay.disturb()
            known = self._course.cancel(task, self._now_ns())
            self._changed.notify_all()
        return known

    def now_ns(self) -> int:
        """Device time; inside `on_event`, the time of the event."""
        with self._changed:
            return self._now_ns()

    def sample(self) -> ChipSample:
        """What the chip is doing now, with counters since the start."""
        with self._changed:
            self._replay.settle()
            return self._course.sample(self._now_ns())

    def activity(self, mark: int, limit: int) -> tuple[ChipSample, Calls]:
        """What the chip is doing now, and the function calls since `mark`, in one instant.

        Args:
            mark: of an earlier answer; 0: since the start.
            limit: calls in the answer at most.
        """
        with self._changed:
            self._replay.settle()
            now_ns = self._now_ns()
            running = self._course.running_calls(now_ns)
            return self._course.sample(now_ns), self._course.trace.since(mark, running, limit)

    @property
    def late_ns(self) -> int:
        """Device time lost because this computer does not simulate as fast as time passes."""
        return self._clock.late_ns if isinstance(self._clock, PacedClock) else 0

    @property
    def alive(self) -> int:
        """Tasks that were submitted and are not yet over."""
        with self._lock:
            return self._replay.alive

    @property
    def mark(self) -> int:
        """For `activity`: the function calls that end from now on."""
        with self._changed:
            self._replay.settle()
            return self._course.trace.mark

    @property
    def failure(self) -> str:
        """Why time passes no more on this chip; empty as long as it does."""
        return self._failure

    def run_until_idle(self) -> None:
        """Return once no task is left and nothing is scheduled.

        Raises:
            DeviceFault: the chip has failed.
        """
        self._run(None)

    def run_until(self, time_ns: int) -> None:
        """Return once device time is `time_ns`; what is due at that time has happened.

        Raises:
            DeviceFault: the chip has failed.
        """
        self._run(time_ns)

    def start(self) -> None:
        """Let device time begin to flow; only a paced clock needs it, calling again is harmless."""
        if isinstance(self._clock, PacedClock) and self._thread is None:
            self._clock.start()
            self._thread = threading.Thread(target=self._pace, name="chip", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the pacing thread; tasks still on the chip get no more events."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    # -- inside -------------------------------------------------------------------------------

    def _check(self, control: TaskControl) -> None:
        if not 0 <= control.core_id <= self.spec.cores:
            raise UsageError(
                f"core_id {control.core_id}: {self.spec.name} has {self.spec.cores} BPU cores",
                hint=f"use 0 for any core, or 1 to {self.spec.cores}",
            )
        if not PRIORITY_LOWEST <= control.priority <= PRIORITY_HIGHEST:
            raise UsageError(
                f"priority {control.priority} is not in {PRIORITY_LOWEST}..{PRIORITY_HIGHEST}"
            )

    def _now_ns(self) -> int:
        """Device time, which is never ahead of the simulation: what is due has not happened yet."""
        kernel, clock = self._kernel, self._clock
        if not isinstance(clock, PacedClock) or self._delivering:
            return kernel.now_ns
        due_ns, now_ns = kernel.next_ns(), clock.now_ns()
        return max(kernel.now_ns, now_ns if due_ns is None else min(due_ns, now_ns))

    def _run(self, time_ns: int | None) -> None:
        if isinstance(self._clock, PacedClock):
            self._wait(time_ns)
            return
        with self._driving:
            self._check_works()
            try:
                self._drive(time_ns)
            except Exception as error:
                self._fail(error)
                raise DeviceFault(self._failure) from error
            except BaseException as error:  # an interrupt: events have been lost all the same
                self._fail(error)
                raise
            if time_ns is not None:
                with self._changed:
                    self._kernel.advance(time_ns)

    def _drive(self, time_ns: int | None) -> None:
        """Run the kernel and deliver events until nothing is due by `time_ns`."""
        lock, run = self._lock, self._replay.run
        while True:
            with lock:
                batch = run(time_ns)
            if not batch:
                return
            for on_event, event in batch:
                on_event(event)

    def _wait(self, time_ns: int | None) -> None:
        """Wait for the pacing thread (paced clock only)."""
        self.start()
        with self._changed:
            while not self._closed and not self._failure:
                due_ns = self._kernel.next_ns()
                if time_ns is None and due_ns is None and not self._delivering:
                    break
                if time_ns is not None and not self._delivering:
                    now_ns = self._now_ns()
                    if now_ns >= time_ns and (due_ns is None or due_ns > time_ns):
                        break
                    self._changed.wait(max(0.0005, (time_ns - now_ns) * 1e-9))
                else:
                    self._changed.wait()
            self._check_works()

    def _pace(self) -> None:
        """Body of the pacing thread."""
        assert isinstance(self._clock, PacedClock)
        try:
            while self._pace_once(self._clock):
                pass
        except BaseException as error:
            self._fail(error)
            raise

    def _fail(self, error: BaseException) -> None:
        reason = str(error) or "no reason given"
        with self._changed:
            self._failure = f"the simulated chip stopped: {type(error).__name__}: {reason}"
            self._changed.notify_all()

    def _check_works(self) -> None:
        if self._failure:
            raise DeviceFault(self._failure)

    def _pace_once(self, clock: PacedClock) -> bool:
        with self._changed:
            if self._closed:
                return False
            now_ns = clock.wait(self._kernel.next_ns(), self._changed)
            if now_ns is None:
                return True
            self._kernel.run(now_ns, self._outbox)
            batch = self._outbox[:]
            self._outbox.clear()
            self._delivering = True
        for on_event, event in batch:
            on_event(event)
        with self._changed:
            self._delivering = False
            if batch or not len(self._kernel):
                self._changed.notify_all()
        return True
