"""Requests to an agent, of both services: ours and the Open Inference Protocol."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import grpc
import grpc.aio
import numpy as np

from bpu_board.agent.servicer import RuntimeServicer
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import ModelStore, Runtime
from bpu_common import container
from bpu_common.machine import X3M
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import inference as oip
from bpu_common.wire.rpc.client import SERVICE
from bpu_common.wire.rpc.inference import add_inference_service
from bpu_common.wire.rpc.server import add_board_service
from bpu_sim.device import PacedClock
from tests.fuzz_targets.calls import Form, Served
from tests.fuzz_targets.target import Harm, Target
from tests.support.models_board import HEIGHT, WIDTH, expected_codes, image_input, tiny_model

_FILE = container.dump([tiny_model()])
_OTHER = container.dump([tiny_model("other")])
_RAW = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
_WANTED = expected_codes(_RAW, image_input())
_LOOK_EVERY = 64
_FORM = Form({
    f"/{service.full_name}/{method.name}": method
    for service in (
        pb.DESCRIPTOR.services_by_name["BoardService"],
        oip.POOL.FindServiceByName(oip.SERVICE),
    )
    for method in service.methods
})  # fmt: skip


class _Board(Served):
    """An agent's services over a simulated board."""

    def __init__(self, folder: Path) -> None:
        self.device = SimDevice(X3M, threads=1, clock=PacedClock())
        self.runtime = Runtime(self.device, ModelStore(folder / "store", self.device.read))
        self.runtime.store.put(_FILE)
        self.runtime.infer("tiny", {"data": _RAW})  # the first one imports an engine
        self.calls = 0
        super().__init__(folder, self._add)

    async def _add(self, server: grpc.aio.Server) -> None:
        self.servicer = RuntimeServicer(self.runtime)
        add_board_service(server, self.servicer)
        add_inference_service(server, self.servicer.inference)

    def tidy(self) -> None:
        """End what a call has left; at times see that a good model is served."""
        for load in self.runtime.loads():
            self.runtime.stop_load(load.name)
        self.calls += 1
        if self.calls % _LOOK_EVERY:
            return
        self.runtime.store.put(_FILE)
        found = self.runtime.infer("tiny", {"data": _RAW}).outputs["codes"]
        if not np.array_equal(found, _WANTED):
            raise Harm("board: wrong bits for a good request")


@cache
def _board(folder: Path) -> _Board:
    return _Board(folder)


@cache
def seeds() -> Sequence[bytes]:
    """A good request of each kind."""
    header = pb.DeployHeader(digest=container.digest(_OTHER), size_bytes=len(_OTHER))
    infer = pb.InferRequest(model="tiny")
    infer.inputs.add(name="data", dtype=2, shape=_RAW.shape, data=_RAW.tobytes())
    asked = oip.message("ModelInferRequest")(model_name="tiny", id="1")
    asked.inputs.add(name="data", datatype="UINT8", shape=_RAW.shape)
    asked.raw_input_contents.append(_RAW.tobytes())
    asked.parameters["priority"].int64_param = 3
    ours = {
        "Deploy": [pb.DeployRequest(header=header), pb.DeployRequest(chunk=_OTHER)],
        "GetModelInfo": [pb.GetModelInfoRequest(model="tiny")],
        "RemoveModel": [pb.RemoveModelRequest(model="other")],
        "Infer": [infer],
        "Perf": [pb.PerfRequest(model="tiny", thread_num=2, frame_count=20)],
        "Telemetry": [pb.TelemetryRequest(period_ms=10, frame_count=1)],
        "StartLoad": [pb.StartLoadRequest(model="tiny", threads=1, rate_hz=100)],
        "StopLoad": [pb.StopLoadRequest(name="load-1")],
    }
    theirs = {
        "ModelReady": [oip.message("ModelReadyRequest")(name="tiny")],
        "ModelMetadata": [oip.message("ModelMetadataRequest")(name="tiny")],
        "ModelConfig": [oip.message("ModelConfigRequest")(name="tiny")],
        "ModelStatistics": [oip.message("ModelStatisticsRequest")(name="tiny")],
        "ModelInfer": [asked],
        "ModelStreamInfer": [asked, asked],
        "RepositoryModelLoad": [oip.message("RepositoryModelLoadRequest")(model_name="tiny")],
    }
    filled = {f"/{SERVICE}/{name}": messages for name, messages in ours.items()}
    filled |= {f"/{oip.SERVICE}/{name}": messages for name, messages in theirs.items()}
    return _FORM.seeds(filled)


def change(source: random.Random, data: bytes) -> bytes:
    """Another call."""
    return _FORM.change(source, data)


def run(data: bytes, folder: Path) -> str:
    """Ask, and see that the board works on."""
    board = _board(folder)
    try:
        return board.ask(*_FORM.call_of(data))
    finally:
        board.tidy()


TARGET = Target("board_calls", seeds, run, change)
