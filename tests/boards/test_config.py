"""The user's ssh configuration: aliases, includes, precedence, proxies."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path

import pytest

from bpu_common.errors import UsageError
from bpu_host.remote.ssh import SshTarget, ask_ssh, parse_target, read_settings


def settings(home: Path, text: str, target: str = "board"):
    path = home / ".ssh" / "config"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_settings(parse_target(target), [path])


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("board", SshTarget("board")),
        ("root@10.0.0.1", SshTarget("10.0.0.1", "root")),
        ("me@board:2222", SshTarget("board", "me", 2222)),
        ("[fe80::1%eth0]:22", SshTarget("fe80::1%eth0", "", 22)),
        ("me@fe80::1", SshTarget("fe80::1", "me")),
        ("dom\\me@board", SshTarget("board", "dom\\me")),
    ],
)
def test_targets(text: str, target: SshTarget) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "@board", "-oProxyCommand=x", "a b", "h:x", "h:70000", "-x@h", "h;rm", "$(h)", "a/b"],
)
def test_targets_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


def test_the_address_of_an_agent_is_told_from_a_computer() -> None:
    with pytest.raises(UsageError, match="address of an agent") as caught:
        parse_target("unix:/tmp/bpu.sock")
    assert "--board unix:/tmp/bpu.sock" in str(caught.value.hint)


def test_defaults(home: Path) -> None:
    found = settings(home, "")
    assert (found.host, found.port, found.user) == ("board", 22, getpass.getuser())
    assert found.known_as == "board"
    assert found.identity_files[0] == home / ".ssh" / "id_ed25519"
    assert home / ".ssh" / "known_hosts" in found.known_hosts
    assert found.agent
    assert found.proxy_command == ""


def test_an_alias_and_what_the_user_says_wins(home: Path) -> None:
    text = """
        Host other
          User nobody
        Host board
          HostName 10.0.0.9
          Port 2200
          User sunrise
          IdentityFile ~/.ssh/board_%r
          IdentitiesOnly yes
          ConnectTimeout 3
          UserKnownHostsFile ~/.ssh/mine
          GlobalKnownHostsFile none
        Host *
          User late
          IdentityAgent none
    """
    found = settings(home, text)
    assert (found.host, found.port, found.user) == ("10.0.0.9", 2200, "sunrise")
    assert found.identity_files == (home / ".ssh" / "board_sunrise",)
    assert (found.identities_only, found.agent, found.timeout_s) == (True, False, 3.0)
    assert found.known_hosts == (home / ".ssh" / "mine",)
    assert found.known_as == "[10.0.0.9]:2200"
    found = settings(home, text, "root@board:22")
    assert (found.port, found.user, found.known_as) == (22, "root", "10.0.0.9")


def test_includes(home: Path) -> None:
    folder = home / ".ssh" / "conf.d"
    folder.mkdir(parents=True)
    (folder / "a").write_text("Host board\n  Port 2201\n")
    (folder / "b").write_text("Host *\n  User included\n")
    found = settings(home, "Host board\n  Include conf.d/*\n  HostName 10.1.1.1\n")
    assert (found.host, found.port, found.user) == ("10.1.1.1", 2201, "included")
    (folder / "a").write_text(f"Include {folder}/a\n")
    with pytest.raises(UsageError, match="without end"):
        settings(home, "Include conf.d/a\n")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("ProxyCommand nc -X 5 %h %p", "nc -X 5 10.0.0.9 22"),
        ("ProxyCommand none", ""),
        ("ProxyJump me@hop:2222", "ssh -l me -p 2222 -W 10.0.0.9:22 hop"),
        ("ProxyJump one,two", "ssh -J one -W 10.0.0.9:22 two"),
        ("ProxyJump none", ""),
    ],
)
def test_proxies(home: Path, line: str, command: str) -> None:
    found = settings(home, f"Host board\n  HostName 10.0.0.9\n  {line}\n")
    assert found.proxy_command == command


def test_a_proxy_that_would_be_an_option_is_refused(home: Path) -> None:
    with pytest.raises(UsageError):
        settings(home, "Host board\n  ProxyJump -oProxyCommand=x\n")


def test_the_ssh_program_agrees(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ask_ssh` reads what `ssh -G` prints; here a program of the same form prints it."""
    folder = home / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(
        "#!/bin/sh\n"
        "printf 'host board\\nuser sunrise\\nhostname 10.0.0.9\\nport 2200\\n'\n"
        "printf 'identityfile ~/.ssh/a\\nidentityfile ~/.ssh/b\\nconnecttimeout none\\n'\n"
        "printf 'proxycommand nc 10.0.0.9 2200\\n'\n"
    )
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    found = ask_ssh(SshTarget("board"))
    assert (found.host, found.port, found.user) == ("10.0.0.9", 2200, "sunrise")
    assert found.identity_files == (home / ".ssh" / "a", home / ".ssh" / "b")
    assert found.proxy_command == "nc 10.0.0.9 2200"
    (folder / "ssh").unlink()
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("ssh") is None
    with pytest.raises(UsageError, match="no ssh program"):
        ask_ssh(SshTarget("board"))
