"""Rates, parked times, the cursor, jumps and a clock that stands still, against the event log."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.device_kind import Clock, DeviceKind
from bpu_host.tui.state import Cursor, Link, Order, Replay, UiState
from bpu_host.tui.view import view
from bpu_host.tui.view.boards import board_row
from bpu_host.tui.view.moments import neighbour, next_preemption, worst_frame
from bpu_host.tui.view.window import RATE_WINDOW_NS
from tests.support.frames_tui import (
    DDR_BYTES_PER_NS,
    DEMO,
    MS,
    WALL_NS,
    Log,
    frames,
    play,
    standing,
)
from tests.tui.test_view import NETS

NOW_NS = 4_000 * MS
LOG = play(DEMO, NOW_NS + 50 * MS)
TOLD = frames(LOG, NOW_NS)


def parked_ms(log: Log, start_ns: int, now_ns: int) -> Counter[tuple[str, str]]:
    """By model that waited and model that ran: every millisecond looked at by itself."""
    found: Counter[tuple[str, str]] = Counter()
    for lost in log.calls:
        if lost.preempted_by < 0 or lost.end_ns > now_ns:
            continue
        again = [c.start_ns for c in log.calls if c.task == lost.task and c.call == lost.call + 1]
        for at in range(max(start_ns, lost.end_ns), min([now_ns, *again]), MS):
            for call in log.calls:
                on = call.core == lost.core and call.start_ns <= at < call.end_ns
                if on and call.model != lost.model:
                    found[lost.model, call.model] += 1
    return found


@given(NETS, st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_parked_times_are_those_of_the_log(nets: list, tenths: int) -> None:
    now_ns = tenths * 100 * MS
    log = play(nets, now_ns + 50 * MS)
    seen = view(frames(log, now_ns), UiState())
    start_ns = max(0, now_ns - RATE_WINDOW_NS)
    wanted = parked_ms(log, start_ns, now_ns)
    elapsed_s = (now_ns - start_ns) / 1e9
    names = [net.name for net in nets]
    found = {
        (row.name, names[slot]): ms * elapsed_s for row in seen.models for slot, ms in row.parked
    }
    assert found == pytest.approx(dict(wanted))


def test_rates_stand_beside_totals() -> None:
    seen = view(TOLD, UiState())
    recent = [c for c in LOG.calls if NOW_NS - RATE_WINDOW_NS < c.end_ns <= NOW_NS]
    for row in seen.models:
        lost = sum(call.model == row.name and call.preempted_by >= 0 for call in recent)
        assert row.preempted_per_s == pytest.approx(lost / 2)
        assert row.preempted >= lost
    taken = sum(row.preempting_per_s for row in seen.models)
    assert taken == pytest.approx(sum(call.preempted_by >= 0 for call in recent) / 2)


def test_ddr_traffic_of_cores_and_bus() -> None:
    seen = view(TOLD, UiState())
    for core in seen.timeline.cores:
        ended = [
            c.end_ns - c.start_ns
            for c in LOG.calls
            if c.core == core.index and NOW_NS - RATE_WINDOW_NS < c.end_ns <= NOW_NS
        ]
        assert core.ddr_bytes_per_s == pytest.approx(DDR_BYTES_PER_NS * sum(ended) / 2)
        assert core.ddr_stretch == pytest.approx(1 / 19, rel=1e-3)
    assert seen.gauges is not None
    assert seen.gauges.ddr_bytes_per_s == pytest.approx(
        sum(core.ddr_bytes_per_s for core in seen.timeline.cores)
    )
    assert seen.gauges.ddr_limit_bytes_per_s == pytest.approx(12.8e9)


def test_what_a_board_is_and_whose_clock() -> None:
    header = view(TOLD, UiState()).header
    assert (header.device, header.stopped) == ("simulated, paced clock", False)
    real = replace(TOLD[-1], device=DeviceKind.CHIP, clock=Clock.REAL)
    assert view([real], UiState()).header.device == "real chip"


def test_rates_fall_to_zero_when_the_clock_stands_still() -> None:
    halted = [*TOLD, *standing(TOLD, 2)]
    for count, stopped in ((len(TOLD) + 9, False), (len(TOLD) + 10, True), (len(halted), True)):
        seen = view(halted[:count], UiState())
        assert seen.header.stopped == stopped
        assert board_row(halted[:count], UiState()).stopped == stopped
        assert any(row.fps for row in seen.models) != stopped
        assert any(core.utilisation for core in seen.timeline.cores) != stopped
        assert any(row.p99_ns for row in seen.models) != stopped
    row = board_row(halted, UiState(label="lab"))
    assert (row.fps, row.p99_ns, row.lost_per_s, row.utilisation) == (0, None, 0, (0, 0))


def test_a_row_of_a_board_sums_its_models() -> None:
    seen, row = view(TOLD, UiState()), board_row(TOLD, UiState(label="desk", link=Link.LIVE))
    assert row.fps == pytest.approx(sum(model.fps for model in seen.models))
    assert row.lost_per_s == pytest.approx(sum(m.preempted_per_s for m in seen.models))
    assert (row.p99_ns, row.slowest) == max((m.p99_ns, m.name) for m in seen.models)
    assert board_row([], UiState(label="kitchen", detail="gone")).detail == "gone"


@pytest.mark.parametrize("order", Order)
def test_orders_and_filter(order: Order) -> None:
    rows = view(TOLD, UiState(order=order)).models
    keys = {
        Order.LOADED: lambda row: row.slot,
        Order.NAME: lambda row: row.name,
        Order.FPS: lambda row: -row.fps,
        Order.P99: lambda row: -row.p99_ns,
        Order.LOST: lambda row: -row.preempted_per_s,
        Order.PARKED: lambda row: -sum(ms for _, ms in row.parked),
    }
    assert [keys[order](row) for row in rows] == sorted(keys[order](row) for row in rows)
    some = view(TOLD, UiState(order=order, wanted="TE"))
    assert {row.name for row in some.models} == {"detector"} | {"segmenter"}
    assert some.hidden == 1
    assert view(TOLD, UiState(wanted="none")).selected is None


def test_place_in_a_recording() -> None:
    replay = Replay(WALL_NS - 60_000 * MS, WALL_NS + 100_000 * MS, 2)
    playing = UiState(link=Link.REPLAY, replay=replay)
    assert view(TOLD, playing).header.place == "0:01:04 of 0:02:40, x2"
    ended = replace(playing, link=Link.ENDED, replay=replace(replay, speed=0))
    assert view(TOLD, ended).header.place == "0:01:04 of 0:02:40"
    assert view(TOLD, UiState(replay=Replay(0, 0, 1))).header.place == ""


def test_jumps_visit_every_preemption_both_ways() -> None:
    wanted = sorted({c.end_ns for c in LOG.calls if c.preempted_by >= 0 and c.end_ns <= NOW_NS})
    forward, time_ns = [], 0
    while moment := next_preemption(TOLD, time_ns, 1):
        forward.append(time_ns := moment.end_ns)
    assert forward == wanted
    back, time_ns = [], NOW_NS + 1
    while moment := next_preemption(TOLD, time_ns, -1):
        back.append(time_ns := moment.end_ns)
    assert back == wanted[::-1]


def test_the_frame_that_took_longest() -> None:
    spans = {
        task.number: (
            min(c.start_ns for c in LOG.calls if c.task == task.number),
            max(min(c.end_ns, NOW_NS) for c in LOG.calls if c.task == task.number),
        )
        for task in LOG.tasks
        if task.net.name == "detector" and 0 <= task.started_ns < NOW_NS
    }
    moment = worst_frame(TOLD, "detector")
    assert moment is not None
    longest_ns = max(end - start for start, end in spans.values())
    assert moment.end_ns - moment.start_ns == longest_ns
    assert worst_frame(TOLD, "nobody") is worst_frame([], "detector") is None


def test_the_cursor_names_call_frame_and_what_was_waited_for() -> None:
    lost = next(c for c in LOG.calls if c.preempted_by >= 0 and c.start_ns > 3_600 * MS)
    again = next(c for c in LOG.calls if c.task == lost.task and c.call == lost.call + 1)
    model_of = {task.number: task.net.name for task in LOG.tasks}
    taker = f"{model_of[lost.preempted_by]} #{lost.preempted_by}"

    def pointed(cursor: Cursor):
        return view(TOLD, UiState(cursor=cursor)).timeline.pointed

    first = pointed(Cursor(lost.core, lost.end_ns - 1))
    assert (first.bar.name, first.bar.task, first.bar.call) == (lost.model, lost.task, lost.call)
    assert f"{first.next_name} #{first.next_task}" == taker
    assert first.function == f"{lost.model}_fc_{lost.call}"
    assert first.duration_ns == lost.end_ns - lost.start_ns
    second = pointed(Cursor(again.core, again.start_ns))
    assert second.waited_ns == again.start_ns - lost.end_ns
    assert second.waited_for[0] == taker
    begun_ns = min(c.start_ns for c in LOG.calls if c.task == lost.task)
    assert second.frame_ns == again.end_ns - begun_ns
    assert pointed(Cursor(lost.core, NOW_NS - 600 * MS)) is None  # before the window
    assert pointed(Cursor(7, NOW_NS - 1)) is None
    assert view(TOLD[:1], UiState(cursor=Cursor(0, 0))).timeline.pointed.bar is None


def test_the_cursor_walks_over_the_calls_of_a_core() -> None:
    calls = sorted(c.start_ns for c in LOG.calls if c.core == 1 and c.end_ns <= NOW_NS)
    moment = neighbour(TOLD, Cursor(1, calls[-1]), -1)
    walked = []
    while moment is not None and len(walked) < 20:
        walked.append(moment.start_ns)
        moment = neighbour(TOLD, moment.cursor, -1)
    assert walked == calls[-2:-22:-1]
    assert neighbour(TOLD, Cursor(1, calls[-3]), 1).start_ns == calls[-2]
