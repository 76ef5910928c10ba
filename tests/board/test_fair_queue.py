"""Clients share the runtime's queue: places, turns, and what a lone client keeps."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bpu_board.runtime.queue import ALIVE_LIMIT, RUNNING_LIMIT, ActionKind, RuntimeQueue
from bpu_common.errors import CapacityError
from bpu_common.shares import Shares
from bpu_common.task import TaskControl

CORES = 2
SECOND = 1_000_000_000


class Served:
    """A queue before two cores that run one frame after the other, by turn, on a virtual clock."""

    def __init__(self):
        self.queue = RuntimeQueue()
        self.now = 0
        self.ready = []  # (-priority, turn, custom_id, arrival, frame): on the device, not begun
        self.busy = []  # (end, frame)
        self.arrivals = []  # (time, number, client, cost, control)
        self.frames = {}  # frame: (client, cost, submitted, control)
        self.latency = {}  # client: [...]
        self.refused = {}
        self.order = []
        self.number = 0

    def arrive(self, time, client, cost, control=TaskControl()):  # noqa: B008  frozen
        self.number += 1
        heapq.heappush(self.arrivals, (time, self.number, client, cost, control))

    def run(self, until, on_done=None):
        while True:
            times = [each[0][0] for each in (self.arrivals, self.busy) if each]
            if not times or min(times) > until:
                return self
            self.now = min(times)
            if self.busy and self.busy[0][0] == self.now:
                self._end(heapq.heappop(self.busy)[1], on_done)
            else:
                self._submit(*heapq.heappop(self.arrivals)[1:])
            while self.ready and len(self.busy) < CORES:
                frame = heapq.heappop(self.ready)[-1]
                self.order.append(frame)
                heapq.heappush(self.busy, (self.now + self.frames[frame][1], frame))

    def _submit(self, frame, client, cost, control):
        self.frames[frame] = (client, cost, self.now, control)
        try:
            actions = self.queue.submit(frame, control, self.now, client, cost)
        except CapacityError:
            self.refused[client] = self.refused.get(client, 0) + 1
            return
        self._start(actions)

    def _start(self, actions):
        for kind, frame in actions:
            assert kind is ActionKind.START
            control = self.frames[frame][3]
            key = (-control.priority, self.queue.turn(frame), control.custom_id, frame, frame)
            heapq.heappush(self.ready, key)

    def _end(self, frame, on_done):
        client, cost, submitted, _ = self.frames[frame]
        self.latency.setdefault(client, []).append(self.now - submitted)
        self._start(self.queue.finished(frame, self.now))
        if on_done is not None:
            on_done(client, cost)


@given(
    polite=st.integers(1, 50),
    flood=st.integers(1, 50),
    threads=st.integers(9, 80),
    pause=st.integers(0, 100),
)
@settings(max_examples=150, deadline=None)
def test_a_polite_client_waits_for_one_frame_of_a_flood_and_is_never_refused(
    polite, flood, threads, pause
):
    """Its frames, one at a time, begin when the next core is free; the flood has the rest."""
    served = Served()

    def again(client, cost):
        served.arrive(served.now + (pause if client == "polite" else 0), client, cost)

    for _ in range(threads):
        served.arrive(0, "flood", flood)
    served.run(10 * flood, again)
    served.arrive(served.now, "polite", polite)
    served.run(served.now + 60 * (polite + flood + pause), again)
    assert served.refused.get("polite", 0) == 0
    assert (served.refused.get("flood", 0) > 0) == (threads > ALIVE_LIMIT)
    # The first frames may find some that were sent there before anybody else was known.
    settled = served.latency["polite"][8:]
    assert sorted(settled)[len(settled) // 2] <= polite + flood
    if pause >= polite:  # it takes less than its share: it never waits for a second one
        assert max(settled) <= polite + flood


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_clients_that_want_all_get_equal_time_whatever_their_frames_cost(costs):
    served = Served()

    def again(client, cost):
        served.arrive(served.now, client, cost)

    for index, cost in enumerate(costs):
        for _ in range(12):
            served.arrive(0, f"c{index}", cost)
    rounds = 60
    served.run(rounds * sum(costs) * 2, again)
    work = [len(served.latency[f"c{index}"]) * cost for index, cost in enumerate(costs)]
    fair = sum(work) / len(work)
    # A client is never behind by more than what each core and its own first frames amount to.
    slack = 10 * max(costs) * len(costs)
    assert all(abs(each - fair) <= slack for each in work), (work, fair)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(-3, 3)), min_size=1, max_size=24),
    st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(-3, 3)), max_size=24),
)
@settings(max_examples=100, deadline=None)
def test_each_client_keeps_its_priorities_and_custom_ids(mine, others):
    """What waits of one client leaves by priority, custom id and arrival, with others beside it."""
    queue = RuntimeQueue()
    frames, running = [], []
    for client, wanted in (("a", mine), ("b", others)):
        first = [(client, -index) for index in range(RUNNING_LIMIT)]
        running += [each for each in first if queue.submit(each, TaskControl(), 0, client)]
        for index, (priority, custom_id) in enumerate(wanted):
            frame = (client, 1 + index)
            control = TaskControl(priority=priority, custom_id=custom_id)
            try:
                queue.submit(frame, control, 0, client)
                frames.append((client, -priority, custom_id, index, frame))
            except CapacityError:
                assert client == "b"
    order = []
    while running:
        started = [frame for _, frame in queue.finished(running.pop(0), 0)]
        order += started
        running += started
    for client in "ab":
        wanted = [each[-1] for each in sorted(frames) if each[0] == client]
        assert [each for each in order if each in set(wanted)] == wanted


def test_a_lone_client_stays_at_its_turn():
    queue = RuntimeQueue()
    for frame in range(RUNNING_LIMIT):
        queue.submit(frame, TaskControl(), 0, "a", 100)
    assert {queue.turn(frame) for frame in range(RUNNING_LIMIT)} == {0}
    queue.submit("b", TaskControl(), 1, "b", 100)
    assert queue.turn("b") < 0
    assert queue.limits == (2 * RUNNING_LIMIT, 2 * ALIVE_LIMIT)


def test_who_has_been_away_for_ten_seconds_is_forgotten():
    queue = RuntimeQueue()
    queue.submit(1, TaskControl(), 0, "a")
    queue.submit(2, TaskControl(), 0, "b")
    queue.finished(2, 0)
    queue.submit(3, TaskControl(), 9 * SECOND, "a")
    assert queue.limits == (2 * RUNNING_LIMIT, 2 * ALIVE_LIMIT)
    queue.submit(4, TaskControl(), 10 * SECOND, "a")
    assert queue.limits == (RUNNING_LIMIT, ALIVE_LIMIT)


def test_a_thousand_clients_are_not_remembered():
    queue = RuntimeQueue()
    for index in range(1000):
        queue.submit(index, TaskControl(), 0, f"c{index}")
        queue.finished(index, 0)
    assert len(queue._clients) <= 65


def test_a_full_house_leaves_room_for_one_more_client():
    queue = RuntimeQueue()
    for client in "abc":
        with pytest.raises(CapacityError, match="HB_DNN_TASK_NUM_EXCEED_LIMIT"):  # noqa: PT012
            for index in range(100):
                queue.submit((client, index), TaskControl(), 0, client)
    assert queue.submit("polite", TaskControl(), 0, "d") == ((ActionKind.START, "polite"),)


class SharesMachine(RuleBasedStateMachine):
    """Whoever takes what there is, a client without places gets one, and the books are kept."""

    def __init__(self):
        super().__init__()
        self.shares = Shares(12)
        self.held = dict.fromkeys("abcd", 0)

    @rule(client=st.sampled_from("abc"), amount=st.integers(1, 4))
    def take(self, client, amount):
        free = 12 - sum(self.held.values())
        fits = True  # one by one, each while fewer are held than are free
        for done in range(amount):
            fits = fits and self.held[client] + done < free - done
        assert self.shares.take(client, amount) == fits
        if fits:
            self.held[client] += amount

    @rule(client=st.sampled_from("abc"))
    def give(self, client):
        if self.held[client]:
            self.shares.give(client)
            self.held[client] -= 1

    @invariant()
    def books(self):
        assert self.shares.free == 12 - sum(self.held.values())
        for client, held in self.held.items():
            assert self.shares.held(client) == held
        assert self.shares.take("d")
        self.shares.give("d")


TestShares = SharesMachine.TestCase
