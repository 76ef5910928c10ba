"""Time of the instruction machine on one thread: EfficientNet-Lite0, first frame and later ones.

What `hrt_model_exec infer --exact true` adds to a frame: the BPU part, instruction by instruction,
compared with the engine. The first frame makes the instructions ready, later ones reuse them. With
another tree of the project (its `.venv` beside its sources) the same is measured there, rounds
interleaved; each tree compiles the network itself. Times are CPU time: of one thread that is no
more than wall time, and other work on the machine hardly changes it.

    python -m benchmarks.exact_speed [--against FOLDER] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "efficientnet_lite0"
FRAMES = 4
ROUNDS = 3
MARK = 0.25
"""Of the other tree's time, for the first frame and for later ones."""

WORKER = """
import json, pickle, sys, time
from pathlib import Path
import numpy as np
from bpu_board.devices.numbers import ModelNumbers

try:
    from bpu_common.frame import FrameInput as given
except ImportError:  # trees from before regions of pictures
    def given(array):
        return array

kept, frames = Path(sys.argv[1]), int(sys.argv[2])
if not kept.exists():
    from benchmarks.compiling import compiled
    from benchmarks.networks import NETWORKS
    kept.write_bytes(pickle.dumps(compiled(NETWORKS[sys.argv[3]](), kept.parent)))
model = pickle.loads(kept.read_bytes())
times = []

class Timed(ModelNumbers):
    def _compare(self, *arguments):
        start = time.process_time()
        found = super()._compare(*arguments)
        times.append(time.process_time() - start)
        return found

numbers = Timed(model, 1)
item = model.inputs[0]
size = item.height * item.width * 3 // 2
for seed in range(frames):
    nv12 = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    numbers.inspect({item.tensor.name: given(nv12.reshape(item.caller_shape))}, True)
print(json.dumps(times))
"""


def measure(tree: Path, kept: Path) -> list[float]:
    """Seconds of each frame in a process of the tree's own; its model is kept in a file."""
    command = [tree / ".venv" / "bin" / "python", "-c", WORKER, kept, str(FRAMES), NETWORK]
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, **one}, check=True, capture_output=True, text=True
    )
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exact_speed")
    parser.add_argument("--against", type=Path, help="another tree of the project")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    trees = {"this tree": ROOT} | ({"the other": asked.against} if asked.against else {})
    first: dict[str, list[float]] = {name: [] for name in trees}
    later: dict[str, list[float]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in [(k, name) for k in range(-1, asked.rounds) for name in trees]:
            kept = Path(folder) / name.replace(" ", "_")
            kept.mkdir(exist_ok=True)
            times = measure(trees[name].resolve(), kept / "model")
            if number >= 0:  # the round before compiled the network
                first[name].append(times[0])
                later[name].append(statistics.median(times[1:]))
    print("## Instruction machine: EfficientNet-Lite0, one thread\n")
    print("| | first frame ms | later frames ms |")
    print("|---|--:|--:|")
    for name in trees:
        print(
            f"| {name} | {statistics.median(first[name]) * 1e3:.0f} "
            f"| {statistics.median(later[name]) * 1e3:.0f} |"
        )
    if not asked.against:
        return 0
    ratios = [
        statistics.median(a / b for a, b in zip(*found.values(), strict=True))
        for found in (first, later)
    ]
    print(
        f"\nOf the other tree's time: first frame {ratios[0]:.2f}, later frames {ratios[1]:.2f} "
        f"(mark <= {MARK})."
    )
    return 0 if max(ratios) <= MARK else 1


if __name__ == "__main__":
    sys.exit(main())
