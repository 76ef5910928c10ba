"""`bpud`: the daemon that holds connections to boards for all programs of a user."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bpu_common import __version__
from bpu_common.words import counted
from bpu_host.cli.bpu_options import json_option, print_json
from bpu_host.cli.outcome import run_command

if TYPE_CHECKING:
    from bpu_common.daemon import BoardLink, DaemonStatus
    from bpu_host.daemon.files import Record

_EXAMPLES = """\b
Examples:
  bpud start
  bpud status --json
  bpud stop
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.version_option(__version__, prog_name="bpud", message="%(prog)s %(version)s")
def bpud() -> None:
    """Keep boards connected, measurements in turn and telemetry at hand.

    One daemon per user. `bpu` uses it while it runs and works the same without it. A daemon that
    was killed is started again by the next `bpu` or `bpud` call; one that was stopped is not.
    """


@bpud.command()
@json_option
def start(as_json: bool) -> None:
    """Start the daemon in the background, if it does not run."""
    from bpu_host.daemon.files import DaemonFiles, listens, read_record
    from bpu_host.daemon.spawn import spawn

    files = DaemonFiles.of_user()
    record = read_record(files.record) if listens(files.socket) else None
    started = record is None
    if record is None:
        record = spawn(files)
    if as_json:
        print_json({"started": started, "process_id": record.process_id, "socket": files.address})
    else:
        verb = "runs" if started else "runs already"
        click.echo(f"bpud {verb}: process {record.process_id}, {files.address}")


@bpud.command()
@json_option
def stop(as_json: bool) -> None:
    """End the daemon; measurements that wait or run are cancelled."""
    from bpu_common.errors import BpuError
    from bpu_host.daemon.client import Daemon
    from bpu_host.daemon.files import DaemonFiles, is_locked, remove
    from bpu_host.daemon.spawn import end

    files = DaemonFiles.of_user()
    running = is_locked(files.lock)
    if running:
        with Daemon(files.address) as daemon:
            try:
                daemon.stop()
            except BpuError as error:
                click.echo(f"it does not answer: {error.message}", err=True)
        if not end(files):
            click.echo("it did not end by itself and was killed", err=True)
    remove(files.record, files.socket)  # a killed one is not to be started again
    if as_json:
        print_json({"stopped": running})
    else:
        click.echo("bpud has ended" if running else "bpud does not run")


@bpud.command()
@json_option
def status(as_json: bool) -> int:
    """Show boards, jobs and memory of the daemon.

    The exit status is 3 if it does not run.
    """
    from dataclasses import asdict

    from bpu_host.daemon.client import Daemon

    daemon = Daemon.find()
    if daemon is None:
        if as_json:
            print_json({"running": False})
        else:
            click.echo("bpud does not run; start it with `bpud start`")
        return 3
    with daemon:
        found = daemon.status()
    if as_json:
        from bpu_host.cli.bpu_jobs import job_to_json

        boards = [{**asdict(link), "state": link.state.value} for link in found.boards]
        jobs = [job_to_json(job) for job in found.jobs]
        print_json({"running": True, **asdict(found), "boards": boards, "jobs": jobs})
    else:
        _show(found)
    return 0


@bpud.command()
@click.option("--log", metavar="FILE", help="Write the log here instead of standard error.")
@click.option("--verbose", is_flag=True, help="Log more.")
def run(log: str | None, verbose: bool) -> None:
    """Be the daemon, in the foreground, until SIGTERM or SIGINT."""
    import asyncio
    import logging
    import os

    from bpu_common.errors import BpuError
    from bpu_common.wire.rpc.memory import keep_large_blocks
    from bpu_host.boards.inventory import Inventory
    from bpu_host.boards.routes import open_entry
    from bpu_host.cli.bpud_log import open_log
    from bpu_host.daemon.files import DaemonFiles
    from bpu_host.daemon.server import serve

    keep_large_blocks()
    os.umask(0o077)
    open_log(log, verbose)
    files = DaemonFiles.of_user()

    def ready(record: Record) -> None:
        click.echo(f"bpud: process {record.process_id} on {files.address}")
        sys.stdout.flush()

    try:
        ended = asyncio.run(serve(files, Inventory(), open_entry, ready))
    except BpuError as error:
        if log is not None:  # nobody reads standard error then
            logging.getLogger(__name__).error("%s", error)
        raise
    if not ended:
        os._exit(0)  # a thread hangs in the network; everything else is closed


def _show(found: DaemonStatus) -> None:
    age_s = time.time() - found.started_wall_ns / 1e9
    click.echo(f"bpud {found.version}, process {found.process_id}, up {_span(age_s)}")
    click.echo(f"  {found.socket}, {found.watchers} readers of telemetry")
    kept, limit = found.history_bytes / 2**20, found.history_limit_bytes / 2**20
    click.echo(f"  telemetry kept: {kept:.1f} of at most {limit:.0f} MiB")
    if found.inventory_error:
        click.echo(f"  the list of boards cannot be read: {found.inventory_error}")
    if not found.boards:
        click.echo("no boards; add one with `bpu boards add NAME USER@HOST`")
    width = max((len(link.board) for link in found.boards), default=0)
    for link in found.boards:
        click.echo(f"{link.board:<{width}}  {_link(link)}")
    for job in found.jobs:
        from bpu_host.cli.bpu_jobs import job_line

        click.echo(job_line(job))


def _link(link: BoardLink) -> str:
    since = _span(time.time() - link.since_wall_ns / 1e9)
    text = f"{link.state.value:<10}  since {since}, {counted(link.history_frames, 'frame')} over "
    text += _span(link.history_span_ns / 1e9)
    if link.error:
        again = f"; again in {link.retry_in_ns / 1e9:.1f} s" if link.retry_in_ns else ""
        text += f"\n  {link.attempts} failed attempts{again}: {link.error}"
    return text


def _span(seconds: float) -> str:
    seconds = max(0, round(seconds))
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status. No traceback reaches the user."""
    return run_command(bpud, "bpud", arguments)


if __name__ == "__main__":
    sys.exit(main())
