"""An agent that is given hostile models goes on serving good ones, and ends when it is told to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import ModelStore, Runtime, session
from bpu_common import container
from bpu_common.errors import BpuError, CapacityError, DeadlineExceeded, DeviceFault
from bpu_common.machine import X3M
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.hostile_cpu import LEAST, dividing_model, endless_model
from tests.support.models_board import HEIGHT, WIDTH, tiny_model

ZEROS = {"data": np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)}
ENDLESS = {"n": np.array([1 << 12], np.int64)}
CALLS = 12


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path, "--threads", "1") as made:
        board = Board(made.address)
        for model in (tiny_model(), dividing_model(), endless_model()):
            path = tmp_path / f"{model.name}.bin"
            path.write_bytes(container.dump([model]))
            board.deploy(path)
        board.close()
        yield made


def test_a_division_that_traps_is_an_error_of_its_caller(agent):
    board = Board(agent.address)
    trap = {"a": np.array([LEAST], np.int32), "b": np.array([-1], np.int32)}
    good = {"a": np.array([7], np.int32), "b": np.array([2], np.int32)}
    assert board.infer("dividing", good).outputs["y"] == 3
    with pytest.raises(DeviceFault, match="SIGFPE"):
        board.infer("dividing", trap)
    assert board.infer("dividing", good).outputs["y"] == 3
    assert board.infer("tiny", ZEROS).outputs
    board.close()


def test_endless_runs_end_at_the_deadlines_of_their_calls(agent):
    board = Board(agent.address)
    board.infer("endless", {"n": np.array([1], np.int64)})
    errors: list[BpuError] = []

    def call() -> None:
        try:
            board.infer("endless", ENDLESS, timeout_s=2)
        except BpuError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(CALLS)]
    for thread in threads:
        thread.start()
    assert board.infer("tiny", ZEROS, timeout_s=60).outputs
    for thread in threads:
        thread.join()
    assert len(errors) == CALLS
    assert all(isinstance(error, DeadlineExceeded) for error in errors)
    wait_until(lambda: untaken(board) == 0)
    board.remove("endless")  # nothing of it is alive
    board.close()


def test_sigterm_ends_an_agent_whatever_runs(agent):
    board = Board(agent.address)
    board.infer("endless", {"n": np.array([1], np.int64)})
    threads = [
        threading.Thread(target=_left_alone, args=(board, "endless", ENDLESS)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: untaken(board) > 0)
    assert agent.stop() == 0
    for thread in threads:
        thread.join()
    board.close()


def untaken(board: Board) -> int:
    """Frames that are done on the device and whose outputs nobody has yet."""
    return next(iter(board.telemetry(frame_count=1))).queue.untaken


def _left_alone(board: Board, model: str, given: dict[str, np.ndarray]) -> None:
    with pytest.raises(BpuError):
        board.infer(model, given)


class FailingDevice(SimDevice):
    """It takes its time to find out that it cannot open a model."""

    opened = 0

    def open(self, path: Path, model: str) -> int:
        if model == "tiny":
            return super().open(path, model)
        self.opened += 1
        time.sleep(0.2)
        raise CapacityError("too large", where="here", hint="take another")


@pytest.mark.parametrize("rest", [10, 0])
def test_what_takes_long_to_fail_is_not_tried_again_at_once(tmp_path, monkeypatch, rest):
    """Without the rest every call of many keeps a thread for as long again."""
    monkeypatch.setattr(session, "_REST", rest)
    device = FailingDevice(X3M)
    store = ModelStore(tmp_path, device.read)
    runtime = Runtime(device, store)
    store.put(container.dump([dividing_model()]))
    store.put(container.dump([tiny_model()]))
    for _ in range(5):
        with pytest.raises(CapacityError, match="too large") as error:
            runtime.make_ready("dividing")
        assert (error.value.where, error.value.hint) == ("here", "take another")
    assert device.opened == (1 if rest else 5)
    assert not runtime.is_open("dividing")
    runtime.make_ready("tiny")
    assert runtime.is_open("tiny")
    runtime.close()


STUCK = """
import sys, time
from bpu_board.cli import agent, entry
from bpu_sim.engines.engine import PartsEngine
PartsEngine.run = lambda *_, **__: time.sleep(600)
sys.exit({})
"""


@pytest.mark.parametrize(("end", "ends"), [("entry.agent()", True), ("agent.main()", False)])
def test_a_thread_that_cannot_be_stopped_does_not_keep_the_agent(tmp_path, end, ends):
    """Without the last step of its entry point the agent waits for the thread."""
    socket = f"unix:{tmp_path / 's'}"
    command = [sys.executable, "-c", STUCK.format(end)]
    command += ["--listen", socket, "--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("bpu-agent:")
    board = Board(socket)
    path = tmp_path / "tiny.bin"
    path.write_bytes(container.dump([tiny_model()]))
    board.deploy(path)
    caller = threading.Thread(target=_left_alone, args=(board, "tiny", ZEROS))
    caller.start()
    wait_until(lambda: untaken(board) > 0)
    process.terminate()
    try:
        assert process.wait(60 if ends else 12) == 0
        assert ends
    except subprocess.TimeoutExpired:
        assert not ends
        process.kill()
        process.wait()
    process.stdout.close()
    caller.join()
    board.close()
