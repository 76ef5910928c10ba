"""Screens that were looked at: each is stored as SVG beside this file, and compared cell by cell.

The comparison reads text, styles and areas out of the SVG, so that a new template around the
screen changes nothing. After a wanted change: `BPU_SNAPSHOTS=write pytest tests/tui`, look at the
pictures (headless Chromium draws them right), commit.
"""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from textual.widgets import Input

from bpu_common.errors import BoardUnreachable
from bpu_common.load import LoadRequest
from bpu_common.telemetry import LogLine, TelemetryFrame
from bpu_host.tui.app import TopApp
from bpu_host.tui.palette import DARK, LIGHT, TERMINAL, Palette
from bpu_host.tui.state import Replay
from tests.support.app_tui import FakeLoads, ListSource, cells, make_app, make_boards, settle
from tests.support.frames_tui import DEMO, MS, WALL_NS, Log, frames, play, standing

FOLDER = Path(__file__).parent / "snapshots"
NOW_NS = 12_000 * MS
LINES = (
    LogLine(120 * MS, "info", "detector loaded"),
    LogLine(240 * MS, "info", "segmenter loaded"),
    LogLine(350 * MS, "info", "classifier loaded"),
    LogLine(700 * MS, "info", "load detector-1 started: detector, 4 threads, any core, priority 0"),
    LogLine(6_000 * MS, "warning", "classifier missed a deadline, the frame was dropped"),
    LogLine(9_300 * MS, "info", "detector preempted by classifier (21 more times)"),
)
LOADS = (
    LoadRequest("detector", threads=4),
    LoadRequest("segmenter", threads=1, priority=10),
    LoadRequest("classifier", rate_hz=32, priority=255),
)


@dataclass(frozen=True)
class Scenario:
    """What is given, what is pressed, how large the terminal is."""

    frames: tuple[TelemetryFrame, ...]
    keys: Sequence[str] = ()
    size: tuple[int, int] = (120, 40)
    loads: tuple[LoadRequest, ...] = ()
    lost: bool = False
    no_color: bool = False
    palette: Palette = DARK
    replay: Replay | None = None
    ended: bool = False


def idle() -> tuple[TelemetryFrame, ...]:
    """Models are loaded, nothing was ever submitted."""
    return tuple(frames(Log(DEMO), NOW_NS, lines=LINES[:3]))


def busy() -> tuple[TelemetryFrame, ...]:
    """Two models of low priority share the cores."""
    nets = (DEMO[0], replace(DEMO[1], priority=0, threads=2))
    return tuple(frames(play(nets, NOW_NS + 50 * MS), NOW_NS, lines=LINES[:2]))


def preempting() -> tuple[TelemetryFrame, ...]:
    """A third one at priority 255 takes cores from both."""
    return tuple(frames(play(DEMO, NOW_NS + 50 * MS), NOW_NS, lines=LINES))


PREEMPTING = preempting()
REPLAY = Replay(WALL_NS - 60_000 * MS, WALL_NS + NOW_NS, 2)
SCENARIOS = {
    "idle": Scenario(idle()),
    "busy": Scenario(busy(), loads=LOADS[:2]),
    "preempting": Scenario(PREEMPTING, loads=LOADS),
    "zoomed": Scenario(PREEMPTING, ["plus", "plus", "down", "down"], loads=LOADS),
    "paused": Scenario(PREEMPTING, ["space", *["left"] * 7], loads=LOADS),
    "disconnected": Scenario(PREEMPTING, lost=True),
    "narrow": Scenario(PREEMPTING, size=(80, 24), loads=LOADS),
    "narrow_calls": Scenario(PREEMPTING, ["v"], size=(80, 24)),
    "wide": Scenario(PREEMPTING, size=(180, 50), loads=LOADS),
    "light": Scenario(PREEMPTING, size=(160, 50), loads=LOADS, palette=LIGHT),
    "terminal": Scenario(PREEMPTING, ["down"], loads=LOADS, palette=TERMINAL),
    "cursor": Scenario(PREEMPTING, ["N", "N", "full_stop"], size=(160, 50), loads=LOADS),
    "worst": Scenario(PREEMPTING, ["w"], loads=LOADS),
    "sorted": Scenario(PREEMPTING, ["o", "o", "o"], loads=LOADS),
    "filter_dialog": Scenario(PREEMPTING, ["slash", "d", "e"], size=(80, 24)),
    "stopped": Scenario((*PREEMPTING, *standing(PREEMPTING, 3))),
    "replay": Scenario(PREEMPTING, replay=REPLAY),
    "replay_ended": Scenario(PREEMPTING, replay=REPLAY, ended=True, size=(80, 24)),
    "load_dialog": Scenario(PREEMPTING, ["s"], size=(80, 24), loads=LOADS),
    "help": Scenario(PREEMPTING, ["question_mark"], size=(80, 24)),
    "no_color": Scenario(PREEMPTING, ["down"], loads=LOADS, no_color=True),
}


def screen(scenario: Scenario) -> str:
    """The SVG of a scenario."""
    gone = BoardUnreachable("the connection was lost", where="unix:/run/bpu/agent.sock")
    source = ListSource(
        scenario.frames,
        gone if scenario.lost else None,
        lasting=not scenario.ended,
        replay=scenario.replay,
    )
    loads = None if scenario.replay else FakeLoads(*scenario.loads)

    async def main() -> str:
        app = make_app(source, now_ns, loads, scenario.palette)
        return await picture(app, scenario.keys, scenario.size, source)

    return asyncio.run(main())


def now_ns() -> int:
    return WALL_NS + NOW_NS


async def picture(
    app: TopApp, keys: Sequence[str], size: tuple[int, int], *sources: ListSource
) -> str:
    """The SVG of an app after some keys."""
    async with app.run_test(size=size) as pilot:
        await settle(app, pilot, *sources)
        await pilot.press(*keys)
        for field in app.screen.query(Input):
            field.cursor_blink = False  # else the picture depends on the moment
        await settle(app, pilot, *sources)
        return app.export_screenshot()


def boards() -> dict[str, ListSource]:
    """Three boards: busy, standing still, gone."""
    gone = BoardUnreachable("nothing answers", where="kitchen")
    return {
        "desk": ListSource(PREEMPTING),
        "lab": ListSource((*busy(), *standing(busy(), 2))),
        "kitchen": ListSource((), gone),
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_screen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = SCENARIOS[name]
    monkeypatch.delenv("NO_COLOR", raising=False)
    if scenario.no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    compare(name, screen(scenario), tmp_path)


@pytest.mark.parametrize(
    ("name", "keys", "size"),
    [("boards", [], (160, 50)), ("boards_narrow", ["down"], (80, 24)),
     ("board_of_boards", ["enter"], (120, 40))],
)  # fmt: skip
def test_boards(name: str, keys: list[str], size: tuple[int, int], tmp_path: Path) -> None:
    given = boards()
    svg = asyncio.run(picture(make_boards(given, now_ns), keys, size, *given.values()))
    compare(name, svg, tmp_path)


def compare(name: str, svg: str, tmp_path: Path) -> None:
    """The screen is the stored one."""
    stored = FOLDER / f"{name}.svg"
    if os.environ.get("BPU_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        stored.write_text(svg)
    wanted, found = cells(stored.read_text()), cells(svg)
    assert len(wanted) > 20
    if found != wanted:
        (tmp_path / f"{name}.svg").write_text(svg)
        changes = "\n".join(
            difflib.unified_diff(wanted, found, "stored", "found", lineterm="", n=0)
        )
        pytest.fail(f"the screen changed, see {tmp_path / name}.svg\n{changes}")
