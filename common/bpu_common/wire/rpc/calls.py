"""The three forms of call, at the caller's end: messages in and out, failures as BpuError.

Each is made once per channel and method; they are thread-safe. `method` is the full path,
`/SERVICE/METHOD`; `where` is the address that errors name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

import grpc
from google.protobuf.message import Message

from bpu_common.wire.rpc.errors import from_call

_A = TypeVar("_A")
"""What one answer becomes; `parse` makes it from the bytes."""


class Unary(Generic[_A]):
    """Request -> answer."""

    def __init__(
        self, channel: grpc.Channel, method: str, parse: Callable[[bytes], _A], where: str
    ) -> None:
        self._call = channel.unary_unary(method, _serialize, parse)
        self._where = where

    def __call__(self, request: Message, timeout_s: float | None) -> _A:
        try:
            return cast("_A", self._call(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None


class Upload(Generic[_A]):
    """Stream of requests -> answer."""

    def __init__(
        self, channel: grpc.Channel, method: str, parse: Callable[[bytes], _A], where: str
    ) -> None:
        self._call = channel.stream_unary(method, _serialize, parse)
        self._where = where

    def __call__(self, requests: Iterable[Message], timeout_s: float | None) -> _A:
        try:
            return cast("_A", self._call(iter(requests), timeout=timeout_s))
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None


class Stream(Generic[_A]):
    """Request -> stream of answers; leaving the iteration cancels the call."""

    def __init__(
        self, channel: grpc.Channel, method: str, parse: Callable[[bytes], _A], where: str
    ) -> None:
        self._call = channel.unary_stream(method, _serialize, parse)
        self._where = where

    def __call__(self, request: Message, timeout_s: float | None) -> Iterator[_A]:
        stream = self._call(request, timeout=timeout_s)
        try:
            yield from cast("Iterator[_A]", stream)
        except grpc.RpcError as error:
            raise from_call(cast("Any", error), self._where) from None
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]  # its stub has no annotations


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
