"""Hostile requests to an agent: each gets a status with a sentence, and good ones are served on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from bpu_common import container
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import inference as oip
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import SERVICE, open_channel
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.models_board import expected_codes, image_input, tiny_model

RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)
BOARD_METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["BoardService"].methods]
OIP_METHODS = [
    *("ModelReady", "ModelMetadata", "ModelInfer", "ModelConfig", "ModelStatistics"),
    *("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ModelStreamInfer"),
]
PATHS = [
    *(f"/{SERVICE}/{name}" for name in BOARD_METHODS),
    *(f"/{oip.SERVICE}/{name}" for name in OIP_METHODS),
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]
_PEAK_KIB = 6 << 18
"""Bytes that gRPC has taken from the wire and not yet given over come on top of the budget."""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        path = tmp_path_factory.mktemp("files") / "tiny.bin"
        path.write_bytes(container.dump([tiny_model()]))
        with Board.connect(running.address) as board:
            board.deploy(path)
        yield running


@pytest.fixture
def channel(agent: Agent) -> Iterator[grpc.Channel]:
    with open_channel(parse_address(agent.address)) as opened:
        yield opened
    with Board.connect(agent.address) as board:
        found = board.infer("tiny", RAW).outputs["codes"]
    assert np.array_equal(found, expected_codes(RAW, image_input()))
    assert "Traceback" not in agent.log.read_text()
    assert peak_kib(agent) < _PEAK_KIB


def peak_kib(agent: Agent) -> int:
    """The most memory that the agent has ever had."""
    assert agent.process is not None
    lines = Path(f"/proc/{agent.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def failure(channel: grpc.Channel, path: str, *requests: bytes) -> grpc.RpcError:
    """How a call of raw bytes ends."""
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.stream_stream(path)(iter(requests), timeout=60))
    return caught.value


@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_no_message(agent: Agent, channel: grpc.Channel, path: str) -> None:
    before = agent.log.read_text()
    error = failure(channel, path, b"\x0a\xff\xff\xff\x7f")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
    assert "no valid message" in (error.details() or "")
    assert agent.log.read_text().removeprefix(before).count("\n") == 1


@pytest.mark.parametrize("path", PATHS)
def test_no_message_at_all(channel: grpc.Channel, path: str) -> None:
    if path.endswith(("ModelStreamInfer", "ServerReflectionInfo")):  # a stream may be empty
        assert list(channel.stream_stream(path)(iter(()), timeout=60)) == []
        return
    assert failure(channel, path).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("path", "tag"),
    [(f"/{SERVICE}/Infer", b"\x12\x00"), (f"/{oip.SERVICE}/ModelInfer", b"\x2a\x00")],
)
def test_millions_of_empty_tensors(channel: grpc.Channel, path: str, tag: bytes) -> None:
    error = failure(channel, path, b"\x0a\x04tiny" + tag * 31_000_000)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "no model here takes more than" in (error.details() or "")  # before fields are counted


def test_a_flood_of_large_requests(channel: grpc.Channel) -> None:
    request = pb.InferRequest(model="tiny")
    size_bytes = 60 << 20
    request.inputs.add(name="data", dtype=2, shape=[size_bytes], data=bytes(size_bytes))
    data = request.SerializeToString()
    call = channel.unary_unary(f"/{SERVICE}/Infer")
    codes = {future.exception().code() for future in [call.future(data) for _ in range(24)]}
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("name", [name for name in BOARD_METHODS if name != "Deploy"])
def test_large_requests_without_tensors(channel: grpc.Channel, name: str) -> None:
    padding = b"\x82\x7d\x80\x80\x80\x01" + bytes(2 << 20)  # a field that nobody knows
    code = failure(channel, f"/{SERVICE}/{name}", padding).code()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED  # no model of this board takes so much


def test_a_chunk_of_many_megabytes(channel: grpc.Channel) -> None:
    header = pb.DeployRequest(header=pb.DeployHeader(digest="0" * 64, size_bytes=32 << 20))
    chunk = pb.DeployRequest(chunk=bytes(16 << 20))
    messages = [header.SerializeToString(), chunk.SerializeToString()]
    error = failure(channel, f"/{SERVICE}/Deploy", *messages)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 2097152" in (error.details() or "")


@pytest.mark.parametrize(
    "value", ["--5", "5" * 5000, "1e3", "", " 5", "٣", "9" * 400], ids=lambda text: text[:6]
)
@pytest.mark.parametrize("name", ["priority", "core_id", "custom_id", "timeout", "sequence_id"])
def test_odd_parameters_of_the_open_protocol(channel: grpc.Channel, name: str, value: str) -> None:
    request = oip.message("ModelInferRequest")(model_name="tiny")
    request.parameters[name].string_param = value
    error = failure(channel, f"/{oip.SERVICE}/ModelInfer", request.SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error


@pytest.mark.parametrize(
    "asked",
    [
        pb.StartLoadRequest(model="tiny", threads=1, rate_hz=5e-324),
        pb.StartLoadRequest(model="tiny", threads=1, rate_hz=float("nan")),
        pb.StartLoadRequest(model="tiny", threads=1, name="\x1b[2J"),
    ],
)
def test_loads_that_cannot_be(channel: grpc.Channel, asked: pb.StartLoadRequest) -> None:
    error = failure(channel, f"/{SERVICE}/StartLoad", asked.SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
