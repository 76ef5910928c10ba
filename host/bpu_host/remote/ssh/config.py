"""What the user's ssh configuration says about a host."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from bpu_common.errors import UsageError

DEFAULT_PORT = 22
_DEFAULT_TIMEOUT_S = 10.0
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_MAX_INCLUDES = 16
_INCLUDE = re.compile(r"\s*include\s*[=\s]\s*(.+)", re.IGNORECASE)
_BLOCK = re.compile(r"\s*(host|match)[=\s]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """What the user names; user "" and port 0 are left to the configuration."""

    host: str
    user: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How a host is reached.

    Attributes:
        proxy_command: command whose input and output reach the host; "" dials it.
        known_hosts: the user's own files, which are read only.
        agent: ask the ssh agent for keys.
    """

    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    identities_only: bool
    agent: bool
    proxy_command: str
    known_hosts: tuple[Path, ...]
    host_key_alias: str
    timeout_s: float

    @property
    def known_as(self) -> str:
        """The host's name in files of known hosts."""
        if self.host_key_alias:
            return self.host_key_alias
        return self.host if self.port == DEFAULT_PORT else f"[{self.host}]:{self.port}"


def parse_target(text: str) -> SshTarget:
    """Read `[user@]host[:port]`; an IPv6 address with a port stands in brackets.

    Raises:
        UsageError: it has another form.
    """
    user, at, rest = text.rpartition("@")
    match = re.fullmatch(r"\[([0-9A-Fa-f:.%\w]+)\](?::(\d{1,5}))?", rest)
    if match is None and rest.count(":") <= 1:
        match = re.fullmatch(r"([\w.-]+)(?::(\d{1,5}))?", rest)
    if match is None and rest.count(":") > 1:
        match = re.fullmatch(r"([0-9A-Fa-f:.]+)()", rest)
    port = int(match[2] or 0) if match else 0
    # A leading '-' would be an option of ssh.
    bad = match is None or port > 65535 or match[1].startswith("-") or user.startswith("-")
    if text.startswith("unix:"):
        raise UsageError(
            f"{text!r} is the address of an agent, not of a computer to set up",
            hint=f"it needs no adding: give `--board {text}` or set BPU_BOARD={text}",
        )
    if bad or (at and not re.fullmatch(r"[\w.@\\-]+", user)):
        raise UsageError(
            f"{text!r} does not name a board",
            hint="give [user@]host[:port], as in root@192.168.1.10 or board2:2222",
        )
    assert match is not None
    return SshTarget(match[1], user, port)


def config_files() -> tuple[Path, ...]:
    """The user's file and the system's, in the order in which they are read."""
    return (Path.home() / ".ssh" / "config", Path("/etc/ssh/ssh_config"))


def read_settings(target: SshTarget, files: Sequence[Path] | None = None) -> SshSettings:
    """Look a host up in the files; what the target says wins, then the first value found.

    Raises:
        UsageError: the configuration cannot be read.
    """
    lines = [line for path in files or config_files() for line in (*_lines(path, 0), "Host *")]
    try:
        found = paramiko.SSHConfig.from_text("\n".join(lines)).lookup(target.host)
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ImportError) as error:
        raise UsageError(
            f"the ssh configuration has something that is not understood here: {error}",
            hint="add the board with `--transport openssh`, which leaves it to the ssh program",
        ) from None
    return _settings(target, found)


def ask_ssh(target: SshTarget) -> SshSettings:
    """Have the ssh program look a host up: it understands everything that it uses.

    Raises:
        UsageError: there is no ssh program, or it refuses its configuration.
    """
    options = [*(["-p", str(target.port)] if target.port else [])]
    options += ["-l", target.user] if target.user else []
    try:
        done = subprocess.run(
            ["ssh", "-G", *options, "--", target.host],
            capture_output=True,
            text=True,
            check=True,
            timeout=_DEFAULT_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise UsageError(
            "there is no ssh program", hint="install openssh-client, or use --transport paramiko"
        ) from None
    except subprocess.SubprocessError as error:
        reason = str(getattr(error, "stderr", "") or error).strip()
        raise UsageError(f"the ssh program refuses its configuration: {reason}") from None
    found: dict[str, Any] = {"identityfile": []}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        if key == "identityfile":
            found[key].append(value)
        else:
            found[key] = value
    return _settings(target, found)


def _settings(target: SshTarget, found: Mapping[str, Any]) -> SshSettings:
    user = target.user or str(found.get("user", "")) or getpass.getuser()
    host = str(found.get("hostname", target.host))
    port = target.port or _number(found.get("port"), DEFAULT_PORT)
    given = [Path(name).expanduser() for name in found.get("identityfile", ())]
    home = Path.home() / ".ssh"
    return SshSettings(
        host=host,
        port=port,
        user=user,
        identity_files=tuple(given or (home / name for name in _DEFAULT_KEYS)),
        identities_only=str(found.get("identitiesonly", "no")) == "yes",
        agent=str(found.get("identityagent", "")) != "none",
        proxy_command=_proxy(found, host, port),
        known_hosts=_known_hosts(found),
        host_key_alias=str(found.get("hostkeyalias", "")),
        timeout_s=float(_number(found.get("connecttimeout"), 0)) or _DEFAULT_TIMEOUT_S,
    )


def _lines(path: Path, depth: int) -> Iterator[str]:
    """The lines of a file with those of the files that it includes."""
    try:
        text = path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    block = "Host *"
    for line in text.splitlines():
        included = _INCLUDE.fullmatch(line)
        if included is None:
            block = line if _BLOCK.match(line) else block
            yield line
            continue
        if depth == _MAX_INCLUDES:
            raise UsageError("files include each other without end", where=str(path))
        for pattern in included[1].replace('"', "").split():
            for each in _included(Path(pattern).expanduser(), path):
                yield from _lines(each, depth + 1)
                yield block  # a block that the included file began ends with the file


def _included(pattern: Path, path: Path) -> list[Path]:
    if pattern.is_absolute():
        return sorted(Path("/").glob(str(pattern.relative_to("/"))))
    return sorted(path.parent.glob(str(pattern)))


def _proxy(found: Mapping[str, Any], host: str, port: int) -> str:
    command = str(found.get("proxycommand", "") or "")
    jump = str(found.get("proxyjump", "") or "")
    if command and command != "none":
        return command
    if not jump or jump == "none":
        return ""
    # As the ssh program does it: the way through other hosts is its own matter, keys included.
    first, _, last = jump.rpartition(",")
    via = f"-J {first} " if first else ""
    hop = parse_target(last.removeprefix("ssh://"))
    login = (f"-l {hop.user} " if hop.user else "") + (f"-p {hop.port} " if hop.port else "")
    literal = f"[{host}]" if ":" in host else host
    return f"ssh {via}{login}-W {literal}:{port} {hop.host}"


def _known_hosts(found: Mapping[str, Any]) -> tuple[Path, ...]:
    user = str(found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
    system = str(
        found.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
    )
    names = [name for name in (*user.split(), *system.split()) if name != "none"]
    return tuple(Path(name).expanduser() for name in names)


def _number(value: object, default: int) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else default
