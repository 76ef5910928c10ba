"""The supervisor as a systemd service, where the board has a systemd that outlives the login."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from bpu_board.service.folder import Folder, Settings
from bpu_common.environment import CONFIG_HOME, home_folder
from bpu_common.errors import UsageError
from bpu_common.files import write_atomic, writing

BOOTED = Path("/run/systemd/system")
SYSTEM_UNITS = Path("/etc/systemd/system")
_TIMEOUT_S = 60
_UP = {"running", "degraded", "starting", "initializing"}

_UNIT = """\
[Unit]
Description=OpenBPU agent ({root})
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=always
RestartSec=200ms
TimeoutStopSec=15
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy={target}
"""


def choose(booted: Path = BOOTED) -> Settings:
    """The best way that this board and this user have, without options."""
    if not booted.is_dir() or shutil.which("systemctl") is None:
        return Settings("supervisor")
    if os.geteuid() == 0:
        return Settings("systemd")
    if _call("systemctl", "--user", "is-system-running") not in _UP:
        return Settings("supervisor")
    user = str(os.getuid())
    if _call("loginctl", "show-user", user, "-p", "Linger", "--value") == "yes":
        return Settings("systemd-user")
    _call("loginctl", "enable-linger", user)
    if _call("loginctl", "show-user", user, "-p", "Linger", "--value") == "yes":
        return Settings("systemd-user", lingers=True)
    return Settings("supervisor")  # a user's services end with the login there


def unit_path(folder: Folder, kind: str) -> Path:
    """Where the unit of a folder lies; a folder of another name has its own."""
    name = "openbpu-agent"
    if folder.root != Path.home() / ".openbpu":
        name += "-" + hashlib.sha256(str(folder.root).encode()).hexdigest()[:8]
    if kind == "systemd":
        return SYSTEM_UNITS / f"{name}.service"
    return home_folder(CONFIG_HOME) / "systemd" / "user" / f"{name}.service"


def unit_text(folder: Folder, kind: str) -> str:
    """The unit's content."""
    # systemd reads % and $ in a command; shell quoting is what it understands otherwise.
    command = shlex.join(folder.supervisor_command()).replace("%", "%%").replace("$", "$$")
    target = "multi-user.target" if kind == "systemd" else "default.target"
    root = str(folder.root).replace("%", "%%")
    return _UNIT.format(root=root, command=command, target=target)


def install(folder: Folder, kind: str) -> None:
    """Write the unit and have it started at boot; it is not started yet."""
    path = unit_path(folder, kind)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, unit_text(folder, kind))
    control(kind, "daemon-reload")
    control(kind, "enable", path.name)


def uninstall(folder: Folder, settings: Settings) -> None:
    """Stop the service and remove its unit, and what made the user's systemd outlive logins."""
    path = unit_path(folder, settings.kind)
    if path.exists():
        with contextlib.suppress(UsageError):
            control(settings.kind, "disable", "--now", path.name)
        path.unlink()
        control(settings.kind, "daemon-reload")
    if settings.lingers:
        _call("loginctl", "disable-linger", str(os.getuid()))


def control(kind: str, *words: str) -> str:
    """Run systemctl; its output.

    Raises:
        UsageError: it failed.
    """
    command = ["systemctl", *(["--user"] if kind == "systemd-user" else []), *words]
    done = _run(command)
    if done.returncode != 0:
        raise UsageError(
            f"{shlex.join(command)} failed: {(done.stderr or done.stdout).strip()}",
            hint="`bpu boards add NAME ... --supervisor` does without systemd",
        )
    return done.stdout.strip()


def _call(*command: str) -> str:
    return _run(list(command)).stdout.strip()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
