"""`TopApp` on frames that are given, and its screen as lines of cells."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC

from bpu_common.errors import BpuError
from bpu_common.load import LoadRequest, LoadState
from bpu_common.telemetry import TelemetryFrame
from bpu_host.tui.app import TopApp
from bpu_host.tui.feed import Feed
from bpu_host.tui.palette import DARK, Palette
from bpu_host.tui.session import Session
from bpu_host.tui.state import Replay


class ListSource:
    """Gives its frames at once; then fails, ends, or waits until it is closed."""

    label = "list"

    def __init__(
        self,
        frames: Sequence[TelemetryFrame],
        error: BpuError | None = None,
        *,
        lasting: bool = True,
        replay: Replay | None = None,
    ) -> None:
        self.replay = replay
        self.lasting = lasting
        self.given = threading.Event()
        self._frames = frames
        self._error = error
        self._closed = threading.Event()

    def frames(self) -> Iterator[TelemetryFrame]:
        yield from self._frames
        self._frames = ()
        self.given.set()
        if self._error is not None:
            raise self._error
        if self.lasting:
            self._closed.wait(30)

    def close(self) -> None:
        self._closed.set()


class FakeLoads:
    """Remembers what it was told, and has it running."""

    def __init__(self, *running: LoadRequest) -> None:
        self.states = [LoadState(f"{each.model}-1", each, 0) for each in running]
        self.failures: list[str] = []
        self.closed = False

    def start(self, request: LoadRequest) -> None:
        self.states.append(LoadState(f"{request.model}-2", request, 0))

    def stop(self, model: str) -> None:
        self.states = [each for each in self.states if each.request.model != model]

    def running(self) -> tuple[LoadState, ...]:
        return tuple(self.states)

    def models(self) -> tuple[str, ...]:
        return ("classifier", "detector", "segmenter", "unused")

    def take_failures(self) -> list[str]:
        found, self.failures = self.failures, []
        return found

    def close(self) -> None:
        self.closed = True


def make_app(
    source: ListSource,
    wall_ns: Callable[[], int],
    loads: FakeLoads | None = None,
    palette: Palette = DARK,
) -> TopApp:
    """An app that draws when `tick` is called."""
    session = Session(Feed(source), "board-1", None if loads is None else lambda: loads)
    return TopApp([session], palette, wall_ns=wall_ns, zone=UTC, ticking=False)


def make_boards(sources: Mapping[str, ListSource], wall_ns: Callable[[], int]) -> TopApp:
    """The same for several boards."""
    sessions = [Session(Feed(source), name, FakeLoads) for name, source in sources.items()]
    return TopApp(sessions, wall_ns=wall_ns, zone=UTC, ticking=False)


async def settle(app: TopApp, pilot, *sources: ListSource) -> None:
    """Everything the sources give is taken in, laid out and drawn."""
    assert all(source.given.wait(20) for source in sources)
    for _ in range(3):
        await pilot.pause()
        app.tick(True)
    await pilot.pause()


_TEXT = re.compile(r'<text class="([^"]*)" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>')
_RECT = re.compile(
    r'<rect fill="(#[0-9a-f]+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"'
)
_CLASS = re.compile(r"\.(terminal-[\w]+-r\d+) \{([^}]*)\}")


def cells(svg: str) -> list[str]:
    """What an exported screen shows, independent of the template around it.

    One line a run of text, `row column style text`, and one a filled area.
    """
    styles = {
        name: " ".join(sorted(text.strip(" ;").split(";"))) for name, text in _CLASS.findall(svg)
    }
    found = []
    for name, x, y, text in _TEXT.findall(svg):
        if name.split("-")[-1].startswith("r"):
            column, row = round(float(x) / 12.2), round((float(y) - 20) / 24.4)
            shown = html.unescape(text).replace("\xa0", " ").rstrip()
            if shown.strip():
                found.append(f"{row:3} {column:3} {styles.get(name, '')} {shown}")
    for colour, x, y, width, _ in _RECT.findall(svg):
        column, row = round(float(x) / 12.2), round((float(y) - 1.5) / 24.4)
        found.append(f"{row:3} {column:3} fill {colour} {round(float(width) / 12.2)}")
    return sorted(found)


def screen_text(svg: str) -> str:
    """The text only, a line a row."""
    rows: dict[int, list[str]] = {}
    for _, x, y, text in sorted(_TEXT.findall(svg), key=lambda each: float(each[1])):
        row = rows.setdefault(round((float(y) - 20) / 24.4), [])
        column = round(float(x) / 12.2)
        row.extend(" " * (column - len(row)))
        shown = html.unescape(text).replace("\xa0", " ")
        row[column:] = list(shown)
    return "\n".join("".join(rows[at]) for at in sorted(rows))
