"""Inputs and outputs of every element type through every door of a board, and in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto

from bpu_board.cli.hrt_model_exec import main as hrt_model_exec
from bpu_common.wire.messages import inference as messages
from bpu_host.cli.bpu import main as bpu
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.convert_net import PREFIX, Array, convert
from tests.support.graphs_typed import ELEMENT_TYPES, Graph, node

DTYPES = tuple(ELEMENT_TYPES)
TYPED = tuple(dtype for dtype in DTYPES if dtype != "float16")
"""Those that the Open Inference Protocol has a field for; float16 comes as raw bytes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`out/net.bin` hands an input of each type through; `<input>.npy` and `.bin` hold them."""
    root = tmp_path_factory.mktemp("doors")
    g, nodes, outputs = Graph(), [], {"a": TensorProto.FLOAT}
    for dtype, kind in ELEMENT_TYPES.items():
        g.feed(dtype, g.small(dtype, 2, 3))
        nodes.append(node("Identity", dtype, f"{dtype}_back"))
        outputs[f"{dtype}_back"] = kind
    convert(root, g.model([g.first, *nodes], outputs), samples=[g.sample])
    for name, array in g.sample.items():
        np.save(root / f"{name}.npy", array)
        array.tofile(root / f"{name}.bin")
    return root


@pytest.fixture(scope="module")
def sample(folder: Path) -> dict[str, Array]:
    return {name: np.load(folder / f"{name}.npy") for name in ("x", *DTYPES)}


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[Agent]:
    with Agent(folder) as running:
        with Board.connect(running.address) as board:
            board.deploy(folder / "out" / f"{PREFIX}.bin")
        yield running


def check(made: dict[str, Array], sample: dict[str, Array]) -> None:
    for dtype in DTYPES:
        assert made[f"{dtype}_back"].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(made[f"{dtype}_back"], sample[dtype])


def test_board(agent: Agent, sample: dict[str, Array]) -> None:
    with Board.connect(agent.address) as board:
        check(board.infer(PREFIX, sample).outputs, sample)


@pytest.mark.parametrize("ending", ["npy", "bin"])
def test_bpu_run(
    ending: str,
    agent: Agent,
    folder: Path,
    sample: dict[str, Array],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [str(folder / f"{name}.{ending}") for name in sample]
    options = ["--board", agent.address, "--output", str(tmp_path)]
    assert bpu(["run", PREFIX, *files, *options]) == 0
    assert "bool_back bool 2x3: " in capsys.readouterr().out
    made = {f"{dtype}_back": np.load(tmp_path / f"x_{dtype}_back.npy") for dtype in DTYPES}
    check(made, sample)


def test_bpu_perf_makes_its_own_inputs(agent: Agent) -> None:
    assert bpu(["perf", PREFIX, "--board", agent.address, "--frames", "3"]) == 0


def test_hrt_model_exec(
    folder: Path,
    sample: dict[str, Array],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ["--model_file", str(folder / "out" / f"{PREFIX}.bin")]
    files = ",".join(str(folder / f"{name}.bin") for name in sample)
    assert hrt_model_exec(["infer", *model, "--input_file", files, "--enable_dump", "true"]) == 0
    made = {
        f"{dtype}_back": np.fromfile(f"model_infer_output_{index}.bin", dtype).reshape(2, 3)
        for index, dtype in enumerate(DTYPES, 1)
    }
    check(made, sample)
    assert hrt_model_exec(["perf", *model, "--frame_count", "2"]) == 0
    assert hrt_model_exec(["model_info", *model]) == 0
    shown = capsys.readouterr().out
    for word in ("F64", "F16", "U16", "S16", "U32", "S32", "U64", "S64"):
        assert shown.count(f"HB_DNN_TENSOR_TYPE_{word}\n") == 2  # input and output


def test_open_inference(agent: Agent, sample: dict[str, Array]) -> None:
    with triton.InferenceServerClient(
        agent.address, channel_args=[("grpc.default_authority", "localhost")]
    ) as client:
        datatypes = {item.name: item.datatype for item in client.get_model_metadata(PREFIX).inputs}
        assert len(client.get_model_config(PREFIX).config.input) == len(sample)
        inputs = []
        for name, array in sample.items():
            inputs.append(triton.InferInput(name, list(array.shape), datatypes[name]))
            inputs[-1].set_data_from_numpy(array)
        result = client.infer(PREFIX, inputs)
        check({f"{dtype}_back": result.as_numpy(f"{dtype}_back") for dtype in DTYPES}, sample)


@pytest.mark.parametrize("dtype", TYPED)
def test_typed_contents(dtype: str) -> None:
    """The least and the greatest value of a type arrive as they are."""
    kind = np.dtype(dtype)
    limits = np.iinfo(kind) if kind.kind in "iu" else np.finfo(np.float32)
    values = [False, True] if kind.kind == "b" else [limits.min, limits.max]
    request = messages.message("ModelInferRequest")(model_name="net")
    field = {"bool": "bool", "int64": "int64", "uint64": "uint64", "float64": "fp64"}.get(
        dtype, "int" if kind.kind == "i" else "uint"
    )
    datatype = "FP64" if kind.kind == "f" else dtype.upper()
    tensor = request.inputs.add(name="z", datatype=datatype, shape=[2])
    getattr(tensor.contents, f"{field}_contents").extend(values)
    given = messages.request_from_pb(request).request.inputs["z"]
    assert given.array.dtype == kind
    assert given.array.tolist() == values
