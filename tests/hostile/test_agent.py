"""An agent that is given hostile models goes on serving good ones, and ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.errors import BpuError, DeadlineExceeded, DeviceFault
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
    threads = [threading.Thread(target=_left_alone, args=(board,)) for _ in range(2)]
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


def _left_alone(board: Board) -> None:
    with pytest.raises(BpuError):
        board.infer("endless", ENDLESS)
