"""Deadlines, cancellation and loads of a real agent whose device time follows the wall clock."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.errors import CapacityError, DeadlineExceeded, ModelNotFound, UsageError
from bpu_common.load import arrivals
from bpu_common.telemetry import ModelSample, TelemetryFrame
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.models_board import image_input, slow_model, tiny_model

RAW = np.zeros(image_input().caller_shape, np.uint8)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent"), "--clock", "paced") as running:
        yield running


@pytest.fixture(scope="module")
def board(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("files")
    with Board.connect(agent.address) as connected:
        for model in (tiny_model(), slow_model("long", 20, 200)):
            path = folder / f"{model.name}.bin"
            path.write_bytes(container.dump([model]))
            connected.deploy(path)
            connected.infer(model.name, RAW)
        yield connected


def frame_of(board: Board) -> TelemetryFrame:
    return next(iter(board.telemetry(frame_count=1)))


def sample_of(board: Board, model: str) -> ModelSample:
    return next(each for each in frame_of(board).models if each.name == model)


def is_idle(board: Board) -> bool:
    frame = frame_of(board)
    return (
        all(core.task < 0 for core in frame.cores)
        and not any(model.alive or model.running for model in frame.models)
        and (frame.queue.running, frame.queue.waiting) == (0, 0)
    )


def test_a_deadline_ends_a_frame_that_runs(board: Board) -> None:
    before = sample_of(board, "long")
    latency_s = board.infer("long", RAW).latency_ns / 1e9
    with pytest.raises(DeadlineExceeded):
        board.infer("long", RAW, timeout_s=latency_s / 3)
    wait_until(lambda: is_idle(board))
    after = sample_of(board, "long")
    assert (after.done - before.done, after.expired - before.expired) == (1, 1)
    assert after.cancelled == before.cancelled


def test_a_deadline_drops_a_frame_that_waits(board: Board) -> None:
    board.start_load("long", name="busy", threads=8)
    try:
        before = sample_of(board, "tiny")

        def three_have_expired() -> bool:  # one whose time is over when it arrives is no frame
            with pytest.raises(DeadlineExceeded):
                board.infer("tiny", RAW, timeout_s=0.004)
            return sample_of(board, "tiny").expired >= before.expired + 3

        wait_until(three_have_expired)
        after = sample_of(board, "tiny")
        assert (after.done, after.cancelled) == (before.done, before.cancelled)
        assert any("missed a deadline" in line.text for line in frame_of(board).log)
    finally:
        board.stop_load("busy")
    wait_until(lambda: is_idle(board))


CLIENT = """
import sys, threading
import numpy as np
from bpu_host.remote import Board
board = Board.connect(sys.argv[1])
raw = np.zeros((1, 8, 16, 3), np.uint8)
def work():
    while True:
        board.infer("long", raw)
for _ in range(20):
    threading.Thread(target=work).start()
print("going", flush=True)
"""
PERF_CLIENT = """
import sys
from bpu_common.perf import PerfRequest
from bpu_host.remote import Board
board = Board.connect(sys.argv[1])
print("going", flush=True)
board.perf(PerfRequest("long", frame_count=1 << 40, thread_num=8))
"""


@pytest.mark.parametrize("program", [CLIENT, PERF_CLIENT], ids=["infer", "perf"])
def test_nothing_is_left_of_a_killed_client(board: Board, agent: Agent, program: str) -> None:
    before = sample_of(board, "long")
    client = subprocess.Popen(
        [sys.executable, "-c", program, agent.address], stdout=subprocess.PIPE, text=True
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "going\n"
        wait_until(lambda: sample_of(board, "long").done >= before.done + 3, 60)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait(30)
        client.stdout.close()
    wait_until(lambda: is_idle(board), 5)
    after = sample_of(board, "long")
    assert after.cancelled > before.cancelled
    assert after.submitted == after.done + after.failed + after.cancelled + after.expired
    assert board.infer("tiny", RAW, timeout_s=30).model == "tiny"


def test_leaving_a_call_frees_the_core_after_the_running_function_call(board: Board) -> None:
    before = sample_of(board, "long")
    channel = Board(board.address)
    failed = []

    def call() -> None:
        try:
            channel.infer("long", RAW)
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_until(lambda: any(core.task >= 0 for core in frame_of(board).cores))
    channel.close()
    thread.join(30)
    wait_until(lambda: is_idle(board), 5)
    assert len(failed) == 1
    after = sample_of(board, "long")
    assert (after.done, after.cancelled) == (before.done, before.cancelled + 1)


def test_loads_run_until_they_are_stopped(board: Board) -> None:
    closed = board.start_load("long", threads=3, core_id=1)
    camera = board.start_load("tiny", name="camera", rate_hz=200, priority=255, core_id=1, seed=4)
    assert (closed.name, camera.name) == ("long-1", "camera")
    assert [state.name for state in board.loads()] == ["long-1", "camera"]
    wait_until(lambda: board.loads()[0].done >= 5 and board.loads()[1].done >= 40)
    with pytest.raises(UsageError, match="runs already"):
        board.start_load("tiny", name="camera")
    with pytest.raises(UsageError, match=r"stop the load|is running|a load runs"):
        board.remove("tiny")
    frame = frame_of(board)
    assert frame.cores[1].task == -1
    by_name = {model.name: model for model in frame.models}
    assert by_name["long"].preempted > 0
    assert by_name["tiny"].preempting == by_name["long"].preempted
    assert by_name["tiny"].priority == 255
    ended = board.stop_load("camera")
    assert ended.request.rate_hz == 200
    assert ended.done <= ended.submitted <= ended.done + 1
    assert ended.failed == ended.refused == 0
    board.stop_load("long-1")
    assert board.loads() == ()
    wait_until(lambda: is_idle(board), 5)
    texts = [line.text for line in frame_of(board).log]
    assert any(text.startswith("load camera started: tiny, 200 Hz, core 0") for text in texts)
    assert any(text.startswith("load long-1 stopped after") for text in texts)
    with pytest.raises(UsageError, match="no load named 'camera'"):
        board.stop_load("camera")


def test_a_closed_loop_waits_where_the_queue_is_full(board: Board) -> None:
    names = [board.start_load("long", threads=8).name for _ in range(5)]  # 40 frames, 32 places
    wait_until(lambda: sum(state.refused for state in board.loads()) > 0)
    done = sum(state.done for state in board.loads())
    wait_until(lambda: sum(state.done for state in board.loads()) > done + 20)
    for name in names:
        board.stop_load(name)
    wait_until(lambda: is_idle(board), 5)


def test_loads_that_cannot_be(board: Board) -> None:
    with pytest.raises(ModelNotFound):
        board.start_load("nothing")
    for wrong in ({"rate_hz": -1.0}, {"threads": 0}, {"priority": 256}, {"core_id": 3}):
        with pytest.raises(UsageError):
            board.start_load("tiny", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        board.start_load("tiny", name="\n")
    names = [board.start_load("tiny", rate_hz=1).name for _ in range(16)]
    with pytest.raises(CapacityError, match="16 loads"):
        board.start_load("tiny")
    for name in names:
        board.stop_load(name)
    wait_until(lambda: is_idle(board), 5)


def test_a_virtual_clock_has_no_loads(tmp_path: Path) -> None:
    with Agent(tmp_path) as agent, Board.connect(agent.address) as board:
        path = tmp_path / "tiny.bin"
        path.write_bytes(container.dump([tiny_model()]))
        board.deploy(path)
        with pytest.raises(UsageError, match="virtual") as caught:
            board.start_load("tiny")
        assert "--clock paced" in caught.value.hint


def test_every_client_gets_every_call(board: Board) -> None:
    """Three streams at different periods: what one sees in the common time, all see."""
    board.start_load("long", name="both", threads=3)
    seen: list[list[TelemetryFrame]] = [[], [], []]
    ends_s = time.monotonic() + 1.5

    def watch(index: int) -> None:
        for frame in board.telemetry(period_ms=20 + 30 * index):
            seen[index].append(frame)
            if time.monotonic() > ends_s:
                return

    threads = [threading.Thread(target=watch, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    board.stop_load("both")
    start_ns = max(frames[0].time_ns for frames in seen)
    end_ns = min(frames[-1].time_ns for frames in seen) - 5_000_000
    assert not any(frame.slices_dropped for frames in seen for frame in frames)
    common = [
        [
            item
            for frame in frames
            for item in frame.slices
            if not item.running and start_ns < item.end_ns < end_ns
        ]
        for frames in seen
    ]
    assert len(common[0]) > 100
    assert common[0] == common[1] == common[2]
    boots = {frame.boot_id for frames in seen for frame in frames}
    assert len(boots) == 1


def test_arrival_times() -> None:
    def first(seed: int, count: int = 300) -> list[int]:
        times = arrivals(30, seed)
        return [next(times) for _ in range(count)]

    times = first(1)
    assert times == first(1) != first(2)
    gaps = np.diff(times) * 30 / 1e9
    assert gaps.min() >= 0.5
    assert gaps.max() <= 1.5
    assert times[-1] == pytest.approx(10e9, rel=0.01)
