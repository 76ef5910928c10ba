"""The standard client, unchanged, against a real agent."""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tritonclient import grpc as triton
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

from benchmarks.networks import INPUT, Builder
from benchmarks.preemption import compiled
from bpu_common import __version__, container
from bpu_common.model import BpuModel
from bpu_common.tensor import InputType
from bpu_common.wire.messages import inference as messages
from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import SERVICE, open_channel
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.models_board import expected_codes, image_input, slow_model, tiny_model

SIZE = 40


def two_heads() -> BpuModel:
    """Compiled: a feature map and a softmax."""
    net = Builder("heads", SIZE, 1)
    x = net.conv(INPUT, 12, 3, 2, act="relu")
    head = net.conv(x, 10, 1, norm=False)
    scores = net.classifier(net.conv(x, 24, 3, 2, act="relu"), fully_connected=True)
    scores.graph.output.add().CopyFrom(net.model({head: [1, *net.shapes[head]]}).graph.output[0])
    with TemporaryDirectory() as folder:
        return compiled(scores, Path(folder))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    models = (
        tiny_model(),
        tiny_model("camera", InputType.NV12, classify=True),
        tiny_model("codes", InputType.NV12, seed=3),
        slow_model("long", 100, 200),
        two_heads(),
    )
    paths = {model.name: folder / f"{model.name}.bin" for model in models}
    for model in models:
        paths[model.name].write_bytes(container.dump([model]))
    return paths


@pytest.fixture(scope="module")
def agent(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]
) -> Iterator[tuple[Agent, str]]:
    """An agent on loopback, since the standard client speaks TCP."""
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        with Board.connect(running.address) as board:
            for path in files.values():
                board.deploy(path)
        yield running, running.address


@pytest.fixture
def client(agent: tuple[Agent, str]) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(
        agent[1], channel_args=[("grpc.default_authority", "localhost")]
    ) as made:
        yield made


def tensor(name: str, array: np.ndarray, datatype: str = "UINT8") -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)


def test_names_and_numbers_are_those_of_the_protocol() -> None:
    """Every message, field, enum and method of ours is in the standard client's, unchanged."""
    ours = messages.POOL.FindFileByName("inference/inference.proto")
    theirs = {**service_pb2.DESCRIPTOR.message_types_by_name}
    theirs.update(model_config_pb2.DESCRIPTOR.message_types_by_name)
    pending = [(each, theirs[name]) for name, each in ours.message_types_by_name.items()]
    fields = 0
    while pending:
        mine, other = pending.pop()
        for name, nested in mine.nested_types_by_name.items():
            pending.append((nested, other.nested_types_by_name[name]))
        for name, field in mine.fields_by_name.items():
            known = other.fields_by_name[name]
            assert (field.number, field.type, field.is_repeated) == (
                known.number, known.type, known.is_repeated,
            ), field.full_name  # fmt: skip
            assert (field.containing_oneof is None) == (known.containing_oneof is None)
            fields += 1
    assert fields > 100
    mine = ours.enum_types_by_name["DataType"].values_by_name
    assert {name: value.number for name, value in mine.items()} == dict(
        model_config_pb2.DataType.items()
    )
    kinds = ours.message_types_by_name["ModelInstanceGroup"].enum_types_by_name["Kind"]
    assert {name: value.number for name, value in kinds.values_by_name.items()} == dict(
        model_config_pb2.ModelInstanceGroup.Kind.items()
    )
    service = ours.services_by_name["GRPCInferenceService"]
    known = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for name, method in service.methods_by_name.items():
        assert method.input_type.full_name == known[name].input_type.full_name
        assert method.output_type.full_name == known[name].output_type.full_name
        assert method.server_streaming == known[name].server_streaming


def test_server_and_models(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    about = client.get_server_metadata()
    assert (about.name, about.version) == ("openbpu", __version__)
    assert client.is_model_ready("camera")
    assert client.is_model_ready("camera", "1")
    assert not client.is_model_ready("camera", "2")
    assert not client.is_model_ready("nothing")
    about = client.get_model_metadata("camera")
    assert (about.name, list(about.versions), about.platform) == ("camera", ["1"], "openbpu_bin")
    tensors = [(t.name, t.datatype, list(t.shape)) for t in (*about.inputs, *about.outputs)]
    assert tensors == [("data", "UINT8", [192]), ("prob", "FP32", [1, 8])]
    config = client.get_model_config("tiny").config
    assert config.max_batch_size == 0
    assert config.output[0].data_type == model_config_pb2.TYPE_INT32
    assert config.instance_group[0].count == 2
    assert config.parameters["data.format"].string_value == "rgb"
    scales = config.parameters["codes.scale"].string_value.split()
    assert [float(each) for each in scales] == list(tiny_model().outputs[0].scale.values)
    with pytest.raises(InferenceServerException, match="no model 'nothing'") as caught:
        client.get_model_metadata("nothing")
    assert "NOT_FOUND" in caught.value.status()
    assert "camera" in caught.value.message()  # the hint


def test_infer(client: triton.InferenceServerClient) -> None:
    expected = expected_codes(RAW, image_input())
    for shape in (RAW.shape, (RAW.size,)):
        result = client.infer(
            "tiny", [tensor("data", RAW.reshape(shape))], request_id="seven",
            outputs=[triton.InferRequestedOutput("codes")], priority=255, client_timeout=30,
        )  # fmt: skip
        np.testing.assert_array_equal(result.as_numpy("codes"), expected)
        answer = result.get_response()
        assert (answer.model_name, answer.model_version, answer.id) == ("tiny", "1", "seven")
    result = client.infer("tiny", [tensor("data", RAW)], parameters={"core_id": 2, "custom_id": -1})
    np.testing.assert_array_equal(result.as_numpy("codes"), expected)


def test_typed_contents(client: triton.InferenceServerClient) -> None:
    request = service_pb2.ModelInferRequest(model_name="tiny")
    given = request.inputs.add(name="data", datatype="UINT8", shape=RAW.shape)
    given.contents.uint_contents.extend(RAW.reshape(-1).tolist())
    answer = client._client_stub.ModelInfer(request)
    codes = np.frombuffer(answer.raw_output_contents[0], np.int32).reshape(answer.outputs[0].shape)
    np.testing.assert_array_equal(codes, expected_codes(RAW, image_input()))
    given.contents.uint_contents[0] = 256
    with pytest.raises(Exception, match="does not fit"):
        client._client_stub.ModelInfer(request)


def test_the_bits_of_the_board_command(
    client: triton.InferenceServerClient, files: dict[str, Path], tmp_path: Path
) -> None:
    """The same raw nv12 bytes through the client and through hrt_model_exec, every output."""
    for name, size in (("heads", SIZE * SIZE * 3 // 2), ("camera", 192), ("codes", 192)):
        raw = np.random.default_rng(5).integers(0, 256, size, np.uint8)
        (tmp_path / "frame.bin").write_bytes(raw.tobytes())
        subprocess.run(
            [
                Path(sys.executable).parent / "hrt_model_exec", "infer",
                f"--model_file={files[name]}", "--input_file=frame.bin", "--enable_dump=true",
            ],
            cwd=tmp_path, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        (model,) = container.load(files[name])
        result = client.infer(name, [tensor(model.inputs[0].tensor.name, raw)])
        for index, spec in enumerate(model.outputs):
            dumped = np.fromfile(tmp_path / f"model_infer_output_{index}.bin", spec.dtype.numpy)
            valid = dumped.reshape(spec.aligned_shape)[tuple(map(slice, spec.shape))]
            found = result.as_numpy(spec.name)
            assert found.dtype == valid.dtype
            assert found.shape == valid.shape
            assert found.tobytes() == np.ascontiguousarray(valid).tobytes()
        assert len(result.get_response().outputs) == len(model.outputs)
        assert len(model.outputs) == (2 if name == "heads" else 1)


def wrong_shape() -> list[triton.InferInput]:
    return [tensor("data", RAW[:, :-1].copy())]


@pytest.mark.parametrize(
    ("inputs", "options", "status", "says"),
    [
        ([tensor("other", RAW)], {}, "INVALID_ARGUMENT", "no input 'other'"),
        (wrong_shape(), {}, "INVALID_ARGUMENT", "bytes"),
        ([tensor("data", RAW.astype(np.float32), "FP32")], {}, "INVALID_ARGUMENT", "float32"),
        ([tensor("data", RAW)], {"model_version": "3"}, "INVALID_ARGUMENT", "no version '3'"),
        ([tensor("data", RAW)], {"sequence_id": 5}, "INVALID_ARGUMENT", "sequences"),
        ([tensor("data", RAW)], {"priority": 256}, "INVALID_ARGUMENT", "priority 256"),
        (
            [tensor("data", RAW)],
            {"outputs": [triton.InferRequestedOutput("codes", class_count=2)]},
            "INVALID_ARGUMENT",
            "classification",
        ),
        (
            [tensor("data", RAW)],
            {"outputs": [triton.InferRequestedOutput("more")]},
            "INVALID_ARGUMENT",
            "no output 'more'",
        ),
    ],
)
def test_refusals(
    client: triton.InferenceServerClient,
    inputs: list[triton.InferInput],
    options: dict[str, object],
    status: str,
    says: str,
) -> None:
    with pytest.raises(InferenceServerException, match=says) as caught:
        client.infer("tiny", inputs, **options)
    assert status in caught.value.status()
    np.testing.assert_array_equal(
        client.infer("tiny", [tensor("data", RAW)]).as_numpy("codes"),
        expected_codes(RAW, image_input()),
    )


def test_messages_beyond_64_mib(client: triton.InferenceServerClient) -> None:
    huge = np.zeros(65 << 20, np.uint8)
    with pytest.raises(InferenceServerException) as caught:
        client.infer("tiny", [tensor("data", huge)])
    assert "RESOURCE_EXHAUSTED" in caught.value.status()
    assert client.is_server_live()


def test_deadlines(agent: tuple[Agent, str], client: triton.InferenceServerClient) -> None:
    client.infer("long", [tensor("data", RAW)])
    with pytest.raises(InferenceServerException) as caught:
        client.infer("long", [tensor("data", RAW)], client_timeout=1e-4)
    assert "DEADLINE_EXCEEDED" in caught.value.status()
    # On an idle board it starts in time and ends later, 120 ms after its start in device time.
    late = client.infer("long", [tensor("data", RAW)], timeout=100_000)
    assert late.as_numpy("codes").shape == (1, 8, 16, 8)
    with Board.connect(agent[1]) as board:
        frames = board.telemetry(frame_count=1)
        sample = next(each for each in next(iter(frames)).models if each.name == "long")
    assert sample.late == 1


def test_a_stream_answers_in_order(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[tuple[object, object]] = queue.Queue()
    client.start_stream(callback=partial(lambda q, result, error: q.put((result, error)), answers))
    pictures = [np.roll(RAW, index, axis=2) for index in range(40)]
    for index, picture in enumerate(pictures):
        model = "tiny" if index != 7 else "nothing"
        client.async_stream_infer(model, [tensor("data", picture)], request_id=str(index))
    for index, picture in enumerate(pictures):
        result, error = answers.get(timeout=60)
        if index == 7:
            assert error is not None
            assert "no model 'nothing'" in str(error)
            continue
        assert error is None, error
        assert result.get_response().id == str(index)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(
            result.as_numpy("codes"),  # type: ignore[attr-defined]
            expected_codes(picture, image_input()),
        )
    client.stop_stream()


def test_leaving_a_stream_leaves_nothing(
    agent: tuple[Agent, str], client: triton.InferenceServerClient
) -> None:
    client.start_stream(callback=lambda result, error: None)
    for _ in range(100):
        client.async_stream_infer("long", [tensor("data", RAW)])
    client.stop_stream(cancel_requests=True)
    with Board.connect(agent[1]) as board:
        wait_until(
            lambda: (
                not any(model.alive for model in next(iter(board.telemetry(frame_count=1))).models)
            )
        )


def test_statistics(client: triton.InferenceServerClient) -> None:
    def stats() -> service_pb2.ModelStatistics:
        (found,) = client.get_inference_statistics("camera").model_stats
        return found

    raw = np.zeros(192, np.uint8)
    client.infer("camera", [tensor("data", raw)])
    before = stats()
    for _ in range(3):
        client.infer("camera", [tensor("data", raw)])
    after = stats()
    assert after.inference_count - before.inference_count == 3
    figures = after.inference_stats
    assert figures.success.count == after.inference_count
    device_ns = figures.queue.ns + figures.compute_infer.ns
    assert device_ns > 0
    assert figures.compute_output.ns > 0  # host time, beside device time
    assert figures.success.ns == device_ns + figures.compute_output.ns
    assert after.last_inference > 1_600_000_000_000
    every = client.get_inference_statistics().model_stats
    assert {"camera", "tiny"} <= {each.name for each in every}


def test_repository(client: triton.InferenceServerClient) -> None:
    def states() -> dict[str, str]:
        return {each.name: each.state for each in client.get_model_repository_index().models}

    assert states() == dict.fromkeys(("camera", "codes", "heads", "long", "tiny"), "READY")
    client.unload_model("camera")
    assert not client.is_model_ready("camera")
    assert states()["camera"] == "UNAVAILABLE"
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.infer("camera", [tensor("data", np.zeros(192, np.uint8))])
    client.load_model("camera")
    assert client.is_model_ready("camera")
    assert client.infer("camera", [tensor("data", np.zeros(192, np.uint8))])
    with pytest.raises(InferenceServerException, match="no model 'nothing'"):
        client.load_model("nothing")
    with pytest.raises(InferenceServerException, match="bpu deploy"):
        client.load_model("camera", config="{}")


def test_reflection_serves_both_services(agent: tuple[Agent, str]) -> None:
    with open_channel(parse_address(agent[1])) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {SERVICE, messages.SERVICE} <= set(database.get_services())
        file = database.FindFileContainingSymbol(messages.SERVICE)
        assert {"ModelInfer", "ModelStreamInfer"} <= {m.name for m in file.service[0].method}
        file = database.FindFileContainingSymbol("inference.ModelInferRequest")
        assert file.package == "inference"
        assert database.FindFileContainingSymbol(SERVICE).package == "openbpu.v1"
