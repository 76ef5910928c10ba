"""Back-off, turns, history and readers' queues, without a process."""

from __future__ import annotations

import asyncio
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.daemon import BoardEvent, BoardLink, LinkState
from bpu_common.errors import CapacityError
from bpu_common.telemetry import CallSlice, QueueSample, SystemSample, TelemetryFrame
from bpu_common.wire.messages.board import TELEMETRY_FRAME
from bpu_common.wire.messages.daemon import frame_from_bytes, without_slices
from bpu_host.daemon import watchers
from bpu_host.daemon.backoff import FIRST_S, MOST_LATER_S, MOST_S, PATIENT_FAILURES, Backoff
from bpu_host.daemon.history import History
from bpu_host.daemon.turns import MAX_WAITING, Turns

# ---- back-off ------------------------------------------------------------------------------------


def test_waits_grow_to_a_limit_and_differ() -> None:
    waits = [Backoff(random.Random(seed)) for seed in range(50)]
    first = [each.failed() for each in waits]
    assert all(FIRST_S / 2 <= wait <= FIRST_S for wait in first)
    assert len(set(first)) > 40  # many clients do not come back at one instant
    one = waits[0]
    for _ in range(PATIENT_FAILURES - 1):
        assert one.failed() <= MOST_S
    later = [one.failed() for _ in range(2000)]
    assert MOST_LATER_S / 2 <= max(later) <= MOST_LATER_S
    one.succeeded()
    assert one.failed() <= FIRST_S


# ---- turns ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "leave", "cancel"]), st.integers(0, 3))))
def test_turns_follow_priority_then_arrival(steps: list[tuple[str, int]]) -> None:
    turns = Turns()
    waiting: list[tuple[int, int]] = []  # (-priority, id): the oracle
    running = None
    for number, (kind, value) in enumerate(steps):
        if kind == "add" and len(waiting) < MAX_WAITING:
            turns.add(number, value)
            waiting = sorted([*waiting, (-value, number)])
        elif kind == "leave" and running is not None:
            turns.leave(running)
            running = None
        elif kind == "cancel" and waiting:
            _, job = waiting.pop(value % len(waiting))
            turns.leave(job)
        if running is None and waiting:
            running = waiting.pop(0)[1]
            assert turns.take() == running
        assert turns.take() is None
        assert turns.running == running
        order = [job for _, job in waiting]
        assert list(turns.waiting) == order
        for place, job in enumerate(order):
            assert turns.before(job) == (running, *order[:place])


def test_a_queue_is_bounded() -> None:
    turns = Turns()
    for number in range(MAX_WAITING):
        turns.add(number, 0)
    with pytest.raises(CapacityError):
        turns.add(MAX_WAITING, 255)


# ---- history -------------------------------------------------------------------------------------

SECOND_NS = 1_000_000_000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=400), st.integers(0, SECOND_NS)), max_size=200),
    st.integers(0, 40_000),
    st.integers(0, 30 * SECOND_NS),
)
def test_history_keeps_the_newest_within_bounds(
    frames: list[tuple[bytes, int]], limit: int, from_ns: int
) -> None:
    history = History(limit, span_ns=20 * SECOND_NS)
    now_ns = 0
    kept = []
    for data, pause_ns in frames:
        now_ns += pause_ns
        history.append(data, now_ns)
        kept.append((now_ns, data))
        assert history.size_bytes <= limit
    found = [(frame.at_ns, frame.data) for frame in history.since(0)]
    assert found == kept[len(kept) - len(found) :]  # the newest, whole, in order
    assert history.count == len(found)
    assert history.oldest_ns == (found[0][0] if found else None)
    young = [each for each in kept if each[0] >= now_ns - 20 * SECOND_NS]
    assert len(found) + history.dropped >= len(young)
    if not history.dropped:
        assert found[-len(young) :] == young if young else True
    assert [f.at_ns for f in history.since(from_ns)] == [at for at, _ in found if at >= from_ns]
    history.trim(now_ns + 60 * SECOND_NS)
    assert history.count == 0
    assert history.size_bytes == 0


def test_history_takes_the_memory_it_says() -> None:
    limit = 1 << 20
    numbers = random.Random(5)
    tracemalloc.start()
    try:
        history = History(limit)
        before = tracemalloc.get_traced_memory()[0]
        for frame in range(6000):  # ten minutes at 10 Hz, incompressible: too much by far
            history.append(numbers.randbytes(900), frame * SECOND_NS // 10)
            if frame % 500 == 0:
                taken = tracemalloc.get_traced_memory()[0] - before
                assert taken <= limit * 1.05 + 4096
    finally:
        tracemalloc.stop()
    assert limit * 0.6 < history.size_bytes <= limit
    assert history.dropped == 6000 - history.count


def test_ten_minutes_of_usual_frames_fit() -> None:
    history = History(4 << 20)
    for frame in range(6100):
        text = f"board {frame} core 0 {frame * 37 % 1000} core 1 {frame * 91 % 1000} " * 40
        history.append(text.encode(), frame * SECOND_NS // 10)
    assert history.dropped == 0
    assert 6000 <= history.count <= 6040  # the span, and at most the rest of a block
    oldest_ns = history.oldest_ns
    assert oldest_ns is not None
    history.set_limit(10_000)
    assert history.size_bytes <= 10_000


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=300), st.integers(0, 60_000))
def test_the_oldest_frames_lose_detail_before_they_go(frames: list[bytes], limit: int) -> None:
    thick, thin = History(limit), History(limit, thin=lambda data: data[:1])
    for at_ns, data in enumerate(frames):
        for history in (thick, thin):
            history.append(data, at_ns)
            assert history.size_bytes <= limit
    found = list(thin.since(0))
    assert len(found) >= thick.count  # thin ones take less room
    assert [frame.at_ns for frame in found] == list(range(len(frames)))[len(frames) - len(found) :]
    whole = [frame.data == frames[frame.at_ns] for frame in found]
    assert all(frame.data in {frames[frame.at_ns], frames[frame.at_ns][:1]} for frame in found)
    shown = [ok for ok, frame in zip(whole, found, strict=True) if len(frames[frame.at_ns]) > 1]
    assert shown == sorted(shown)  # the thin ones are the oldest


def test_ten_minutes_of_a_busy_board_fit_without_their_function_calls() -> None:
    numbers = random.Random(3)
    history = History(1 << 20, thin=without_slices)
    for number in range(6000):
        slices = tuple(
            CallSlice(core, task, "net", 0, "call", number * 10**8, number * 10**8 + task)
            for core in (0, 1)
            for task in (numbers.getrandbits(60) for _ in range(12))
        )
        frame = TelemetryFrame(
            *(number, "boot", number * 10**8, 0, "x3m", (), QueueSample(0, 0, 8, 32), ()),
            *(SystemSample(0, 4, 0, 0, 0), slices),
        )
        history.append(TELEMETRY_FRAME.to_pb(frame).SerializeToString(), number * 10**8)
    kept = [frame_from_bytes(frame.data) for frame in history.since(0)]
    assert [frame.sequence for frame in kept] == list(range(6000))
    assert kept[0].slices == ()
    assert kept[0].slices_dropped == 24
    assert len(kept[-1].slices) == 24
    assert history.size_bytes <= 1 << 20


def test_reading_is_not_disturbed_by_what_comes() -> None:
    history = History(60_000, span_ns=100)
    for at_ns in range(100):
        history.append(b"%d" % at_ns, at_ns)
    reading = history.since(0)
    first = next(reading)
    for at_ns in range(100, 400):
        history.append(b"%d" % at_ns, at_ns)
    assert [first.at_ns, *(frame.at_ns for frame in reading)] == list(range(100))


# ---- readers -------------------------------------------------------------------------------------


def test_a_slow_reader_loses_the_oldest_and_is_told() -> None:
    async def run() -> None:
        all_of_them = watchers.Watchers()
        slow = all_of_them.open(frozenset({"desk"}))
        other = all_of_them.open(frozenset({"rack"}))
        sent = watchers.MAX_EVENTS + 10
        for number in range(sent):
            all_of_them.put(BoardEvent("desk", frame=b"%d" % number), 0)
        all_of_them.end()
        got = [event async for event in slow.events()]
        assert [int(event.frame) for event in got] == list(range(10, sent))
        assert [event.dropped for event in got] == [10] + [0] * (len(got) - 1)
        assert [event async for event in other.events()] == []

    asyncio.run(run())


def test_a_readers_queue_is_bounded_in_bytes() -> None:
    async def run() -> None:
        all_of_them = watchers.Watchers()
        reader = all_of_them.open(frozenset())
        big = bytes(watchers.MAX_BYTES // 4)
        for _ in range(100):
            all_of_them.put(BoardEvent("desk", frame=big), 0)
        all_of_them.put(BoardEvent("desk", link=BoardLink("desk", LinkState.DOWN)), 0)
        all_of_them.end()
        got = [event async for event in reader.events()]
        assert sum(len(event.frame) for event in got) <= watchers.MAX_BYTES
        assert got[-1].link is not None

    asyncio.run(run())


def test_readers_are_bounded() -> None:
    async def run() -> None:
        all_of_them = watchers.Watchers()
        opened = [all_of_them.open(frozenset()) for _ in range(watchers.MAX_WATCHERS)]
        with pytest.raises(CapacityError):
            all_of_them.open(frozenset())
        all_of_them.close(opened[0])
        all_of_them.open(frozenset())

    asyncio.run(run())
