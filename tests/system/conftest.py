"""A bare board behind a real sshd, and the command that sets it up."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bpu_common import container
from bpu_host.boards.inventory import Inventory
from bpu_host.cli.bpu import main
from tests.support.models_board import heavy_model, tiny_model
from tests.support.sshd_ssh import SshBoard


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Sockets need short paths; pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="bpu") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def sshd(place: Path) -> Iterator[SshBoard]:
    with SshBoard(place) as board, board.as_user():
        yield board


@pytest.fixture
def bpu(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err

    return run


@pytest.fixture
def desk(sshd: SshBoard, bpu) -> SshBoard:
    """The board with the agent on it; the first test that needs it sets it up."""
    if Inventory().find("desk") is None:
        status, _, err = bpu(
            "boards", "add", "desk", sshd.target, "--bundle", "--fingerprint", sshd.fingerprint()
        )
        assert status == 0, err
    return sshd


@pytest.fixture(scope="module")
def tiny(place: Path) -> Path:
    path = place / "tiny.bin"
    path.write_bytes(container.dump([tiny_model()]))
    return path


@pytest.fixture
def heavy(place: Path) -> Callable[[int, int], Path]:
    """`heavy(megabytes, seed)`: a model file with random bytes in it."""

    def make(megabytes: int, seed: int) -> Path:
        model = heavy_model(megabytes << 20, f"heavy{seed}", seed)
        path = place / f"heavy{seed}.bin"
        path.write_bytes(container.dump([model]))
        return path

    return make
