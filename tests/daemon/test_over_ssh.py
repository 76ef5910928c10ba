"""The daemon's connections through a real sshd: what is killed comes back, whoever holds it."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.daemon import LinkState
from bpu_common.perf import PerfRequest
from bpu_host.cli.bpu import main
from bpu_host.client import connect
from bpu_host.daemon import spawn
from bpu_host.daemon.client import Daemon, resolve
from bpu_host.daemon.files import DaemonFiles
from tests.support.agent_remote import wait_until
from tests.support.models_board import image_input, tiny_model
from tests.support.sshd_ssh import SshBoard

pytestmark = pytest.mark.system

RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)
BACK_S = 30
"""Generous: the figure is measured, not tested."""


@pytest.fixture(scope="module")
def sshd() -> Iterator[SshBoard]:
    # Sockets need short paths; pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="bpu") as folder:
        path = Path(folder) / "tiny.bin"
        path.write_bytes(container.dump([tiny_model()]))
        with SshBoard(Path(folder)) as board, board.as_user():
            key = board.fingerprint()
            added = main(["boards", "add", "desk", board.target, "--bundle", "--fingerprint", key])
            assert added == 0
            assert main(["deploy", str(path), "--board", "desk"]) == 0
            yield board


@pytest.fixture
def daemon(sshd: SshBoard) -> Iterator[Daemon]:
    files = DaemonFiles.of_user()
    spawn.spawn(files)
    found = Daemon.find()
    assert found is not None
    with found:
        wait_until(lambda: up(found))
        yield found
    last = Daemon.find()
    if last is not None:
        with last:
            last.stop()
        assert spawn.end(files)


def up(daemon: Daemon) -> bool:
    link = daemon.link("desk")
    return link is not None and link.state is LinkState.UP


def frames(daemon: Daemon) -> int:
    link = daemon.link("desk", 0)
    assert link is not None
    return link.history_frames


def test_clients_use_the_daemons_connection(sshd: SshBoard, daemon: Daemon) -> None:
    sessions = sshd.sessions()
    assert len(sessions) == 1
    with connect("desk") as first, connect("desk") as second:
        assert first.address == second.address == resolve("desk")
        assert first.infer("tiny", RAW).outputs
    assert daemon.perf("desk", PerfRequest("tiny")).frame_count == 200
    assert sshd.sessions() == sessions
    assert daemon.history("desk")


def test_a_killed_connection_comes_back_at_the_same_address(sshd: SshBoard, daemon: Daemon) -> None:
    with connect("desk") as board:
        address = board.address
        sshd.kill_sessions()
        assert board.models()  # the call is repeated over the connection that was made again
        before = frames(daemon)
        wait_until(lambda: up(daemon) and frames(daemon) > before + 3, BACK_S)
        assert resolve("desk") == address
        assert board.infer("tiny", RAW).outputs


def test_a_killed_agent_is_started_again(sshd: SshBoard, daemon: Daemon) -> None:
    boot = daemon.history("desk")[-1].boot_id if frames(daemon) else ""
    sshd.kill("cli.agent")

    def again() -> bool:
        kept = daemon.history("desk")
        return bool(kept) and kept[-1].boot_id != boot

    wait_until(again, BACK_S)
    assert daemon.perf("desk", PerfRequest("tiny")).frame_count == 200


def test_clients_outlive_the_daemon(sshd: SshBoard, daemon: Daemon) -> None:
    files = DaemonFiles.of_user()
    with connect("desk") as board:
        old = daemon.status()
        os.kill(old.process_id, signal.SIGKILL)
        began = time.monotonic()
        assert board.models()  # the daemon is started again, the call repeated
        assert board.infer("tiny", RAW).outputs
        assert time.monotonic() - began < BACK_S
        found = Daemon.find()
        assert found is not None
        with found:
            assert found.status().run_id != old.run_id
            found.stop()
        assert spawn.end(files)
        assert board.models()  # and without a daemon
        assert Daemon.find() is None
    assert not list(files.runtime.glob("*.sock"))


def test_zz_the_daemon_keeps_away_from_changes(sshd: SshBoard, daemon: Daemon) -> None:
    assert main(["boards", "upgrade", "desk", "--bundle"]) == 0
    wait_until(lambda: up(daemon), BACK_S)
    assert main(["boards", "remove", "desk"]) == 0
    time.sleep(1)  # what would start the agent again had its chance
    assert list(sshd.home.iterdir()) == []
    assert sshd.processes() == []
    assert daemon.link("desk") is None
