"""`hrt_model_exec perf`: latency and frame rate of a model."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from bpu_board.cli.hrt_model_exec import dump
from bpu_board.cli.hrt_model_exec.inputs import read_inputs
from bpu_board.cli.hrt_model_exec.models import choose, load_models, open_runtime
from bpu_board.cli.hrt_model_exec.options import Options
from bpu_board.cli.hrt_model_exec.regions import with_regions
from bpu_board.device import engine_of
from bpu_board.profiler.log import write_profile
from bpu_board.runtime.inputs import random_inputs
from bpu_common.device_kind import device_line
from bpu_common.engine import engine_line
from bpu_common.environment import PROFILE
from bpu_common.errors import UsageError
from bpu_common.perf import (
    DEFAULT_FRAME_COUNT,
    MINUTE_NS,
    PerfProgress,
    PerfRequest,
    PerfResult,
)
from bpu_common.words import counted

CORES_PER_FRAME = 1
"""The `core_num` that programs are made for (the vendor's line "core number")."""


def run(options: Options) -> int:
    """Measure, print the result block, write the profile if a folder is given."""
    chosen = choose(load_models(options), options.model_name)
    runtime = open_runtime(options, chosen)
    model = chosen.info
    folder = _profile_folder(options.profile_path or PROFILE.value)
    arrays = read_inputs(model, options.input_file) if options.input_file else random_inputs(model)
    inputs = with_regions(model, arrays, options)
    if options.dump_intermediate:
        dump.dump_segments(runtime.inspect(model.name, inputs), options)
    request = PerfRequest(
        model=model.name,
        frame_count=options.frame_count or DEFAULT_FRAME_COUNT,
        duration_ns=options.perf_time * MINUTE_NS,
        thread_num=options.thread_num,
        core_id=options.core_id,
        priority=options.priority,
        profile=folder is not None,
        exact=options.exact,
        inputs=inputs,
    )
    with _stopped_by_signal() as stop:
        tell = None if options.json else _print_progress
        result = runtime.perf(request, tell, stop, partial=True)
    stopped = stop.is_set()
    if folder is not None and not stopped:
        write_profile(folder, result)
    engine = engine_of(runtime.device)
    if options.json:
        shown = report(result, stopped) | {"engine": asdict(engine)}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        sys.stdout.write(f"{result_text(result)}Engine: {engine_line(engine)}\n")
    runtime.close()
    if stopped:
        sys.stderr.write(f"stopped by the user after {counted(result.frame_count, 'frame')}\n")
    return 130 if stopped else 0


@contextlib.contextmanager
def _stopped_by_signal() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the program as usual."""
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _profile_folder(text: str) -> Path | None:
    """The folder of the profile, made if missing; before the run, which may take minutes.

    Raises:
        UsageError: it cannot be made or written.
    """
    if not text:
        return None
    folder, reason = Path(text), "it may not be written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    except OSError as error:
        reason = error.strerror or str(error)
    raise UsageError(
        f"cannot write the profile to {folder}: {reason}",
        hint="give a folder that you may write to in profile_path",
    )


def _print_progress(progress: PerfProgress) -> None:
    sys.stdout.write(progress_text(progress) + "\n")
    sys.stdout.flush()


def progress_text(progress: PerfProgress) -> str:
    """The line of the last frames, in the vendor's form."""
    return (
        f"Frame count: {progress.frames_done},  "
        f"Thread Average: {progress.average_ns / 1e6:.6f} ms, "
        f"thread max latency: {progress.max_ns / 1e6:.6f} ms, "
        f"thread min latency: {progress.min_ns / 1e6:.6f} ms"
    )


def result_text(result: PerfResult) -> str:
    """The vendor's result block, then lines of percentiles and of the device, which are ours."""
    return (
        "\n"
        "Running condition:\n"
        f"  Thread number is: {result.thread_num}\n"
        f"  Frame count   is: {result.frame_count}\n"
        f"  core number   is: {CORES_PER_FRAME}\n"
        f"  Program run time: {result.run_time_ns / 1e6:.6f} ms\n"
        "Perf result:\n"
        f"  Frame totally latency is: {result.total_latency_ns / 1e6:.6f} ms\n"
        f"  Average    latency    is: {result.average_ns / 1e6:.6f} ms\n"
        f"  Frame      rate       is: {result.fps:.6f} FPS\n"
        "\n"
        f"Latency percentiles: p50 {result.p50_ns / 1e6:.6f} ms, "
        f"p90 {result.p90_ns / 1e6:.6f} ms, p99 {result.p99_ns / 1e6:.6f} ms\n"
        f"Device: {device_line(result.machine, result.device, result.clock)}\n"
    )


def report(result: PerfResult, stopped: bool = False) -> dict[str, object]:
    """The result for a program; times in ms of device time, `wall_time_ms` is this computer's.

    Args:
        stopped: the user ended the run before its time.
    """
    return {
        "model_name": result.model,
        "machine": result.machine,
        "device": result.device.value,
        "clock": result.clock.value,
        "stopped": stopped,
        "thread_num": result.thread_num,
        "frame_count": result.frame_count,
        "core_id": result.core_id,
        "run_time_ms": result.run_time_ns / 1e6,
        "total_latency_ms": result.total_latency_ns / 1e6,
        "average_latency_ms": result.average_ns / 1e6,
        "max_latency_ms": result.max_ns / 1e6,
        "min_latency_ms": result.min_ns / 1e6,
        "p50_ms": result.p50_ns / 1e6,
        "p90_ms": result.p90_ns / 1e6,
        "p99_ms": result.p99_ns / 1e6,
        "fps": result.fps,
        "core_busy_ms": [busy_ns / 1e6 for busy_ns in result.core_busy_ns],
        "wall_time_ms": result.wall_ns / 1e6,
    }
