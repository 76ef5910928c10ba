"""Makes `top.svg` and `top.png` from a recording (`bpu top --demo --json --frames 640 > FILE`).

    python docs/pictures/make_top.py FILE

Fonts leave gaps between block characters that no terminal shows, so these become rectangles; the
PNG is drawn by headless Chromium, the only program that renders the text of such an SVG right.
"""

from __future__ import annotations

import asyncio
import html
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from bpu_common.load import LoadRequest, LoadState
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.app import TopApp
from bpu_host.tui.demo import RECIPES
from bpu_host.tui.feed import Feed
from bpu_host.tui.session import Session
from bpu_host.tui.source import RecordingSource
from bpu_host.tui.state import Replay

FOLDER = Path(__file__).parent
SIZE = (160, 50)
CELL = (12.2, 24.4)
_TEXT = re.compile(r'<text class="([^"]*)" x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*)</text>')
_FILL = re.compile(r"\.([\w-]+-r\d+) \{[^}]*fill: (#[0-9a-f]{6})")
_LOWER = "▁▂▃▄▅▆▇█"
_LEFT = "▏▎▍▌▋▊▉"


class DemoLoads:
    """The loads of the demo board, as they ran when it was recorded."""

    def running(self) -> tuple[LoadState, ...]:
        return tuple(LoadState(f"{each.name}-1", each.load, 0) for each in RECIPES)

    def models(self) -> tuple[str, ...]:
        return tuple(each.name for each in RECIPES)

    def start(self, request: LoadRequest) -> None: ...

    def stop(self, model: str) -> None: ...

    def take_failures(self) -> list[str]:
        return []

    def close(self) -> None: ...


class Lasting:
    """A recording shown as if it came from the board, which stays at its end."""

    label = "demo"
    lasting = True
    replay: Replay | None = None

    def __init__(self, path: Path) -> None:
        self._source = RecordingSource(path, speed=0)
        self.given = threading.Event()
        self._closed = threading.Event()

    def frames(self) -> Iterator[TelemetryFrame]:
        yield from self._source.frames()
        self.given.set()
        self._closed.wait(60)

    def close(self) -> None:
        self._closed.set()


async def screen(recording: Path) -> str:
    """The SVG of the recording's last frame."""
    source = Lasting(recording)
    app = TopApp([Session(Feed(source), "demo", DemoLoads)], zone=UTC, ticking=False)
    async with app.run_test(size=SIZE) as pilot:
        while not source.given.is_set():
            app.tick()
            await pilot.pause(0.02)
        for _ in range(3):
            app.tick(True)
            await pilot.pause()
        return app.export_screenshot(title="bpu top --demo")


def with_rectangles(svg: str) -> str:
    """Block characters as rectangles of exactly their part of the cell."""
    colours = dict(_FILL.findall(svg))

    def replace(found: re.Match[str]) -> str:
        name, x, y, rest, text = found.groups()
        shown = html.unescape(text)
        if not any(each in _LOWER + _LEFT for each in shown):
            return found.group(0)
        top = float(y) - 20 + 1.5
        parts, kept = [], []
        for at, each in enumerate(shown):
            left, (width, height) = float(x) + at * CELL[0], CELL
            if each in _LOWER:
                part = (_LOWER.index(each) + 1) / 8
                box = (left, top + height * (1 - part), width, height * part)
            elif each in _LEFT:
                box = (left, top, width * (_LEFT.index(each) + 1) / 8, height)
            else:
                kept.append(each)
                continue
            kept.append("\xa0")
            parts.append(
                '<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" '.format(*box)
                + f'fill="{colours.get(name, "#ffffff")}" shape-rendering="crispEdges"/>'
            )
        label = html.escape("".join(kept)).replace("\xa0", "&#160;")
        return "".join(parts) + f'<text class="{name}" x="{x}" y="{y}"{rest}>{label}</text>'

    return _TEXT.sub(replace, svg)


def draw(svg: Path, png: Path) -> None:
    """The PNG of an SVG."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text())
    assert box is not None
    width, height = box.groups()
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--default-background-color=00000000",
                f"--user-data-dir={profile}", f"--screenshot={png}",
                f"--window-size={int(float(width))},{int(float(height))}", str(svg),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    (FOLDER / "top.svg").write_text(with_rectangles(asyncio.run(screen(Path(sys.argv[1])))))
    draw(FOLDER / "top.svg", FOLDER / "top.png")
