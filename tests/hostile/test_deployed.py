"""Every hostile `.bin`, deployed to one agent and run there; a good model is served on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bpu_common import container
from bpu_common.errors import BpuError
from bpu_host.remote import Board
from tests.hostile.bin_files import amplified, renamed, unchecked
from tests.hostile.cpu_files import MODELS, file_of
from tests.support.agent_remote import Agent
from tests.support.models_board import expected_codes, image_input, tiny_model

RAW = np.random.default_rng(0).integers(0, 256, image_input().caller_shape, np.uint8)
WAIT_S = 60
FILES: dict[str, Callable[[], bytes]] = {
    **{name: lambda name=name: file_of(name) for name in MODELS},
    "one program 200 times": lambda: amplified(200, 2000),
    "escape codes in a name": lambda: unchecked([renamed(tiny_model(), "\x1b[2Jtiny")]),
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent"), "--threads", "1") as running:
        path = tmp_path_factory.mktemp("files") / "tiny.bin"
        path.write_bytes(container.dump([tiny_model()]))
        with Board.connect(running.address) as board:
            board.deploy(path)
        yield running


@pytest.mark.parametrize("name", FILES)
def test_a_good_model_is_served_on(agent: Agent, name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.bin"
    path.write_bytes(FILES[name]())
    with Board.connect(agent.address) as board:
        with pytest.raises(BpuError) as caught:
            _run(board, path, name)
        assert caught.value.code not in ("INTERNAL", "DEADLINE"), caught.value
        assert "bug in OpenBPU" not in str(caught.value)
        assert "\x1b" not in str(caught.value)
        found = board.infer("tiny", RAW, timeout_s=WAIT_S).outputs["codes"]
    assert np.array_equal(found, expected_codes(RAW, image_input()))
    assert "Traceback" not in agent.log.read_text()


def _run(board: Board, path: Path, name: str) -> None:
    [model] = board.deploy(path).models
    board.infer(model, MODELS[name][1], timeout_s=WAIT_S)
