"""A frame is alive until its result is taken, and the host's time is told beside device time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bpu_board.devices.numbers import ModelNumbers
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_board.runtime.queue import ALIVE_LIMIT
from bpu_common.errors import Cancelled, CapacityError, DeadlineExceeded
from bpu_common.machine import X3M
from bpu_sim.device import PacedClock
from tests.support.agent_remote import wait_until
from tests.support.models_board import HEIGHT, WIDTH, install, slow_model, tiny_model

ZEROS = {"data": np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)}
LONG_S = 60.0


@pytest.fixture
def held(monkeypatch):
    """Set it to let the numbers of frames go on."""
    go_on = threading.Event()
    outputs = ModelNumbers.outputs

    def wait(self: ModelNumbers, *given: object) -> object:
        assert go_on.wait(LONG_S)
        return outputs(self, *given)

    monkeypatch.setattr(ModelNumbers, "outputs", wait)
    yield go_on
    go_on.set()


def paced() -> Runtime:
    runtime = Runtime(SimDevice(X3M, PacedClock()))
    install(runtime, tiny_model())
    return runtime


def test_frames_whose_numbers_are_computed_are_alive(held):
    """One more than the limit is refused, although the device has nothing to do."""
    runtime = paced()
    frames = [runtime.submit("tiny", ZEROS) for _ in range(ALIVE_LIMIT)]
    assert runtime.device.wait(lambda: all(frame.done for frame in frames), LONG_S)
    with ThreadPoolExecutor(ALIVE_LIMIT) as threads:
        results = [threads.submit(frame.result) for frame in frames]
        wait_until(lambda: all(frame.awaited for frame in frames))
        queue = runtime.telemetry().queue
        assert (queue.running, queue.waiting, queue.untaken) == (0, 0, ALIVE_LIMIT)
        with pytest.raises(CapacityError, match="TASK_NUM_EXCEED_LIMIT"):
            runtime.submit("tiny", ZEROS)
        frames[0].cancel()  # its result is being computed: there is room when that has ended
        with pytest.raises(CapacityError):
            runtime.submit("tiny", ZEROS)
        held.set()
        with pytest.raises(Cancelled):
            results[0].result(LONG_S)
        assert all(result.result(LONG_S) for result in results[1:])
    seen = runtime.telemetry()
    assert seen.queue.untaken == 0
    assert seen.models[0].host.count == ALIVE_LIMIT
    assert runtime.infer("tiny", ZEROS).outputs
    runtime.close()


def test_host_time_is_no_part_of_the_latency(held):
    runtime = paced()
    frame = runtime.submit("tiny", ZEROS)
    assert runtime.device.wait(lambda: frame.done, LONG_S)
    held.set()
    result = frame.result()
    (model,), (totals,) = runtime.telemetry().models, runtime.totals()
    assert totals.latency_ns == result.latency_ns
    assert totals.host_ns > 0
    assert model.host.max_ns > 0
    assert model.latency.count == model.host.count == 1
    runtime.close()


def test_a_frame_that_nobody_wants_any_more_makes_room():
    runtime = Runtime(SimDevice(X3M))
    install(runtime, tiny_model(), slow_model())
    for _ in range(3):
        frames = [runtime.submit("tiny", ZEROS) for _ in range(ALIVE_LIMIT)]
        for frame in frames[: ALIVE_LIMIT // 2]:
            frame.cancel()  # under way
        runtime.device.wait(lambda: all(frame.done for frame in frames), LONG_S)  # noqa: B023
        for frame in frames:
            frame.cancel()  # ended
    with pytest.raises(DeadlineExceeded):
        runtime.submit("slow", ZEROS).result(timeout_s=0)
    runtime.device.wait(lambda: not runtime.telemetry().queue.running, LONG_S)
    assert runtime.telemetry().queue.untaken == 0
    runtime.close()
