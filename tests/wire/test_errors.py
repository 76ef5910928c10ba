"""Every error class crosses a real channel unchanged, unary and streaming; nothing else escapes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import numpy as np
import pytest

from bpu_common.board import BoardInfo, InferRequest, ModelEntry, ModelInfo, UploadHeader
from bpu_common.board import UploadState as State
from bpu_common.errors import (
    BoardUnreachable,
    BpuError,
    Cancelled,
    CapacityError,
    DeadlineExceeded,
    UsageError,
    all_error_classes,
)
from bpu_common.frame import FrameInput
from bpu_common.load import LoadRequest, LoadState
from bpu_common.perf import InferResult, PerfProgress, PerfRequest, PerfResult
from bpu_common.telemetry import TelemetryFrame
from bpu_common.wire.rpc.address import Address, parse_address
from bpu_common.wire.rpc.client import BoardClient, open_channel
from bpu_common.wire.rpc.errors import MAX_TEXT_BYTES, from_call
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from bpu_common.wire.rpc.server import BoardServicer, add_board_service


class Failing(BoardServicer):
    """Raises what the test wants, in every call."""

    def __init__(self) -> None:
        self.error: BaseException = BpuError("unset")
        self.hang = False

    async def _fail(self) -> None:
        if self.hang:
            await asyncio.sleep(30)
        raise self.error

    async def deploy(self, header: UploadHeader, chunks: AsyncIterator[bytes]) -> State:
        await self._fail()
        raise AssertionError

    async def list_models(self) -> tuple[ModelEntry, ...]:
        await self._fail()
        raise AssertionError

    async def remove_model(self, model: str) -> None:
        await self._fail()

    async def model_info(self, model: str) -> ModelInfo:
        await self._fail()
        raise AssertionError

    async def infer(self, request: InferRequest, left_s: float | None) -> tuple[InferResult, int]:
        await self._fail()
        raise AssertionError

    async def perf(self, request: PerfRequest) -> AsyncIterator[PerfProgress | PerfResult]:
        yield PerfProgress(1, 2, 3, 4.0, 5, 6)
        await self._fail()

    async def telemetry(self, period_ms: int, frame_count: int) -> AsyncIterator[TelemetryFrame]:
        await self._fail()
        yield  # type: ignore[misc]

    async def start_load(self, request: LoadRequest) -> LoadState:
        await self._fail()
        raise AssertionError

    async def stop_load(self, name: str) -> LoadState:
        await self._fail()
        raise AssertionError

    async def loads(self) -> tuple[LoadState, ...]:
        await self._fail()
        raise AssertionError

    async def capabilities(self) -> BoardInfo:
        await self._fail()
        raise AssertionError


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Failing, BoardClient]]:
    address = Address(path=str(tmp_path_factory.mktemp("a") / "s"))
    servicer = Failing()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop: list[asyncio.Event] = []

    async def serve() -> None:
        server = grpc.aio.server(options=CHANNEL_OPTIONS)
        add_board_service(server, servicer)
        server.add_insecure_port(address.target)
        await server.start()
        stop.append(asyncio.Event())
        ready.set()
        await stop[0].wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(20)
    channel = open_channel(address)
    yield servicer, BoardClient(channel, "unix:here")
    channel.close()
    loop.call_soon_threadsafe(stop[0].set)
    thread.join(20)
    loop.close()


def every_call(client: BoardClient) -> list:
    return [
        lambda: client.list_models(10),
        lambda: client.deploy(UploadHeader("0" * 64, 1), iter([b"x"]), 10),
        lambda: list(client.perf(PerfRequest("m"), 10)),
        lambda: list(client.telemetry()),
        lambda: client.infer(InferRequest("m", {}), 10),
    ]


@pytest.mark.parametrize("cls", all_error_classes(), ids=lambda cls: cls.__name__)
def test_every_class_in_every_kind_of_call(
    cls: type[BpuError], failing: tuple[Failing, BoardClient]
) -> None:
    servicer, client = failing
    servicer.error = cls("größer: 100 % of “it”", where="Knoten/ö:3", hint="zwei\nZeilen …")
    for call in every_call(client):
        with pytest.raises(BpuError) as caught:
            call()
        error = caught.value
        assert type(error) is cls
        assert (error.message, error.where, error.hint) == (
            servicer.error.message,
            servicer.error.where,
            servicer.error.hint,
        )
        assert (error.code, error.exit_status) == (cls.code, cls.exit_status)


def test_empty_texts_and_long_ones(failing: tuple[Failing, BoardClient]) -> None:
    servicer, client = failing
    servicer.error = UsageError("")
    with pytest.raises(UsageError) as caught:
        client.list_models(10)
    assert (caught.value.message, caught.value.where, caught.value.hint) == ("", "", "")
    servicer.error = UsageError("m" * 100_000, where="ö" * 100_000, hint="h" * 100_000)
    with pytest.raises(UsageError) as caught:
        client.list_models(10)
    assert caught.value.message == "m" * MAX_TEXT_BYTES
    assert caught.value.where == "ö" * (MAX_TEXT_BYTES // 2)
    assert caught.value.hint == "h" * MAX_TEXT_BYTES


def test_a_bug_on_the_board_is_not_shown_to_its_callers(
    failing: tuple[Failing, BoardClient],
) -> None:
    servicer, client = failing
    servicer.error = KeyError("secret")
    for call in every_call(client):
        with pytest.raises(BpuError) as caught:
            call()
        assert type(caught.value) is BpuError
        assert "secret" not in str(caught.value)
        assert "the agent failed in" in caught.value.message


def test_what_grpc_itself_reports(failing: tuple[Failing, BoardClient], tmp_path: Path) -> None:
    servicer, client = failing
    servicer.hang = True
    with pytest.raises(DeadlineExceeded):
        client.list_models(0.2)
    servicer.hang = False
    with pytest.raises(CapacityError, match="larger"):
        client.infer(InferRequest("m", {"x": FrameInput(np.zeros(65 << 20, np.uint8))}), 20)
    nobody = Address(path=str(tmp_path / "nobody"))
    with open_channel(nobody) as channel, pytest.raises(BoardUnreachable) as caught:
        BoardClient(channel, str(nobody)).list_models(10)
    assert caught.value.where == str(nobody)
    assert "bpu-agent" in caught.value.hint


def test_addresses() -> None:
    assert parse_address("unix:/run/a.sock").path == "/run/a.sock"
    assert parse_address("unix:///run/a.sock").path == "/run/a.sock"
    assert parse_address("127.0.0.1:50551") == Address(host="127.0.0.1", port=50551)
    assert parse_address("[::1]:5").target == "[::1]:5"
    for local in ("unix:a", "127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"):
        assert parse_address(local).is_local
    for remote in ("0.0.0.0:1", "10.0.0.1:1", "board:1", "[::]:1", "[2001:db8::1]:1"):
        assert not parse_address(remote).is_local
    for bad in ("", "unix:", "board", "board:x", ":1", "board:70000", "unix:/" + "x" * 120):
        with pytest.raises(UsageError):
            parse_address(bad)


class Ended:
    """A call that gRPC ended."""

    def __init__(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[()]:
        return ()


def test_who_cancelled_decides_whether_it_is_repeated() -> None:
    """An agent that ends cancels the calls it has: to their callers the connection was lost."""
    assert isinstance(from_call(Ended("Locally cancelled by application!"), "here"), Cancelled)
    for details in ("CANCELLED", "", "Cancelled on the server side"):
        assert isinstance(from_call(Ended(details), "here"), BoardUnreachable)
