"""A client in a process of its own, for the driver to kill: it reads an order and carries it out.

It says `warm` once it can take the order, `at N` as the work goes on (bytes of an upload, answers
of an inference, reports of a measurement), and at the end `done`, `refused CLASS: why` for an
error that the library declares, or `wrong` for bits that are not the right ones. Anything else is
a fault of the library.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from bpu_common.errors import BpuError
from bpu_common.perf import PerfRequest
from bpu_host.client import connect
from bpu_host.remote import Board

_FOREVER = 10_000_000
_lock = threading.Lock()


def say(text: str) -> None:
    """One line to the driver, whole whichever thread it comes from."""
    with _lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def upload(board: Board, order: dict[str, Any]) -> None:
    def progress(done: int, _all: int) -> None:
        say(f"at {done}")
        time.sleep(order["pace_s"])

    board.deploy(order["path"], progress)


def infer(board: Board, order: dict[str, Any]) -> None:
    """Several threads, frame after frame."""
    pixels, wanted = np.load(order["pixels"]), np.load(order["wanted"])
    failures: list[BpuError] = []

    def loop() -> None:
        try:
            while not failures:
                result = board.infer(
                    order["model"], pixels, core_id=order["core"], priority=order["priority"]
                )
                right = np.array_equal(result.outputs["codes"], wanted)
                say("at 1" if right else "wrong")
        except BpuError as error:
            failures.append(error)

    say("at 0")
    threads = [threading.Thread(target=loop) for _ in range(order["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    raise failures[0]


def perf(board: Board, order: dict[str, Any]) -> None:
    request = PerfRequest(
        order["model"],
        frame_count=_FOREVER,
        thread_num=order["threads"],
        core_id=order["core"],
        priority=order["priority"],
    )
    say("at 0")
    board.perf(request, lambda progress: say(f"at {progress.frames_done}"))


def load(board: Board, order: dict[str, Any]) -> None:
    """Start a load and stay, as a person in front of `bpu top` does."""
    board.start_load(
        order["model"], threads=order["threads"], core_id=order["core"], priority=order["priority"]
    )
    say("at 1")
    for _ in board.telemetry(20):
        pass


WORK = {"upload": upload, "infer": infer, "perf": perf, "load": load}


def main() -> None:
    say("warm")
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    assert Path(order["pixels"]).exists()
    try:
        with connect(order["address"]) as board:
            WORK[order["work"]](board, order)
    except BpuError as error:
        say(f"refused {type(error).__name__}: {error.message}")
    else:
        say("done")


if __name__ == "__main__":
    main()
