"""The client against a real agent: models, inference, measurements, telemetry, refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from bpu_common import container
from bpu_common.board import InferRequest
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import (
    BoardUnreachable,
    CapacityError,
    DeadlineExceeded,
    InputError,
    ModelNotFound,
    UsageError,
)
from bpu_common.frame import FrameInput, Roi
from bpu_common.perf import PerfProgress, PerfRequest
from bpu_common.tensor import InputType
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import SERVICE, open_channel
from bpu_host.remote import Board
from bpu_sim.kernels.choice import choose_engine
from tests.support.agent_remote import Agent, wait_until
from tests.support.models_board import expected_codes, image_input, slow_model, tiny_model


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        yield running


@pytest.fixture(scope="module")
def board(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("files")
    with Board.connect(agent.address) as connected:
        for model in (
            tiny_model(),
            tiny_model("camera", InputType.NV12, classify=True),
            slow_model(calls=400),
        ):
            path = folder / f"{model.name}.bin"
            path.write_bytes(container.dump([model]))
            connected.deploy(path)
        yield connected


RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)


def test_models_and_what_they_are(board: Board) -> None:
    assert {entry.name for entry in board.models()} == {"tiny", "camera", "slow"}
    info = board.model("camera")
    assert info.inputs[0].input_type is InputType.NV12
    assert [spec.name for spec in info.outputs] == ["prob"]
    assert [part.on for part in info.parts] == ["BPU", "CPU"]
    assert info == replace(info, parameters=dict(tiny_model("x", InputType.NV12).parameters))
    digest = next(entry.digest for entry in board.models() if entry.name == "camera")
    assert board.model(digest) == info
    about = board.info()
    assert (about.machine, about.core_count) == ("x3m", 2)
    assert (about.device, about.clock) == (DeviceKind.SIMULATED, Clock.VIRTUAL)
    assert about.engine == choose_engine().about


def test_infer_gives_the_bits_of_the_arithmetic(board: Board) -> None:
    expected = expected_codes(RAW, image_input())
    for arrays in (RAW, [RAW], {"data": RAW}, RAW.reshape(-1), [np.asfortranarray(RAW)]):
        result = board.infer("tiny", arrays)
        assert result.outputs["codes"].dtype == np.int32
        np.testing.assert_array_equal(result.outputs["codes"], expected)
        assert result.submitted_ns <= result.started_ns < result.done_ns
        assert not result.late


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ([RAW, RAW], "2 arrays for 1 inputs"),
        ({"other": RAW}, "no input 'other'"),
        ({}, "not given"),
        (RAW[:, :-1], "bytes"),
        (RAW.astype(np.float32), "float32"),
        (RAW.transpose(0, 2, 1, 3), "shape"),
        (RAW.astype(np.complex64), "complex64"),
    ],
)
def test_wrong_inputs(board: Board, arrays: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        board.infer("tiny", arrays)  # type: ignore[arg-type]


def test_wrong_requests(board: Board) -> None:
    with pytest.raises(ModelNotFound, match="nothing") as caught:
        board.infer("nothing", {"data": RAW})
    assert "tiny" in caught.value.hint
    with pytest.raises(UsageError, match="core_id 3"):
        board.infer("tiny", RAW, core_id=3)
    with pytest.raises(UsageError, match="priority 256"):
        board.infer("tiny", RAW, priority=256)
    with pytest.raises(InputError, match="out of range"):
        board.infer("tiny", RAW, priority=-1)
    with pytest.raises(UsageError, match="core_id 9"):
        board.perf(PerfRequest("tiny", core_id=9))
    with pytest.raises(InputError, match="no input"):
        board.perf(PerfRequest("tiny", inputs={"x": FrameInput(RAW)}))


def test_a_deadline_that_has_passed(board: Board) -> None:
    with pytest.raises(DeadlineExceeded):
        board.infer("slow", RAW, timeout_s=1e-5)
    assert board.infer("slow", RAW, timeout_s=30).model == "slow"


def test_many_callers_at_once(board: Board) -> None:
    expected = expected_codes(RAW, image_input())
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: board.infer("tiny", RAW), range(200)))
    assert all(np.array_equal(result.outputs["codes"], expected) for result in results)
    assert len({result.task for result in results}) == 200


def test_perf_with_progress(board: Board) -> None:
    reports: list[PerfProgress] = []
    request = PerfRequest("camera", frame_count=1000, thread_num=4, profile=True)
    result = board.perf(request, reports.append)
    assert (result.frame_count, result.thread_num, result.model) == (1000, 4, "camera")
    assert [report.frames_done for report in reports] == [200, 400, 600, 800, 1000]
    assert result.min_ns <= result.p50_ns <= result.p99_ns <= result.max_ns
    assert result.profile is not None
    assert any(key.startswith("BPU_") for key in result.profile.model_latency)


def test_leaving_a_measurement_ends_it_on_the_board(board: Board) -> None:
    class Enough(Exception):
        pass

    def leave(_: PerfProgress) -> None:
        raise Enough

    for _ in range(6):  # more than may run at once
        with pytest.raises(Enough):
            board.perf(PerfRequest("slow", frame_count=1 << 40), leave)
    result = board.perf(PerfRequest("tiny", frame_count=10))
    assert result.frame_count == 10


def test_telemetry(board: Board) -> None:
    board.infer("tiny", RAW)
    frames = list(board.telemetry(period_ms=10, frame_count=3))
    assert [frame.sequence - frames[0].sequence for frame in frames] == [0, 1, 2]
    assert {frame.boot_id for frame in frames} == {board.info().boot_id}
    tiny = next(model for model in frames[-1].models if model.name == "tiny")
    assert tiny.done >= 1
    stream = board.telemetry(period_ms=10)  # without an end, left early
    next(stream)
    stream.close()  # type: ignore[attr-defined]


def test_more_streams_than_threads_starve_nobody(board: Board) -> None:
    streams = [board.telemetry(period_ms=10) for _ in range(24)]
    for stream in streams:
        next(stream)
    assert board.infer("tiny", RAW, timeout_s=30).model == "tiny"
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]


def test_more_calls_than_the_agent_takes_are_refused(board: Board) -> None:
    streams = [board.telemetry(period_ms=1000) for _ in range(160)]
    outcomes: list[str] = []

    def first(stream: Iterator[object]) -> None:
        try:
            next(stream)
            outcomes.append("served")
        except CapacityError as error:
            outcomes.append("refused" if "as many calls" in str(error) else str(error))

    def served_again() -> bool:
        try:
            return board.infer("tiny", RAW, timeout_s=30).model == "tiny"
        except CapacityError:  # the board has not yet seen that the streams are closed
            return False

    threads = [threading.Thread(target=first, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert board.info().machine == "x3m"  # what is short has places of its own
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    assert outcomes.count("refused") >= 160 - 128
    assert outcomes.count("served") >= 100
    wait_until(served_again)


def test_oversize_messages_are_refused_and_harm_nothing(board: Board, agent: Agent) -> None:
    with pytest.raises(CapacityError, match="larger"):
        board.infer("tiny", np.zeros(65 << 20, np.uint8))
    # A client without our limits: the board refuses by itself.
    with grpc.insecure_channel(
        agent.address,
        options=[
            ("grpc.max_send_message_length", -1),
            ("grpc.default_authority", "localhost"),
        ],
    ) as channel:
        call = channel.unary_unary(f"/{SERVICE}/Infer")
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(65 << 20), timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    assert board.infer("tiny", RAW).model == "tiny"


def test_bytes_that_are_no_message(board: Board, agent: Agent) -> None:
    with open_channel(parse_address(agent.address)) as channel:
        for method in ("Infer", "ListModels", "GetModelInfo"):
            call = channel.unary_unary(f"/{SERVICE}/{method}")
            with pytest.raises(grpc.RpcError):
                call(b"\xff" * 100, timeout=30)
    assert board.infer("tiny", RAW).model == "tiny"


def test_health_and_reflection(agent: Agent) -> None:
    with open_channel(parse_address(agent.address)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
        file = database.FindFileContainingSymbol(SERVICE)
        assert any(method.name == "Infer" for method in file.service[0].method)


def test_a_request_value_is_kept_as_it_is(board: Board) -> None:
    result, wall_ns = board._client.infer(
        InferRequest("tiny", {"data": FrameInput(RAW)}, 2, 255, -5), 30
    )
    assert result.model == "tiny"
    assert wall_ns > 0


def test_a_region_of_interest_reaches_the_board_and_is_refused_in_a_sentence(board: Board) -> None:
    with pytest.raises(InputError, match="'data' of model tiny takes no region of interest"):
        board.infer("tiny", FrameInput(RAW, Roi(0, 0, 127, 127)))
    plain = board.infer("tiny", RAW).outputs
    framed = board.infer("tiny", {"data": FrameInput(RAW)}).outputs
    assert all((plain[name] == framed[name]).all() for name in plain)


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(BoardUnreachable) as caught:
        Board.connect(f"unix:{tmp_path}/none", timeout_s=5)
    assert "bpu-agent" in caught.value.hint
    with pytest.raises(BoardUnreachable):
        Board.connect("127.0.0.1:1", timeout_s=5)
    with pytest.raises(UsageError):
        Board.connect("nonsense")
