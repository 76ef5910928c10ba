"""Published measurements of X3M boards whose networks can be rebuilt (BPU at 1 GHz).

Latencies are those of a whole frame: BPU, CPU operators and dequantize, without post-processing.
With more than one thread they are the mean of a frame in a closed loop. `data/published.csv` names
the source of each row; figures of one network repeat within 2 to 7 % across sources.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class Row:
    """One published row.

    Attributes:
        network: key of `benchmarks.fidelity.networks.NETWORKS`.
        threads: of the latency.
        fps_max: frames per second with the queue full, both cores; with more threads than one
            that of these threads. None where it was not published.
        cpu_mhz: clock of the CPU cores that the source states or that is usual for its board.
    """

    row: str
    network: str
    threads: int
    latency_ms: float
    fps_max: float | None
    cpu_mhz: int
    source: str


def published() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    with (DATA / "published.csv").open(newline="") as file:
        return tuple(
            Row(
                each["row"],
                each["network"],
                int(each["threads"]),
                float(each["latency_ms"]),
                float(each["fps_max"]) if each["fps_max"] else None,
                int(each["cpu_mhz"]),
                each["source"],
            )
            for each in csv.DictReader(file)
        )
