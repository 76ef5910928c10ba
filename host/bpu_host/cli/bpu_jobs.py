"""`bpu jobs`, `bpu jobs cancel ID`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from bpu_host.cli.bpu_options import json_option, print_json, say
from bpu_host.cli.completing import complete_boards

if TYPE_CHECKING:
    from bpu_common.daemon import Job
    from bpu_host.daemon.client import Daemon

_EXAMPLES = """\b
Examples:
  bpu jobs
  bpu jobs --board desk --all --json
  bpu jobs cancel 17
"""


@click.group("jobs", invoke_without_command=True, epilog=_EXAMPLES)
@click.option(
    "--board",
    default="",
    metavar="NAME",
    shell_complete=complete_boards,
    help="Only those of this board.",
)
@click.option("--all", "with_past", is_flag=True, help="Also those that are over, newest first.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@click.pass_context
def command(context: click.Context, board: str, with_past: bool, limit: int, as_json: bool) -> None:
    """List the measurements that run or wait on boards, and who waits for whom.

    The daemon (`bpud`) lets one measurement at a time run on a board and logs them.
    """
    if context.invoked_subcommand is not None:
        return
    with _daemon() as daemon:
        jobs = daemon.jobs(board, limit, active=not with_past)
    if as_json:
        print_json({"jobs": [job_to_json(job) for job in jobs]})
        return
    if not jobs:
        say("no jobs" if with_past else "nothing runs or waits; `--all` shows past jobs")
    for job in jobs:
        say(job_line(job))


@command.command("cancel")
@click.argument("job", type=click.IntRange(1))
@json_option
def cancel(job: int, as_json: bool) -> None:
    """Take JOB back: the board is free when this returns."""
    with _daemon() as daemon:
        ended = daemon.cancel(job)
    if as_json:
        print_json(job_to_json(ended))
    else:
        say(f"job {ended.id} is {ended.state.value}")


def job_to_json(job: Job) -> dict[str, Any]:
    """All that is known of a job, for programs."""
    from dataclasses import asdict

    found = {**asdict(job), "state": job.state.value}
    if job.result is not None:
        found["result"] |= {"average_ns": job.result.average_ns, "fps": job.result.fps}
    return found


def job_line(job: Job) -> str:
    """A job for people."""
    text = f"job {job.id:<4} {job.state.value:<9} {job.board}: {job.model}, {job.detail}"
    if job.waits_for:
        text += f"; waits for {', '.join(str(number) for number in job.waits_for)}"
    if job.frames_done and job.state.is_active:
        total = f" of {job.frames_total}" if job.frames_total else ""
        text += f"; frames done: {job.frames_done}{total}"
    if job.result is not None:
        text += (
            f"; {job.result.fps:.1f} frames/s, p50 {job.result.p50_ns / 1e6:.3f} ms "
            f"({job.result.device.value})"
        )
    if job.error:
        text += f"; {job.error.splitlines()[0]}"
    began = dt.datetime.fromtimestamp(job.created_wall_ns / 1e9).astimezone()
    return f"{text}\n         {began:%Y-%m-%d %H:%M:%S} by {job.client}"


def _daemon() -> Daemon:
    from bpu_common.errors import BoardUnreachable
    from bpu_host.daemon.client import Daemon

    daemon = Daemon.find()
    if daemon is None:
        raise BoardUnreachable("bpud does not run, so there are no jobs", hint="`bpud start`")
    return daemon
