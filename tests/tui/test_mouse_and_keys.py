"""Jumps, cursor, sort, filter, mouse, several boards; and that nothing is painted for nothing."""

from __future__ import annotations

import asyncio

import pytest
from textual.geometry import Region
from textual.widgets import DataTable, Input

from bpu_common.errors import BoardUnreachable
from bpu_host.tui.app import TopApp
from bpu_host.tui.widgets import CoreTimeline
from tests.support.app_tui import ListSource, make_boards, screen_text, settle
from tests.support.frames_tui import DEMO, MS, WALL_NS, frames, play, standing
from tests.tui.test_app import drive, shown

TOLD = frames(play(DEMO, 3_050 * MS), 3_000 * MS)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_both_keys_quit(key: str) -> None:
    async def body(app: TopApp, pilot) -> None:
        await pilot.press("slash" if key == "ctrl+c" else "down", key)  # from a dialog too
        await pilot.pause()
        assert not app.is_running

    drive(ListSource(TOLD), body)


def test_jumps_pause_and_explain() -> None:
    async def body(app: TopApp, pilot) -> None:
        await pilot.press("N")
        assert "❚❚ paused" in shown(app)
        assert "lost the core to classifier #" in shown(app)
        first = shown(app)
        await pilot.press("N", "n")
        assert shown(app) == first
        await pilot.press("full_stop")
        assert "classifier #" in shown(app)
        await pilot.press("c")
        assert "ms ago: " in shown(app)
        await pilot.press("escape")
        assert "ms ago: " not in shown(app)
        await pilot.press("w")
        assert "frame on the BPU for " in shown(app)
        await pilot.press("end", "n")
        assert "no preemption is kept after this" in shown(app)

    drive(ListSource(TOLD), body)


def test_sort_and_filter() -> None:
    async def body(app: TopApp, pilot) -> None:
        table = app.screen.query_one(DataTable)
        assert [key.value for key in table.rows] == ["detector", "segmenter", "classifier"]
        await pilot.press("o", "o")
        assert [key.value for key in table.rows] == ["segmenter", "classifier", "detector"]
        assert "by FPS" in shown(app)
        assert "Latency of segmenter" in shown(app)
        await pilot.press("slash")
        app.screen.query_one(Input).value = "CLASS"
        await pilot.press("enter")
        await pilot.pause()
        assert [key.value for key in table.rows] == ["classifier"]
        assert "only 'CLASS', 2 hidden" in shown(app)
        await pilot.press("escape")
        assert len(table.rows) == 3

    drive(ListSource(TOLD), body)


def test_the_mouse_selects_points_sorts_and_zooms() -> None:
    async def body(app: TopApp, pilot) -> None:
        await pilot.click("#models", offset=(4, 4))
        await pilot.pause()
        assert "Latency of classifier" in shown(app)
        await pilot.click("#models", offset=(26, 1))
        await pilot.pause()
        assert "by FPS" in shown(app)
        cores = app.screen.query_one(CoreTimeline)
        cores.post_message(CoreTimeline.Zoomed(-1))
        await pilot.pause()
        assert "BPU cores, 200 ms" in shown(app)
        await pilot.click("#cores", offset=(60, 4))
        await pilot.pause()
        assert "core 0, " in shown(app)
        assert "❚❚ paused" in shown(app)

    drive(ListSource(TOLD), body)


def test_nothing_is_painted_when_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that show the same paint one line; paused, newer ones paint none of the plots."""
    painted: list[Region] = []
    idle = standing(TOLD, 3)
    given = [*TOLD, *idle[:20]]

    async def body(app: TopApp, pilot) -> None:
        cores = app.screen.query_one(CoreTimeline)
        refresh = cores.refresh

        def counting(*regions: Region, **options: bool):
            painted.extend(regions or [Region(0, 0, 1, 1)])
            return refresh(*regions, **options)

        monkeypatch.setattr(cores, "refresh", counting)
        feed = app._sessions[0]._feed
        feed._items.extend(idle[20:])
        app.tick(True)
        await pilot.pause()
        assert painted == []
        await pilot.press("space")
        painted.clear()
        feed._items.extend(TOLD[-5:])
        for _ in range(5):
            app.tick()
        await pilot.pause()
        assert painted == []

    drive(ListSource(given), body)


def test_several_boards() -> None:
    gone = BoardUnreachable("nothing answers", where="kitchen")
    given = {"desk": ListSource(TOLD), "kitchen": ListSource((), gone)}

    async def main() -> None:
        app = make_boards(given, lambda: WALL_NS + 3_000 * MS)
        async with app.run_test(size=(200, 40)) as pilot:
            await settle(app, pilot, *given.values())
            text = screen_text(app.export_screenshot())
            assert "desk" in text
            assert "kitchen: nothing answers" in text
            assert "simulated, paced" in text
            await pilot.press("enter")
            await settle(app, pilot, *given.values())
            assert "Latency of detector" in shown(app)
            await pilot.press("b", "down", "enter")
            await settle(app, pilot, *given.values())
            assert "○ disconnected" in shown(app)
            await pilot.press("escape")
            await pilot.pause()
            assert "kitchen: nothing answers" in shown(app)

    asyncio.run(main())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200, 260])
def test_boards_fit_and_the_selected_one_says_why_it_is_gone(width: int) -> None:
    reason = "nothing answers there"
    given = {"desk": ListSource(TOLD), "kitchen": ListSource((), BoardUnreachable(reason))}

    async def main() -> None:
        app = make_boards(given, lambda: WALL_NS + 3_000 * MS)
        async with app.run_test(size=(120, 20)) as pilot:
            await settle(app, pilot, *given.values())
            await pilot.press("down")
            await pilot.resize_terminal(width, 20)
            await settle(app, pilot, *given.values())
            table = app.screen.query_one(DataTable)
            assert (table.max_scroll_x, table.cursor_row) == (0, 1)
            lines = shown(app).splitlines()
            assert any(line.strip() == reason for line in lines)
            await pilot.press("up")
            await pilot.pause()
            assert not any(line.strip() == reason for line in shown(app).splitlines())

    asyncio.run(main())
