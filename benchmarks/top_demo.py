"""`bpu top --demo`: how soon models preempt each other on the screen, and what watching costs.

Peer: the limits the project sets itself. Times: 20 s for the first run's compilation and 5 s to
the first preemption once the cache is warm; the frames are taken as lines (`--json`), which come
from the same source as the screen. Cost: process CPU time of the viewer on a terminal of 160x50,
15 % of a core, and 3 % paused; the agent's, which simulates the board, is shown beside it, measured
in the same seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

ROUNDS = 3
COMPILE_LIMIT_S = 20.0
PREEMPTION_LIMIT_S = 5.0
GIVE_UP_S = 120.0
COST_S = 10.0
SETTLE_S = 3.0
COST_LIMITS = {"running": 15.0, "paused": 3.0}
BPU = Path(sys.executable).parent / "bpu"


def seconds_to_preemption(cache: str) -> float:
    """From the start of the command to the first frame that counts a preemption."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    start_s = time.monotonic()
    with subprocess.Popen(
        [BPU, "top", "--demo", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as top:
        try:
            assert top.stdout is not None
            for line in top.stdout:
                took_s = time.monotonic() - start_s
                models = json.loads(line).get("models", [])
                if any(model["preempted"] for model in models):
                    return took_s
                if took_s > GIVE_UP_S:
                    break
        finally:
            top.terminate()
    raise SystemExit("bpu top --demo shows no preemption")


@contextlib.contextmanager
def on_a_terminal(cache: str) -> Iterator[tuple[psutil.Process, int]]:
    """The viewer's process on a terminal of 160x50, once it draws the cores; and what types."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "TERM": "xterm-256color"}
    viewer = subprocess.Popen(
        [BPU, "top", "--demo"], stdin=there, stdout=there, stderr=there, env=environment
    )
    os.close(there)
    drawn = threading.Event()

    def read() -> None:
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(here, 1 << 16):
                seen = seen[-1000:] + data
                if "▲".encode() in seen:
                    drawn.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        if not drawn.wait(GIVE_UP_S):
            raise SystemExit("bpu top --demo draws no preemption")
        time.sleep(SETTLE_S)
        yield psutil.Process(viewer.pid), here
    finally:
        viewer.terminate()
        viewer.wait()
        os.close(here)


def costs(cache: str) -> dict[str, tuple[float, float]]:
    """CPU time in percent of a core, of viewer and agent: running and paused in turn."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COST_LIMITS}
    with on_a_terminal(cache) as (viewer, keys):
        (agent,) = viewer.children()
        for _ in range(ROUNDS):
            for samples in found.values():
                before = [cpu_s(viewer), cpu_s(agent)]
                start_s = time.monotonic()
                time.sleep(COST_S)
                took_s = time.monotonic() - start_s
                after = [cpu_s(viewer), cpu_s(agent)]
                mine, its = (100 * (b - a) / took_s for a, b in zip(before, after, strict=True))
                samples.append((mine, its))
                os.write(keys, b" ")
                time.sleep(SETTLE_S)
    return {name: sorted(samples)[ROUNDS // 2] for name, samples in found.items()}


def cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def main() -> int:
    with tempfile.TemporaryDirectory() as cache:
        cold_s = seconds_to_preemption(cache)
        warm_s = sorted(seconds_to_preemption(cache) for _ in range(ROUNDS))[ROUNDS // 2]
        cost = costs(cache)
    compile_s = cold_s - warm_s
    print("## bpu top --demo\n")
    print("| | seconds | limit | ratio |")
    print("|---|--:|--:|--:|")
    for what, took_s, limit_s in (
        ("compiling three models, first run (cold less warm)", compile_s, COMPILE_LIMIT_S),
        ("start to first preemption, warm cache, median of 3", warm_s, PREEMPTION_LIMIT_S),
    ):
        print(f"| {what} | {took_s:.1f} | {limit_s:.0f} | {took_s / limit_s:.2f} |")
    print("\n| CPU time, % of a core, 160x50 | viewer | limit | ratio | agent beside it |")
    print("|---|--:|--:|--:|--:|")
    for name, (viewer, agent) in cost.items():
        limit = COST_LIMITS[name]
        print(f"| {name} | {viewer:.1f} | {limit:.0f} | {viewer / limit:.2f} | {agent:.1f} |")
    within = all(cost[name][0] <= limit for name, limit in COST_LIMITS.items())
    return 0 if compile_s <= COMPILE_LIMIT_S and warm_s <= PREEMPTION_LIMIT_S and within else 1


if __name__ == "__main__":
    sys.exit(main())
