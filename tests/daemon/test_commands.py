"""What people read: `bpud status`, `bpu jobs`, and how their errors look."""

from __future__ import annotations

import json
import logging
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from bpu_common.daemon import BoardLink, DaemonStatus, JobState, LinkState
from bpu_common.errors import BpuError
from bpu_host.boards.inventory import BoardEntry
from bpu_host.boards.routes import DirectRoute, open_entry
from bpu_host.cli import bpu, bpud, bpud_log
from bpu_host.cli.bpu_jobs import job_line, job_to_json
from bpu_host.daemon import link as links
from bpu_host.daemon.backoff import Backoff
from bpu_host.daemon.client import Daemon
from bpu_host.daemon.link import Link
from tests.daemon.test_messages import JOB, LINK, STATUS
from tests.support.agent_remote import Agent, wait_until


class NoDaemon:
    """Stands where a daemon would be."""

    address = "unix:/nowhere"

    def __init__(self, found: DaemonStatus) -> None:
        self.found = found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def status(self) -> DaemonStatus:
        return self.found

    def jobs(self, board: str, limit: int, *, active: bool) -> tuple[object, ...]:
        return self.found.jobs[:limit]


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> DaemonStatus:
    link = BoardLink("rack", LinkState.UP, "unix:/z", history_frames=12, history_span_ns=10**10)
    found = replace(STATUS, boards=(LINK, link))
    monkeypatch.setattr(Daemon, "find", classmethod(lambda cls: NoDaemon(found)))
    return found


def test_status_for_people(status: DaemonStatus, capsys: pytest.CaptureFixture[str]) -> None:
    assert bpud.main(["status"]) == 0
    text = capsys.readouterr().out
    assert "desk  down" in text
    assert "2 failed attempts" in text
    assert "no way" in text
    assert "rack  up" in text
    assert "12 frames over 10 s" in text
    assert "the list of boards cannot be read: broken" in text
    assert "job 3    running   desk: net, 200 frames; waits for 1, 2" in text


def test_status_for_programs(status: DaemonStatus, capsys: pytest.CaptureFixture[str]) -> None:
    assert bpud.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["running"] is True
    assert [board["state"] for board in found["boards"]] == ["down", "up"]
    assert found["jobs"][0]["result"]["fps"] == 200.0


def test_jobs(status: DaemonStatus, capsys: pytest.CaptureFixture[str]) -> None:
    assert bpu.main(["jobs"]) == 0
    assert "by a test" in capsys.readouterr().out
    assert bpu.main(["jobs", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (job["id"], job["state"], job["waits_for"]) == (3, "running", [1, 2])
    done = replace(JOB, state=JobState.DONE, waits_for=(), error="")
    assert "200.0 frames/s, p50 0.000 ms" in job_line(done)
    assert job_to_json(replace(JOB, result=None))["result"] is None


def test_the_log_is_private_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpud_log, "_MAX_BYTES", 2000)
    monkeypatch.setattr(logging.root, "handlers", [])
    path = tmp_path / "bpud.log"
    bpud_log.open_log(str(path), verbose=False)
    try:
        for number in range(100):
            logging.getLogger("some.library").warning("line %d of a log that grows", number)
    finally:
        for handler in logging.root.handlers:
            handler.close()
    found = sorted(tmp_path.iterdir())
    assert [each.name for each in found] == ["bpud.log", "bpud.log.1"]
    for each in found:
        assert each.stat().st_size <= 2000
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


class Told:
    """Hears from a link."""

    def __init__(self) -> None:
        self.errors: list[BpuError] = []
        self.frames = 0
        self.ups = 0
        self.lock = threading.Lock()

    def connecting(self, link: Link) -> None:
        pass

    def up(self, link: Link, address: str) -> None:
        self.ups += 1

    def frame(self, link: Link, data: bytes) -> None:
        self.frames += 1

    def down(self, link: Link, error: BpuError, attempts: int, retry_s: float) -> None:
        self.errors.append(error)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path) as running:
        yield running


def test_a_board_that_falls_silent_is_given_up_and_found_again(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "STALLED_S", 0.5)
    monkeypatch.setattr(links, "_ANSWER_S", 0.5)
    told = Told()
    entry = BoardEntry("desk", "localhost", address=agent.address)
    assert open_entry(entry) == DirectRoute(agent.address)
    link = Link(entry, open_entry, told, Backoff())
    link.start()
    wait_until(lambda: told.frames > 2)
    link.cut_if_stalled()
    assert not told.errors
    assert agent.process is not None
    agent.process.send_signal(signal.SIGSTOP)

    def given_up() -> bool:
        link.cut_if_stalled()
        return bool(told.errors)

    wait_until(given_up)
    assert "no telemetry" in told.errors[0].message
    agent.process.send_signal(signal.SIGCONT)
    before = told.frames
    wait_until(lambda: told.ups > 1 and told.frames > before + 2)
    link.stop()
    assert link.join(5)
