"""Requests are bounded in bytes, fields, number and time before anything is made of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import pytest

from bpu_common.errors import BpuError, CapacityError, DeadlineExceeded, InputError
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from bpu_common.wire.messages import budget
from bpu_common.wire.messages.inference import message
from bpu_common.wire.rpc import intake
from bpu_common.wire.rpc.handlers import one
from bpu_common.wire.rpc.intake import Intake, RequestParser
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES

PARSE = RequestParser(pb.InferRequest, MAX_MESSAGE_BYTES)
EMPTY_TENSOR = b"\x12\x00"


def arriving(*requests: bytes) -> Callable[[], Awaitable[Any]]:
    """Requests that are there already."""
    left = iter(requests)

    async def read() -> Any:
        return next(left, grpc.aio.EOF)

    return read


async def never() -> Any:
    await asyncio.sleep(3600)


def test_fields_are_counted_before_objects_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    many = EMPTY_TENSOR * (budget.MAX_REQUEST_FIELDS + 1)
    with pytest.raises(CapacityError, match="more than 500000 fields"):
        PARSE(many)
    monkeypatch.setattr(budget, "MAX_REQUEST_FIELDS", 1 << 62)  # what would happen without
    assert len(PARSE(many).inputs) == 500_001


def test_a_megapixel_may_come_as_numbers() -> None:
    request = message("ModelInferRequest")(model_name="net")
    request.inputs.add(name="x").contents.uint_contents.extend([255] * (1 << 20))
    parse = RequestParser(type(request), MAX_MESSAGE_BYTES)
    assert len(parse(request.SerializeToString()).inputs[0].contents.uint_contents) == 1 << 20


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x12\x7f" * 200_000]
)
def test_what_is_no_message(raw: bytes) -> None:
    with pytest.raises(InputError, match=r"not? (a )?valid message"):
        PARSE(raw)


def test_small_requests_are_small() -> None:
    raw = b"\x0a\x01m" * 30_000
    with pytest.raises(CapacityError, match="at most 65536"):
        RequestParser(pb.GetModelInfoRequest)(raw)


def run(work: Callable[[Intake], Awaitable[None]]) -> None:
    async def main() -> None:
        await work(Intake())

    asyncio.run(main())


def test_the_bytes_of_all_calls_have_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_HELD_BYTES", 10)

    async def work(guard: Intake) -> None:
        async with guard._one(arriving(b"123456"), bytes, 1) as first:
            assert first == b"123456"
            with pytest.raises(CapacityError, match="6 bytes are being served, 5 more"):
                async with guard._one(arriving(b"12345"), bytes, 1):
                    pass
            async with guard._one(arriving(b"1234"), bytes, 1):
                pass
        async with guard._one(arriving(b"0123456789"), bytes, 1):
            pass

    run(work)


def test_a_request_that_is_refused_gives_its_bytes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_HELD_BYTES", 10)

    def refuse(_: bytes) -> bytes:
        raise InputError("no")

    async def work(guard: Intake) -> None:
        for _ in range(20):
            with pytest.raises(InputError, match="no"):
                async with guard._one(arriving(b"123456"), refuse, 1):
                    pass

    run(work)


def test_a_stream_holds_its_last_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_HELD_BYTES", 10)

    async def work(guard: Intake) -> None:
        async with guard._many(arriving(*[b"12345"] * 9), bytes, 2) as requests:
            assert [each async for each in requests] == [b"12345"] * 9
        with pytest.raises(CapacityError):
            async with guard._many(arriving(*[b"12345"] * 9), bytes, 3) as requests:
                assert [each async for each in requests]
        async with guard._one(arriving(b"0123456789"), bytes, 1):
            pass

    run(work)


def test_who_sends_nothing_loses_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may arrive at once never do: the next one is served all the same."""

    async def work(guard: Intake) -> None:
        async def lazy() -> BpuError | None:
            try:
                async with guard._one(never, bytes, 1):
                    return None
            except BpuError as error:
                return error

        waiting = [asyncio.create_task(lazy()) for _ in range(intake.ARRIVING)]
        await asyncio.sleep(0)
        monkeypatch.setattr(intake, "PATIENCE_S", 3600.0)
        async with guard._one(arriving(b"1"), bytes, 1) as served:
            assert served == b"1"
        assert {type(each) for each in await asyncio.gather(*waiting)} == {DeadlineExceeded}

    monkeypatch.setattr(intake, "PATIENCE_S", 0.01)
    run(work)


def test_streams_of_requests_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PATIENCE_S", 0.01)

    async def work(guard: Intake) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(intake.REQUEST_STREAMS):
                await stack.enter_async_context(guard._many(arriving(), bytes, 1))
            with pytest.raises(CapacityError, match="as many streams of requests"):
                async with guard._many(arriving(), bytes, 1):
                    pass
        async with guard._many(arriving(b"1"), bytes, 1) as requests:
            assert [each async for each in requests] == [b"1"]

    run(work)


def test_streams_that_send_nothing_give_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PATIENCE_S", 0.01)

    async def work(guard: Intake) -> None:
        ended: list[BpuError] = []
        one_ended = asyncio.Event()

        async def idle() -> None:
            try:
                async with guard._many(never, bytes, 1) as requests:
                    async for _ in requests:
                        pass
            except BpuError as error:
                ended.append(error)
                one_ended.set()

        first = asyncio.create_task(idle())
        await asyncio.sleep(0.1)  # alone it may wait as long as it likes
        assert not ended
        others = [asyncio.create_task(idle()) for _ in range(intake.REQUEST_STREAMS - 1)]
        await one_ended.wait()
        assert isinstance(ended[0], DeadlineExceeded)
        async with guard._many(arriving(b"1"), bytes, 1) as requests:
            assert [each async for each in requests] == [b"1"]
        for task in (first, *others):
            task.cancel()
        await asyncio.gather(first, *others, return_exceptions=True)

    run(work)


def test_a_refused_request_waits_for_no_garbage_collector() -> None:
    """gRPC keeps the frames of an aborted call: none of them keeps the request."""
    freed: list[bool] = []

    class Request(bytearray):
        def __del__(self) -> None:
            freed.append(True)

    class Context:
        def __init__(self) -> None:
            self.read = arriving(b"1")
            self.peer = lambda: "ipv4:127.0.0.1:1"

        async def abort(self, *_: object) -> None:
            self.aborted = RuntimeError("as gRPC does: its own error, kept by the call")
            raise self.aborted

    async def refuse(_: Any, __: Any) -> Any:
        raise InputError("no")

    async def work(guard: Intake) -> None:
        handler = grpc.unary_unary_rpc_method_handler(one(refuse), Request, bytes)
        call = guard._guard(handler).stream_unary
        assert call is not None
        context = Context()
        gc.disable()
        try:
            with pytest.raises(RuntimeError):
                await call(None, context)
        finally:
            gc.enable()
        assert freed == [True]

    run(work)


def test_a_call_that_is_taken_back_frees_its_place() -> None:
    async def work(guard: Intake) -> None:
        async def lazy() -> None:
            async with guard._one(never, bytes, 1):
                pass

        calls = [asyncio.create_task(lazy()) for _ in range(intake.ARRIVING)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(call.cancelled() for call in calls)
        async with guard._one(arriving(b"1"), bytes, 1):
            pass

    run(work)
