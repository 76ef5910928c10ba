"""Random loads, connections and abandoned calls on one agent: `python -m tests.soak --seconds 120`.

Every inference has an input of its own, so that no cache answers, and its bits are compared with a
matrix product. Prints what the agent held in each third of the time; ends with status 1 where an
answer was wrong or memory, threads, files or the disk grew. `--tree` does the same to another copy
of the repository, with its own environment.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bpu_common import container
from bpu_common.errors import BpuError
from bpu_common.perf import PerfRequest
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.models_board import expected_codes, image_input, tiny_model

_INFERRING = 4
_SAMPLE_S = 1.0
_GROWTH = {"rss_mb": (1.10, 8), "threads": (1.0, 4), "files": (1.0, 8), "disk_mb": (1.0, 8)}
"""What the last third may have more than the second: a factor, and so many more."""


@dataclass(frozen=True)
class Sample:
    """What the agent holds."""

    rss_mb: float
    threads: int
    files: int
    disk_mb: float


class Soak:
    """The load, on threads, until `stop`."""

    def __init__(self, agent: Agent, folder: Path, seed: int) -> None:
        self.agent, self.folder, self.seed = agent, folder, seed
        self.stop = threading.Event()
        self.done: collections.Counter[str] = collections.Counter()
        self.latencies_ms: list[float] = []
        self.wrong: list[str] = []
        kinds = [self._infer] * _INFERRING + [self._deploy, self._measure, self._abandon]
        self.threads = [
            threading.Thread(target=self._keep, args=(kind, number))
            for number, kind in enumerate([*kinds, self._connect])
        ]

    def _keep(self, kind: Callable[[random.Random, Board], None], number: int) -> None:
        source = random.Random(self.seed + number)
        while not self.stop.is_set():
            try:
                with Board.connect(self.agent.address) as board:
                    for _ in range(source.randint(1, 50)):
                        if self.stop.is_set():
                            return
                        kind(source, board)
                        self.done[kind.__name__.strip("_")] += 1
            except BpuError as error:
                self.done[f"refused: {type(error).__name__}"] += 1
                if error.code == "INTERNAL":
                    self.wrong.append(str(error))
            except Exception as error:  # noqa: BLE001  a load that ends is no load
                self.wrong.append(f"{kind.__name__}: {error!r}")
                return

    def _infer(self, source: random.Random, board: Board) -> None:
        shape = image_input().caller_shape
        raw = np.frombuffer(source.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
        begun = time.perf_counter()
        found = board.infer("tiny", raw).outputs["codes"]
        self.latencies_ms.append((time.perf_counter() - begun) * 1e3)
        if not np.array_equal(found, expected_codes(raw, image_input())):
            self.wrong.append("wrong bits")

    def _deploy(self, source: random.Random, board: Board) -> None:
        path = self.folder / "other.bin"
        path.write_bytes(container.dump([tiny_model("other", seed=source.randrange(1 << 30))]))
        board.deploy(path)
        board.remove("other")

    def _measure(self, source: random.Random, board: Board) -> None:
        asked = PerfRequest("tiny", source.randint(10, 500), thread_num=source.randint(1, 8))
        board.perf(asked)

    def _abandon(self, source: random.Random, board: Board) -> None:
        """A stream of which nobody takes the rest."""
        enough = source.randint(0, 3)
        for number, _ in enumerate(board.telemetry(20)):
            if number == enough:
                break

    def _connect(self, source: random.Random, board: Board) -> None:
        """A connection that says nothing, or what is no HTTP/2."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(self.agent.socket))
            raw.sendall(source.randbytes(source.choice((0, 9, 999))))
            self.stop.wait(source.uniform(0, 0.05))


def sample(process: psutil.Process, store: Path) -> Sample:
    disk = 0
    for path in store.rglob("*"):
        try:
            disk += path.stat().st_size
        except FileNotFoundError:
            continue
    memory = process.memory_info().rss
    return Sample(memory / 2**20, process.num_threads(), process.num_fds(), disk / 2**20)


def report(samples: list[Sample], soak: Soak, seconds: float) -> list[str]:
    """Print the tables; returns what grew."""
    third = len(samples) // 3
    parts = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
    print("| most in | first third | second | last |\n|---|---|---|---|")
    grown = []
    for name, (factor, more) in _GROWTH.items():
        most = [max(getattr(each, name) for each in part) for part in parts]
        print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in most) + " |")
        if most[2] > most[1] * factor + more:
            grown.append(f"{name} grew from {most[1]:.0f} to {most[2]:.0f}")
    times = sorted(soak.latencies_ms)
    print(
        f"\n{len(times)} inferences, all with inputs of their own, {len(times) / seconds:.0f}/s; "
    )
    print(f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms; ")
    print(", ".join(f"{count} {name}" for name, count in sorted(soak.done.items())))
    return grown


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--tree", type=Path, help="another copy of the repository")
    options = parser.parse_args()
    if options.tree is not None:
        python = options.tree / ".venv/bin/python"
        rest = ["--seconds", str(options.seconds), "--seed", str(options.seed)]
        os.chdir(options.tree)
        environment = {**os.environ, "PYTHONPATH": str(options.tree)}
        os.execve(python, [str(python), str(Path(__file__).resolve()), *rest], environment)
    print(f"seed {options.seed}, {options.seconds:g} s\n")
    with tempfile.TemporaryDirectory() as name, Agent(Path(name)) as agent:
        folder = Path(name)
        (folder / "tiny.bin").write_bytes(container.dump([tiny_model()]))
        with Board.connect(agent.address) as board:
            board.deploy(folder / "tiny.bin")
        soak = Soak(agent, folder, options.seed)
        for thread in soak.threads:
            thread.start()
        assert agent.process is not None
        process = psutil.Process(agent.process.pid)
        end_s, samples = time.monotonic() + options.seconds, []
        while time.monotonic() < end_s:
            time.sleep(_SAMPLE_S)
            samples.append(sample(process, agent.store))
        soak.stop.set()
        for thread in soak.threads:
            thread.join()
        problems = report(samples, soak, options.seconds) + soak.wrong
        if "Traceback" in agent.log.read_text():
            problems.append("a traceback in the agent's log")
    for problem in dict.fromkeys(problems):
        print(f"\n- {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
