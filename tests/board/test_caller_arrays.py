"""The same arrays are taken, and the same refused, wherever a caller's array enters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_board.cli.hrt_model_exec.inputs import read_inputs
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.board import ModelInfo
from bpu_common.errors import InputError
from bpu_common.machine import X3M
from bpu_common.model import BpuModel
from bpu_common.tensor import InputType
from bpu_host.remote import Board
from bpu_host.remote.inputs import frames_of
from bpu_sim.machine import ExactPart
from tests.support.agent_remote import Agent
from tests.support.models_board import HEIGHT, WIDTH, feature_model, install, tiny_model

RANDOM = np.random.default_rng(5)
RGB = RANDOM.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
NV12 = RANDOM.integers(0, 256, (HEIGHT * WIDTH * 3 // 2,), np.uint8)
VALUES = RANDOM.normal(size=(1, 8)).astype(np.float32)
MODELS = {
    "rgb": (tiny_model("rgb"), RGB),
    "nv12": (tiny_model("nv12", InputType.NV12), NV12),
    "feature": (feature_model(), VALUES),
}

TAKEN = {
    "rgb": {
        "its own shape": RGB,
        "without batch": RGB[0],
        "flat": RGB.reshape(-1),
        "flat in a batch": RGB.reshape(1, -1),
        "one axis more": RGB[..., None],
        "columns first in memory": np.asfortranarray(RGB),
        "every other row of a larger one": np.repeat(RGB, 2, axis=1)[:, ::2],
    },
    "nv12": {
        "flat": NV12,
        "in a batch": NV12[None],
        "rows": NV12.reshape(-1, WIDTH),
        "rows in a batch": NV12.reshape(1, -1, WIDTH),
        "rows of one channel": NV12.reshape(-1, WIDTH, 1),
    },
    "feature": {
        "its own shape": VALUES,
        "without batch": VALUES[0],
        "one axis more": VALUES[None, :, None],
    },
}

REFUSED = {
    "rgb": {
        "float": RGB.astype(np.float32),
        "signed": RGB.view(np.int8),
        "bool": RGB > 100,
        "half as many, of two bytes": RGB.reshape(-1).view(np.uint16),
        "wide and high exchanged": RGB.reshape(1, WIDTH, HEIGHT, 3),
        "channels first": RGB.transpose(0, 3, 1, 2),
        "rows joined": RGB.reshape(HEIGHT, -1),
        "two frames": np.concatenate([RGB, RGB]),
        "a row less": RGB[:, 1:],
        "nothing": RGB[:0],
        "one value": np.array(7, np.uint8),
    },
    "nv12": {
        "signed": NV12.view(np.int8),
        "a byte less": NV12[1:],
        "columns exchanged": NV12.reshape(WIDTH, -1),
        "two rows": NV12.reshape(2, -1),
        "three planes": NV12.reshape(3, -1, WIDTH),
        "rgb": RGB,
    },
    "feature": {
        "double": VALUES.astype(np.float64),
        "whole numbers": VALUES.astype(np.int32),
        "bytes": VALUES.view(np.uint8),
        "big endian": VALUES.astype(">f4"),
        "another shape": VALUES.reshape(2, 4),
        "one value less": VALUES[:, 1:],
    },
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("agent")
    with Agent(folder) as agent, Board.connect(agent.address) as connected:
        for name, (model, _) in MODELS.items():
            (folder / f"{name}.bin").write_bytes(container.dump([model]))
            connected.deploy(folder / f"{name}.bin")
        yield connected


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    made = Runtime(SimDevice(X3M))
    install(made, *(model for model, _ in MODELS.values()))
    yield made
    made.close()


Door = Callable[[BpuModel, np.ndarray], np.ndarray]
"""Runs a model on an array: its first output."""


@pytest.fixture
def doors(runtime: Runtime, board: Board, tmp_path: Path) -> dict[str, Door]:
    file = tmp_path / "x.npy"

    def by_runtime(model: BpuModel, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return runtime.infer(model.name, inputs).outputs[model.outputs[0].name]

    def by_bpu_run(model: BpuModel, array: np.ndarray) -> np.ndarray:
        np.save(file, array)
        info = ModelInfo(model.name, model.march, model.machine, model.inputs, (), ())
        [frame] = frames_of(info, [str(file)])
        return by_runtime(model, frame.arrays())

    def by_hrt_model_exec(model: BpuModel, array: np.ndarray) -> np.ndarray:
        np.save(file, array)
        return by_runtime(model, read_inputs(model, str(file)))

    return {
        "Runtime": lambda model, array: by_runtime(model, {model.inputs[0].tensor.name: array}),
        "Board": lambda model, array: next(iter(board.infer(model.name, array).outputs.values())),
        "bpu run": by_bpu_run,
        "hrt_model_exec": by_hrt_model_exec,
        "instructions": by_instructions,
    }


def by_instructions(model: BpuModel, array: np.ndarray) -> np.ndarray:
    [(part, made)] = model.bpu_parts
    return ExactPart(part.name, made, model.network.images).run({"data": array})["codes"]


def ways_in(doors: dict[str, Door], kind: str) -> dict[str, Door]:
    """Parts of the BPU have no featuremaps of callers."""
    inner = {"instructions"} if kind == "feature" else set()
    return {name: door for name, door in doors.items() if name not in inner}


@pytest.mark.parametrize(("kind", "form"), [(k, form) for k in TAKEN for form in TAKEN[k]])
def test_taken_everywhere(doors: dict[str, Door], kind: str, form: str) -> None:
    model, plain = MODELS[kind]
    expected = doors["Runtime"](model, plain)
    for name, door in ways_in(doors, kind).items():
        np.testing.assert_array_equal(door(model, TAKEN[kind][form]), expected, err_msg=name)


@pytest.mark.parametrize(("kind", "form"), [(k, form) for k in REFUSED for form in REFUSED[k]])
def test_refused_everywhere(doors: dict[str, Door], kind: str, form: str) -> None:
    model, _ = MODELS[kind]
    for door in ways_in(doors, kind).values():
        with pytest.raises(InputError) as caught:
            door(model, REFUSED[kind][form])
        assert caught.value.message


@pytest.mark.parametrize(
    ("array", "found", "hint"),
    [
        (RGB.astype(np.int64), "int64", "convert the array to uint8"),
        (RGB[:, :2], "(1, 2, 16, 3) (96 bytes)", "without a file header"),
    ],
)
def test_the_sentence_names_input_found_wanted_and_next_step(
    runtime: Runtime, array: np.ndarray, found: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        runtime.infer("rgb", {"data": array})
    assert "input 'data'" in caught.value.message
    assert found in caught.value.message
    assert "rgb NHWC 1x8x16x3 (384 bytes of uint8) is wanted" in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == "model rgb"
