"""History, feed, loads and drawing, each alone."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.errors import BoardUnreachable
from bpu_common.load import LoadRequest
from bpu_common.telemetry import TelemetryFrame
from bpu_common.telemetry.lines import Recorder
from bpu_host.remote import Board
from bpu_host.tui.draw import BLOCKS, braille_plot, buckets, gauge, histogram_plot, sparkline
from bpu_host.tui.feed import Feed, LinkChange, RecordingStopped
from bpu_host.tui.gantt import core_timeline
from bpu_host.tui.history import History
from bpu_host.tui.loads import BoardLoads
from bpu_host.tui.palette import DARK
from bpu_host.tui.scene import Bar, CoreRow, Histogram, Mark, Series, Timeline
from bpu_host.tui.source import BoardSource
from bpu_host.tui.state import Link
from bpu_host.tui.table import layout, load_text
from bpu_host.tui.text import count, milliseconds, size, span, uptime
from tests.support.agent_remote import Agent, wait_until
from tests.support.app_tui import ListSource
from tests.support.frames_tui import DEMO, MS, frames, play
from tests.support.models_board import slow_model

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def told() -> list[TelemetryFrame]:
    return frames(play(DEMO, 3_050 * MS), 3_000 * MS)


def test_history_is_bounded(told: list[TelemetryFrame]) -> None:
    history = History(max_frames=20, max_slices=200)
    for frame in told:
        history.add(frame)
    kept = history.until(history.end)
    assert (history.first, history.end) == (len(told) - 20, len(told))
    assert [frame.sequence for frame in kept] == [frame.sequence for frame in told[-20:]]
    assert sum(len(frame.slices) for frame in kept) <= 200
    whole = [frame for frame in kept if frame.slices]
    assert whole == told[-len(whole) :]
    assert [replace(frame, slices=()) for frame in told[-20 : -len(whole)]] == list(
        kept[: -len(whole)]
    )
    assert history.until(history.first + 5) == kept[:5]
    assert history.until(0) == ()


def test_history_keeps_the_newest_frame_whole(told: list[TelemetryFrame]) -> None:
    history = History(max_slices=1)
    for frame in told[:5]:
        history.add(frame)
    assert history.until(history.end)[-1] == told[4]


def test_feed_tells_of_loss_and_of_the_end(told: list[TelemetryFrame], tmp_path: Path) -> None:
    source = ListSource(told[:3], BoardUnreachable("gone", where="there"))
    recorder = Recorder(tmp_path / "a.jsonl", "test", limit_bytes=8_000)
    feed = Feed(source, recorder)
    feed.start()
    items: list[object] = []
    wait_until(lambda: items.extend(feed.take()) or any(_lost(item) for item in items))
    feed.stop()
    assert items[0] == LinkChange(Link.LIVE)
    assert [item for item in items if isinstance(item, TelemetryFrame)] == told[:3]
    assert LinkChange(Link.LOST, "there: gone") in items
    assert RecordingStopped("the recording has reached its size limit") in items
    ended = Feed(ListSource(told[:1], lasting=False))
    ended.start()
    items.clear()
    wait_until(lambda: items.extend(ended.take()) or len(items) == 3)
    assert items[-1] == LinkChange(Link.ENDED)
    ended.stop()


def _lost(item: object) -> bool:
    return isinstance(item, LinkChange) and item.link is Link.LOST


def test_a_killed_board_comes_back(tmp_path: Path) -> None:
    with Agent(tmp_path, "--clock", "paced") as agent:
        feed = Feed(BoardSource(agent.address, period_ms=20))
        feed.start()
        items: list[object] = []

        def links() -> list[Link]:
            items.extend(feed.take())
            return [item.link for item in items if isinstance(item, LinkChange)]

        wait_until(lambda: links() == [Link.LIVE])
        agent.kill()
        wait_until(lambda: Link.LOST in links())
        agent.start()
        wait_until(lambda: links()[-1] is Link.LIVE)
        boots = {item.boot_id for item in items if isinstance(item, TelemetryFrame)}
        wait_until(lambda: links() and len(boots | _boots(items)) == 2)
        threads = threading.active_count()
        feed.stop()
        assert threading.active_count() <= threads


def _boots(items: list[object]) -> set[str]:
    return {item.boot_id for item in items if isinstance(item, TelemetryFrame)}


def test_loads_on_a_board(tmp_path: Path) -> None:
    with Agent(tmp_path, "--clock", "paced") as agent:
        path = tmp_path / "a.bin"
        path.write_bytes(container.dump([slow_model("a"), slow_model("b")]))
        with Board.connect(agent.address) as board:
            board.deploy(path)
            other = board.start_load("b", rate_hz=50)
        loads = BoardLoads(agent.address).begin()
        loads.start(LoadRequest("a", threads=2, core_id=1, priority=7))
        wait_until(lambda: len(loads.running()) == 2)
        mine = next(each.request for each in loads.running() if each.request.model == "a")
        assert (mine.threads, mine.core_id, mine.priority) == (2, 1, 7)
        wait_until(lambda: loads.models() == ("a", "b"))
        loads.start(LoadRequest("none"))
        failures: list[str] = []
        wait_until(lambda: failures.extend(loads.take_failures()) or failures)
        assert "none" in failures[0]
        loads.stop("a")
        wait_until(lambda: [each.request.model for each in loads.running()] == ["b"])
        loads.start(LoadRequest("a"))
        loads.close()  # its own end, others' go on
        left = BoardLoads(agent.address).begin()
        wait_until(
            lambda: left.running() and [each.name for each in left.running()] == [other.name]
        )
        left.stop("b")
        wait_until(lambda: left.running() == ())
        left.close()


def test_values_later_than_the_newest_are_left_out() -> None:
    found = buckets(Series((90 * SECOND_NS, 10 * SECOND_NS), (1.0, 2.0)), 60)
    assert [each for each in found if not math.isnan(each)] == [2.0]


def test_buckets_stand_still_in_time() -> None:
    times = tuple(range(0, 60 * SECOND_NS, 100 * MS))
    values = tuple(float(at % 37) for at in range(len(times)))
    whole = buckets(Series(times, values), 60)
    assert whole == [max(values[at * 10 : at * 10 + 10]) for at in range(60)]
    later = buckets(Series((*times, 60 * SECOND_NS), (*values, 99.0)), 60)
    assert later == [*whole[1:], 99.0]
    assert all(math.isnan(each) for each in buckets(Series(), 5))
    assert math.isnan(buckets(Series(times[-1:], (math.nan,)), 3)[-1])


def test_sparkline_and_gauge() -> None:
    times = tuple(at * SECOND_NS for at in range(60))
    shown = sparkline(Series(times, tuple(float(at) for at in range(60))), 60)
    assert [BLOCKS.index(each) for each in shown] == sorted(BLOCKS.index(each) for each in shown)
    assert sparkline(Series(times, (0.0,) * 60), 4) == "    "
    assert sparkline(Series(times, (50.0,) * 60), 4, top=100.0) == "▄▄▄▄"
    assert [gauge(each, 4) for each in (0, 50, 100, 130, 3.2)] == [
        "    ", "██  ", "████", "████", "▏   ",
    ]  # fmt: skip


def text_of(strips: list) -> list[str]:
    return [strip.text for strip in strips]


def test_braille_dots_are_where_the_values_are() -> None:
    times = tuple(int(at * SECOND_NS / 2) for at in range(120))
    random = np.random.default_rng(3)
    values = tuple(float(each) for each in random.integers(0, 9, 120))
    rows = text_of(braille_plot([(Series(times, values), "#ffffff")], 67, 9, DARK))
    assert rows[0].startswith(" 8.00 ┤")
    dots = np.zeros((32, 120), bool)
    for y, row in enumerate(rows[:8]):
        for x, each in enumerate(row[7:]):
            bits = ord(each) - 0x2800 if each != " " else 0
            for bit, (dy, dx) in enumerate(
                ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1))
            ):
                dots[y * 4 + dy, x * 2 + dx] = bool(bits >> bit & 1)
    for at, value in enumerate(values):
        lit = np.flatnonzero(dots[:, at])
        assert 31 - int(value / 8 * 31 + 0.5) in lit
        assert list(lit) == list(range(lit[0], lit[-1] + 1))  # one run, joined to its neighbour
    assert text_of(braille_plot([], 3, 1, DARK)) == ["   "]


def test_histogram_shows_rare_values() -> None:
    counts = (1000, *[0] * 30, 1)
    rows = text_of(histogram_plot(Histogram(counts, 8 * MS, 8 * MS, 1001), 0, 32, 5, DARK))
    assert [row[0] for row in rows[:4]] == ["█"] * 4
    assert [row[31] for row in rows[:4]] == [" ", " ", " ", "▁"]
    assert rows[4].startswith("0 ")
    assert rows[4].endswith(" 8.00 ms")
    assert "no function calls yet" in "".join(text_of(histogram_plot(Histogram(), 0, 32, 5, DARK)))


def core_of(bars: list[Bar], marks: list[Mark]) -> CoreRow:
    return CoreRow(0, 50.0, SECOND_NS, 0, "a", 3, 10.0, 2, 1e9, 0.25, tuple(bars), tuple(marks))


def test_timeline_letters_are_where_the_calls_are() -> None:
    bars = [Bar(0, 25, 0, "a", 1, 0, False), Bar(25, 40, 1, "b", 2, 1, False),
            Bar(60, 100, 0, "a", 1, 1, True)]  # fmt: skip
    timeline = Timeline(0, 100, (core_of(bars, [Mark(25, 1, 0)]),))
    rows = text_of(core_timeline(timeline, 100, 6, DARK, mono=True))
    assert rows[1] == "A" * 25 + "b" * 15 + "·" * 20 + "a" * 40
    assert rows[4][24:28] == " ▲A "
    assert rows[0].startswith("core 0 ██████")
    assert "call 3" in rows[0]


@pytest.mark.parametrize("width", range(40, 140))
def test_figures_of_a_core_are_whole_or_left_out(width: int) -> None:
    timeline = Timeline(0, 100, (core_of([], []),))
    whole = text_of(core_timeline(timeline, 400, 6, DARK, mono=True))[0]
    shown = text_of(core_timeline(timeline, width, 6, DARK, mono=True))[0]
    figures = set(whole.split()[3:])
    assert set(shown.split()[3:]) <= figures
    assert shown.split()[0] == "core"


def test_timeline_cells_show_eighths() -> None:
    timeline = Timeline(0, 160, (core_of([Bar(0, 4, 0, "a", 1, 0, False)], []),))
    row = core_timeline(timeline, 20, 4, DARK, mono=False)[1]
    assert row.text[0] == "▌"  # half of the first cell
    assert row.text[1:].strip() == ""
    short = Timeline(0, 1600, (core_of([Bar(84, 85, 0, "a", 1, 0, False)], []),))
    row = core_timeline(short, 20, 4, DARK, mono=False)[1]
    assert row.text[1] != " "  # however short, a call is seen
    assert text_of(core_timeline(Timeline(0, 1, ()), 20, 4, DARK, mono=False)) == [" " * 20] * 4


@pytest.mark.parametrize("width", [40, 78, 100, 117, 118, 130, 178, 300])
def test_columns_fit(width: int) -> None:
    columns, widths = layout(width)
    assert len(columns) == len(widths)
    assert all(each >= 3 for each in widths)
    if width >= 78:
        assert sum(widths) + 2 * len(widths) <= width


def test_numbers_are_short() -> None:
    assert [milliseconds(each) for each in (None, 0, 9.994e6, 9.996e6, 99.96e6, 1.2345e9)] == [
        "-", "0.00", "9.99", "10.0", "100", "1234",
    ]  # fmt: skip
    assert [count(each) for each in (0, 99_999, 100_000, 2_500_000, 3 * 10**9)] == [
        "0", "99999", "100k", "2.5M", "3.0G",
    ]  # fmt: skip
    assert [size(each) for each in (5, 2048, 3 << 20, 5 << 30)] == [
        "5 B", "2 KiB", "3 MiB", "5.0 GiB",
    ]  # fmt: skip
    assert [span(each) for each in (20 * MS, 125 * MS, 12_500_000, SECOND_NS)] == [
        "20 ms", "125 ms", "12.5 ms", "1 s",
    ]  # fmt: skip
    assert uptime(3_725.9) == "1:02:05"
    assert load_text(LoadRequest("a", threads=4)) == "4×any"
    assert load_text(LoadRequest("a", rate_hz=12.5, core_id=2)) == "12.5/s core 1"
