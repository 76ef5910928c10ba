"""`bpu perf MODEL --board ADDRESS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bpu_host.cli.bpu_options import (
    ProgressLine,
    board_option,
    core_options,
    json_option,
    print_json,
)

if TYPE_CHECKING:
    from bpu_common.perf import PerfResult

_EXAMPLES = """\b
Examples:
  bpu perf net --board unix:/run/bpu/agent.sock
  bpu perf net --board 127.0.0.1:50551 --threads 8 --frames 2000 --profile
  bpu perf net --board 127.0.0.1:50551 --seconds 60 --json
"""


@click.command("perf", epilog=_EXAMPLES)
@click.argument("model")
@board_option
@click.option("--threads", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option("--frames", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Device time; overrides --frames."
)
@core_options
@click.option(
    "--input", "inputs", multiple=True, metavar="FILE", help="One per input; else random values."
)
@click.option("--profile", is_flag=True, help="Show the time of every node.")
@json_option
def command(
    model: str,
    address: str,
    threads: int,
    frames: int,
    seconds: float | None,
    core_id: int,
    priority: int,
    inputs: tuple[str, ...],
    profile: bool,
    as_json: bool,
) -> None:
    """Measure MODEL on a board: latency and frame rate, in device time.

    Each thread submits its next frame when the last one is done. One thread shows the latency of a
    frame, eight threads show what the chip can do.
    """
    from bpu_common.perf import PerfProgress, PerfRequest
    from bpu_host.remote import Board

    line = ProgressLine("measuring", "frames", quiet=as_json)

    def report(progress: PerfProgress) -> None:
        if progress.frames_total:
            line.update(progress.frames_done, progress.frames_total)

    with Board.connect(address) as board:
        arrays = {}
        if inputs:
            from bpu_host.remote.inputs import frames_of

            arrays = frames_of(board.model(model), inputs)[0].arrays()
        request = PerfRequest(
            model=model,
            frame_count=frames,
            duration_ns=int((seconds or 0) * 1e9),
            thread_num=threads,
            core_id=core_id,
            priority=priority,
            profile=profile,
            inputs=arrays,
        )
        try:
            result = board.perf(request, report)
        finally:
            line.close()
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(result), "average_ns": result.average_ns, "fps": result.fps})
    else:
        _show(result)


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
