"""What `supervise` does, whichever way the agent is kept running."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from bpu_board.service import supervisor, systemd
from bpu_board.service.folder import Folder, Settings
from bpu_common import __version__
from bpu_common.errors import BoardUnreachable, UsageError

_POLL_S = 0.05


def install(folder: Folder, options: tuple[str, ...], *, plain: bool) -> None:
    """Write down how the agent is kept running; what ran before is ended.

    Args:
        options: of the agent.
        plain: use the supervisor alone even where there is systemd.
    """
    folder.make()
    uninstall(folder)
    chosen = Settings("supervisor") if plain else systemd.choose()
    folder.write(replace(chosen, options=options, plain=plain))
    if chosen.kind != "supervisor":
        systemd.install(folder, chosen.kind)


def start(folder: Folder, wait_s: float) -> None:
    """Have the agent run, and wait until it listens; nothing happens if it does.

    Raises:
        BoardUnreachable: it does not listen within `wait_s` seconds.
        UsageError: systemd refuses.
    """
    if not folder.root.is_dir():
        raise UsageError("there is no such folder", where=str(folder.root))
    kind = folder.read().kind
    end_s = time.monotonic() + wait_s
    begun = None
    if kind == "supervisor":
        begun = supervisor.start(folder)
    else:
        systemd.control(kind, "start", systemd.unit_path(folder, kind).name)
    while not folder.answers() or (kind == "supervisor" and not _is_known(folder)):
        if time.monotonic() > end_s:
            raise BoardUnreachable(
                f"the agent does not listen after {wait_s:g} s: {folder.last_lines()}",
                where=str(folder.log),
                hint="`bpu boards doctor NAME` looks for the reason",
            )
        time.sleep(_POLL_S)
        if kind == "supervisor" and (begun is None or begun.poll() is not None):
            begun = supervisor.start(folder)  # the one that was there was on its way out


def _is_known(folder: Folder) -> bool:
    """Whether the supervisor has said which agent it started: it may listen before that."""
    return "agent_pid" in (supervisor.state(folder) or {})


def stop(folder: Folder) -> None:
    """End the agent; nothing happens if it does not run."""
    kind = folder.read().kind
    if kind != "supervisor" and systemd.unit_path(folder, kind).exists():
        systemd.control(kind, "stop", systemd.unit_path(folder, kind).name)
    supervisor.stop(folder)


def uninstall(folder: Folder) -> None:
    """End the agent and take back what lies outside the folder."""
    settings = folder.read()
    if settings.kind != "supervisor":
        systemd.uninstall(folder, settings)
    supervisor.stop(folder)


def status(folder: Folder) -> dict[str, Any]:
    """What runs, for `--json` and for the host."""
    settings = folder.read()
    found = supervisor.state(folder)
    return {
        "version": __version__,
        "kind": settings.kind,
        "plain": settings.plain,
        "options": list(settings.options),
        "running": found is not None,
        "answers": folder.answers(),
        "socket": os.fspath(folder.socket),
        **(found or {}),
    }
