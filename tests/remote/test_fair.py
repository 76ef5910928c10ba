"""Clients on connections of their own: a flood of one refuses and delays nobody else."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from bpu_common import container
from bpu_common.board import InferRequest
from bpu_common.errors import CapacityError
from bpu_common.frame import FrameInput
from bpu_common.wire.rpc.client import BoardClient
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.models_board import image_input, slow_model

FRAME = FrameInput(np.zeros(image_input().caller_shape, np.uint8))
REQUEST = InferRequest("slow", {image_input().tensor.name: FRAME})
THREADS = 48


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("agent")
    with Agent(folder, "--clock", "paced", listen="127.0.0.1:0") as running:
        path = folder / "slow.bin"
        path.write_bytes(container.dump([slow_model("slow", 10, 130)]))
        with Board.connect(running.address) as board:
            board.deploy(path)
        yield running


@contextmanager
def client_of(agent: Agent) -> Iterator[BoardClient]:
    """A client with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(agent.address, options=options) as channel:
        yield BoardClient(channel, agent.address)


@contextmanager
def flooded(agent: Agent) -> Iterator[list[CapacityError]]:
    """Another client asks for the same model on many threads; gives what it was refused."""
    refused: list[CapacityError] = []
    first, stop = threading.Event(), threading.Event()

    def work(client: BoardClient) -> None:
        while not stop.is_set():
            try:
                client.infer(REQUEST, 30)
            except CapacityError as error:
                refused.append(error)
                first.set()

    with client_of(agent) as client, ThreadPoolExecutor(THREADS) as threads:
        for _ in range(THREADS):
            threads.submit(work, client)
        try:
            assert first.wait(60)
            yield refused
        finally:
            stop.set()


def latency_ns(client: BoardClient) -> int:
    result, _ = client.infer(REQUEST, 60)
    return result.done_ns - result.submitted_ns


def test_a_flood_is_refused_and_a_polite_client_waits_for_one_frame_of_it(agent: Agent) -> None:
    """Latencies are the chip's, whatever else this computer does."""
    with client_of(agent) as polite:
        latency_ns(polite)
        alone = [latency_ns(polite) for _ in range(10)]
        with flooded(agent) as refused:
            for _ in range(3):  # the first ones find frames of a flood that thought it was alone
                latency_ns(polite)
            beside = [latency_ns(polite) for _ in range(20)]
    assert "HB_DNN_TASK_NUM_EXCEED_LIMIT" in refused[0].message
    assert statistics.median(beside) <= 2 * statistics.median(alone)
    assert max(beside) <= max(alone) + 2 * min(alone)


def test_short_calls_and_other_clients_are_served_in_a_flood(agent: Agent) -> None:
    with flooded(agent), client_of(agent) as other:
        assert [model.name for model in other.list_models(60)] == ["slow"]
        latency_ns(other)  # from now on it is one of the queue's clients
        assert next(iter(other.telemetry(frame_count=1))).queue.running_limit == 16
        assert other.capabilities(60).machine == "x3m"
