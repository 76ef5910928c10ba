"""`bpu perf MODEL --board ADDRESS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bpu_host.cli.bpu_options import (
    ProgressLine,
    board_option,
    core_options,
    json_option,
    model_argument,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpu_common.daemon import Job
    from bpu_common.perf import PerfProgress, PerfRequest, PerfResult

_EXAMPLES = """\b
Examples:
  bpu perf net --board unix:/run/bpu/agent.sock
  bpu perf net --board 127.0.0.1:50551 --threads 8 --frames 2000 --profile
  bpu perf net --board 127.0.0.1:50551 --duration 60 --json
"""


@click.command("perf", epilog=_EXAMPLES)
@model_argument
@board_option
@click.option("--threads", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option("--frames", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--duration",
    "--seconds",
    "duration_s",
    type=click.FloatRange(0, min_open=True),
    help="Device time in seconds; overrides --frames.",
)
@core_options
@click.option(
    "--input", "inputs", multiple=True, metavar="FILE", help="One per input; else random values."
)
@click.option("--profile", is_flag=True, help="Show the time of every node.")
@click.option(
    "--job-priority",
    type=click.IntRange(0, 255),
    default=0,
    show_default=True,
    help="Place in the daemon's queue for the board: larger first.",
)
@json_option
def command(
    model: str,
    address: str,
    threads: int,
    frames: int,
    duration_s: float | None,
    core_id: int,
    priority: int,
    inputs: tuple[str, ...],
    profile: bool,
    job_priority: int,
    as_json: bool,
) -> None:
    """Measure MODEL on a board: latency and frame rate, in device time.

    Each thread submits its next frame when the last one is done. One thread shows the latency of a
    frame, eight threads show what the chip can do. While the daemon (`bpud`) runs, measurements on
    a board of the inventory take turns.
    """
    from bpu_common.frame import as_frame_inputs
    from bpu_common.perf import PerfRequest
    from bpu_host.client import connect

    line = ProgressLine("measuring", "frames", quiet=as_json)

    def report(progress: PerfProgress) -> None:
        if progress.frames_total:
            line.update(progress.frames_done, progress.frames_total)

    with connect(address) as board:
        arrays = {}
        if inputs:
            from bpu_host.remote.inputs import frames_of

            arrays = frames_of(board.model(model), inputs)[0].arrays()
        request = PerfRequest(
            model=model,
            frame_count=frames,
            duration_ns=int((duration_s or 0) * 1e9),
            thread_num=threads,
            core_id=core_id,
            priority=priority,
            profile=profile,
            inputs=as_frame_inputs(arrays),
        )
        try:
            result = _in_turn(address, request, report, job_priority, quiet=as_json)
            if result is None:
                board.info()  # finds another way if the daemon took its own with it
                result = board.perf(request, report)
        finally:
            line.close()
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(result), "average_ns": result.average_ns, "fps": result.fps})
    else:
        _show(result)


def _in_turn(
    address: str,
    request: PerfRequest,
    report: Callable[[PerfProgress], None],
    priority: int,
    *,
    quiet: bool,
) -> PerfResult | None:
    """The measurement in the daemon's queue; None if there is no daemon that knows the board."""
    if ":" in address:
        return None
    from bpu_host.daemon.client import measure

    def tell(job: Job) -> None:
        if job.waits_for and not quiet:
            others = ", ".join(str(number) for number in job.waits_for)
            click.echo(f"job {job.id} waits for {others}; see `bpu jobs`", err=True)

    return measure(address, request, report, tell, priority=priority)


def _show(result: PerfResult) -> None:
    click.echo(
        f"{result.model} on {result.machine}: {result.frame_count} frames, "
        f"{result.thread_num} threads, core {result.core_id or 'any'}"
    )
    click.echo(f"  run time  {result.run_time_ns / 1e6:.3f} ms")
    click.echo(f"  rate      {result.fps:.3f} frames/s")
    click.echo(
        f"  latency   average {result.average_ns / 1e6:.3f} ms, "
        f"min {result.min_ns / 1e6:.3f}, p50 {result.p50_ns / 1e6:.3f}, "
        f"p90 {result.p90_ns / 1e6:.3f}, p99 {result.p99_ns / 1e6:.3f}, "
        f"max {result.max_ns / 1e6:.3f}"
    )
    shares = ", ".join(
        f"core {index} {100 * busy_ns / result.run_time_ns:.1f} %"
        for index, busy_ns in enumerate(result.core_busy_ns)
    )
    if shares:
        click.echo(f"  busy      {shares}")
    if result.profile is None:
        return
    for stats in (
        result.profile.processor_latency,
        result.profile.task_latency,
        result.profile.model_latency,
    ):
        for name, stat in stats.items():
            click.echo(
                f"  {stat.average_ns / 1e6:10.3f} ms average  {stat.max_ns / 1e6:10.3f} max  {name}"
            )
