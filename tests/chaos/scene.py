"""Boards to break: an agent under its supervisor, reached by its socket or through a real sshd."""

from __future__ import annotations

import abc
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import psutil

from bpu_board.service import Folder, control
from bpu_board.service import supervisor as supervision
from bpu_host.cli.bpu import main as bpu
from bpu_host.client import connect
from bpu_host.daemon import spawn
from bpu_host.daemon.files import DaemonFiles, is_locked, read_record
from bpu_host.remote import Board
from tests.support.sshd_ssh import SshBoard

START_S = 60
ROOT = Path(__file__).resolve().parents[2]


class Scene(abc.ABC):
    """A board that is there from `with` on.

    Attributes:
        name: for the report.
        victims: what can be killed beside the client.
        address: what clients connect to.
        board: the driver's own connection, never closed in between.
        root: short folder for whatever the driver needs.
    """

    name = ""
    victims: tuple[str, ...] = ("agent", "supervisor")
    address: str
    board: Board
    folder: Folder

    def __init__(self) -> None:
        # Sockets need short paths; pytest's folders are long.
        self._place = tempfile.TemporaryDirectory(prefix="bpu")
        self.root = Path(self._place.name)
        self._stack = contextlib.ExitStack()

    def running(self) -> tuple[int, int]:
        """(supervisor, agent), once both run."""
        end_s = time.monotonic() + START_S
        while True:
            found = supervision.state(self.folder) or {}
            pids = (int(found.get("supervisor_pid", 0)), int(found.get("agent_pid", 0)))
            if all(pid and alive(pid) for pid in pids):
                return pids
            assert time.monotonic() < end_s, f"no agent: {self.folder.last_lines(20)}"
            self.mend()
            time.sleep(0.02)

    def kill(self, victim: str) -> None:
        """kill -9."""
        supervisor, agent = self.running()
        pid = agent if victim == "agent" else supervisor
        kill(pid)
        while alive(pid):
            time.sleep(0.001)

    def prepare(self) -> None:
        """What a user has running before the next piece of work."""

    def mend(self) -> None:
        """What the next command of a user does, where the connection does not do it by itself."""

    def processes(self) -> list[psutil.Process]:
        """Every process that works on the folder of the board."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if str(self.folder.root) in line and "bpu_board" in line:
                    found.append(process)
        return found

    def settled(self) -> bool:
        """Nothing is left of connections whose clients are dead."""
        return True

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._place)
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abc.abstractmethod
    def _build(self, stack: contextlib.ExitStack) -> None:
        """Start what the scene is made of; everything that is to be ended goes on the stack."""


class LocalScene(Scene):
    """A supervised agent on a unix socket of this machine."""

    name = "unix socket"

    def _build(self, stack: contextlib.ExitStack) -> None:
        self.folder = Folder(self.root / "a")
        control.install(self.folder, ("--clock", "paced"), plain=True)
        stack.callback(control.uninstall, self.folder)
        control.start(self.folder, START_S)
        self.address = f"unix:{self.folder.socket}"
        self.board = stack.enter_context(connect(self.address))

    def mend(self) -> None:
        if supervision.state(self.folder) is None:
            control.start(self.folder, START_S)


class SshScene(Scene):
    """The same behind a real sshd, set up by `bpu boards add`; everything goes through SSH."""

    name = "ssh"
    victims = ("agent", "supervisor", "session")

    def _build(self, stack: contextlib.ExitStack) -> None:
        self._sshd = stack.enter_context(SshBoard(self.root))
        stack.enter_context(self._sshd.as_user())
        command = ("boards", "add", "desk", self._sshd.target, "--bundle", "--supervisor")
        status = bpu(
            [*command, "--clock", "paced", "--fingerprint", self._sshd.fingerprint(), "--json"]
        )
        assert status == 0
        self.folder = Folder(self._sshd.home / ".openbpu")
        stack.callback(control.stop, self.folder)
        self.prepare()
        self.address = "desk"
        self.board = stack.enter_context(connect(self.address))

    def kill(self, victim: str) -> None:
        if victim == "session":
            self._sshd.kill_sessions()
        else:
            super().kill(victim)

    def settled(self) -> bool:
        """The only connection is the driver's."""
        return len(self._sshd.sessions()) <= 1


class DaemonScene(SshScene):
    """The same with `bpud`, whose connection all clients use."""

    name = "ssh with bpud"
    victims = ("agent", "supervisor", "session", "daemon")

    def _build(self, stack: contextlib.ExitStack) -> None:
        super()._build(stack)
        stack.callback(self._end)

    def prepare(self) -> None:
        files = DaemonFiles.of_user()
        if not is_locked(files.lock):
            spawn.spawn(files)

    def kill(self, victim: str) -> None:
        if victim == "daemon":
            files = DaemonFiles.of_user()
            record = read_record(files.record)
            assert record is not None
            kill(record.process_id)
            while is_locked(files.lock):
                time.sleep(0.001)
        else:
            super().kill(victim)

    def settled(self) -> bool:
        """One connection of the daemon, one of the driver from when there was no daemon."""
        return len(self._sshd.sessions()) <= 2

    @staticmethod
    def _end() -> None:
        files = DaemonFiles.of_user()
        if is_locked(files.lock):
            spawn.end(files)


class Client:
    """A process of `tests.chaos.client`; warm before it is given its order."""

    def __init__(self, scene: Scene) -> None:
        self._log = (scene.root / "clients.log").open("ab")
        self.log = scene.root / "clients.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.client"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )

    def order(self, text: str) -> None:
        """Have it begin."""
        assert self.process.stdin is not None
        assert self.line() == "warm", self.log.read_text()
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """The next thing it says; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """kill -9, and reap."""
        self.process.kill()
        self.process.wait(START_S)
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def kill(pid: int) -> None:
    """kill -9; it may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """It runs, and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
