"""A chip whose time has stopped: all who wait are told, and the agent says NOT_SERVING."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bpu_board.agent.server import serve
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.errors import DeviceFault
from bpu_common.load import LoadRequest
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from bpu_common.task import TaskControl, TaskEvent
from bpu_common.wire.rpc.address import Address
from bpu_sim.device import PacedClock, VirtualClock
from tests.support.agent_remote import wait_until
from tests.support.models_board import HEIGHT, WIDTH, install, slow_model, tiny_model

ZEROS = {"data": np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)}
LONG_S = 60.0
CLOCKS = {"paced": lambda: PacedClock(speed=1e-3), "virtual": VirtualClock}


class BrokenDevice(SimDevice):
    """The next frame breaks the chip: the handler of its first event raises."""

    def __init__(self, clock: VirtualClock | PacedClock) -> None:
        super().__init__(X3M, clock, threads=1)
        self.breaks = False

    def submit(self, handle, inputs, control, on_event, every_event=True, turn=0):
        def broken(event: TaskEvent) -> None:
            raise RuntimeError("spilt coffee")

        return super().submit(
            handle, inputs, control, broken if self.breaks else on_event, every_event
        )


@pytest.fixture(params=CLOCKS)
def runtime(request: pytest.FixtureRequest):
    made = Runtime(BrokenDevice(CLOCKS[request.param]()))
    install(made, tiny_model(), slow_model())
    yield made
    made.close()


def outcome(call) -> BaseException | None:
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        return error
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_frames_under_way_and_later_ones_fail_with_the_reason(runtime: Runtime) -> None:
    waiting = [runtime.submit("slow", ZEROS, TaskControl(core_id=1)) for _ in range(12)]
    assert runtime.failure() == ""
    runtime.device.breaks = True
    errors: list[BaseException | None] = []
    threads = [
        threading.Thread(target=lambda each=each: errors.append(outcome(each.result)))
        for each in (*waiting, runtime.submit("tiny", ZEROS, TaskControl(core_id=2)))
        if not each.done
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert len(errors) == len(threads)
    told = [error for error in errors if error is not None]  # some may have been done before
    assert all(isinstance(error, DeviceFault) and "spilt coffee" in str(error) for error in told)
    assert "spilt coffee" in runtime.failure()
    queue = runtime.telemetry().queue
    assert (queue.running, queue.waiting, queue.untaken) == (0, 0, 0)
    for call in (
        lambda: runtime.infer("tiny", ZEROS),
        lambda: runtime.perf(PerfRequest("tiny", frame_count=3)),
    ):
        with pytest.raises(DeviceFault, match="spilt coffee"):
            call()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_health_follows_the_device(tmp_path: Path) -> None:
    device = BrokenDevice(PacedClock())
    runtime = Runtime(device)
    install(runtime, tiny_model())
    path = f"{os.getpid()}.sock"
    address = Address(path=f"/tmp/bpu-{path}")
    served = threading.Event()

    def health() -> int:
        with grpc.insecure_channel(f"unix:{address.path}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return int(stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=LONG_S).status)

    def watch() -> None:
        assert served.wait(LONG_S)
        try:
            assert health() == health_pb2.HealthCheckResponse.SERVING
            runtime.start_load(LoadRequest("tiny", rate_hz=100.0))
            device.breaks = True
            wait_until(lambda: health() == health_pb2.HealthCheckResponse.NOT_SERVING, LONG_S)
            seen.append(runtime.telemetry().models[0].alive)  # telemetry still answers
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    seen: list[int] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    asyncio.run(serve(runtime, address, lambda _: served.set()))
    watcher.join(LONG_S)
    runtime.close()
    assert len(seen) == 1
