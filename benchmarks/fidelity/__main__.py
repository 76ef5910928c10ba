"""`python -m benchmarks.fidelity [--all] [NETWORK ...]`: compile, predict, compare.

Every network is built with random weights, compiled by the real compiler for nv12 input and run on
the simulated X3M: one frame at a time for the latency, eight at a time for the throughput. Exit
status 1 when an accepted row is further off than `MARK`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import compiled
from benchmarks.fidelity.published import ACCEPTED, FURTHER, Published
from benchmarks.networks import NETWORKS
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel
from bpu_common.task import (
    BpuStep,
    TaskControl,
    TaskEvent,
    TaskEventKind,
    TaskPlan,
)
from bpu_sim.device import Chip
from bpu_sim.timing import bounds, predict, task_plan

MARK = 0.30
SPEC = MACHINES["x3m"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the simulator says about one network."""

    bpu_ms: float
    fps: float
    core_ms: float
    compute_ms: float
    ddr_ms: float
    ddr_mb: float


def measure(model: BpuModel) -> Measured:
    """Latency of a lone frame and throughput of eight threads, in device time."""
    plan = task_plan(model, SPEC)
    programs = [made.program for _, made in model.bpu_parts]
    timings = [predict(program, SPEC) for program in programs]
    limits = [bounds(program, SPEC) for program in programs]
    cycle_ms = 1e3 / SPEC.clock_hz
    return Measured(
        bpu_ms=serial_bpu_ms(plan),
        fps=full_queue_fps(plan, threads=8, frames=400),
        core_ms=sum(t.cycles for t in timings) * cycle_ms,
        compute_ms=sum(b.compute_cycles for b in limits) * cycle_ms,
        ddr_ms=sum(b.ddr_cycles for b in limits) * cycle_ms,
        ddr_mb=sum(t.load_bytes + t.store_bytes for t in timings) / 1e6,
    )


def serial_bpu_ms(plan: TaskPlan) -> float:
    """Time of all BPU steps of one frame on an idle chip, submission and interrupt included."""
    events: list[TaskEvent] = []
    chip = Chip(SPEC)
    chip.submit(plan, TaskControl(), events.append)
    chip.run_until_idle()
    total_ns = 0
    for event in events:
        if event.step >= 0 and isinstance(plan.steps[event.step], BpuStep):
            if event.kind is TaskEventKind.STEP_STARTED:
                total_ns -= event.time_ns
            elif event.kind is TaskEventKind.STEP_DONE:
                total_ns += event.time_ns
    return total_ns / 1e6


def full_queue_fps(plan: TaskPlan, threads: int, frames: int) -> float:
    """Frames per second with `threads` frames in flight until `frames` are done."""
    chip = Chip(SPEC)
    left = frames - threads

    def on_event(event: TaskEvent) -> None:
        nonlocal left
        if event.kind is TaskEventKind.DONE and left > 0:
            left -= 1
            chip.submit(plan, TaskControl(), on_event, every_event=False)

    for _ in range(threads):
        chip.submit(plan, TaskControl(), on_event, every_event=False)
    chip.run_until_idle()
    return frames / chip.now_ns() * 1e9


def off(predicted: float, published: float) -> float:
    """Relative deviation."""
    return predicted / published - 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Predicted against published latency on X3M.")
    parser.add_argument("networks", nargs="*", help="names; default: the accepted four")
    parser.add_argument("--all", action="store_true", help="all rows that can be rebuilt")
    arguments = parser.parse_args()
    rows: tuple[Published, ...] = ACCEPTED
    if arguments.all or arguments.networks:
        rows = ACCEPTED + FURTHER
    if arguments.networks:
        rows = tuple(row for row in rows if row.network in arguments.networks)
    print("## Fidelity: predicted against published, X3M, one set of constants\n")
    print(
        "| row | network | BPU ms | published | off | FPS, 8 threads | published | off "
        "| compute / DDR bound ms | DDR MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    worst, deviations = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            found = measure(compiled(NETWORKS[row.network](), Path(folder)))
            each = (off(found.bpu_ms, row.bpu_ms), off(found.fps, row.fps_max))
            deviations.extend(abs(e) for e in each)
            if row in ACCEPTED:
                worst = max(worst, *(abs(e) for e in each))
            print(
                f"| {row.row} | {row.network} | {found.bpu_ms:.3f} | {row.bpu_ms:.3f} "
                f"| {each[0]:+.1%} | {found.fps:.1f} | {row.fps_max:.1f} | {each[1]:+.1%} "
                f"| {found.compute_ms:.3f} / {found.ddr_ms:.3f} | {found.ddr_mb:.2f} |",
                flush=True,
            )
    if not deviations:
        print("no such network", file=sys.stderr)
        return 2
    print(f"\nMean deviation {sum(deviations) / len(deviations):.1%}; mark {MARK:.0%} on A rows.")
    return 1 if worst > MARK else 0


if __name__ == "__main__":
    sys.exit(main())
