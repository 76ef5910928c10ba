"""Uploads that are cut, damaged, repeated or killed: a model is there whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpu_common import container
from bpu_common.board import UploadHeader
from bpu_common.errors import (
    BoardUnreachable,
    BpuError,
    CapacityError,
    DeployError,
    InputError,
    ModelFormatError,
    ModelNotFound,
    UsageError,
)
from bpu_common.wire.rpc.limits import CHUNK_BYTES
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.models_board import heavy_model, tiny_model


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heavy") / "heavy.bin"
    path.write_bytes(container.dump([heavy_model(12 << 20)]))
    return path


def stored(agent: Agent) -> list[str]:
    return sorted(path.stem for path in (agent.store / "models").glob("*"))


def partial_bytes(agent: Agent) -> int:
    """What has arrived of uploads that are not complete."""
    return sum(path.stat().st_size for path in (agent.store / "uploads").glob("*.part"))


def test_deploy_again_sends_nothing(agent: Agent, heavy: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Board.connect(agent.address) as board:
        first = board.deploy(heavy, lambda done, total: seen.append((done, total)))
        again = board.deploy(heavy)
    size_bytes = heavy.stat().st_size
    assert (first.sent_bytes, again.sent_bytes) == (size_bytes, 0)
    assert first.digest == again.digest == container.digest(heavy)
    assert first.models == ("heavy",)
    assert seen[0] == (0, size_bytes)
    assert seen[-1] == (size_bytes, size_bytes)
    assert sorted(seen) == seen
    assert stored(agent) == [first.digest]
    assert (agent.store / "models" / f"{first.digest}.bin").read_bytes() == heavy.read_bytes()


def chunks_of(path: Path, start: int = 0) -> Iterator[bytes]:
    data = path.read_bytes()
    for at in range(start, len(data), CHUNK_BYTES):
        yield data[at : at + CHUNK_BYTES]


def test_a_cut_stream_goes_on_where_it_stopped(agent: Agent, heavy: Path) -> None:
    digest, size_bytes = container.digest(heavy), heavy.stat().st_size

    def cut_short() -> Iterator[bytes]:
        for index, chunk in enumerate(chunks_of(heavy)):
            if index == 5:
                wait_until(lambda: partial_bytes(agent) > 0)
                raise ConnectionError("the cable was pulled")
            yield chunk

    with Board.connect(agent.address) as board:
        client = board._client
        with pytest.raises(BpuError):
            client.deploy(UploadHeader(digest, size_bytes), cut_short())

        def arrived() -> int:
            return client.deploy(UploadHeader(digest, size_bytes)).offset_bytes

        kept = arrived()  # what was under way when the stream broke may or may not be there
        assert 0 < kept <= 5 * CHUNK_BYTES
        assert kept % CHUNK_BYTES == 0
        assert board.models() == ()
        assert stored(agent) == []
        result = board.deploy(heavy)
    assert result.sent_bytes == size_bytes - kept
    assert stored(agent) == [digest]


def test_kill_9_of_the_agent_during_upload_then_resume(agent: Agent, heavy: Path) -> None:
    killed = threading.Event()

    def progress(done: int, _total: int) -> None:
        if done >= 4 * CHUNK_BYTES and not killed.is_set():
            killed.set()
            agent.kill()
            threading.Thread(target=agent.start).start()  # comes back while the client retries

    with Board.connect(agent.address) as board:
        for _ in range(5):  # the client gives up after some seconds; the user deploys again
            try:
                result = board.deploy(heavy, progress)
                break
            except BoardUnreachable:
                time.sleep(0.5)
    assert killed.is_set()
    assert result.digest == container.digest(heavy)
    assert stored(agent) == [result.digest]
    assert container.digest(agent.store / "models" / f"{result.digest}.bin") == result.digest


def test_kill_9_of_the_client_during_upload_then_resume(agent: Agent, heavy: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from bpu_host.remote import Board\n"
        "def progress(done, total):\n"
        "    if done >= 3 << 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with Board.connect(sys.argv[1]) as board: board.deploy(sys.argv[2], progress)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, agent.address, str(heavy)], check=False, timeout=60
    )
    assert done.returncode == -9
    with Board.connect(agent.address) as board:
        assert board.models() == ()
        result = board.deploy(heavy)
    assert 0 < result.sent_bytes <= heavy.stat().st_size
    assert stored(agent) == [container.digest(heavy)]


def test_damaged_uploads_leave_nothing(agent: Agent, heavy: Path) -> None:
    data = heavy.read_bytes()
    digest, size_bytes = container.digest(heavy), len(data)
    damaged = data[: 3 << 20] + bytes([data[3 << 20] ^ 1]) + data[(3 << 20) + 1 :]

    def pieces(content: bytes) -> Iterator[bytes]:
        for at in range(0, len(content), CHUNK_BYTES):
            yield content[at : at + CHUNK_BYTES]

    with Board.connect(agent.address) as board:
        client = board._client
        with pytest.raises(DeployError, match="thrown away"):
            client.deploy(UploadHeader(digest, size_bytes), pieces(damaged))
        assert client.deploy(UploadHeader(digest, size_bytes)).offset_bytes == 0
        # What is whole but not a model: announced rightly, refused all the same.
        other = b"\x7fELF" + bytes(5000)
        header = UploadHeader(container.digest(other), len(other))
        with pytest.raises(ModelFormatError, match="ELF"):
            client.deploy(header, pieces(other))
        truncated = data[: 5 << 20]
        header = UploadHeader(container.digest(truncated), len(truncated))
        with pytest.raises(ModelFormatError, match="cut or grown"):
            client.deploy(header, pieces(truncated))
        assert board.models() == ()
        assert stored(agent) == []
        assert board.deploy(heavy).sent_bytes == size_bytes


def test_uploads_that_break_the_rules(agent: Agent, heavy: Path) -> None:
    digest, size_bytes = container.digest(heavy), heavy.stat().st_size
    with Board.connect(agent.address) as board:
        client = board._client
        with pytest.raises(DeployError, match="more bytes"):
            client.deploy(UploadHeader(digest, 10), iter([bytes(11)]))
        with pytest.raises(DeployError, match="continues at byte"):
            client.deploy(UploadHeader(digest, size_bytes, 5 << 20), chunks_of(heavy, 5 << 20))
        with pytest.raises(CapacityError):
            client.deploy(UploadHeader(digest, 1 << 31), iter([b"x"]))
        for name in ("../../etc/passwd", "A" * 64, "0" * 63, "", "/" * 64):
            with pytest.raises(UsageError):
                client.deploy(UploadHeader(name, 10), iter([bytes(10)]))
        with pytest.raises(UsageError, match="not empty"):
            client.deploy(UploadHeader(digest, size_bytes), iter([b""]))
        assert stored(agent) == []


def test_files_that_are_no_models_are_not_sent(agent: Agent, tmp_path: Path) -> None:
    vendor = tmp_path / "vendor.bin"
    vendor.write_bytes(bytes(16) + b"HBDK" + bytes(2000))
    with Board.connect(agent.address) as board:
        with pytest.raises(ModelFormatError, match="vendor"):
            board.deploy(vendor)
        with pytest.raises(InputError, match="cannot read"):
            board.deploy(tmp_path / "missing.bin")
    assert list((agent.store / "uploads").glob("*.part")) == []


def test_a_name_means_the_newest_model(agent: Agent, tmp_path: Path) -> None:
    old, new, other = tmp_path / "old.bin", tmp_path / "new.bin", tmp_path / "other.bin"
    old.write_bytes(container.dump([tiny_model(seed=1)]))
    new.write_bytes(container.dump([tiny_model(seed=2)]))
    other.write_bytes(container.dump([tiny_model(seed=3), tiny_model("another")]))
    with Board.connect(agent.address) as board:
        board.deploy(old)
        result = board.deploy(new)
        assert result.replaced == (container.digest(old),)
        assert board.deploy(old, replace=False).replaced == ()
        with pytest.raises(UsageError, match="several"):
            board.model("tiny")
        board.remove(container.digest(old))
        assert board.model("tiny").name == "tiny"
        assert board.deploy(other).replaced == (container.digest(new),)
        assert {entry.name for entry in board.models()} == {"tiny", "another"}
        board.remove("another")
        assert board.models() == ()
        with pytest.raises(ModelNotFound):
            board.remove("another")


def test_private_files_and_a_clean_end(agent: Agent, heavy: Path) -> None:
    assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
    with Board.connect(agent.address) as board:
        board.deploy(heavy)
        stream = board.telemetry(period_ms=50)
        next(stream)  # an open stream does not hold the agent up
        assert agent.stop() == 0
    assert not agent.socket.exists()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in agent.store.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(agent.store.stat().st_mode) == 0o700
    agent.start()  # what was deployed is still there
    with Board.connect(agent.address) as board:
        assert [entry.name for entry in board.models()] == ["heavy"]


def run_agent(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bpu_board.cli.agent", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )


@pytest.mark.parametrize("address", ["0.0.0.0:50551", "10.1.2.3:50551", "[::]:50551", "board:1"])
def test_no_open_port(address: str, tmp_path: Path) -> None:
    done = run_agent("--listen", address, "--store", str(tmp_path / "s"))
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_store_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep me")
    done = run_agent("--listen", f"unix:{tmp_path}/a.sock", "--store", str(tmp_path / "file"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/file: this is not a folder of yours")
    assert "--store" in done.stderr
    assert (tmp_path / "file").read_text() == "keep me"


def test_addresses_that_are_taken(agent: Agent, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "s"))
    second = run_agent("--listen", agent.address, *store)
    assert second.returncode == 2
    assert "another agent" in second.stderr
    with Board.connect(agent.address) as board:
        assert board.info().machine == "x3m"  # the first one is unharmed
    plain = agent.socket.with_name("file")
    plain.write_text("keep me")
    refused = run_agent("--listen", f"unix:{plain}", *store)
    assert "not a socket" in refused.stderr
    assert plain.read_text() == "keep me"
    missing = run_agent("--listen", f"unix:{plain.parent}/none/a.sock", *store)
    assert "folder" in missing.stderr
    agent.kill()  # leaves its socket behind; the next one takes it over
    assert agent.socket.exists()
    agent.start()
    with Board.connect(agent.address) as board:
        assert board.info().machine == "x3m"
