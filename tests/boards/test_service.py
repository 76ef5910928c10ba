"""Keeping an agent running: the real supervisor with a real agent, and systemd by a stand-in."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpu_board.service import Folder, Settings, control, supervisor, systemd
from bpu_common.engine import engine_line
from bpu_common.errors import BoardUnreachable, UsageError
from bpu_host.boards.doctor import examine
from bpu_host.boards.inventory import BoardEntry
from bpu_host.remote import Board
from bpu_sim.kernels.choice import choose_engine
from tests.support.agent_remote import wait_until

WAIT_S = 60.0


@pytest.fixture
def folder(home: Path) -> Iterator[Folder]:
    made = Folder(home / "ob")
    yield made
    supervisor.stop(made)


def supervise(folder: Folder, command: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bpu_board.cli.supervise", command, "--folder", folder.root, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_agent_is_kept_running(folder: Folder) -> None:
    done = supervise(folder, "install", "--supervisor", "--", "--machine", "j3")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert (first["kind"], first["answers"], first["options"]) == (
        "supervisor",
        True,
        ["--machine", "j3"],
    )
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    for path in (folder.settings_file, folder.log, folder.socket):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    with Board.connect(f"unix:{folder.socket}") as board:
        assert board.info().machine == "j3"
    line = engine_line(choose_engine().about)
    assert f"engine: {line}\n" in folder.log.read_text()
    *_, agent, engine = examine(BoardEntry("here", "", address=f"unix:{folder.socket}"))
    assert (agent.what, agent.good) == ("agent", True)
    assert (engine.what, engine.good, engine.found) == ("engine", True, line)

    os.kill(first["agent_pid"], signal.SIGKILL)  # a killed agent comes back
    wait_until(
        lambda: control.status(folder).get("agent_pid") not in (None, first["agent_pid"]), WAIT_S
    )
    wait_until(folder.answers, WAIT_S)
    second = control.status(folder)
    assert second["supervisor_pid"] == first["supervisor_pid"]

    os.kill(first["supervisor_pid"], signal.SIGKILL)  # nothing outlives a killed supervisor
    wait_until(lambda: is_dead(second["agent_pid"]), WAIT_S)
    assert control.status(folder)["running"] is False
    control.start(folder, WAIT_S)
    third = control.status(folder)
    control.start(folder, WAIT_S)  # starting again changes nothing
    assert control.status(folder) == third

    assert supervise(folder, "stop").returncode == 0
    assert is_dead(third["agent_pid"])
    assert not folder.socket.exists()
    assert supervise(folder, "status").returncode == 0
    assert supervise(folder, "uninstall").returncode == 0


def test_an_agent_that_does_not_start_says_why(folder: Folder) -> None:
    folder.make()
    folder.write(Settings(options=("--machine", "none")))
    with pytest.raises(BoardUnreachable, match="invalid choice"):
        control.start(folder, 2.0)
    done = supervise(Folder(folder.root / "missing"), "start")
    assert (done.returncode, "no such folder" in done.stderr) == (2, True)


def test_the_relay_starts_the_agent(folder: Folder) -> None:
    folder.make()
    relay = subprocess.Popen(
        [sys.executable, "-m", "bpu_board.cli.supervise", "relay", "--folder", folder.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert relay.stdin is not None
    assert relay.stdout is not None
    # HTTP/2: the client's preface and empty settings; the server answers with its own.
    relay.stdin.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    relay.stdin.flush()
    head = relay.stdout.read(4)
    assert head[3] == 4  # a frame of settings
    relay.stdin.close()
    assert relay.wait(WAIT_S) == 0
    relay.stdout.close()


def test_the_log_is_bounded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.make()
    monkeypatch.setattr(supervisor, "LOG_BYTES", 1000)
    log = supervisor._Log(folder.log)
    for _ in range(100):
        log.write(b"x" * 99 + b"\n")
    files = list(folder.log.parent.iterdir())
    assert {path.name for path in files} <= {"agent.log", "agent.log.1"}
    assert sum(path.stat().st_size for path in files) <= 2200


def test_damaged_settings(folder: Folder) -> None:
    folder.make()
    folder.settings_file.write_text("{}")
    with pytest.raises(UsageError, match="cannot read the settings"):
        folder.read()


_SYSTEMCTL = """\
#!/bin/sh
echo "$0 $*" | sed 's,.*/,,' >> "$HOME/calls"
case "$*" in
  *is-system-running*) echo running;;
  *show-user*) [ -e "$HOME/lingers" ] && echo yes || echo no;;
  *enable-linger*) touch "$HOME/lingers";;
  *disable-linger*) rm "$HOME/lingers";;
  *enable*broken*) echo "no such unit" >&2; exit 1;;
esac
"""


@pytest.fixture
def calls(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for systemctl and loginctl that writes down how it is called."""
    tools = home / "tools"
    tools.mkdir()
    for name in ("systemctl", "loginctl"):
        (tools / name).write_text(_SYSTEMCTL)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return home / "calls"


def test_systemd_is_chosen_where_it_lasts(
    home: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert systemd.choose(home / "not booted").kind == "supervisor"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert systemd.choose(home).kind == "systemd"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert systemd.choose(home) == Settings("systemd-user", lingers=True)
    assert systemd.choose(home) == Settings("systemd-user", lingers=False)  # it did before


def test_systemd_units_come_and_go(
    home: Path, folder: Folder, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = systemd.choose
    monkeypatch.setattr(systemd, "choose", lambda: choose(home))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    control.install(folder, ("--clock", "paced"), plain=False)
    unit = systemd.unit_path(folder, "systemd-user")
    assert unit.parent == home / ".config" / "systemd" / "user"
    text = unit.read_text()
    assert f"ExecStart={sys.executable} -m bpu_board.cli.supervise run" in text
    assert "Restart=always" in text
    assert "WantedBy=default.target" in text
    assert f"systemctl --user enable {unit.name}" in calls.read_text()
    control.install(folder, (), plain=False)
    assert folder.read() == Settings("systemd-user", lingers=True)
    control.uninstall(folder)
    assert not unit.exists()
    assert not (home / "lingers").exists()  # taken back: nobody had asked for it before
    assert f"systemctl --user disable --now {unit.name}" in calls.read_text()


def test_unit_names(home: Path) -> None:
    usual = systemd.unit_path(Folder(home / ".openbpu"), "systemd")
    other = systemd.unit_path(Folder(home / "x y%$"), "systemd")
    assert usual == Path("/etc/systemd/system/openbpu-agent.service")
    assert other != usual
    text = systemd.unit_text(Folder(home / "x y%$"), "systemd")
    assert "x y%%$$" in text
    assert "WantedBy=multi-user.target" in text
