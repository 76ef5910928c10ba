"""Methods as gRPC handlers: a BpuError becomes a status with all it says, anything else INTERNAL.

The details of an unexpected failure go to the log of this side only.

A failed call leaves a cycle of references behind, in gRPC and in every frame that keeps its error:
the garbage collector may come late. So none of these frames keeps an error or the request, which
may have tens of megabytes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from bpu_common.errors import BpuError
from bpu_common.wire.rpc.clients import before_refusal
from bpu_common.wire.rpc.errors import Status, to_status

logger = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_Q = TypeVar("_Q")
_A = TypeVar("_A", bound=Message)


def one(
    method: Callable[[_Q, Context], Awaitable[_A]],
) -> Callable[[_Q, Context], Awaitable[_A]]:
    """A method with one answer."""

    async def call(request: _Q, context: Context) -> _A:
        try:
            return await method(request, context)
        except BpuError as error:
            status = to_status(error)
        except Exception as error:  # noqa: BLE001  the last resort: a caller must get a status
            status = to_status(_internal(method, error))
        del request
        await refuse(context, status)
        raise AssertionError("abort does not return")

    return call


def many(
    method: Callable[[_Q, Context], AsyncIterator[_A]],
) -> Callable[[_Q, Context], AsyncIterator[_A]]:
    """A method with a stream of answers."""

    async def call(request: _Q, context: Context) -> AsyncIterator[_A]:
        answers = method(request, context)
        try:
            async for answer in answers:
                yield answer
        except BpuError as error:
            status = to_status(error)
        except Exception as error:  # noqa: BLE001  the last resort: a caller must get a status
            status = to_status(_internal(method, error))
        else:
            return
        del request
        await refuse(context, status)

    return call


async def refuse(context: Context, status: Status) -> None:
    """End a call with an error; never returns."""
    if status[0] is grpc.StatusCode.RESOURCE_EXHAUSTED:
        await before_refusal()
    await context.abort(*status)


def _internal(method: Callable[..., Any], error: Exception) -> BpuError:
    name = getattr(method, "__name__", "call")
    logger.error("unexpected failure in %s", name, exc_info=error)
    return BpuError(
        f"the agent failed in {name}", hint="its log has the details; this is a bug in OpenBPU"
    )


def serialize(message: Message) -> bytes:
    """Bytes of a message."""
    return message.SerializeToString()
