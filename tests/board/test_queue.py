"""The runtime's queue as a state machine: limits, order, deadlines, cancellation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bpu_board.runtime.queue import ALIVE_LIMIT, RUNNING_LIMIT, ActionKind, RuntimeQueue
from bpu_common.errors import CapacityError
from bpu_common.task import TaskControl


def started(actions):
    return [frame for kind, frame in actions if kind is ActionKind.START]


def test_limits_are_those_of_the_chip():
    queue = RuntimeQueue()
    for ticket in range(ALIVE_LIMIT):
        actions = queue.submit(ticket, TaskControl(), 0)
        assert started(actions) == ([ticket] if ticket < RUNNING_LIMIT else [])
    with pytest.raises(CapacityError, match=r"32 tasks are alive.*TASK_NUM_EXCEED_LIMIT"):
        queue.submit(99, TaskControl(), 0)
    assert (queue.running, queue.waiting) == (8, 24)
    assert started(queue.finished(0, 1)) == [8]
    assert started(queue.submit(99, TaskControl(), 1)) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(-5, 5)),
        min_size=1,
        max_size=ALIVE_LIMIT - RUNNING_LIMIT,
    )
)
def test_waiting_order_is_priority_then_custom_id_then_arrival(wanted):
    queue = RuntimeQueue()
    for ticket in range(RUNNING_LIMIT):
        queue.submit(ticket, TaskControl(), 0)
    for index, (priority, custom_id) in enumerate(wanted):
        control = TaskControl(priority=priority, custom_id=custom_id)
        assert not queue.submit(100 + index, control, 0)
    order = []
    running = list(range(RUNNING_LIMIT))
    for _ in wanted:
        new = started(queue.finished(running.pop(0), 0))
        order += new
        running += new
    keys = sorted(range(len(wanted)), key=lambda i: (-wanted[i][0], wanted[i][1], i))
    assert order == [100 + i for i in keys]


def test_expired_task_is_dropped_and_makes_room():
    queue = RuntimeQueue(running_limit=1, alive_limit=2)
    queue.submit(1, TaskControl(), 0)
    queue.submit(2, TaskControl(deadline_ns=10), 0)
    with pytest.raises(CapacityError):
        queue.submit(3, TaskControl(), 9)
    assert list(queue.submit(3, TaskControl(), 10)) == [(ActionKind.EXPIRE, 2)]
    assert started(queue.finished(1, 11)) == [3]


def test_deadline_in_the_past_is_never_started():
    queue = RuntimeQueue()
    actions = queue.submit(1, TaskControl(deadline_ns=5), 5)
    assert list(actions) == [(ActionKind.EXPIRE, 1)]
    assert queue.alive == 0


def test_cancel_waiting_and_running():
    queue = RuntimeQueue(running_limit=1)
    queue.submit(1, TaskControl(), 0)
    queue.submit(2, TaskControl(), 0)
    assert list(queue.cancel(2, 1)) == [(ActionKind.CANCEL, 2)]
    assert list(queue.cancel(1, 1)) == [(ActionKind.STOP, 1)]
    assert queue.running == 1
    queue.finished(1, 2)
    assert queue.alive == 0
    assert not queue.cancel(1, 3)
    assert not queue.finished(1, 3)


def test_a_frame_is_alive_until_its_result_is_taken():
    queue = RuntimeQueue(running_limit=1, alive_limit=2)
    for frame in (1, 2):
        queue.submit(frame, TaskControl(), 0)
    assert started(queue.finished(1, 1, has_result=True)) == [2]
    assert (queue.running, queue.waiting, queue.untaken) == (1, 0, 1)
    with pytest.raises(CapacityError, match="take the result"):
        queue.submit(3, TaskControl(), 1)
    queue.finished(2, 2)  # without outputs there is nothing to take
    assert queue.alive == 1
    queue.taken(1)
    queue.taken(1)
    assert queue.alive == 0


class QueueMachine(RuleBasedStateMachine):
    """Random use against a naive model: a list of tuples, sorted each time."""

    def __init__(self):
        super().__init__()
        self.queue = RuntimeQueue(running_limit=3, alive_limit=7)
        self.now = 0
        self.next = 0
        self.running: set[int] = set()
        self.waiting: list[tuple] = []  # (-priority, custom, arrival, ticket, deadline)
        self.ends: dict[int, str] = {}
        self.untaken: set[int] = set()

    def _model_alive(self):
        return len(self.waiting) + len(self.running) + len(self.untaken)

    def _model_fill(self):
        late = [w for w in self.waiting if w[4] is not None and w[4] <= self.now]
        for each in late:
            self.waiting.remove(each)
            self.ends[each[3]] = "expired"
        while self.waiting and len(self.running) < 3:
            best = min(self.waiting)
            self.waiting.remove(best)
            self.running.add(best[3])

    def _check(self, actions):
        for kind, frame in actions:
            if kind is ActionKind.START:
                assert frame in self.running
            elif kind is ActionKind.EXPIRE:
                assert self.ends[frame] == "expired"

    @rule(
        priority=st.sampled_from([0, 1, 255]),
        custom=st.integers(0, 2),
        wait=st.one_of(st.none(), st.integers(-1, 5)),
    )
    def submit(self, priority, custom, wait):
        deadline = None if wait is None else self.now + wait
        control = TaskControl(priority=priority, custom_id=custom, deadline_ns=deadline)
        ticket = self.next
        self.next += 1
        live = [w for w in self.waiting if w[4] is None or w[4] > self.now]
        if len(live) + len(self.running) + len(self.untaken) >= 7:
            with pytest.raises(CapacityError):
                self.queue.submit(ticket, control, self.now)
            return
        if deadline is not None and deadline <= self.now:
            self.ends[ticket] = "expired"
            if self._model_alive() >= 7:
                self._drop_late()
        else:
            self.waiting.append((-priority, custom, ticket, ticket, deadline))
            self._model_fill()
        self._check(self.queue.submit(ticket, control, self.now))

    def _drop_late(self):
        for each in [w for w in self.waiting if w[4] is not None and w[4] <= self.now]:
            self.waiting.remove(each)
            self.ends[each[3]] = "expired"

    @rule(pick=st.integers(0, 10), has_result=st.booleans())
    def finish(self, pick, has_result):
        if self.running:
            ticket = sorted(self.running)[pick % len(self.running)]
            self.running.remove(ticket)
            self.ends[ticket] = "done"
            if has_result:
                self.untaken.add(ticket)
            self._model_fill()
            self._check(self.queue.finished(ticket, self.now, has_result))

    @rule(pick=st.integers(0, 20))
    def fail_waiting(self, pick):
        """The device broke: what waits for it ends too."""
        if self.waiting:
            lost = sorted(self.waiting)[pick % len(self.waiting)]
            self.waiting.remove(lost)
            self.ends[lost[3]] = "failed"
            assert not self.queue.finished(lost[3], self.now)

    @rule(pick=st.integers(0, 20))
    def take(self, pick):
        self.untaken.discard(pick)
        self.queue.taken(pick)

    @rule(pick=st.integers(0, 20))
    def cancel(self, pick):
        if self.next == 0:
            return
        ticket = pick % self.next
        waiting = [w for w in self.waiting if w[3] == ticket]
        actions = list(self.queue.cancel(ticket, self.now))
        if waiting:
            self.waiting.remove(waiting[0])
            self.ends[ticket] = "cancelled"
            self._model_fill()
            assert actions[0] == (ActionKind.CANCEL, ticket)
            self._check(actions[1:])
        elif ticket in self.running:
            assert actions == [(ActionKind.STOP, ticket)]
        else:
            assert not actions

    @rule(step=st.integers(1, 4))
    def pass_time(self, step):
        self.now += step

    @rule()
    def expire(self):
        self._drop_late()
        self._check(self.queue.expire(self.now))

    @invariant()
    def counts_agree(self):
        assert self.queue.running == len(self.running)
        assert self.queue.waiting == len(self.waiting)
        assert self.queue.untaken == len(self.untaken)
        assert self.queue.alive <= 7


TestQueueMachine = QueueMachine.TestCase
