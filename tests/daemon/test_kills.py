"""Agents and daemons that are killed or hang: who notices, what is lost, what comes back."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bpu_common.daemon import JobState, LinkState
from bpu_common.errors import BoardUnreachable
from bpu_common.perf import PerfRequest
from bpu_host.daemon.client import Daemon, measure, resolve
from bpu_host.daemon.files import listens, read_record
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.daemon_home import Home
from tests.support.daemon_measuring import LONG, RECOVER_S, SHORT, Measuring, link


def test_a_killed_agent_is_found_again(daemon: Daemon, agents: tuple[Agent, Agent]) -> None:
    before = link(daemon, "desk")
    running = Measuring(daemon, PerfRequest("tiny", frame_count=40_000))
    wait_until(lambda: daemon.jobs(active=True)[0].frames_done > 0)
    agents[0].kill()
    try:
        wait_until(lambda: link(daemon, "desk").state is not LinkState.UP, RECOVER_S)
        down = link(daemon, "desk")
        assert down.error
        assert resolve("desk") is None
        assert link(daemon, "rack").state is LinkState.UP
    finally:
        agents[0].start()
    wait_until(lambda: link(daemon, "desk").state is LinkState.UP, RECOVER_S)
    assert link(daemon, "desk").connections > before.connections
    assert not link(daemon, "desk").error
    daemon_ended = daemon.jobs("desk")[0]
    assert daemon_ended.state.is_active  # it is measured again
    running.wait()
    assert running.result is not None
    boots = {frame.boot_id for frame in daemon.history("desk")}
    assert len(boots) == 2


def test_a_killed_daemon_loses_only_its_memory(
    daemon: Daemon, home: Home, agents: tuple[Agent, Agent]
) -> None:
    done = daemon.perf("desk", SHORT)
    events = daemon.events()
    next(events)
    running = Measuring(daemon, LONG)
    waiting = Measuring(daemon, SHORT)
    old = daemon.status()
    home.kill()
    for each in (running, waiting):
        each.wait()
        assert isinstance(each.error, BoardUnreachable)
        assert "daemon" in each.error.message
    with pytest.raises(BoardUnreachable, match="the daemon is gone"):
        list(events)
    assert resolve("desk") == agents[0].address  # the next call starts it again
    with Board.connect(agents[0].address) as board:
        wait_until(lambda: next(board.telemetry()).queue.running == 0, RECOVER_S)
    found = Daemon.find()
    assert found is not None
    with found:
        new = found.status()
        assert new.run_id != old.run_id
        assert new.process_id != old.process_id
        log = {job.id: job for job in found.jobs()}
        assert log[running.id].state is JobState.LOST
        assert log[waiting.id].state is JobState.LOST
        assert [job.result for job in log.values() if job.state is JobState.DONE] == [done]
        assert found.perf("desk", SHORT).frame_count == 400
        assert found.jobs()[0].id > waiting.id


def test_a_daemon_killed_this_moment_is_started_again(
    daemon: Daemon, agents: tuple[Agent, Agent]
) -> None:
    for _ in range(2):
        found = Daemon.find()
        assert found is not None
        with found:
            number = found.status().process_id
            os.kill(number, signal.SIGKILL)  # it may still accept connections
            assert resolve("desk") == agents[0].address


def test_a_measurement_outlives_the_daemon(daemon: Daemon, home: Home) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(measure, "desk", PerfRequest("tiny", frame_count=40_000))
        wait_until(lambda: daemon.jobs(active=True))
        wait_until(lambda: daemon.jobs(active=True)[0].frames_done > 0)
        home.kill()
        measured = result.result(30)
    assert measured is not None
    assert measured.frame_count == 40_000
    found = Daemon.find()
    assert found is not None
    with found:
        assert [job.state for job in found.jobs()] == [JobState.DONE, JobState.LOST]


def test_kills_at_any_point_of_its_life(home: Home) -> None:
    numbers = random.Random(1503)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-m", "bpu_host.cli.bpud", "run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(numbers.uniform(0.2, 1.0))  # while it starts, opens its files, connects
            process.send_signal(signal.SIGKILL)
    first = home.start()
    record = read_record(home.files.record)
    assert record is not None
    assert record.process_id == first
    home.kill()
    with sqlite3.connect(f"file:{home.files.jobs}?mode=ro", uri=True) as log:
        assert log.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    log.close()
    assert not list(home.files.state.glob("*damaged*"))


def test_a_daemon_that_hangs_is_not_waited_for(daemon: Daemon, home: Home) -> None:
    number = daemon.status().process_id
    os.kill(number, signal.SIGSTOP)
    try:
        assert listens(home.files.socket)
        assert resolve("desk") is None
    finally:
        os.kill(number, signal.SIGCONT)
    assert resolve("desk") is not None
