"""Reaching a board of the inventory: its connection, its tunnel, the commands that run on it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from bpu_common.errors import UsageError
from bpu_host.boards.inventory import BoardEntry
from bpu_host.boards.places import config_folder, runtime_folder
from bpu_host.boards.probe import run_json
from bpu_host.remote.route import Route
from bpu_host.remote.ssh import (
    Connection,
    FirstContact,
    HostKeys,
    OpenSshConnection,
    OpenSshTunnel,
    SshConnection,
    SshSettings,
    SshTarget,
    Tunnel,
    ask_ssh,
    open_transport,
    read_settings,
    verify_host,
)

START_S = 30.0
"""How long an agent may take to start: slow boards compile it at the first start."""


def settings_of(entry: BoardEntry) -> SshSettings:
    """What the ssh configuration says about a board."""
    target = SshTarget(entry.host, entry.user, entry.port)
    return ask_ssh(target) if entry.transport == "openssh" else read_settings(target)


def host_keys(settings: SshSettings) -> HostKeys:
    """Our file of known hosts, with the user's behind it."""
    return HostKeys(config_folder() / "known_hosts", settings.known_hosts)


def connect(entry: BoardEntry, first_contact: FirstContact | None = None) -> Connection:
    """Connect to a board.

    Args:
        first_contact: asked about a host key that is not known; without it such a key is refused.

    Raises:
        BoardUnreachable: not reached, not let in, or not the right host.
    """
    if entry.transport == "openssh":
        settings = settings_of(entry)
        keys = host_keys(settings)
        verify_host(settings, keys, entry.name, first_contact)
        return OpenSshConnection(
            SshTarget(entry.host, entry.user, entry.port), (keys.own, *keys.others)
        )
    return dial(entry, first_contact)


def dial(entry: BoardEntry, first_contact: FirstContact | None = None) -> SshConnection:
    """`connect` by paramiko."""
    settings = settings_of(entry)
    transport = open_transport(settings, host_keys(settings), entry.name, first_contact)
    return SshConnection(transport, entry.name)


def open_route(entry: BoardEntry) -> Route:
    """A tunnel to the agent of a board, started if need be.

    Raises:
        BpuError: the board cannot be reached, or its agent cannot be started.
    """
    mend: Callable[[Connection], None] = partial(_mend, entry)
    socket_path = f"{_absolute(entry)}/run/agent.sock"
    route: Tunnel | OpenSshTunnel
    if entry.transport == "openssh":
        connection = connect(entry)
        assert isinstance(connection, OpenSshConnection)
        route = OpenSshTunnel(connection, socket_path, mend, runtime_folder())
    else:
        relay = supervise_command(entry, "relay")
        route = Tunnel(partial(dial, entry), socket_path, relay, mend, runtime_folder())
    try:
        route.start()
    except BaseException:
        route.close()
        raise
    return route


def supervise(
    connection: Connection, entry: BoardEntry, command: str, *options: str
) -> dict[str, Any]:
    """Run a command of `bpu_board.cli.supervise` on the board; its answer.

    Raises:
        BpuError: it failed, or nothing is installed there.
    """
    script = supervise_command(entry, command, *options)
    return run_json(connection, script, timeout_s=START_S + 30)


def supervise_command(entry: BoardEntry, command: str, *options: str) -> str:
    """The script that runs a command of the installed `bpu_board.cli.supervise`."""
    python = shlex.quote(f"{_absolute(entry)}/current/bin/python")
    missing = shlex.quote(
        f"error: nothing is installed in {entry.folder}\n  hint: `bpu boards upgrade {entry.name}` "
        "installs it"
    )
    words = shlex.join([command, "--folder", entry.folder, "--wait", f"{START_S:g}", *options])
    return (
        f"[ -x {python} ] || {{ printf '%s' {missing} >&2; exit 1; }}; "
        f"exec {python} -m bpu_board.cli.supervise {words}"
    )


def _mend(entry: BoardEntry, connection: Connection) -> None:
    supervise(connection, entry, "start")


def _absolute(entry: BoardEntry) -> str:
    if not entry.folder.startswith("/"):
        raise UsageError(
            f"the board {entry.name} was never set up completely",
            hint=f"`bpu boards add {entry.name} {entry.target}` goes on with it",
        )
    return entry.folder.rstrip("/")
