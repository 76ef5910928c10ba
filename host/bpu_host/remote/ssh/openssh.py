"""The other way to a board: the system's own ssh program, for what paramiko does not know.

Smart cards, GSSAPI, security keys and everything else of the user's configuration work as in a
terminal. Host keys are checked against the same file as everywhere in OpenBPU.
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bpu_common.errors import BoardUnreachable
from bpu_host.remote.renewed import Renewed
from bpu_host.remote.ssh.config import SshTarget
from bpu_host.remote.ssh.connection import Completed, shell

_TIMEOUT_S = 20.0
_SSH_FAILED = 255
_POLL_S = 0.05
_PAUSE_S = 0.5


class OpenSshConnection:
    """Commands by `ssh`; each is a connection of its own unless the user's configuration shares it.

    Args:
        known_hosts: files with trusted keys, ours first.
    """

    def __init__(self, target: SshTarget, known_hosts: Sequence[Path]) -> None:
        self._target = target
        files = " ".join(f'"{path}"' for path in known_hosts)
        self._options = [
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={files}"),
            *("-o", "BatchMode=yes", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"),
            *(["-p", str(target.port)] if target.port else []),
            *(["-l", target.user] if target.user else []),
        ]

    @property
    def where(self) -> str:
        return self._target.host

    @property
    def alive(self) -> bool:
        return True

    def run(self, script: str, data: bytes | Path = b"", timeout_s: float = 60.0) -> Completed:
        command = self.command("-T", after=(shell(script),))
        try:
            if isinstance(data, Path):
                with data.open("rb") as file:
                    done = subprocess.run(
                        command, stdin=file, capture_output=True, timeout=timeout_s, check=False
                    )
            else:
                done = subprocess.run(
                    command, input=data, capture_output=True, timeout=timeout_s, check=False
                )
        except subprocess.TimeoutExpired:
            raise BoardUnreachable(
                f"a command on the board takes longer than {timeout_s:g} s", where=self.where
            ) from None
        err = done.stderr.decode("utf-8", "replace")
        if done.returncode == _SSH_FAILED:
            raise self.failed(err)
        return Completed(done.returncode, done.stdout.decode("utf-8", "replace"), err)

    def command(self, *options: str, after: Sequence[str] = ()) -> list[str]:
        """The command line of an ssh to this board."""
        return ["ssh", *self._options, *options, "--", self._target.host, *after]

    def failed(self, err: str) -> BoardUnreachable:
        """What ssh says when it does not come through."""
        return BoardUnreachable(
            f"ssh does not reach the board: {err.strip() or 'it says nothing'}",
            where=self.where,
            hint=f"see what `{shlex.join(self.command('-v'))}` says",
        )

    def close(self) -> None:
        """There is nothing to end."""


class OpenSshTunnel:
    """A route by `ssh -L`, made again when it ends. See `tunnel.Tunnel`."""

    def __init__(
        self,
        connection: OpenSshConnection,
        remote_path: str,
        mend: Callable[[OpenSshConnection], None],
        folder: Path,
    ) -> None:
        self._connection = connection
        self._remote_path = remote_path
        self._mend = mend
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._lock = threading.Lock()  # one thread dials or mends
        self._child: Renewed[subprocess.Popen[bytes]] = Renewed(_end)
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="tunnel", daemon=True)

    @property
    def address(self) -> str:
        return f"unix:{self._path}"

    @property
    def alive(self) -> bool:
        child = self._child.newest
        return child is not None and child.poll() is None

    def start(self) -> None:
        """Connect and see that the agent answers.

        Raises:
            BpuError: the board cannot be reached, or its agent cannot be started.
        """
        self.recover()
        self._watch.start()

    def recover(self) -> None:
        with self._lock:
            self._child.check_open()
            if not self.alive:
                self._renew()
            if not self._agent_answers():
                self._mend(self._connection)

    def close(self) -> None:
        self._closed.set()
        self._child.close()
        self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        """Another ssh instead of one that has ended.

        Raises:
            BoardUnreachable: it does not come through, or the tunnel was closed meanwhile.
        """
        try:
            self._child.keep(self._spawn())
        except BoardUnreachable:
            self._path.unlink(missing_ok=True)
            raise

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._path.unlink(missing_ok=True)
        # -tt: see SshConnection._hold_terminal
        command = self._connection.command(
            *("-tt", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindMask=0177"),
            *("-o", "ControlPath=none", "-o", "LogLevel=ERROR"),
            *("-L", f"{self._path}:{self._remote_path}"),
            after=("exec cat",),
        )
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end_s = time.monotonic() + _TIMEOUT_S
        while not self._path.exists():
            if child.poll() is not None or time.monotonic() > end_s:
                _end(child)
                assert child.stderr is not None
                raise self._connection.failed(child.stderr.read().decode("utf-8", "replace"))
            time.sleep(_POLL_S)
        return child

    def _agent_answers(self) -> bool:
        """A stream through the tunnel stays open: ssh ends it at once if nothing listens."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT_S)
            try:
                probe.connect(os.fspath(self._path))
                return bool(probe.recv(1))  # the agent speaks first (HTTP/2 settings)
            except OSError:
                return False

    def _keep(self) -> None:
        while not self._closed.wait(_PAUSE_S):
            with self._lock:
                if self._closed.is_set() or self.alive:
                    continue
                try:
                    self._renew()
                except BoardUnreachable:
                    continue


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
