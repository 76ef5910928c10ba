"""A board by its name: through the daemon with its history, without it, and between the two."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from bpu_common.errors import BoardUnreachable, BpuError
from bpu_common.telemetry import TelemetryFrame
from bpu_host.daemon.client import Daemon
from bpu_host.tui.feed import Feed, LinkChange
from bpu_host.tui.source import NamedSource
from bpu_host.tui.state import Link
from tests.support.agent_remote import Agent, wait_until
from tests.support.daemon_home import Home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = Home(monkeypatch)
    yield made
    made.close()


def test_daemon_gives_history_first_and_may_come_and_go(home: Home, tmp_path: Path) -> None:
    with Agent(tmp_path, "--clock", "paced") as agent:
        home.add("desk", agent.address)
        direct = NamedSource("desk")
        assert [frame.sequence for frame in islice(direct.frames(), 3)] == [0, 1, 2]
        home.start()
        with Daemon.find() as daemon:
            wait_until(lambda: len(daemon.history("desk")) >= 5)
            kept = daemon.history("desk")
        source = NamedSource("desk")
        feed = Feed(source)
        feed.start()
        items: list[object] = []

        def frames() -> list[TelemetryFrame]:
            items.extend(feed.take())
            return [item for item in items if isinstance(item, TelemetryFrame)]

        def links() -> list[Link]:
            frames()
            return [item.link for item in items if isinstance(item, LinkChange)]

        wait_until(lambda: len(frames()) > len(kept) + 3)
        assert frames()[: len(kept)] == kept
        home.kill()  # bpu_host.daemon revives it, or the source goes on alone
        wait_until(lambda: Link.LOST in links())
        seen = len(frames())
        wait_until(lambda: len(frames()) > seen + 3)
        assert links()[-1] is Link.LIVE
        times = [frame.time_ns for frame in frames()]
        assert all(a < b for a, b in pairwise(times))  # nothing is told twice
        agent.kill()
        wait_until(lambda: links()[-1] is Link.LOST)
        agent.start()
        wait_until(lambda: links()[-1] is Link.LIVE)
        feed.stop()


def test_unknown_names_are_refused(home: Home) -> None:
    with pytest.raises(BpuError):
        next(NamedSource("nobody").frames())


def test_a_board_that_is_down_is_said_so(home: Home) -> None:
    home.add("desk", "unix:/none/agent.sock")
    home.start()
    with pytest.raises(BoardUnreachable):
        next(NamedSource("desk").frames())
