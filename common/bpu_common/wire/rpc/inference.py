"""The board's end of the Open Inference Protocol: messages in and out, errors as statuses.

A standard client shows only the text of a status, so the hint of an error is a part of it here.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import grpc
import grpc.aio

from bpu_common.board import ModelInfo
from bpu_common.errors import BpuError
from bpu_common.inference import ModelState, ModelTotals, NamedInference
from bpu_common.perf import InferResult
from bpu_common.wire.messages import inference as messages
from bpu_common.wire.rpc.handlers import Context, many, one, serialize
from bpu_common.wire.rpc.intake import SMALL_REQUEST_BYTES, RequestParser
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES, STREAM_WINDOW

Message: TypeAlias = Any
"""A message of the private pool: its class is made at run time."""

_message = messages.message


class InferenceServicer(abc.ABC):
    """What a board implements. A BpuError raised by a method reaches the caller as a status."""

    def needed_request_bytes(self) -> int:
        """The largest request with tensors that a model here takes; called for each large one."""
        return MAX_MESSAGE_BYTES

    @abc.abstractmethod
    def about(self) -> tuple[str, int]:
        """Version of the software, number of BPU cores."""

    @abc.abstractmethod
    async def ready(self, model: str, version: str) -> bool:
        """Whether a model can be run."""

    @abc.abstractmethod
    async def model(self, model: str, version: str) -> ModelInfo:
        """Describe a model."""

    @abc.abstractmethod
    async def run(self, asked: NamedInference, left_s: float | None) -> InferResult:
        """Run one frame; on cancellation it is taken back."""

    @abc.abstractmethod
    async def statistics(self, model: str, version: str) -> tuple[ModelTotals, ...]:
        """Figures of one model, or of all if `model` is empty."""

    @abc.abstractmethod
    async def index(self) -> tuple[ModelState, ...]:
        """Every model on the board."""

    @abc.abstractmethod
    async def load(self, model: str, with_parameters: bool) -> None:
        """Make a model ready."""

    @abc.abstractmethod
    async def unload(self, model: str) -> None:
        """Give a model's memory back; it is not ready until it is loaded again."""


def add_inference_service(server: grpc.aio.Server, servicer: InferenceServicer) -> None:
    """Register the service; call before the server starts."""
    calls = _Calls(servicer)
    unary: dict[str, Callable[[Message, Context], Awaitable[Message]]] = {
        "ServerLive": calls.server_live,
        "ServerReady": calls.server_ready,
        "ModelReady": calls.model_ready,
        "ServerMetadata": calls.server_metadata,
        "ModelMetadata": calls.model_metadata,
        "ModelInfer": calls.model_infer,
        "ModelConfig": calls.model_config,
        "ModelStatistics": calls.model_statistics,
        "RepositoryIndex": calls.repository_index,
        "RepositoryModelLoad": calls.repository_model_load,
        "RepositoryModelUnload": calls.repository_model_unload,
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            one(_spoken(method)), _parser(f"{name}Request", servicer), serialize
        )
        for name, method in unary.items()
    }
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        many(calls.model_stream_infer), _parser("ModelInferRequest", servicer), serialize
    )
    service = grpc.method_handlers_generic_handler(messages.SERVICE, handlers)
    server.add_generic_rpc_handlers((service,))


def _parser(name: str, servicer: InferenceServicer) -> RequestParser[Any]:
    if name == "ModelInferRequest":
        return RequestParser(_message(name), MAX_MESSAGE_BYTES, servicer.needed_request_bytes)
    return RequestParser(_message(name), SMALL_REQUEST_BYTES)


class _Calls:
    """Decode, call, encode."""

    def __init__(self, servicer: InferenceServicer) -> None:
        self._servicer = servicer

    async def server_live(self, _: Message, __: Context) -> Message:
        return _message("ServerLiveResponse")(live=True)

    async def server_ready(self, _: Message, __: Context) -> Message:
        return _message("ServerReadyResponse")(ready=True)

    async def model_ready(self, request: Message, _: Context) -> Message:
        ready = await self._servicer.ready(request.name, request.version)
        return _message("ModelReadyResponse")(ready=ready)

    async def server_metadata(self, _: Message, __: Context) -> Message:
        version = self._servicer.about()[0]
        return _message("ServerMetadataResponse")(
            name="openbpu", version=version, extensions=messages.EXTENSIONS
        )

    async def model_metadata(self, request: Message, _: Context) -> Message:
        info = await self._servicer.model(request.name, request.version)
        return messages.metadata_to_pb(request.name, info)

    async def model_config(self, request: Message, _: Context) -> Message:
        info = await self._servicer.model(request.name, request.version)
        core_count = self._servicer.about()[1]
        config = messages.config_to_pb(request.name, info, core_count)
        return _message("ModelConfigResponse")(config=config)

    async def model_infer(self, request: Message, context: Context) -> Message:
        asked = messages.request_from_pb(request)
        result = await self._servicer.run(asked, context.time_remaining())
        return messages.response_to_pb(asked, result)

    async def model_statistics(self, request: Message, _: Context) -> Message:
        found = await self._servicer.statistics(request.name, request.version)
        return _message("ModelStatisticsResponse")(
            model_stats=[messages.totals_to_pb(totals) for totals in found]
        )

    async def repository_index(self, request: Message, _: Context) -> Message:
        answer = _message("RepositoryIndexResponse")()
        for state in await self._servicer.index():
            if state.ready or not request.ready:
                messages.state_to_pb(answer, state)
        return answer

    async def repository_model_load(self, request: Message, _: Context) -> Message:
        await self._servicer.load(request.model_name, bool(request.parameters))
        return _message("RepositoryModelLoadResponse")()

    async def repository_model_unload(self, request: Message, _: Context) -> Message:
        await self._servicer.unload(request.model_name)
        return _message("RepositoryModelUnloadResponse")()

    async def model_stream_infer(
        self, requests: AsyncIterator[Message], context: Context
    ) -> AsyncIterator[Message]:
        """Answers in the order of the requests; a failed one is an answer too."""
        running: asyncio.Queue[asyncio.Task[Message] | None] = asyncio.Queue()
        places = asyncio.Semaphore(STREAM_WINDOW)

        async def read() -> None:
            try:
                async for request in requests:
                    await places.acquire()
                    running.put_nowait(asyncio.create_task(self._stream_answer(request, context)))
            finally:
                running.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (task := await running.get()) is not None:
                yield await task
                places.release()
            await reader  # a request that cannot be read ends the stream with its error
        finally:
            reader.cancel()
            while not running.empty():
                left = running.get_nowait()
                if left is not None:
                    left.cancel()

    async def _stream_answer(self, request: Message, context: Context) -> Message:
        answer = _message("ModelStreamInferResponse")()
        try:
            answer.infer_response.CopyFrom(await self.model_infer(request, context))
        except BpuError as error:
            answer.error_message = _text(error)
            answer.infer_response.id = request.id
        return answer


def _spoken(
    method: Callable[[Message, Context], Awaitable[Message]],
) -> Callable[[Message, Context], Awaitable[Message]]:
    async def call(request: Message, context: Context) -> Message:
        with _hint_in_message():
            return await method(request, context)

    call.__name__ = getattr(method, "__name__", "call")
    return call


@contextlib.contextmanager
def _hint_in_message() -> Iterator[None]:
    try:
        yield
    except BpuError as error:
        raise type(error)(_text(error), where=error.where, hint=error.hint) from error


def _text(error: BpuError) -> str:
    text = f"{error.where}: {error.message}" if error.where else error.message
    return f"{text} ({error.hint})" if error.hint else text
