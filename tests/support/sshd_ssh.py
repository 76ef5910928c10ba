"""A real sshd as a bare board: own keys, own port on loopback, an empty home folder.

The user of the board is the one who runs the tests; only HOME differs, by sshd's own setting.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

_START_S = 20

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/{key}
AuthorizedKeysFile {root}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
AllowTcpForwarding {forwarding}
AllowStreamLocalForwarding {forwarding}
PidFile none
LogLevel VERBOSE
Subsystem sftp internal-sftp
SetEnv HOME={root}/home PATH=/usr/local/bin:/usr/bin:/bin
"""


class SshBoard:
    """Use in a `with` block; `start` and `stop` may be called in it with other settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir()
        self.user = root / "user"  # home of the person in front of the host
        (self.user / ".ssh").mkdir(parents=True, mode=0o700)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._keygen(self.user / ".ssh" / "id_ed25519")
        shutil.copy(self.user / ".ssh" / "id_ed25519.pub", root / "authorized_keys")
        for name in ("first", "second"):
            self._keygen(root / name)
        self.target = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def fingerprint(self, key: str = "first") -> str:
        """What `ssh-keygen -l` says about a host key."""
        done = subprocess.run(
            ["ssh-keygen", "-lf", self.root / key], capture_output=True, text=True, check=True
        )
        return done.stdout.split()[1]

    def start(self, key: str = "first", forwarding: bool = True) -> None:
        """Run sshd until `stop`."""
        config = self.root / "sshd_config"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                root=self.root,
                key=key,
                forwarding="yes" if forwarding else "no",
            )
        )
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", config, "-E", self.root / "log"]
        )
        end = time.monotonic() + _START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, (self.root / "log").read_text()
            assert time.monotonic() < end, "sshd does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End sshd and every session."""
        if self._process is not None:
            for pid in self.sessions():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None

    def sessions(self) -> list[int]:
        """Processes of sshd that serve a connection."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_sessions(self) -> None:
        """kill -9 of every connection's sshd; the listening one stays."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, pattern: str = "") -> list[int]:
        """Processes of the installation in the board's home, by a pattern of the command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if f"{self.home}/" in line and re.search(pattern, line) and "sshd" not in line:
                    found.append(int(path.parent.name))
        return found

    def kill(self, pattern: str) -> None:
        """kill -9 of the processes that match; there must be one."""
        found = self.processes(pattern)
        assert found, f"no process {pattern!r} in {self.home}"
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def as_user(self) -> Iterator[None]:
        """The environment of the person in front of the host, of this process and its children."""
        changed = {
            "HOME": str(self.user),
            "XDG_CONFIG_HOME": str(self.user / "config"),
            "XDG_CACHE_HOME": str(self.user / "cache"),
            "XDG_STATE_HOME": str(self.user / "state"),
            "XDG_RUNTIME_DIR": str(self.user),
        }
        before = {name: os.environ.get(name) for name in (*changed, "SSH_AUTH_SOCK")}
        os.environ.update(changed)
        os.environ.pop("SSH_AUTH_SOCK", None)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _keygen(path: Path) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path]
        subprocess.run(command, check=True)
