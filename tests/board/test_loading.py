"""Opening a model takes long; nobody waits for it but those who want a model of that file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_board.agent.servicer import RuntimeServicer
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import ModelStore, Runtime
from bpu_common import container
from bpu_common.board import InferRequest
from bpu_common.errors import ModelNotFound
from bpu_common.frame import FrameInput
from bpu_common.machine import X3M
from bpu_sim.device import PacedClock
from tests.support.models_board import HEIGHT, WIDTH, tiny_model

LONG_S = 60.0
SLOW = tuple(f"slow{index}" for index in range(6))
ZEROS = {"data": FrameInput(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))}


class GatedDevice(SimDevice):
    """Models whose name begins with "slow" open once `gate` is set."""

    def __init__(self) -> None:
        super().__init__(X3M, PacedClock(), threads=1)
        self.gate = threading.Event()
        self.opening = threading.Semaphore(0)
        self.opened: list[str] = []

    def open(self, path: Path, model: str) -> int:
        if model.startswith("slow"):
            self.opening.release()
            assert self.gate.wait(LONG_S)
        self.opened.append(model)
        return super().open(path, model)


@pytest.fixture
def device() -> Iterator[GatedDevice]:
    made = GatedDevice()
    yield made
    made.gate.set()


@pytest.fixture
def runtime(device: GatedDevice, tmp_path: Path) -> Iterator[Runtime]:
    store = ModelStore(tmp_path, device.read)
    for seed, name in enumerate((*SLOW, "free")):
        store.put(container.dump([tiny_model(name, seed=seed)]))
    made = Runtime(device, store)
    yield made
    device.gate.set()
    made.close()


def serve(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), LONG_S))


def test_telemetry_questions_and_other_models_go_on_while_models_load(
    device: GatedDevice, runtime: Runtime
) -> None:
    async def work() -> None:
        servicer = RuntimeServicer(runtime)
        loads = [asyncio.create_task(servicer.inference.load(name, False)) for name in SLOW]
        await asyncio.to_thread(device.opening.acquire)
        frames = [frame async for frame in servicer.telemetry(10, 10)]
        assert [frame.sequence for frame in frames] == list(range(10))
        entries = await servicer.list_models()
        assert {entry.name for entry in entries} == {*SLOW, "free"}
        assert not any(entry.loaded for entry in entries)
        assert (await servicer.model_info(SLOW[0])).name == SLOW[0]
        result, _ = await servicer.infer(InferRequest("free", ZEROS), None)
        assert result.model == "free"
        assert not any(load.done() for load in loads)
        device.gate.set()
        await asyncio.gather(*loads)
        assert all(entry.loaded for entry in await servicer.list_models())

    serve(work)


def test_callers_of_one_model_open_it_once(device: GatedDevice, runtime: Runtime) -> None:
    threads = [threading.Thread(target=runtime.load, args=(SLOW[0],)) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert device.opening.acquire(timeout=LONG_S)
    device.gate.set()
    for thread in threads:
        thread.join()
    assert device.opened == [SLOW[0]]


def test_a_model_removed_while_others_wait_for_it_is_gone(
    device: GatedDevice, runtime: Runtime
) -> None:
    """Opening and removing a file exclude each other, whoever is first."""
    outcomes: list[object] = []

    def remove() -> None:
        outcomes.append(runtime.remove(SLOW[0]))

    first = threading.Thread(target=runtime.load, args=(SLOW[0],))
    first.start()
    assert device.opening.acquire(timeout=LONG_S)
    second = threading.Thread(target=remove)
    second.start()
    device.gate.set()
    first.join()
    second.join()
    assert outcomes == [None]
    assert SLOW[0] not in {entry.name for entry in runtime.list()}
    with pytest.raises(ModelNotFound):
        runtime.load(SLOW[0])


def test_a_model_with_a_slash_in_its_name(device: GatedDevice, tmp_path: Path) -> None:
    store = ModelStore(tmp_path, device.read)
    stored = store.put(container.dump([tiny_model("backbone/tiny")]))
    runtime = Runtime(device, store)
    for key in ("backbone/tiny", stored.digest, f"{stored.digest}/backbone/tiny"):
        assert runtime.infer(key, ZEROS).model == "backbone/tiny"
