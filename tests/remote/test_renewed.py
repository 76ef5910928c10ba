"""What is closed while it is being made again is closed for good: nothing stays open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.errors import BoardUnreachable
from bpu_host.client import daemon_route
from bpu_host.client.daemon_route import DaemonRoute
from bpu_host.remote import board as boards
from bpu_host.remote.board import Board
from bpu_host.remote.renewed import Renewed
from bpu_host.remote.ssh import SshTarget
from bpu_host.remote.ssh.openssh import OpenSshConnection, OpenSshTunnel
from tests.support.agent_remote import wait_until


class Made:
    """Something that is open until it is closed."""

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.closings = 0

    def close(self) -> None:
        self.closings += 1

    def recover(self) -> None:
        """It never breaks."""


class Slow:
    """Makes one thing at a time, each only once `go` is set."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.asked, self.go = threading.Event(), threading.Event()

    def make(self, address: str = "unix:/later") -> Made:
        self.asked.set()
        assert self.go.wait(20)
        self.made.append(Made(address))
        return self.made[-1]


def closed_meanwhile(work: Callable[[], object], slow: Slow, close: Callable[[], object]) -> None:
    """`close` comes while `work`, on another thread, makes something; then that is ready."""
    refused: list[BoardUnreachable] = []

    def run() -> None:
        try:
            work()
        except BoardUnreachable as error:
            refused.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert slow.asked.wait(20)
    close()
    slow.go.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(refused) == 1


@given(st.lists(st.sampled_from(["keep", "close"]), max_size=12))
def test_all_but_the_newest_are_ended_once(steps: list[str]) -> None:
    renewed: Renewed[Made] = Renewed(Made.close)
    made: list[Made] = []
    closed = False
    for step in steps:
        if step == "close":
            renewed.close()
            closed = True
            continue
        made.append(Made())
        if closed:
            with pytest.raises(BoardUnreachable):
                renewed.keep(made[-1])
        else:
            assert renewed.keep(made[-1]) is made[-1]
    expected = [1] * len(made)
    if made and not closed:
        expected[-1] = 0
        assert renewed.newest is made[-1]
    assert [each.closings for each in made] == expected


def test_a_route_of_its_own_that_is_ready_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_route, "resolve", lambda _: None)
    slow = Slow()
    route = DaemonRoute("desk", "unix:/daemon", slow.make)
    closed_meanwhile(route.recover, slow, route.close)
    assert [each.closings for each in slow.made] == [1]
    with pytest.raises(BoardUnreachable, match="closed"):
        route.recover()


def test_a_channel_that_is_dialled_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    slow.go.set()
    monkeypatch.setattr(boards, "open_channel", lambda address: slow.make(str(address)))
    monkeypatch.setattr(boards, "BoardClient", lambda *_: None)
    route = Made("unix:/before")
    board = Board(route.address, route=route)
    slow.go.clear()
    slow.asked.clear()
    route.address = "unix:/later"
    lost = BoardUnreachable("lost")
    closed_meanwhile(lambda: board._recover(lost, None), slow, board.close)
    assert [each.closings for each in slow.made] == [1, 1]


FAKE_SSH = """#!/bin/sh
echo $$ >> {folder}/started
while [ ! -e {folder}/go ]; do sleep 0.02; done
for each in "$@"; do case "$each" in *.sock:*) path="${{each%%:*}}";; esac; done
exec python3 -c "
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(60)" "$path"
"""


def test_an_ssh_that_comes_through_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(FAKE_SSH.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    started = tmp_path / "started"
    tunnel = OpenSshTunnel(
        OpenSshConnection(SshTarget("desk"), ()), "/run/x.sock", lambda _: None, tmp_path
    )
    failed = threading.Event()

    def recover() -> None:
        try:
            tunnel.recover()
        except BoardUnreachable:
            failed.set()

    threading.Thread(target=recover).start()
    wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
    tunnel.close()  # does not wait for the other thread
    assert not failed.is_set()
    (tmp_path / "go").touch()
    assert failed.wait(20)
    (child,) = started.read_text().split()
    assert not Path(f"/proc/{child}").exists()
    assert not list(tmp_path.glob("*.sock"))
