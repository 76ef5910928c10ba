"""What `bpu boards` does with boards of the inventory."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import BpuError, UsageError
from bpu_host.boards import access
from bpu_host.boards.install import InstallOptions, install
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.boards.probe import probe
from bpu_host.boards.routes import open_entry
from bpu_host.daemon.client import held
from bpu_host.remote.board import Board
from bpu_host.remote.ssh import Connection, FirstContact, HostKey, shown_key
from bpu_host.remote.ssh.hostkeys import check_fingerprint

Report = Callable[[str], None]

_CLEAN = """\
[ -e {folder} ] || exit 0
cd {folder} || exit 1
if [ -x current/bin/python ]; then
  current/bin/python -m bpu_board.cli.supervise uninstall --folder {folder} >&2 || exit 1
fi
for each in * .[!.]*; do
  case "$each" in
    env-*|current|current.new|wheels|models|run|log|service.json|'*'|'.[!.]*') ;;
    *) echo "$each in {folder} is not ours" >&2; exit 1;;
  esac
done
cd / && rm -rf {folder}
"""


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """A board as it is now; `problem` is "" if it works."""

    name: str
    target: str
    problem: str = ""
    hint: str = ""
    version: str = ""
    machine: str = ""
    device: DeviceKind = DeviceKind.UNKNOWN
    clock: Clock = Clock.UNKNOWN
    models: int = 0
    round_trip_ms: float = 0.0


def add(
    entry: BoardEntry,
    options: InstallOptions,
    first_contact: FirstContact,
    report: Report,
    inventory: Inventory | None = None,
) -> BoardStatus:
    """Turn a bare board into a working one; doing it again mends and updates it.

    Raises:
        BpuError: what is missing, or went wrong; repeating it goes on where it stopped.
    """
    inventory = inventory or Inventory()
    known = inventory.find(entry.name)
    if known is not None and known.target != entry.target:
        raise UsageError(
            f"the inventory has {entry.name} at {known.target}",
            hint=f"use another name, or `bpu boards remove {entry.name}` first",
        )
    report(f"connecting to {entry.target}")
    connection = access.connect(entry, first_contact)
    try:
        facts = probe(connection, entry)
        entry = replace(entry, folder=facts.folder)
        with held(entry.name):
            inventory.put(entry)  # from here on `remove` finds what was left half done
            report(
                f"{facts.system or 'Linux'}, {facts.machine}, Python "
                f"{facts.version[0]}.{facts.version[1]}, {facts.free_bytes >> 20} MB free"
            )
            install(connection, entry, facts, options, report)
    finally:
        connection.close()
    return _must_work(entry)


def upgrade(name: str, options: InstallOptions, report: Report) -> BoardStatus:
    """Bring a board to this version. Raises as `add`."""
    entry = _behind_ssh(Inventory().get(name))
    return add(entry, options, _nobody, report)


def status(entry: BoardEntry) -> BoardStatus:
    """Ask a board how it is; every failure becomes its `problem`."""
    try:
        return _must_work(entry)
    except BpuError as error:
        return BoardStatus(entry.name, entry.target, error.message, error.hint)


def remove(name: str, *, forget: bool, inventory: Inventory | None = None) -> None:
    """Remove everything from the board and the board from the inventory.

    Args:
        forget: leave the board alone: it is gone.

    Raises:
        BpuError: the board cannot be cleaned; the inventory keeps it.
    """
    inventory = inventory or Inventory()
    entry = inventory.get(name)
    if entry.address:
        inventory.remove(name)
        return
    with held(name):
        if not forget:
            connection = access.connect(entry)
            try:
                _clean(connection, entry)
            finally:
                connection.close()
        inventory.remove(name)
    settings = access.settings_of(entry)
    others = [access.settings_of(each) for each in inventory.entries() if not each.address]
    if all(each.known_as != settings.known_as for each in others):
        access.host_keys(settings).forget(settings.known_as)


def trust(name: str, fingerprint: str) -> None:
    """Trust a board's new host key, if it is the one that the user names.

    Raises:
        UsageError: it shows another one.
        BoardUnreachable: it cannot be asked.
    """
    wanted = check_fingerprint(fingerprint)
    entry = _behind_ssh(Inventory().get(name))
    settings = access.settings_of(entry)
    keys = access.host_keys(settings)
    key = shown_key(settings, keys)
    if key.fingerprint != wanted:
        raise UsageError(
            f"the board shows another key: {key.kind} {key.fingerprint}",
            where=name,
            hint="look at its key on the board itself before you trust it",
        )
    keys.trust(settings.known_as, key)


def _behind_ssh(entry: BoardEntry) -> BoardEntry:
    if entry.address:
        raise UsageError(f"{entry.name} is an agent at {entry.address}, not a board behind SSH")
    return entry


def _nobody(_host: str, _key: HostKey) -> bool:
    """Answers about unknown host keys where nobody can be asked."""
    return False


def _must_work(entry: BoardEntry) -> BoardStatus:
    """The status of a board whose agent answers.

    Raises:
        BpuError: it does not.
    """
    route = open_entry(entry)
    try:
        with Board.connect(route.address) as board:
            info = board.info()
            start_s = time.perf_counter()
            models = board.models()
            round_trip_ms = (time.perf_counter() - start_s) * 1e3
    finally:
        route.close()
    return BoardStatus(
        entry.name,
        entry.target,
        version=info.version,
        machine=info.machine,
        device=info.device,
        clock=info.clock,
        models=len(models),
        round_trip_ms=round(round_trip_ms, 3),
    )


def _clean(connection: Connection, entry: BoardEntry) -> None:
    """End the agent and delete its folder; only a folder that is ours."""
    folder = shlex.quote(entry.folder)
    done = connection.run(_CLEAN.format(folder=folder), timeout_s=300)
    if done.status != 0:
        raise BpuError(
            f"the board is not clean: {done.err.strip()}",
            where=entry.name,
            hint=f"`bpu boards remove {entry.name} --forget` leaves what is there",
        )
