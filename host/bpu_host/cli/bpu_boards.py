"""`bpu boards add|list|status|upgrade|remove|doctor|trust`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bpu_common.words import counted
from bpu_host.cli.bpu_options import json_option, print_json
from bpu_host.cli.colours import coloured
from bpu_host.cli.completing import complete_boards

if TYPE_CHECKING:
    from bpu_host.boards.install import InstallOptions
    from bpu_host.client.operations import BoardStatus
    from bpu_host.remote.ssh import FirstContact, HostKey

_EXAMPLES = """\b
Examples:
  bpu boards add desk root@192.168.1.10
  bpu boards add rack sunrise@rack:2222 --fingerprint SHA256:Q5r... --bundle
  bpu boards doctor desk
"""
_NO_BOARDS = "no boards; add one with `bpu boards add NAME USER@HOST`"
_OF_THE_AGENT = ("--machine", "--clock")
_CLOCKS = (
    "Of the simulated chip: paced follows the wall clock, as `bpu top` and loads need it, virtual "
    "runs as fast as it can be computed and stands still between tasks."
)


@click.group("boards", epilog=_EXAMPLES)
def command() -> None:
    """Set up, list, examine and remove boards that are reached through SSH."""


@command.command("add")
@click.argument("name")
@click.argument("target", metavar="[USER@]HOST[:PORT]")
@click.option("--fingerprint", metavar="SHA256:...", help="The host key to trust; else it asks.")
@click.option("--folder", help="Folder of the installation on the board (default: ~/.openbpu).")
@click.option("--python", "interpreter", default="", help="Python to use on the board.")
@click.option(
    "--transport",
    type=click.Choice(["paramiko", "openssh"]),
    default="paramiko",
    show_default=True,
    help="openssh: use the system's ssh program, for smart cards and the like.",
)
@click.option("--bundle", is_flag=True, help="Send all wheels from here; use no index there.")
@click.option("--supervisor", is_flag=True, help="Do without systemd on the board.")
@click.option("--machine", help="Chip that the agent simulates: x3m, j3, x3e.")
@click.option(
    "--clock",
    type=click.Choice(["virtual", "paced"]),
    help=f"{_CLOCKS}  [default: paced, or as before]",
)
@json_option
def add(
    name: str,
    target: str,
    fingerprint: str | None,
    folder: str | None,
    interpreter: str,
    transport: str,
    bundle: bool,
    supervisor: bool,
    machine: str | None,
    clock: str | None,
    as_json: bool,
) -> None:
    """Turn a board into one that runs the agent, and remember it as NAME.

    Everything on the board lies in one folder. Doing it again mends what is broken.
    """
    from bpu_host.boards.inventory import DEFAULT_FOLDER, BoardEntry
    from bpu_host.client import operations
    from bpu_host.remote.ssh import parse_target

    parsed = parse_target(target)
    entry = BoardEntry(
        name,
        parsed.host,
        parsed.user,
        parsed.port,
        folder=folder or DEFAULT_FOLDER,
        python=interpreter,
        transport=transport,
    )
    contact = _first_contact(name, fingerprint)
    choices = _choices(bundle, supervisor, machine, clock)
    found = operations.add(entry, choices, contact, _report)
    _show_done(found, as_json)


@command.command("list")
@json_option
def list_boards(as_json: bool) -> None:
    """List the boards of the inventory; none is asked anything."""
    from bpu_host.boards.inventory import Inventory

    entries = Inventory().entries()
    if as_json:
        print_json({"boards": [asdict(entry) for entry in entries]})
        return
    if not entries:
        click.echo(_NO_BOARDS)
        return
    width = max(4, *(len(entry.name) for entry in entries))
    for entry in entries:
        click.echo(f"{entry.name:<{width}}  {entry.target}")


@command.command("status")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_boards)
@json_option
def status(names: tuple[str, ...], as_json: bool) -> int:
    """Ask boards (all by default) whether they work; exit status 1 if one does not."""
    from concurrent.futures import ThreadPoolExecutor

    from bpu_host.boards.inventory import Inventory
    from bpu_host.client import operations

    inventory = Inventory()
    entries = [inventory.get(name) for name in names] or list(inventory.entries())
    if not entries and not as_json:
        click.echo(_NO_BOARDS)
        return 0
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(operations.status, entries))
    if as_json:
        print_json({"boards": [asdict(each) for each in found]})
    else:
        for each in found:
            click.echo(_line(each))
    return 1 if any(each.problem for each in found) else 0


@command.command("upgrade")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_boards)
@click.option("--bundle", is_flag=True, help="Send all wheels from here; use no index there.")
@click.option("--supervisor", is_flag=True, help="Do without systemd on the board.")
@click.option("--machine", help="Chip that the agent simulates: x3m, j3, x3e.")
@click.option(
    "--clock", type=click.Choice(["virtual", "paced"]), help=f"{_CLOCKS}  [default: as before]"
)
@json_option
def upgrade(
    names: tuple[str, ...],
    bundle: bool,
    supervisor: bool,
    machine: str | None,
    clock: str | None,
    as_json: bool,
) -> None:
    """Bring boards to the version of this program; one that does not start is taken back."""
    from bpu_host.client import operations

    for name in names:
        choices = _choices(bundle, supervisor, machine, clock)
        _show_done(operations.upgrade(name, choices, _report), as_json)


@command.command("remove")
@click.argument("name", shell_complete=complete_boards)
@click.option("--forget", is_flag=True, help="The board is gone: forget it, leave it alone.")
@click.option("--yes", is_flag=True, help="Do not ask, on a terminal.")
def remove(name: str, forget: bool, yes: bool) -> None:
    """Remove agent, models and environment from a board, and the board from the inventory."""
    from bpu_host.boards.inventory import Inventory
    from bpu_host.client import operations

    Inventory().get(name)
    if not yes and not forget and sys.stdin.isatty():
        click.confirm(f"Remove the agent and all models from {name}?", abort=True, err=True)
    operations.remove(name, forget=forget)
    click.echo(f"forgot {name}" if forget else f"removed {name}; nothing is left on the board")


@command.command("doctor")
@click.argument("name", shell_complete=complete_boards)
@json_option
def doctor(name: str, as_json: bool) -> int:
    """Look at every link from here to the agent; exit status 1 if one is broken."""
    from bpu_host.boards.doctor import examine
    from bpu_host.boards.inventory import Inventory

    findings = []
    for finding in examine(Inventory().get(name)):
        findings.append(finding)
        if as_json:
            continue
        verdict = ("ok ", "good") if finding.good else ("BAD", "error")
        click.echo(f"{coloured(*verdict, sys.stdout)} {finding.what}: {finding.found}")
        if not finding.good and finding.fix:
            click.echo(f"    fix: {finding.fix}")
    if as_json:
        print_json({"board": name, "findings": [asdict(each) for each in findings]})
    return 0 if all(each.good for each in findings) else 1


@command.command("trust")
@click.argument("name", shell_complete=complete_boards)
@click.option("--fingerprint", required=True, metavar="SHA256:...", help="As the board itself says")
def trust(name: str, fingerprint: str) -> None:
    """Trust the new host key of a board that was set up anew."""
    from bpu_host.client import operations

    operations.trust(name, fingerprint)
    click.echo(f"{name} is trusted with {fingerprint}")


def _choices(
    bundle: bool, supervisor: bool, machine: str | None, clock: str | None
) -> InstallOptions:
    from bpu_common.errors import UsageError
    from bpu_common.machine import MACHINES
    from bpu_host.boards.install import InstallOptions

    if machine is not None and machine not in MACHINES:
        raise UsageError(f"no machine {machine!r}", hint=f"there are {', '.join(sorted(MACHINES))}")
    given = zip(_OF_THE_AGENT, (machine, clock), strict=True)
    words = [word for name, value in given if value is not None for word in (name, value)]
    return InstallOptions(bundle, supervisor, tuple(words) if words else None)


def _first_contact(board: str, fingerprint: str | None) -> FirstContact:
    """Decides about a key that is not known: by the fingerprint given, or by asking."""
    from bpu_common.errors import UsageError
    from bpu_host.remote.ssh.hostkeys import check_fingerprint

    wanted = check_fingerprint(fingerprint) if fingerprint is not None else None

    def decide(host: str, key: HostKey) -> bool:
        if wanted is not None:
            if key.fingerprint == wanted:
                return True
            raise UsageError(
                f"the host shows another key: {key.kind} {key.fingerprint}",
                where=host,
                hint="look at the board's key: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`",
            )
        click.echo(
            f"First contact with {host} ({board}). It shows the key\n"
            f"  {key.kind} {key.fingerprint}\n"
            "Compare it with what the board says on its own console:\n"
            "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            err=True,
        )
        if not sys.stdin.isatty():  # an answer out of a pipe is nobody's
            raise UsageError(
                "nobody can be asked whether this is the board's key",
                where=host,
                hint=f"compare it on the board, then give --fingerprint {key.fingerprint}",
            )
        return click.confirm("Is it the same?", default=False, err=True)

    return decide


def _report(text: str) -> None:
    click.echo(text, err=True)


def _show_done(found: BoardStatus, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(_line(found))


def _line(found: BoardStatus) -> str:
    from bpu_common.device_kind import device_words

    if found.problem:
        hint = f"\n  hint: {found.hint}" if found.hint else ""
        return f"{found.name}: {found.problem}{hint}"
    return (
        f"{found.name}: works ({found.machine}, {device_words(found.device, found.clock)}, "
        f"version {found.version}, {counted(found.models, 'model')}, "
        f"round trip {found.round_trip_ms:.1f} ms)"
    )
