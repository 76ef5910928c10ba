"""Keys and what they do, on a screen that is driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from textual.widgets import Input

from bpu_common.errors import BoardUnreachable
from bpu_common.load import LoadRequest
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.app import TopApp
from tests.support.app_tui import FakeLoads, ListSource, make_app, screen_text, settle
from tests.support.frames_tui import DEMO, MS, WALL_NS, frames, play

Body = Callable[[TopApp, Any], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def told() -> list[TelemetryFrame]:
    return frames(play(DEMO, 3_050 * MS), 3_000 * MS)


def drive(
    source: ListSource,
    body: Body,
    loads: FakeLoads | None = None,
    size: tuple[int, int] = (120, 40),
) -> None:
    """Run the app on the source's frames and let `body` press keys."""

    async def main() -> None:
        app = make_app(source, lambda: WALL_NS + 3_000 * MS, loads)
        async with app.run_test(size=size) as pilot:
            await settle(app, pilot, source)
            await body(app, pilot)

    asyncio.run(main())


def shown(app: TopApp) -> str:
    return screen_text(app.export_screenshot())


def test_pause_step_and_go_on(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        assert "● live" in shown(app)
        assert "15:06:43.000" in shown(app)
        await pilot.press("space")
        assert "❚❚ paused, 0.0 s behind" in shown(app)
        await pilot.press("left", "left")
        assert "paused, 0.2 s behind" in shown(app)
        assert "15:06:42.800" in shown(app)
        await pilot.press("left_square_bracket", "right")
        assert "15:06:41.900" in shown(app)
        await pilot.press("home")
        assert "15:06:40.000" in shown(app)
        await pilot.press("left")
        assert "15:06:40.000" in shown(app)
        await pilot.press("end")
        assert "● live" in shown(app)
        await pilot.press("left", "space")
        assert "● live" in shown(app)

    drive(ListSource(told), body)


def test_zoom_has_ends(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        assert "BPU cores, 500 ms" in shown(app)
        await pilot.press("plus")
        assert "BPU cores, 200 ms" in shown(app)
        await pilot.press(*["plus"] * 9)
        assert "BPU cores, 20 ms" in shown(app)
        await pilot.press(*["minus"] * 20)
        assert "BPU cores, 10 s" in shown(app)

    drive(ListSource(told), body)


def test_the_selected_model_is_drawn(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        assert "Latency of detector" in shown(app)
        await pilot.press("down", "down")
        await pilot.pause()
        assert "Latency of classifier" in shown(app)
        assert "Function calls of classifier" in shown(app)

    drive(ListSource(told), body)


def test_start_and_stop_a_load(told: list[TelemetryFrame]) -> None:
    loads = FakeLoads(LoadRequest("detector", threads=4))

    async def body(app: TopApp, pilot) -> None:
        assert "▶ 4×any" in shown(app)
        await pilot.press("x")
        assert loads.running() == ()
        await pilot.press("down", "s")
        await pilot.pause()
        assert "Start a load" in shown(app)
        dialog = app.screen
        dialog.query_one("#threads", Input).value = "9"
        await pilot.press("enter")
        assert "threads: " in shown(app)  # out of range, it stays open
        dialog.query_one("#threads", Input).value = "3"
        dialog.query_one("#priority", Input).value = "255"
        dialog.query_one("#rate", Input).value = "12.5"
        await pilot.press("enter")
        await pilot.pause()
        wanted = LoadRequest("segmenter", threads=3, priority=255, rate_hz=12.5)
        assert [load.request for load in loads.running()] == [wanted]
        app.tick(True)
        await pilot.pause()
        assert "▶ 12.5/s" in shown(app)
        loads.failures.append("the board has no room")
        app.tick()
        await pilot.pause()
        assert "the board has no room" in shown(app)
        await pilot.press("s", "escape")
        assert len(loads.running()) == 1

    drive(ListSource(told), body, loads)
    assert loads.closed


def test_a_recording_takes_no_load_and_ends(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        assert "■ end of recording" in shown(app)
        await pilot.press("s", "x")
        text = shown(app)
        assert "this is a recording: no load can be started" in text
        assert "no load on detector" in text

    drive(ListSource(told, lasting=False), body)


def test_help(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert "start a load, stop those of the selected model" in shown(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "start a load, stop" not in shown(app)

    drive(ListSource(told), body)
    drive(ListSource(told), body, size=(80, 24))


def test_narrow_screens_show_one_plot_of_two(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        assert "Latency of detector" in shown(app)
        assert "Function calls of" not in shown(app)
        await pilot.press("v")
        await pilot.pause()
        assert "Function calls of detector" in shown(app)
        assert "Latency of" not in shown(app)

    drive(ListSource(told), body, size=(80, 24))


def test_the_badge_stays_on_a_screen_that_scrolls(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        for down in (False, True):
            app.screen.scroll_end(animate=False) if down else app.screen.scroll_home(animate=False)
            await pilot.pause()
            assert "simulated" in shown(app).splitlines()[0]

    drive(ListSource(told), body, size=(60, 15))


def test_resizing(told: list[TelemetryFrame]) -> None:
    async def body(app: TopApp, pilot) -> None:
        for width, height in ((80, 24), (200, 60), (40, 10), (100, 34), (120, 40)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            app.tick(True)
            await pilot.pause()
            assert max(map(len, shown(app).splitlines())) <= width
        assert "core 1" in shown(app)

    drive(ListSource(told), body)


def test_a_lost_board_is_said_and_found_again(told: list[TelemetryFrame]) -> None:
    gone = BoardUnreachable("nothing answers", where="unix:/run/bpu/agent.sock")

    async def body(app: TopApp, pilot) -> None:
        text = shown(app)
        assert "○ disconnected" in text
        assert "unix:/run/bpu/agent.sock: nothing answers" in text
        assert "15:06:43.000" in text  # the last state stays on the screen

    drive(ListSource(told, gone), body)


def test_no_colour(told: list[TelemetryFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: TopApp, pilot) -> None:
        svg = app.export_screenshot()
        text = screen_text(svg)
        assert "AAaaAA" in text  # function calls are letters, small and capital in turn
        assert "▲A" in text
        # nothing but the terminal's own two colours (and mixtures of them, for dim text)
        greys = {colour for colour in _colours(svg) if len(set(colour)) > 1}
        assert greys <= _colours(_plain_svg()), greys

    drive(ListSource(told), body)


def _plain_svg() -> str:
    from io import StringIO

    from rich.console import Console

    console = Console(record=True, file=StringIO(), width=20)
    console.print("plain")
    return console.export_svg()


def _colours(svg: str) -> set[str]:
    import re

    return set(re.findall(r"#[0-9a-f]{6}", svg))
