"""Writes `profiler.log` and `profiler.csv` of a measured run.

The log has the vendor tool's form (docs/board.md "`profiler.log` and `profiler.csv`"): two JSON
objects separated by a line `***`, keys sorted, times in ms. The columns of the CSV file are ours.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from bpu_common.errors import UsageError
from bpu_common.files import write_atomic, writing
from bpu_common.perf import NodeProfile, PerfResult, TimeStat

LOG_NAME = "profiler.log"
CSV_NAME = "profiler.csv"
CSV_COLUMNS = ("section", "name", "avg_time_ms", "max_time_ms", "min_time_ms", "count")


def write_profile(folder: Path, result: PerfResult) -> tuple[Path, Path]:
    """Write both files into `folder` (made if missing) and return their paths.

    Raises:
        UsageError: the run was not profiled, or the folder cannot be written.
        CapacityError: the disk is full.
    """
    if result.profile is None:
        raise UsageError("this run was not profiled")
    log, table = folder / LOG_NAME, folder / CSV_NAME
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(log, log_text(result, result.profile))
    write_atomic(table, csv_text(result.profile))
    return log, table


def log_text(result: PerfResult, profile: NodeProfile) -> str:
    """Content of `profiler.log`."""
    condition = {
        "perf_result": {
            "FPS": _ms(result.fps),
            "average_latency": _ms(result.average_ns / 1e6),
        },
        "running_condition": {
            "core_id": result.core_id,
            "frame_count": result.frame_count,
            "model_name": result.model,
            "run_time": _ms(result.run_time_ns / 1e6),
            "thread_num": result.thread_num,
        },
    }
    nodes = {
        section: {name: _leaf(stat) for name, stat in stats.items()}
        for section, stats in _sections(profile).items()
    }
    return f"{_json(condition)}\n***\n{_json(nodes)}\n"


def csv_text(profile: NodeProfile) -> str:
    """Content of `profiler.csv`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for section, stats in _sections(profile).items():
        for name, stat in sorted(stats.items()):
            leaf = _leaf(stat)
            writer.writerow(
                (section, name, leaf["avg_time"], leaf["max_time"], leaf["min_time"], stat.count)
            )
    return stream.getvalue()


def _sections(profile: NodeProfile) -> dict[str, dict[str, TimeStat]]:
    return {
        "chip_latency": profile.processor_latency,
        "model_latency": profile.model_latency,
        "task_latency": profile.task_latency,
    }


def _leaf(stat: TimeStat) -> dict[str, float]:
    return {
        "avg_time": _ms(stat.average_ns / 1e6),
        "max_time": _ms(stat.max_ns / 1e6),
        "min_time": _ms(stat.min_ns / 1e6),
    }


def _ms(value: float) -> float:
    return round(value, 6)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True)
