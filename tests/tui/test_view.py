"""`view` shows what the raw event log gives: counts, rates, latencies, bars, preemptions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.load import LoadRequest, LoadState
from bpu_common.plain import plain
from bpu_common.telemetry import LogLine, ModelSample
from bpu_host.tui.state import Link, Note, UiState
from bpu_host.tui.view import view
from bpu_host.tui.view.models import BINS, CALLS_NS, nice_top
from bpu_host.tui.view.window import RATE_WINDOW_NS
from tests.support.frames_tui import DEMO, MS, WALL_NS, Log, Net, frames, play

NETS = st.lists(
    st.builds(
        Net,
        name=st.sampled_from(["a", "b", "c", "d"]),
        calls_ns=st.lists(st.integers(1, 40).map(lambda ms: ms * MS), min_size=1, max_size=5).map(
            tuple
        ),
        priority=st.sampled_from([0, 7, 254, 255]),
        threads=st.integers(1, 4),
        beat_ns=st.sampled_from([0, 0, 23 * MS, 140 * MS]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda net: net.name,
)


def bars_of(log: Log, core: int, start_ns: int, now_ns: int) -> list[tuple[int, ...]]:
    """The function calls that touch a window, from the log alone."""
    return sorted(
        (max(call.start_ns, start_ns), min(call.end_ns, now_ns), call.task, call.call)
        for call in log.calls
        if call.core == core and call.start_ns < now_ns and call.end_ns > start_ns
    )


@given(NETS, st.integers(0, 40), st.sampled_from([20 * MS, 500 * MS, 2_000 * MS]))
@settings(max_examples=25, deadline=None)
def test_what_is_shown_is_what_the_log_gives(nets: list[Net], tenths: int, span_ns: int) -> None:
    now_ns = tenths * 100 * MS
    log = play(nets, now_ns + 50 * MS)
    seen = view(frames(log, now_ns), UiState(span_ns=span_ns))
    window_ns = min(now_ns, RATE_WINDOW_NS)
    model_of = {task.number: task.net.name for task in log.tasks}
    taken = [call for call in log.calls if call.preempted_by >= 0 and call.end_ns <= now_ns]
    assert [row.name for row in seen.models] == [net.name for net in nets]
    for row in seen.models:
        done_ns = [t.done_ns for t in log.tasks if t.net.name == row.name and t.done_ns >= 0]
        recent = sum(now_ns - window_ns < each <= now_ns for each in done_ns)
        if now_ns:
            assert row.fps == pytest.approx(recent / (window_ns / 1e9))
        assert row.done == sum(each <= now_ns for each in done_ns)
        assert row.preempted == sum(call.model == row.name for call in taken)
        assert row.preempting == sum(model_of[call.preempted_by] == row.name for call in taken)
        latencies = sorted(
            task.done_ns - task.submitted_ns
            for task in log.tasks
            if task.net.name == row.name and 0 <= task.done_ns <= now_ns
        )
        if latencies:
            assert row.p50_ns == latencies[math.ceil(len(latencies) / 2) - 1]
            assert row.p99.values[-1] == row.p99_ns / 1e6
        else:
            assert row.p50_ns is None
    names = [net.name for net in nets]
    timeline = seen.timeline
    assert timeline.end_ns - timeline.start_ns == span_ns
    for core in timeline.cores:
        shown = sorted((bar.start_ns, bar.end_ns, bar.task, bar.call) for bar in core.bars)
        assert shown == bars_of(log, core.index, now_ns - span_ns, now_ns)
        assert all(names[bar.slot] == bar.name == model_of[bar.task] for bar in core.bars)
        # who took the core is known once it ran there: at the very end it has not yet
        assert [
            (mark.time_ns, names[mark.by] if mark.by >= 0 else "", names[mark.lost])
            for mark in core.marks
        ] == [
            (call.end_ns, model_of[call.preempted_by] if call.end_ns < now_ns else "", call.model)
            for call in sorted(taken, key=lambda each: each.start_ns)
            if call.core == core.index and call.end_ns > now_ns - span_ns
        ]
        mine = [call for call in taken if call.core == core.index]
        assert core.preemptions == len(mine)
    chosen = seen.selected
    assert chosen is not None
    assert chosen.name == names[0]
    durations = [
        call.end_ns - call.start_ns
        for call in log.calls
        if call.model == names[0] and max(-1, now_ns - CALLS_NS) < call.end_ns <= now_ns
    ]
    assert chosen.calls.total == len(durations) == sum(chosen.calls.counts)
    assert chosen.calls.longest_ns == max(durations, default=0)
    for at, count in enumerate(chosen.calls.counts):
        low, high = (chosen.calls.top_ns * each / BINS for each in (at, at + 1))
        last = at == BINS - 1
        assert count == sum(low <= d < high or (last and d == high) for d in durations)


def test_nothing_yet() -> None:
    seen = view([], UiState(label="board", link=Link.CONNECTING))
    assert seen.models == ()
    assert seen.selected is None
    assert seen.gauges is None
    assert seen.header.time == ""


def test_an_older_frame_is_shown_as_it_was() -> None:
    told = frames(play(DEMO, 4_050 * MS), 4_000 * MS)
    past = view(told[:21], UiState(paused=True, behind_s=2.0))
    assert past.timeline.end_ns == 2_000 * MS
    assert replace(past.header, paused=False, behind_s=0) == view(told[:21], UiState()).header
    assert past.models == view(told[:21], UiState()).models
    assert past.header.time == "15:06:42.000"


def test_a_restart_of_the_board_begins_anew() -> None:
    told = frames(play(DEMO, 4_050 * MS), 4_000 * MS)
    again = frames(play(DEMO, 1_050 * MS), 1_000 * MS, boot_id="other")
    mixed, alone = view([*told, *again], UiState()), view(again, UiState())
    assert mixed.models == alone.models
    assert mixed.timeline == alone.timeline
    assert mixed.selected == alone.selected


def test_events_are_merged_by_wall_time_and_told_once() -> None:
    lines = [LogLine(150 * MS, "info", "a loaded"), LogLine(950 * MS, "warning", "late\x1b[2J")]
    told = frames(play(DEMO, 2_050 * MS), 2_000 * MS, lines=lines)
    told[-1] = replace(told[-1], log=tuple(lines))  # told again after a new connection
    notes = (Note(WALL_NS + 500 * MS, "error", "gone"), Note(WALL_NS + 3_000 * MS, "info", "back"))
    seen = view(told, UiState(notes=notes))
    assert [(event.level, event.text) for event in seen.events] == [
        ("info", "a loaded"),
        ("error", "gone"),
        ("warning", "late?[2J"),
        ("info", "back"),
    ]
    assert seen.events[0].time == "15:06:40.150"
    paused = view(told, UiState(notes=notes, paused=True))
    assert [event.text for event in paused.events][-1] == "late?[2J"


def test_loads_stand_at_their_models() -> None:
    told = frames(play(DEMO, 250 * MS), 200 * MS)
    request = LoadRequest("segmenter", threads=3)
    by_digest = LoadRequest(told[-1].models[2].digest, rate_hz=30)
    loads = (LoadState("s-1", request, 0), LoadState("c-1", by_digest, 0))
    seen = view(told, UiState(loads=loads))
    assert [row.loads for row in seen.models] == [(), (request,), (by_digest,)]


def test_selected_model_and_models_of_the_same_name() -> None:
    told = frames(play(DEMO, 250 * MS), 200 * MS)
    assert view(told, UiState(selected="classifier")).selected.name == "classifier"
    assert view(told, UiState(selected="gone")).selected.name == "detector"
    first, *rest = told[-1].models
    twin = replace(first, digest="f" * 64)
    doubled = replace(told[-1], models=(first, twin, *rest))
    seen = view([doubled], UiState())
    assert [row.name for row in seen.models][:2] == [
        f"detector@{first.digest[:6]}",
        "detector@ffffff",
    ]
    assert isinstance(twin, ModelSample)


def test_models_of_one_name_and_one_digest_are_two_rows() -> None:
    last = frames(play(DEMO, 2_050 * MS), 2_000 * MS)[-1]
    twins = replace(last, models=(last.models[0],) * 3)
    names = [row.name for row in view((twins,), UiState()).models]
    assert len(set(names)) == 3


def test_times_that_a_faulty_board_tells() -> None:
    told = frames(play(DEMO, 2_050 * MS), 2_000 * MS)
    slices = tuple(
        replace(call, start_ns=call.end_ns, end_ns=call.start_ns) for call in told[-1].slices
    )
    view((*told[:-1], replace(told[-1], slices=slices)), UiState())
    backwards = replace(told[-1], time_ns=told[0].time_ns, sequence=told[-1].sequence + 1)
    view((*told, backwards), UiState())


def test_round_numbers() -> None:
    assert [nice_top(value) for value in (0, 1, 3, 11, 99, 100, 101, 6.4e6, 6.5e6)] == [
        1, 1, 4, 12, 100, 100, 120, 6_400_000, 8_000_000,
    ]  # fmt: skip
    assert plain("a\x07b\n\u202ec") == "a?b??c"
