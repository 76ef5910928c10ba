"""`bpu perf MODEL --board ADDRESS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bpu_common.words import counted
from bpu_host.cli.bpu_options import (
    ProgressLine,
    board_option,
    core_options,
    json_option,
    model_argument,
    print_json,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpu_common.board import BoardInfo
    from bpu_common.daemon import Job
    from bpu_common.frame import FrameInput
    from bpu_common.perf import NodeProfile, PerfProgress, PerfRequest, PerfResult
    from bpu_host.remote import Board

_EXAMPLES = """\b
Examples:
  bpu perf net --board unix:/run/bpu/agent.sock
  bpu perf net --board 127.0.0.1:50551 --threads 8 --frames 2000 --profile
  bpu perf net --board 127.0.0.1:50551 --duration 60 --json
"""
_SHOWN_NODES = 10


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
    from bpu_common.perf import PerfRequest
    from bpu_host.client import connect

    line = ProgressLine("measuring", "frames", quiet=as_json)
    seen: list[PerfProgress] = []

    def report(progress: PerfProgress) -> None:
        seen.append(progress)
        if progress.frames_total:
            line.update(progress.frames_done, progress.frames_total)

    with connect(address) as board:
        request = PerfRequest(
            model=model,
            frame_count=frames,
            duration_ns=int((duration_s or 0) * 1e9),
            thread_num=threads,
            core_id=core_id,
            priority=priority,
            profile=profile,
            inputs=_read(board, model, inputs),
        )
        info = board.info()
        try:
            result = _in_turn(address, request, report, job_priority, quiet=as_json)
            if result is None:
                board.info()  # finds another way if the daemon took its own with it
                result = board.perf(request, report)
        except KeyboardInterrupt:
            line.close()
            _show_stopped(info, model, seen, as_json)
            raise
        finally:
            line.close()
    if as_json:
        from dataclasses import asdict

        own = {"average_ns": result.average_ns, "fps": result.fps, "stopped": False}
        print_json({**asdict(result), **own})
    else:
        _show(result)


def _read(board: Board, model: str, files: tuple[str, ...]) -> dict[str, FrameInput]:
    """The inputs that files hold; empty for none."""
    if not files:
        return {}
    from bpu_common.frame import as_frame_inputs
    from bpu_host.remote.inputs import frames_of

    return as_frame_inputs(frames_of(board.model(model), files)[0].arrays())


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
    from bpu_common.device_kind import Clock, device_words, late_words

    say(
        f"{result.model} on {result.machine} ({device_words(result.device, result.clock)}): "
        f"{counted(result.frame_count, 'frame')}, {counted(result.thread_num, 'thread')}, "
        f"core {result.core_id or 'any'}"
    )
    say(f"  run time  {result.run_time_ns / 1e6:.3f} ms")
    say(f"  rate      {result.fps:.3f} frames/s")
    say(f"  latency   {_latency(result.average_ns, result.min_ns, result.max_ns)}")
    say(
        f"            p50 {result.p50_ns / 1e6:.3f}, p90 {result.p90_ns / 1e6:.3f}, "
        f"p99 {result.p99_ns / 1e6:.3f}"
    )
    if result.clock is Clock.VIRTUAL and result.p50_ns == result.p99_ns:
        say("            (simulated: without jitter, so the percentiles are equal)")
    shares = ", ".join(
        f"core {index} {100 * busy_ns / result.run_time_ns:.1f} %"
        for index, busy_ns in enumerate(result.core_busy_ns)
    )
    if shares:
        say(f"  busy      {shares}")
    if result.late_ns:
        say(f"  late      {late_words(result.late_ns)}")
    if result.profile is not None:
        for line in profile_lines(result.profile):
            say(line)


def _show_stopped(info: BoardInfo, model: str, seen: Sequence[PerfProgress], as_json: bool) -> None:
    """What the reports told until the user ended the run; nothing before the first one."""
    if not seen:
        return
    frames = seen[-1].frames_done
    before = (0, *(each.frames_done for each in seen))
    average_ns = (
        sum(
            each.average_ns * (each.frames_done - start)
            for start, each in zip(before, seen, strict=False)
        )
        / frames
    )
    least_ns, most_ns = min(each.min_ns for each in seen), max(each.max_ns for each in seen)
    fps = frames * 1e9 / seen[-1].elapsed_ns
    if as_json:
        print_json({
            "model": model, "machine": info.machine, "device": info.device.value,
            "clock": info.clock.value, "stopped": True, "frame_count": frames,
            "average_ns": average_ns, "min_ns": least_ns, "max_ns": most_ns, "fps": fps,
        })  # fmt: skip
        return
    from bpu_common.device_kind import device_words

    say(
        f"{model} on {info.machine} ({device_words(info.device, info.clock)}): "
        f"stopped by the user, {counted(frames, 'frame')} until the last report"
    )
    say(f"  rate      {fps:.3f} frames/s")
    say(f"  latency   {_latency(average_ns, least_ns, most_ns)}")


def _latency(average_ns: float, min_ns: int, max_ns: int) -> str:
    return f"average {average_ns / 1e6:.3f} ms, min {min_ns / 1e6:.3f}, max {max_ns / 1e6:.3f}"


def profile_lines(profile: NodeProfile) -> list[str]:
    """Where a frame's time goes: the whole, then the dearest nodes, each with its share."""
    whole = (*profile.processor_latency.items(), *profile.task_latency.items())
    nodes = sorted(profile.model_latency.items(), key=lambda item: -item[1].average_ns)
    sum_ns = sum(stat.average_ns for _, stat in nodes)
    rest = nodes[_SHOWN_NODES:]

    def line(name: str, average_ns: float, max_ns: int | None, *, shared: bool = True) -> str:
        most = "" if max_ns is None else f"{max_ns / 1e6:.3f}"
        share = f"{100 * average_ns / sum_ns:.1f} %" if shared and sum_ns else ""
        return f"            {average_ns / 1e6:>10.3f} {most:>10} {share:>7}  {name}"

    lines = ["  profile   average ms     max ms   share  (of the nodes' time)"]
    lines += [line(name, stat.average_ns, stat.max_ns, shared=False) for name, stat in whole]
    lines += [line(name, stat.average_ns, stat.max_ns) for name, stat in nodes[:_SHOWN_NODES]]
    if rest:
        rest_ns = sum(stat.average_ns for _, stat in rest)
        lines.append(line(counted(len(rest), "other node"), rest_ns, None))
    lines.append(line(f"sum of {counted(len(nodes), 'node')}", sum_ns, None))
    return lines
