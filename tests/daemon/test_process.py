"""A real daemon with real agents: connections, telemetry, measurements in turn."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bpu_common.daemon import JobState, LinkState
from bpu_common.errors import BoardUnreachable, Cancelled, ModelNotFound, UsageError
from bpu_common.perf import PerfRequest
from bpu_host.client import connect
from bpu_host.daemon.client import Daemon, held, measure, resolve
from bpu_host.daemon.files import is_locked
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.daemon_home import Home
from tests.support.daemon_measuring import LONG, RECOVER_S, SHORT, Measuring, link
from tests.support.models_board import image_input

RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)


def test_boards_are_connected_and_only_ours_can_reach_them(
    daemon: Daemon, home: Home, agents: tuple[Agent, Agent]
) -> None:
    for path, mode in (
        (home.files.runtime, 0o700),
        (home.files.state, 0o700),
        (home.files.socket, 0o600),
        (home.files.lock, 0o600),
        (home.files.record, 0o600),
        (home.files.jobs, 0o600),
        (home.files.log, 0o600),
    ):
        assert stat.S_IMODE(path.lstat().st_mode) == mode, path
    assert resolve("desk") == agents[0].address
    assert resolve("nobody") is None
    with connect("rack") as board:
        assert [entry.name for entry in board.models()] == ["tiny"]
        assert board.infer("tiny", RAW).outputs
    status = daemon.status()
    assert [each.board for each in status.boards] == ["desk", "rack"]
    assert status.history_bytes <= status.history_limit_bytes


def test_there_is_one_daemon(daemon: Daemon, home: Home) -> None:
    first = daemon.status().process_id
    assert home.start() == first
    second = home.run("bpud", "run")
    assert second.returncode == 2
    assert "another bpud" in second.stderr
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: home.start(), range(2))) == [first, first]
    assert daemon.status().process_id == first


def test_telemetry_of_all_boards_is_kept_and_merged_for_many(daemon: Daemon) -> None:
    wait_until(lambda: min(each.history_frames for each in daemon.status().boards) > 3)

    def read(_: int) -> dict[str, list[int]]:
        seen: dict[str, list[int]] = {"desk": [], "rack": []}
        states = set()
        for event in daemon.events(history_s=600):
            if event.link is not None:
                states.add((event.board, event.link.state))
                continue
            frame = daemon_frame(event.frame)
            seen[event.board].append(frame)
            if min(len(numbers) for numbers in seen.values()) >= 12:
                break
        assert {("desk", LinkState.UP), ("rack", LinkState.UP)} <= states
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = list(pool.map(read, range(3)))
    for seen in readers:
        for numbers in seen.values():  # from history to live: nothing twice, nothing left out
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    with pytest.raises(UsageError, match="no board 'dusk'"):
        next(iter(daemon.events(["dusk"])))
    kept = daemon.history("desk")
    assert len(kept) >= 12
    assert {frame.boot_id for frame in kept} == {kept[0].boot_id}
    assert len(daemon.history("desk", 0.3)) <= 5


def daemon_frame(data: bytes) -> int:
    from bpu_common.wire.messages.daemon import frame_from_bytes

    return frame_from_bytes(data).sequence


def test_measurements_take_turns_and_inference_does_not_wait(
    daemon: Daemon, agents: tuple[Agent, Agent]
) -> None:
    running = Measuring(daemon, LONG)
    usual = Measuring(daemon, SHORT)
    urgent = Measuring(daemon, SHORT, priority=9)
    assert daemon.perf("rack", SHORT).frame_count == 400  # another board, another queue
    active = daemon.jobs("desk", active=True)
    assert [job.id for job in active] == [running.id, urgent.id, usual.id]
    assert [job.waits_for for job in active] == [
        (),
        (running.id,),
        (running.id, urgent.id),
    ]
    assert active[0].state is JobState.RUNNING
    wait_until(lambda: daemon.jobs("desk", active=True)[0].frames_done > 0)
    with connect("desk") as board:
        assert board.infer("tiny", RAW).outputs
    ended = daemon.cancel(running.id)
    assert ended.state is JobState.CANCELLED
    for each in (running, usual, urgent):
        each.wait()
    assert isinstance(running.error, Cancelled)
    assert usual.result is not None
    assert urgent.result is not None
    log = {job.id: job for job in daemon.jobs("desk")}
    assert log[running.id].ended_wall_ns <= log[urgent.id].started_wall_ns
    assert log[urgent.id].ended_wall_ns <= log[usual.id].started_wall_ns
    assert log[usual.id].result == usual.result
    assert daemon.jobs(active=True) == ()
    with pytest.raises(UsageError, match="is over"):
        daemon.cancel(usual.id)
    with pytest.raises(UsageError, match="no job 999"):
        daemon.cancel(999)
    with Board.connect(agents[0].address) as board:
        wait_until(lambda: next(board.telemetry()).queue.running == 0)


def test_a_waiting_job_is_cancelled_and_failures_are_told(daemon: Daemon) -> None:
    running = Measuring(daemon, LONG)
    waiting = Measuring(daemon, SHORT)
    behind = Measuring(daemon, SHORT)
    daemon.cancel(waiting.id)
    waiting.wait()
    assert isinstance(waiting.error, Cancelled)
    wait_until(lambda: behind.seen[-1].waits_for == (running.id,))
    daemon.cancel(running.id)
    for each in (running, behind):
        each.wait()
    with pytest.raises(ModelNotFound):
        daemon.perf("desk", PerfRequest("nothing"))
    assert daemon.jobs("desk")[0].error_code == "MODEL_NOT_FOUND"
    with pytest.raises(UsageError, match="did you mean desk"):
        daemon.perf("desl", SHORT)


def test_the_job_of_a_killed_client_ends(daemon: Daemon, agents: tuple[Agent, Agent]) -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "bpu_host.cli.bpu", "perf", "tiny", "--board", "desk"),
            *("--frames", "50000000"),
        ],
        stderr=subprocess.DEVNULL,
    ) as client:
        wait_until(lambda: daemon.jobs(active=True))
        wait_until(lambda: daemon.jobs(active=True)[0].frames_done > 0)
        client.kill()
    wait_until(lambda: not daemon.jobs(active=True), RECOVER_S)
    assert daemon.jobs()[0].state is JobState.CANCELLED
    with Board.connect(agents[0].address) as board:
        wait_until(lambda: next(board.telemetry()).queue.running == 0, RECOVER_S)
    assert daemon.perf("desk", SHORT).frame_count == 400


def test_without_a_daemon_everything_works_the_same(home: Home) -> None:
    assert Daemon.find() is None
    assert resolve("desk") is None
    assert measure("desk", SHORT) is None
    alone = home.run("bpu", "perf", "tiny", "--board", "desk", "--json")
    assert alone.returncode == 0, alone.stderr
    assert Daemon.find() is None  # nobody started one
    home.start()
    served = home.run("bpu", "perf", "tiny", "--board", "desk", "--json")
    figures = [json.loads(each.stdout)["p50_ns"] for each in (alone, served)]
    assert figures[0] == figures[1]  # virtual time
    listed = json.loads(home.run("bpu", "jobs", "--all", "--json").stdout)["jobs"]
    assert [(job["state"], job["board"], job["model"]) for job in listed] == [
        ("done", "desk", "tiny")
    ]
    assert home.run("bpud", "stop").returncode == 0
    assert not is_locked(home.files.lock)
    assert sorted(path.name for path in home.files.runtime.iterdir()) == ["bpud.lock"]
    assert Daemon.find() is None  # one that was stopped stays so
    assert home.run("bpud", "status").returncode == 3
    assert home.run("bpu", "jobs").returncode == 1


def test_a_daemon_that_is_stopped_ends_its_jobs(daemon: Daemon, home: Home) -> None:
    running = Measuring(daemon, LONG)
    waiting = Measuring(daemon, SHORT)
    assert home.run("bpud", "stop").returncode == 0
    for each in (running, waiting):
        each.wait()
        assert each.error is not None
    home.start()
    found = Daemon.find()
    assert found is not None
    with found:
        log = found.jobs()
        assert [job.state for job in log] == [JobState.CANCELLED, JobState.CANCELLED]
        assert all("stopped" in job.error for job in log)


def test_the_inventory_is_followed(daemon: Daemon, home: Home, agents: tuple[Agent, Agent]) -> None:
    home.add("third", agents[1].address)
    assert resolve("third") == agents[1].address  # at once
    home.inventory.remove("third")
    wait_until(lambda: len(daemon.status().boards) == 2)
    home.add("desk", agents[1].address)  # another address: another connection
    wait_until(lambda: link(daemon, "desk").address == agents[1].address)
    good = home.inventory.path.read_text()
    home.inventory.path.write_text("{")
    wait_until(lambda: daemon.status().inventory_error)
    assert link(daemon, "rack").state is LinkState.UP
    home.inventory.path.write_text(good)
    wait_until(lambda: not daemon.status().inventory_error)


def test_a_board_that_is_held_is_left_alone(daemon: Daemon, agents: tuple[Agent, Agent]) -> None:
    with held("desk"):
        assert resolve("desk") is None
        with pytest.raises(BoardUnreachable, match="being changed"):
            daemon.perf("desk", SHORT)
        time.sleep(1)  # two looks at the inventory
        assert [each.board for each in daemon.status().boards] == ["rack"]
    wait_until(lambda: resolve("desk") == agents[0].address, RECOVER_S)


def test_a_file_in_the_way_of_the_socket_is_named(home: Home) -> None:
    (home.files.jobs).mkdir()
    done = home.run("bpud", "start")
    assert done.returncode == 1
    assert "the job log cannot be used" in done.stderr
    assert Path(home.files.log).exists()
