"""Speed of `hrt_model_exec perf`: wall time of a frame, and whether it or memory grows with frames.

EfficientNet-Lite0 (random weights, nv12) runs on 8 threads through the real command, once per frame
count and round, counts interleaved. Wall time is from the first submit to the last completion, as
the command reports it; start-up, loading and the one computation of the numbers are left out. Then
several models run at once in one process, `CASES`. The floors are what is left without runtime,
queue and statistics: the chip alone, with its record of repetitions and with everything simulated,
and the bare event kernel that turns as many actions as a frame takes, each doing nothing but
scheduling the next. The best round of each is shown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from dataclasses import dataclass
from heapq import heappush
from pathlib import Path

from benchmarks.compiling import compiled
from benchmarks.networks import NETWORKS
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.task import PRIORITY_HIGHEST, TaskControl, TaskEvent
from bpu_sim.device import Chip, Kernel
from bpu_sim.device.kernel import COMPLETION
from bpu_sim.timing import task_plan

NETWORK = "efficientnet_lite0"
COUNTS = (2_500, 5_000, 10_000, 20_000)
ROUNDS = 5
THREADS = 8
MAX_COST_US = 11.5
MAX_GROWTH = 1.25
"""Of wall time per frame, at the largest count over the smallest."""
MAX_BYTES = 32
"""Of memory for each further frame: its latency in an array, and a sorted copy at the end."""
ACTIONS = 8
"""Of the event kernel in a frame of this network: arrival, submission, function call, interrupt and
four CPU steps."""


@dataclass(frozen=True)
class Case:
    """Several models at once.

    Attributes:
        loops: network, threads and priority of each; all run as many frames.
        limit_us: `max_time_per_fc` of their compilation.
        marked: the marks hold for it.
    """

    loops: tuple[tuple[str, int, int], ...]
    limit_us: int = 0
    marked: bool = True


CASES = {
    "three models": Case(
        (("efficientnet_lite0", 2, 0), ("mobilenet_v1", 2, 0), ("mobilenet_v2", 2, 0))
    ),
    "one preempts at calls of 1 ms": Case(
        (("mobilenet_v1", 3, 0), (NETWORK, 1, PRIORITY_HIGHEST)), 1000
    ),
    "never twice the same state": Case(((NETWORK, 3, 0), ("mobilenet_v1", 3, 0)), marked=False),
}


def measure(model: Path, frames: int) -> tuple[float, float]:
    """Simulated and wall time of one run, in seconds."""
    command = [str(Path(sys.executable).parent / "hrt_model_exec"), "perf"]
    command += [f"--model_file={model}", f"--thread_num={THREADS}", f"--frame_count={frames}"]
    command += ["--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return report["run_time_ms"] / 1e3, report["wall_time_ms"] / 1e3


def together(case: Case, file: Path, frames: int, *, memory: bool = False) -> float:
    """All loops of a case at once, each with its share of the frames.

    Returns:
        Wall time of a frame in us; or, which takes longer, peak bytes of Python's memory above
        those before the runs.
    """
    runtime = Runtime(SimDevice(X3M))
    runtime.open(file)
    if memory:
        tracemalloc.start()
    each = frames // len(case.loops)
    runs = []
    for name, threads, priority in case.loops:
        request = PerfRequest(name, frame_count=each, thread_num=threads, priority=priority)
        runs.append(threading.Thread(target=runtime.perf, args=(request,)))
    start = time.perf_counter()
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    wall_s = time.perf_counter() - start
    if memory:
        return tracemalloc.get_traced_memory()[1]
    return wall_s / (each * len(runs)) * 1e6


def measure_together(what: str, name: str, file: Path, frames: int) -> float:
    """`together` in a process of its own. `what`: "time" or "memory"."""
    command = [sys.executable, "-m", "benchmarks.perf_speed", what, name, str(file), str(frames)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def chip_us(file: Path, frames: int, *, replay: bool) -> float:
    """Wall time of a frame on the chip alone: a closed loop that takes nothing but its ends."""
    (model,) = container.load(file)
    chip, plan, control = Chip(X3M, replay=replay), task_plan(model, X3M), TaskControl()
    left = frames

    def on_event(_: TaskEvent) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            chip.submit(plan, control, on_event, every_event=False)

    for _ in range(THREADS):
        chip.submit(plan, control, on_event, every_event=False)
    start = time.perf_counter()
    chip.run_until_idle()
    return (time.perf_counter() - start) / frames * 1e6


def kernel_us(frames: int) -> float:
    """Wall time that the event kernel alone takes for the actions of a frame."""
    kernel, left = Kernel(), frames * ACTIONS
    heap, order = kernel.heap, kernel.order

    def action(now_ns: int, thread: int) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            heappush(heap, (now_ns + 1000 + thread, COMPLETION + order(), action, thread))

    for thread in range(THREADS):
        heappush(heap, (thread, COMPLETION + order(), action, thread))
    start = time.perf_counter()
    kernel.run(None, [])
    return (time.perf_counter() - start) / frames * 1e6


class Best:
    """The best figures of all rounds: by frame count, by case and frame count, by floor."""

    def __init__(self) -> None:
        self.alone: dict[int, tuple[float, float]] = {}
        self.cases: dict[tuple[str, int], float] = {}
        self.floors: dict[str, float] = {}

    def round(self, file: Path, files: dict[str, Path]) -> None:
        """Measure everything once. `file`: of `NETWORK`; `files`: by case."""
        last = COUNTS[-1]
        for name, found_us in (
            ("chip, repetitions from its record", chip_us(file, last, replay=True)),
            ("chip, everything simulated", chip_us(file, last, replay=False)),
            ("event kernel alone", kernel_us(last)),
        ):
            self.floors[name] = min(found_us, self.floors.get(name, found_us))
        for frames in COUNTS:
            alone = measure(file, frames)
            self.alone[frames] = min(alone, self.alone.get(frames, alone), key=lambda each: each[1])
        for name, of_case in files.items():
            for frames in (COUNTS[0], last):
                found_us = measure_together("time", name, of_case, frames)
                self.cases[name, frames] = min(found_us, self.cases.get((name, frames), found_us))


def main() -> int:
    best = Best()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = folder / "model.bin"
        alone.write_bytes(container.dump([compiled(NETWORKS[NETWORK](), folder)]))
        files = {}
        for number, (title, case) in enumerate(CASES.items()):
            names = [name for name, _, _ in case.loops]
            models = [compiled(NETWORKS[name](), folder, case.limit_us) for name in names]
            files[title] = folder / f"case{number}.bin"
            files[title].write_bytes(container.dump(models))
        for _ in range(ROUNDS):
            best.round(alone, files)
        memory = {title: bytes_per_frame(title, file) for title, file in files.items()}
    return report(best, memory)


def bytes_per_frame(name: str, file: Path) -> float:
    """Peak memory that a run of more frames needs more, for each of them.

    Between the two largest counts: before, the last function calls (`KEPT_CALLS`) fill up.
    """
    few, many = COUNTS[-2:]
    less, more = (measure_together("memory", name, file, each) for each in (few, many))
    return (more - less) / (many - few)


def report(best: Best, memory: dict[str, float]) -> int:
    """Print the section; 1 if a mark is missed."""
    first, last = COUNTS[0], COUNTS[-1]
    print("## Speed of `hrt_model_exec perf`\n")
    print(f"{NETWORK}, {THREADS} threads, virtual clock. Best of {ROUNDS} rounds.\n")
    print("| frames | simulated s | wall s | ratio | us per frame |")
    print("|---|---|---|---|---|")
    costs = {frames: 1e6 * wall_s / frames for frames, (_, wall_s) in best.alone.items()}
    for frames, (simulated_s, wall_s) in best.alone.items():
        ratio = simulated_s / wall_s
        print(
            f"| {frames} | {simulated_s:.2f} | {wall_s:.3f} | {ratio:.0f} | {costs[frames]:.1f} |"
        )
    print(f"\nSeveral models at once in one process, {last} frames in all:\n")
    print(f"| load | us per frame | over {first} frames | bytes for a further frame |")
    print("|---|---|---|---|")
    cost, growth = costs[last], costs[last] / costs[first]
    for title, case in CASES.items():
        found, dearer = best.cases[title, last], best.cases[title, last] / best.cases[title, first]
        print(f"| {title} | {found:.1f} | {dearer:.2f} | {memory[title]:.1f} |")
        if case.marked:
            cost, growth = max(cost, found), max(growth, dearer)
    print("\n| floor: a frame without runtime, queue and statistics | us per frame |")
    print("|---|---|")
    for title, found_us in best.floors.items():
        print(f"| {title} | {found_us:.1f} |")
    kept = max(memory.values())
    print(
        f"\nLargest wall time per frame but for what never repeats: {cost:.1f} us (mark <= "
        f"{MAX_COST_US}), and its growth from {first} to {last} frames: {growth:.2f} (mark <= "
        f"{MAX_GROWTH:g}). Memory for a further frame: {kept:.1f} bytes (mark <= {MAX_BYTES})."
    )
    return 0 if cost <= MAX_COST_US and growth <= MAX_GROWTH and kept <= MAX_BYTES else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        what, title, path, count = sys.argv[1:]
        print(together(CASES[title], Path(path), int(count), memory=what == "memory"))
        sys.exit(0)
    sys.exit(main())
