"""What comes in at a server: every request is bounded before it is parsed, whatever the service.

gRPC by itself reads and parses the requests of all calls at once, on the thread that serves
everybody. Here each call is one whose messages are read by its handler: a message arrives only when
there is a place for it, its bytes count against one budget of the server until the call is
answered, and its fields are counted before objects are made of them. What is refused is one line in
the log. Calls, bytes and places are shared by clients (`bpu_common.shares`): of each limit below,
which is what one client alone may have, there is twice as much for all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from bpu_common.errors import BpuError, CapacityError, DeadlineExceeded, InputError
from bpu_common.shares import Shares, places_for
from bpu_common.wire.messages.budget import check_request_budget
from bpu_common.wire.messages.record import descriptor_of
from bpu_common.wire.rpc.clients import CALLER, Caller, Places, caller
from bpu_common.wire.rpc.errors import to_status
from bpu_common.wire.rpc.handlers import Context, refuse
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES, STREAM_WINDOW

logger = logging.getLogger(__name__)

MAX_CALLS = 128
"""Calls of a client that are served at once (telemetry streams count)."""

CONTROL_CALLS = 32
"""Beside them, those that ask or decide something short: nothing else takes their places."""

MAX_HELD_BYTES = MAX_MESSAGE_BYTES
"""Requests of a client's calls together, from their arrival to the end of their call."""

SMALL_REQUEST_BYTES = 64 << 10
"""A request that carries no tensors and no chunk of a model."""

ARRIVING = 2
"""Requests of a client that arrive at once; others wait, which takes no memory here."""

REQUEST_STREAMS = 8
"""A client's calls with a stream of requests at once; others wait. One that sends nothing
keeps its place as long as its client could have another."""

PATIENCE_S = 30.0
"""A request that has not arrived after so long is given up, and so is the wait for a place; within
a stream only while its client could have no other."""

_M = TypeVar("_M", bound=Message)
_Parse: TypeAlias = Callable[[bytes], Any]
_Read: TypeAlias = Callable[[], Awaitable[Any]]
"""Bytes of the next request, or `grpc.aio.EOF`. gRPC's iterator over them is a part of a cycle of
references, and would keep its last request until the garbage collector comes."""
_END: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in its stubs
_Handler: TypeAlias = Any
"""A `grpc.RpcMethodHandler`: its stubs know those of synchronous servers only."""


class RequestParser(Generic[_M]):
    """Bytes of a request -> its message.

    Args:
        most_bytes: the largest request of this kind.
        needed_bytes: of one with tensors: the largest that any model here takes, now.
    """

    def __init__(
        self,
        kind: type[_M],
        most_bytes: int = SMALL_REQUEST_BYTES,
        needed_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._kind = kind
        self._what = f"a {descriptor_of(kind).name}"
        self.most_bytes = most_bytes
        self._needed_bytes = needed_bytes

    def __call__(self, raw: bytes) -> _M:
        """Parse.

        Raises:
            InputError: no such message.
            CapacityError: too many bytes or fields.
        """
        _check_size(raw, self._what, self.most_bytes)
        if self._needed_bytes is not None and len(raw) > SMALL_REQUEST_BYTES:
            needed_bytes = self._needed_bytes()
            if len(raw) > needed_bytes:
                raise CapacityError(
                    f"{self._what} has {len(raw)} bytes, no model here takes more than "
                    f"{needed_bytes}",
                    hint="compare with the model's inputs: their shapes and types",
                )
        check_request_budget(raw, descriptor_of(self._kind), self._what)
        try:
            return self._kind.FromString(raw)
        except DecodeError:
            raise _no_message(self._what) from None


class Intake(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Reads and parses the requests of one server.

    Attributes:
        streams_per_connection: HTTP/2's limit; further calls wait at their client.
        most_calls: gRPC's own limit, which knows no clients: those that wait for their refusal are
            among them, so it is far above what is served.
    """

    streams_per_connection = MAX_CALLS + CONTROL_CALLS
    most_calls = 16 * streams_per_connection

    def __init__(self) -> None:
        self._held_bytes = Shares(places_for(MAX_HELD_BYTES))
        self._arriving = Places(ARRIVING)
        self._streams = Places(REQUEST_STREAMS)
        self._calls = Shares(places_for(MAX_CALLS))
        self._control = Shares(places_for(CONTROL_CALLS))
        self._guarded: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """The handler of a method (None if there is none), with messages that are read here."""
        method = handler_call_details.method
        found = self._guarded.get(method)
        if found is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            found = self._guarded[method] = self._guard(handler)
        return found

    def _guard(self, handler: _Handler) -> _Handler:
        parse = _logged(handler.request_deserializer)
        requests = self._many if handler.request_streaming else self._one
        places = self._control if _is_control(handler) else self._calls
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def stream(_: object, context: Context) -> Any:  # noqa: ANN401
                try:
                    with self._call(context, places):
                        async with requests(context.read, parse, STREAM_WINDOW) as given:
                            try:
                                async for answer in inner(given, context):
                                    yield answer
                            finally:
                                del given  # see `handlers`
                    return
                except BpuError as error:
                    status = to_status(error)
                await refuse(context, status)

            return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)
        method = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def call(_: object, context: Context) -> Any:  # noqa: ANN401
            try:
                with self._call(context, places):
                    async with requests(context.read, parse, 1) as given:
                        try:
                            return await method(given, context)
                        finally:
                            del given  # see `handlers`
            except BpuError as error:
                status = to_status(error)
            await refuse(context, status)
            raise AssertionError("abort does not return")

        return grpc.stream_unary_rpc_method_handler(call, None, handler.response_serializer)

    @contextmanager
    def _call(self, context: Context, places: Shares) -> Iterator[None]:
        """One call of a client."""
        client = context.peer()
        CALLER.set(Caller(client, places))
        if not places.take(client):
            raise CapacityError(
                f"as many calls of this client are served as may be at once "
                f"({places.held(client)})",
                hint="end some, or wait for their answers",
            )
        try:
            yield
        finally:
            places.give(client)

    @asynccontextmanager
    async def _one(self, read: _Read, parse: _Parse, _: int) -> AsyncIterator[Message]:
        """The only request of a call."""
        client = caller()
        async with self._arriving.take(client, "requests arrive", PATIENCE_S):
            raw = await _in_time(read, lambda: True)
        if raw is _END:
            raise InputError("the call has no request")
        size_bytes = len(raw)
        self._hold(client, size_bytes)
        try:
            request = parse(raw)
            del raw  # what is parsed has the bytes of its tensors once more
            yield request
        finally:
            self._held_bytes.give(client, size_bytes)

    @asynccontextmanager
    async def _many(
        self, read: _Read, parse: _Parse, window: int
    ) -> AsyncIterator[AsyncIterator[Message]]:
        """The requests of a call, of which the last `window` are still in use."""
        client, held = caller(), deque[int]()

        async def requests() -> AsyncIterator[Message]:
            while (raw := await _in_time(read, partial(self._streams.full, client))) is not _END:
                if len(held) == window:
                    self._held_bytes.give(client, held.popleft())
                self._hold(client, len(raw))
                held.append(len(raw))
                request = parse(raw)
                del raw
                yield request

        what = "streams of requests are served"
        async with self._streams.take(client, what, PATIENCE_S):
            try:
                yield requests()
            finally:
                self._held_bytes.give(client, sum(held))

    def _hold(self, client: str, size_bytes: int) -> None:
        if not self._held_bytes.take(client, size_bytes):
            raise CapacityError(
                f"requests of {self._held_bytes.held(client)} bytes are being served, {size_bytes} "
                "more are too many",
                hint="send the next request when one has been answered",
            )


async def _in_time(read: _Read, others_wait: Callable[[], bool]) -> Any:  # noqa: ANN401
    """The next message. A timer, because `wait_for` would cost every call a task.

    Args:
        others_wait: whether one that does not come may be given up.
    """
    late = False
    timer: asyncio.TimerHandle
    task = asyncio.current_task()
    assert task is not None

    def give_up() -> None:
        nonlocal late, timer
        if others_wait():
            late = True
            task.cancel()
        else:
            timer = loop.call_later(PATIENCE_S, give_up)

    loop = asyncio.get_running_loop()
    timer = loop.call_later(PATIENCE_S, give_up)
    try:
        return await read()
    except asyncio.CancelledError:
        if not late:
            raise
        raise DeadlineExceeded(
            f"the request has not arrived within {PATIENCE_S:g} seconds, and others wait",
            hint="send smaller tensors, or over a faster connection",
        ) from None
    finally:
        timer.cancel()


def _is_control(handler: _Handler) -> bool:
    """Whether a method asks or decides something short, without tensors."""
    parse = handler.request_deserializer
    large = isinstance(parse, RequestParser) and parse.most_bytes > SMALL_REQUEST_BYTES
    return not (large or handler.request_streaming or handler.response_streaming)


def _logged(parse: _Parse | None) -> _Parse:
    """The parser of a handler; what it refuses is one line in the log."""

    def read(raw: bytes) -> object:
        try:
            if not isinstance(parse, RequestParser):  # of a service that is not ours
                _check_size(raw, "a request", SMALL_REQUEST_BYTES)
            return raw if parse is None else parse(raw)
        except DecodeError:
            logger.warning("refused: bytes that are no request")
            raise _no_message("a request") from None
        except BpuError as error:
            logger.warning("refused: %s", error.message)
            raise

    return read


def _check_size(raw: bytes, what: str, most_bytes: int) -> None:
    if len(raw) > most_bytes:
        raise CapacityError(f"{what} has {len(raw)} bytes, at most {most_bytes} are taken")


def _no_message(what: str) -> InputError:
    return InputError(f"the bytes are no valid message, not {what}")
