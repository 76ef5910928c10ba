"""A polite client beside one that floods the board, on a paced clock: waiting, refusals, rates.

    python -m benchmarks.fairness

The agent is a real process on a loopback port: each process that calls it is a client of its own.
The polite one infers a frame at a time with a pause between, alone first and then while a process
of many threads asks for the same model with the same priority as fast as it can. Latencies are
modelled (device time), as the board tells them with each result; the wall time of the same calls
stands beside them and depends on how busy this computer is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bpu_common import container
from bpu_host.remote import Board
from tests.support.models_board import image_input, slow_model

CALLS = 120
FLOODERS = 60
PAUSE_S = 0.02
CALL_COUNT, WORK = 10, 130  # function calls of the model's frame and work in each: about 8 ms
_FRAME = np.zeros(image_input().caller_shape, np.uint8)


def flood(address: str) -> None:
    """Infer on many threads until this process is ended; refusals are counted and repeated."""
    import threading

    from bpu_common.errors import CapacityError

    told = [0, 0]
    with Board.connect(address) as board:

        def work() -> None:
            while True:
                try:
                    board.infer("slow", _FRAME)
                    told[0] += 1
                except CapacityError:
                    told[1] += 1

        for _ in range(FLOODERS):
            threading.Thread(target=work, daemon=True).start()
        while True:
            print(*told, flush=True)
            time.sleep(0.2)


def polite(board: Board) -> tuple[list[float], list[float], int]:
    """Device and wall latencies in ms, and how many calls were not served."""
    device, wall, refused = [], [], 0
    for _ in range(CALLS):
        start_s = time.perf_counter()
        try:
            device.append(board.infer("slow", _FRAME).latency_ns / 1e6)
            wall.append((time.perf_counter() - start_s) * 1e3)
        except Exception:  # noqa: BLE001  whatever it is, a polite client was not served
            refused += 1
        time.sleep(PAUSE_S)
    return device, wall, refused


def _row(name: str, values: list[float]) -> tuple[float, float]:
    p50, p99 = (float(np.percentile(values, q, method="higher")) for q in (50, 99))
    print(f"| {name} | {p50:.2f} ms | {p99:.2f} ms | {max(values):.2f} ms |")
    return p50, p99


def _measure(address: str) -> bool:
    model = slow_model("slow", CALL_COUNT, WORK)
    with tempfile.NamedTemporaryFile(suffix=".bin") as file, Board.connect(address) as board:
        Path(file.name).write_bytes(container.dump([model]))
        board.deploy(Path(file.name))
        board.infer("slow", _FRAME)
        alone, alone_wall, _ = polite(board)
        command = [sys.executable, "-m", "benchmarks.fairness", "--flood", address]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert other.stdout is not None
            while int(other.stdout.readline().split()[1]) == 0:
                pass  # until it is refused something
            beside, beside_wall, refused = polite(board)
        finally:
            other.kill()
        assert other.stdout is not None
        served, denied = map(int, other.stdout.read().splitlines()[-1].split())
        late_ms = board.info().late_ns / 1e6
    frame_ms = min(alone)  # with its submission
    print("| polite client | p50 | p99 | worst |\n|---|---|---|---|")
    p50, p99 = _row("alone, device time", alone)
    _row("alone, wall time", alone_wall)
    flooded_p50, flooded_p99 = _row("beside the flood, device time", beside)
    _row("beside the flood, wall time", beside_wall)
    most_p99 = p99 + frame_ms
    print(
        f"\n{CALLS} calls, {PAUSE_S * 1e3:g} ms apart, of a model of {frame_ms:.2f} ms a frame; "
        f"the flood has {FLOODERS} threads: {served} frames served, {denied} refused. Polite calls "
        f"not served: {refused}. The clock lost {late_ms:.0f} ms.\nMarks (device time): "
        f"p50 {flooded_p50:.2f} <= 2 x {p50:.2f} ms, p99 {flooded_p99:.2f} <= {most_p99:.2f} ms "
        "(alone, and a frame of the flood with its submission), none refused."
    )
    return flooded_p50 <= 2 * p50 and flooded_p99 <= most_p99 and not refused and denied > 0


def main() -> int:
    print("## Fairness: a polite client beside a flood\n")
    with tempfile.TemporaryDirectory() as folder:
        agent = subprocess.Popen(
            [
                sys.executable, "-m", "bpu_board.cli.agent", "--listen", "127.0.0.1:0",
                "--store", f"{folder}/s", "--clock", "paced",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        try:
            assert agent.stdout is not None
            address = agent.stdout.readline().split(" on ")[1].split(",")[0]
            return 0 if _measure(address) else 1
        finally:
            agent.terminate()
            agent.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        flood(sys.argv[2])
    sys.exit(main())
