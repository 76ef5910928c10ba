"""Requests of gRPC services that run in this process, and how they must be answered.

An input is the number of a method, and its requests with their lengths.
"""

from __future__ import annotations

import asyncio
import random
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bpu_common.wire.rpc.address import parse_address
from bpu_common.wire.rpc.client import open_channel
from bpu_common.wire.rpc.intake import Intake
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from tests.fuzz_targets.target import Harm
from tests.hostile.changes import change_bytes, change_message

_WAIT_S = 10.0
_LISTEN_S = 0.3
"""How long answers are listened to that may come for ever."""
_MOST_ANSWERS = 3
_BLAMES_ITSELF = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
_LENGTH = struct.Struct("<I")


class Served:
    """A server on a thread of its own, for as long as this process lives.

    Args:
        folder: of the socket; its path is short.
        add: registers the services; called on the server's loop.
    """

    def __init__(self, folder: Path, add: Callable[[grpc.aio.Server], Awaitable[None]]) -> None:
        self.address = f"unix:{folder / 'server.sock'}"
        self._ready = threading.Event()
        threading.Thread(target=self._serve, args=(add,), daemon=True).start()
        assert self._ready.wait(60)
        self.channel = open_channel(parse_address(self.address))

    def _serve(self, add: Callable[[grpc.aio.Server], Awaitable[None]]) -> None:
        async def serve() -> None:
            server = grpc.aio.server(interceptors=(Intake(),), options=CHANNEL_OPTIONS)
            await add(server)
            server.add_insecure_port(self.address)
            await server.start()
            self._ready.set()
            await server.wait_for_termination()

        asyncio.run(serve())

    def ask(self, path: str, requests: Sequence[bytes], streams: bool) -> str:
        """The status by which a call ends, or OK after its first few answers.

        Raises:
            Harm: the server blames itself, or does not answer.
        """
        call = self.channel.stream_stream(path)(
            iter(requests), timeout=_LISTEN_S if streams else _WAIT_S
        )
        try:
            for number, _ in enumerate(call, 1):
                if number == _MOST_ANSWERS:
                    call.cancel()
                    break
        except grpc.RpcError as error:
            code, text = error.code(), error.details() or ""
            if code in _BLAMES_ITSELF or "bug in OpenBPU" in text:
                raise Harm(f"{path}: {code.name} {text}") from None
            if code is grpc.StatusCode.DEADLINE_EXCEEDED and not streams:
                raise Harm(f"{path}: no answer within {_WAIT_S} s") from None
            if not text and code is not grpc.StatusCode.CANCELLED:
                raise Harm(f"{path}: {code.name} without a sentence") from None
            return code.name
        return grpc.StatusCode.OK.name


class Form:
    """The methods of services, and their inputs as messages.

    Args:
        methods: path -> method, in an order that stays.
    """

    def __init__(self, methods: Mapping[str, MethodDescriptor]) -> None:
        self._methods = list(methods.items())

    def seeds(self, filled: Mapping[str, Sequence[Message]]) -> list[bytes]:
        """An empty request for each method, and those that are given by path."""
        made = [self._packed(index, [b""]) for index in range(len(self._methods))]
        for index, (path, _) in enumerate(self._methods):
            if path in filled:
                raw = [message.SerializeToString() for message in filled[path]]
                made.append(self._packed(index, raw))
        return made

    def call_of(self, data: bytes) -> tuple[str, list[bytes], bool]:
        """Path, requests, and whether answers may come for ever."""
        path, method = self._methods[(data[0] if data else 0) % len(self._methods)]
        requests, at = [], 1
        while at + _LENGTH.size <= len(data):
            [size] = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            requests.append(data[at : at + size])
            at += size
        return path, requests, bool(method.server_streaming)

    def change(self, source: random.Random, data: bytes) -> bytes:
        """Another call: mostly the same method with a request of its form."""
        if source.random() < 0.05:
            return change_bytes(source, data)
        number = (data[0] if data else 0) % len(self._methods)
        _, requests, _ = self.call_of(data)
        if source.random() < 0.05:
            number = source.randrange(len(self._methods))
        kind = GetMessageClass(self._methods[number][1].input_type)
        at = source.randrange(len(requests) + 1)
        raw = requests[at] if at < len(requests) else b""
        try:
            message = kind.FromString(raw)
        except DecodeError:
            message = kind()
        change_message(source, message, source.randint(1, 3))
        return self._packed(
            number, [*requests[:at], message.SerializeToString(), *requests[at + 1 :]]
        )

    @staticmethod
    def _packed(number: int, requests: Sequence[bytes]) -> bytes:
        return bytes([number]) + b"".join(_LENGTH.pack(len(raw)) + raw for raw in requests)
