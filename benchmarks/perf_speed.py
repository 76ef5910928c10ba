"""Speed of `hrt_model_exec perf`: wall time of a frame, and whether it or memory grows with frames.

EfficientNet-Lite0 (random weights, nv12) runs on 8 threads through the real command, once per frame
count and round, counts interleaved. Wall time is from the first submit to the last completion, as
the command reports it; start-up, loading and the one computation of the numbers are left out. Then
three models run at once in one process, and the bare event kernel turns as many actions as a frame
takes, each doing nothing but scheduling the next: the floor. The best round of each is shown.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from heapq import heappush
from pathlib import Path

from benchmarks.compiling import compiled
from benchmarks.networks import NETWORKS
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_sim.device import Kernel
from bpu_sim.device.kernel import COMPLETION

NETWORK = "efficientnet_lite0"
TOGETHER = ("efficientnet_lite0", "mobilenet_v1", "mobilenet_v2")
COUNTS = (2_500, 5_000, 10_000, 20_000)
ROUNDS = 5
THREADS = 8
MAX_COST_US = 11.5
MAX_GROWTH = 1.25
"""Of wall time per frame and of peak memory, at the largest count over the smallest."""
ACTIONS = 8
"""Of the event kernel in a frame of this network: arrival, submission, function call, interrupt and
four CPU steps."""


def measure(model: Path, frames: int) -> tuple[float, float]:
    """Simulated and wall time of one run, in seconds."""
    command = [Path(sys.executable).parent / "hrt_model_exec", "perf", f"--model_file={model}"]
    command += [f"--thread_num={THREADS}", f"--frame_count={frames}", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return report["run_time_ms"] / 1e3, report["wall_time_ms"] / 1e3


def together(file: Path, frames: int) -> dict[str, float]:
    """All models of a file at once, each with its share of the threads and the frames."""
    runtime = Runtime(SimDevice(X3M))
    names = [info.name for info in runtime.open(file)]
    threads, each = THREADS // len(names), frames // len(names)
    runs = [
        threading.Thread(
            target=runtime.perf, args=(PerfRequest(name, frame_count=each, thread_num=threads),)
        )
        for name in names
    ]
    start = time.perf_counter()
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    wall_s = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cost_us": wall_s / (each * len(names)) * 1e6, "peak_mb": peak_mb}


def measure_together(file: Path, frames: int) -> dict[str, float]:
    """`together` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.perf_speed", "--together", file, str(frames)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def floor_us(frames: int) -> float:
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


def main() -> int:
    best: dict[int, tuple[float, float]] = {}
    joint: dict[int, dict[str, float]] = {}
    floors = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {each: compiled(NETWORKS[each](), folder) for each in TOGETHER}
        alone, all_of_them = folder / "model.bin", folder / "models.bin"
        alone.write_bytes(container.dump([models[NETWORK]]))
        all_of_them.write_bytes(container.dump(list(models.values())))
        for _ in range(ROUNDS):
            floors.append(floor_us(COUNTS[-1]))
            for frames in COUNTS:
                simulated_s, wall_s = measure(alone, frames)
                if frames not in best or wall_s < best[frames][1]:
                    best[frames] = (simulated_s, wall_s)
                found = measure_together(all_of_them, frames)
                if frames not in joint or found["cost_us"] < joint[frames]["cost_us"]:
                    joint[frames] = found
    return report(best, joint, min(floors))


def report(
    best: dict[int, tuple[float, float]], joint: dict[int, dict[str, float]], floor: float
) -> int:
    """Print the section; 1 if a mark is missed."""
    print("## Speed of `hrt_model_exec perf`\n")
    print(f"{NETWORK}, {THREADS} threads; beside it {', '.join(TOGETHER)} at once in one process.")
    print(f"Best of {ROUNDS} rounds. Floor: the bare event kernel, {floor:.1f} us per frame.\n")
    print("| frames | simulated s | wall s | ratio | us per frame | models at once, us | peak MB |")
    print("|---|---|---|---|---|---|---|")
    costs = {frames: 1e6 * wall_s / frames for frames, (_, wall_s) in best.items()}
    for frames, (simulated_s, wall_s) in best.items():
        print(
            f"| {frames} | {simulated_s:.2f} | {wall_s:.3f} | {simulated_s / wall_s:.1f} "
            f"| {costs[frames]:.1f} | {joint[frames]['cost_us']:.1f} "
            f"| {joint[frames]['peak_mb']:.0f} |"
        )
    last, first = COUNTS[-1], COUNTS[0]
    growth = costs[last] / costs[first]
    memory = joint[last]["peak_mb"] / joint[first]["peak_mb"]
    cost = max(costs[last], joint[last]["cost_us"])
    print(
        f"\nWall time per frame at {last} frames: {costs[last]:.1f} us, models at once "
        f"{joint[last]['cost_us']:.1f} us (mark <= {MAX_COST_US}). At {last} over {first} frames: "
        f"cost {growth:.2f}, peak memory {memory:.2f} (mark <= {MAX_GROWTH:g})."
    )
    return 0 if cost <= MAX_COST_US and max(growth, memory) <= MAX_GROWTH else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--together"]:
        print(json.dumps(together(Path(sys.argv[2]), int(sys.argv[3]))))
        sys.exit(0)
    sys.exit(main())
