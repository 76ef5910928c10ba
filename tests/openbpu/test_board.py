"""Boards in Python: what comes back equals the model in process, and failures are BpuErrors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbpu
from bpu_common import container
from bpu_common.errors import BoardUnreachable, BpuError, InputError, ModelNotFound, UsageError
from bpu_common.tensor import InputType
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.client import default_board
from tests.support.agent_remote import Agent
from tests.support.models_board import tiny_model

PHOTO = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("agent")) as running:
        yield running


@pytest.fixture(scope="module")
def path(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is on the board."""
    file = tmp_path_factory.mktemp("files") / "tiny.bin"
    file.write_bytes(container.dump([tiny_model(input_type=InputType.NV12)]))
    with openbpu.Board(agent.address) as board:
        assert board.deploy(file).models == ("tiny",)
    return file


def test_a_board_and_the_process_agree(agent: Agent, path: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    model = openbpu.Model(path)
    with openbpu.Board(agent.address) as board:
        result = board.infer("tiny", photo)
        expected = model(photo)
        assert list(result) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(result[name], array)
        assert result.latency_us == pytest.approx(expected.latency_us, abs=0.001)
        assert "simulated" in repr(result)
        boxed = board.infer("tiny", PHOTO, fit="letterbox")
        np.testing.assert_array_equal(boxed[0], openbpu.Model(path, fit="letterbox")(PHOTO)[0])


def test_a_batch_keeps_its_order(agent: Agent, path: Path) -> None:
    frames = [np.roll(PHOTO, shift, axis=1) for shift in range(20)]
    with openbpu.Board(agent.address) as board:
        found = board.batch("tiny", frames)
    for result, expected in zip(found, openbpu.Model(path).batch(frames), strict=True):
        np.testing.assert_array_equal(result[0], expected[0])


def test_a_measurement_in_one_line(agent: Agent, path: Path) -> None:
    with openbpu.Board(agent.address) as board:
        found = board.perf("tiny", threads=2, frames=50)
        assert (found.threads, found.frames) == (2, 50)
        assert "50 frames, 2 threads (simulated, virtual clock)" in repr(found)
        assert found._repr_html_().startswith("<table>")
        assert board.perf("tiny", duration_s=0.01).source.run_time_ns >= 10_000_000
        with pytest.raises(UsageError, match="threads 9 is not in"):
            board.perf("tiny", threads=9)


def test_wrong_calls(agent: Agent, path: Path) -> None:
    board = openbpu.Board(agent.address)
    with pytest.raises(ModelNotFound):
        board.infer("nothing", PHOTO)
    for wrong in (None, b"\xff\xd8", 7):
        with pytest.raises(InputError, match="is given as"):
            board.infer("tiny", wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="not an array"):
            board._board.infer("tiny", wrong)  # type: ignore[arg-type]
    board.close()
    for call in (lambda: board.info, board.models, lambda: board.infer("tiny", PHOTO)):
        with pytest.raises(BoardUnreachable, match="was closed"):
            call()


def test_asyncio(agent: Agent, path: Path) -> None:
    async def run() -> list[openbpu.Result]:
        async with openbpu.AsyncBoard(agent.address) as board:
            measured = await board.perf("tiny", frames=20)
            assert measured.frames == 20
            frames = (np.roll(PHOTO, shift) for shift in range(12))
            return await asyncio.gather(*(board.infer("tiny", frame) for frame in frames))

    model = openbpu.Model(path)
    for shift, result in enumerate(asyncio.run(run())):
        np.testing.assert_array_equal(result[0], model(np.roll(PHOTO, shift))[0])


def test_asyncio_errors() -> None:
    board = openbpu.AsyncBoard("unix:/nowhere/agent.sock", timeout_s=1)

    async def enter() -> None:
        async with board:
            pass

    with pytest.raises(BpuError):
        asyncio.run(enter())
    with pytest.raises(UsageError, match="is not open"):
        asyncio.run(board.infer("tiny", PHOTO))


def test_the_board_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("BPU_BOARD", raising=False)
    with pytest.raises(UsageError, match="there are none"):
        default_board()
    Inventory().put(BoardEntry("desk", "desk.local"))
    assert default_board() == "desk"
    Inventory().put(BoardEntry("rack", "rack.local"))
    with pytest.raises(UsageError, match="there are 2") as caught:
        default_board()
    assert "desk, rack" in caught.value.hint
    monkeypatch.setenv("BPU_BOARD", "127.0.0.1:50551")
    assert default_board() == "127.0.0.1:50551"
