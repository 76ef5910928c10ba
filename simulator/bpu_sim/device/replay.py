"""A chip that repeats itself is not simulated again: its events come from a record.

Equal frames in a closed loop bring the chip back to a state that it was in before, but for the time
and the numbers of tasks. From there on, as long as the same is submitted at the same moments, the
same happens again (`bpu_sim.device.relative`). So what was seen once around (`Cycle`) is told again
and again, with later times and larger numbers; nothing is guessed and nothing left out.

Meanwhile the state of the chip stands still where the repetition began. Whoever looks at it, or
does what the record does not say, gets the true state first: it is moved over the repetitions that
are complete, and what has begun of the next one happens in earnest.
"""

from __future__ import annotations

from bpu_common.task import TaskControl, TaskEvent, TaskPlan
from bpu_sim.device.course import Course, Outbox
from bpu_sim.device.cycle import Cycle, Record, Submission
from bpu_sim.device.kernel import Kernel
from bpu_sim.device.relative import counters, leap, set_counters
from bpu_sim.device.state import OnEvent

_LEAST_TURNS, _MOST_TURNS = 8, 1024
"""How long one state is waited for until another one is; it doubles while none comes back."""

_made = tuple.__new__  # a named tuple from its fields, without a call of Python


def _nobody(_: TaskEvent) -> None:
    """Listens to a task whose events have been told."""


class Replay:
    """Stands between the chip and the course of its tasks; the chip's lock is held.

    Args:
        allowed: False: everything is simulated.
    """

    __slots__ = (
        "_allowed", "_course", "_cycle", "_first", "_given", "_kernel", "_last_ns", "_left",
        "_listeners", "_next", "_open", "_origin_ns", "_outbox", "_patience", "_ran_ns", "_record",
        "_rounds", "_turn",
    )  # fmt: skip

    def __init__(self, course: Course, kernel: Kernel, outbox: Outbox, allowed: bool) -> None:
        self._course = course
        self._kernel = kernel
        self._outbox = outbox
        self._allowed = allowed
        self._record: Record | None = None
        self._patience = _LEAST_TURNS
        self._left = 1  # turns until another state is waited for
        self._open = False  # nothing has happened since the last events
        self._ran_ns = 0  # else: until when nothing was told
        self._cycle: Cycle | None = None
        # While there is a cycle: where it began, and how far it has come.
        self._origin_ns = 0
        self._last_ns = 0  # time of the last events
        self._rounds = 0
        self._turn = 0
        self._given = 0  # submissions of this turn
        self._first = 0  # task of this round
        self._next = 0
        self._listeners: dict[int, OnEvent] = {}  # of the tasks that are alive

    @property
    def alive(self) -> int:
        """Tasks that were submitted and are not yet over."""
        return len(self._course.tasks if self._cycle is None else self._listeners)

    def submit(
        self,
        plan: TaskPlan,
        control: TaskControl,
        on_event: OnEvent | None,
        every_event: bool,
        arrival_ns: int,
        turn: int = 0,
    ) -> int:
        """As `Course.submit`."""
        recordable = self._open and arrival_ns <= self._kernel.now_ns and on_event is not None
        cycle = self._cycle
        if cycle is not None:
            wanted = cycle.turns[self._turn][0]
            if recordable and self._given < len(wanted):
                its_plan, its_control, its_every, its_turn = wanted[self._given]
                if (
                    plan is its_plan
                    and (control is its_control or control == its_control)
                    and every_event is its_every
                    and turn == its_turn
                ):
                    self._given += 1
                    number = self._next
                    self._next = number + 1
                    self._listeners[number] = on_event  # type: ignore[assignment]
                    return number
            self.settle()
        elif self._record is not None:
            if recordable and control.deadline_ns is None:
                self._record.submitted.append((plan, control, every_event, turn))
            else:
                self._record = None
        return self._course.submit(plan, control, on_event, every_event, arrival_ns, turn)

    def disturb(self) -> None:
        """As `settle`, for whoever is about to change something: no record holds it."""
        self.settle()
        self._record = None

    def run(self, until_ns: int | None) -> Outbox:
        """Let time pass to the next events, `until_ns` (None: without end) at most.

        Returns:
            The events of that moment; none: nothing more is told until then.
        """
        cycle = self._cycle
        if cycle is not None:
            wanted, after_ns, _ = cycle.turns[self._turn]
            if self._given == len(wanted):
                now_ns = self._last_ns + after_ns
                if until_ns is None or now_ns <= until_ns:
                    return self._tell(cycle, now_ns)
                self._open, self._ran_ns = False, until_ns
                return []
            self.settle()
        outbox = self._outbox
        if not self._kernel.run(until_ns, outbox):
            self._open = False
            return []
        batch = outbox[:]
        outbox.clear()
        self._open = True
        if self._allowed:
            self._look(batch)
        return batch

    def settle(self) -> None:
        """Bring the state of the chip to where it is; whoever looks at it calls this first."""
        cycle, now_ns = self._cycle, self._kernel.now_ns
        if cycle is None:
            return
        self._cycle = None
        self._left = 1
        if self._rounds:
            self._patience = _LEAST_TURNS
        self._complete(cycle)
        course, kernel, outbox = self._course, self._kernel, self._outbox
        for task in course.tasks.values():
            task.on_event = self._listeners.get(task.id, _nobody)
        for submitted, _, _ in cycle.turns[: self._turn]:
            self._submit_again(submitted)
            kernel.run(None, outbox)
            outbox.clear()  # it was told
        self._submit_again(cycle.turns[self._turn][0][: self._given])
        if not self._open:
            kernel.run(self._ran_ns, outbox)
        kernel.advance(now_ns)
        assert not outbox
        self._listeners = {}

    # -- inside -------------------------------------------------------------------------------

    def _look(self, batch: Outbox) -> None:
        """See whether the chip repeats itself; `batch` has just come."""
        if self._record is not None and self._record.told(batch):
            self._cycle = self._record.cycle()
            self._record = None
            if self._cycle is not None:
                self._begin()
                return
        self._left -= 1
        if not self._left:
            self._record = Record(self._course, self._kernel)
            self._left = self._patience
            self._patience = min(2 * self._patience, _MOST_TURNS)

    def _begin(self) -> None:
        self._origin_ns = self._last_ns = self._kernel.now_ns
        self._rounds = self._turn = self._given = 0
        self._first = self._next = self._course.next_id
        for task in self._course.tasks.values():
            assert task.on_event is not None
            self._listeners[task.id] = task.on_event

    def _tell(self, cycle: Cycle, now_ns: int) -> Outbox:
        """The events of this turn."""
        batch: Outbox = []
        first, listeners = self._first, self._listeners
        for (
            task, ends, kind, model, core, step, call, other, detail, bpu_ns, cpu_ns, ago_ns
        ) in cycle.turns[self._turn][2]:  # fmt: skip
            number = first + task
            on_event = listeners.pop(number) if ends else listeners[number]
            by = -1 if other is None else first + other
            since_ns = -1 if ago_ns is None else now_ns - ago_ns
            fields = (
                now_ns, kind, number, model, core, step, call, by, detail, bpu_ns, cpu_ns, since_ns,
            )  # fmt: skip
            batch.append((on_event, _made(TaskEvent, fields)))
        self._last_ns = self._kernel.now_ns = now_ns
        self._open, self._given = True, 0
        self._turn += 1
        if self._turn == len(cycle.turns):
            self._turn = 0
            self._rounds += 1
            self._first = self._next
        return batch

    def _complete(self, cycle: Cycle) -> None:
        """Move the state of the chip over the rounds that are complete."""
        course, kernel, rounds = self._course, self._kernel, self._rounds
        kernel.now_ns = self._origin_ns
        leap(course, kernel, rounds * cycle.period_ns, rounds * cycle.tasks)
        risen = zip(counters(course), cycle.gained, strict=True)
        set_counters(course, [value + rounds * more for value, more in risen])
        course.trace.repeat(cycle.calls, rounds, cycle.period_ns, cycle.tasks)

    def _submit_again(self, submitted: tuple[Submission, ...]) -> None:
        course, now_ns = self._course, self._kernel.now_ns
        for plan, control, every_event, turn in submitted:
            on_event = self._listeners.get(course.next_id, _nobody)
            course.submit(plan, control, on_event, every_event, now_ns, turn)
