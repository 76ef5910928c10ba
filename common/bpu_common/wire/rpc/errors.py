"""Errors across gRPC, unchanged: class, message, where and hint.

The class travels as its `code` in trailing metadata; the message is the status' details.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import grpc

from bpu_common.errors import (
    BoardUnreachable,
    BpuError,
    Cancelled,
    CapacityError,
    DeadlineExceeded,
    UsageError,
    all_error_classes,
)

CODE_KEY = "bpu-code"
WHERE_KEY = "bpu-where-bin"
HINT_KEY = "bpu-hint-bin"
MAX_TEXT_BYTES = 16 << 10
"""Longer messages, places and hints are cut: metadata is bounded."""

_CLASSES: dict[str, type[BpuError]] = {cls.code: cls for cls in all_error_classes()}

_STATUS: dict[str, grpc.StatusCode] = {
    "USAGE": grpc.StatusCode.INVALID_ARGUMENT,
    "CONFIG": grpc.StatusCode.INVALID_ARGUMENT,
    "INPUT": grpc.StatusCode.INVALID_ARGUMENT,
    "CALIBRATION": grpc.StatusCode.INVALID_ARGUMENT,
    "MODEL_UNSUPPORTED": grpc.StatusCode.FAILED_PRECONDITION,
    "MODEL_FORMAT": grpc.StatusCode.FAILED_PRECONDITION,
    "CAPACITY": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "MODEL_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "DEADLINE": grpc.StatusCode.DEADLINE_EXCEEDED,
    "CANCELLED": grpc.StatusCode.CANCELLED,
    "BOARD_UNREACHABLE": grpc.StatusCode.UNAVAILABLE,
    "DEPLOY": grpc.StatusCode.ABORTED,
}

Metadata = tuple[tuple[str, str | bytes], ...]
Status = tuple[grpc.StatusCode, str, Metadata]


class _FailedCall(Protocol):
    def code(self) -> grpc.StatusCode | None: ...

    def details(self) -> str | None: ...

    def trailing_metadata(self) -> Iterable[Sequence[str | bytes]] | None: ...


def to_status(error: BpuError) -> Status:
    """Status code, details and trailing metadata that carry an error."""
    metadata: list[tuple[str, str | bytes]] = [(CODE_KEY, error.code)]
    if error.where:
        metadata.append((WHERE_KEY, _cut(error.where)))
    if error.hint:
        metadata.append((HINT_KEY, _cut(error.hint)))
    status = _STATUS.get(error.code, grpc.StatusCode.INTERNAL)
    return status, _cut(error.message).decode(), tuple(metadata)


def from_call(failed: _FailedCall, address: str) -> BpuError:
    """The error that the other side raised, or what gRPC's own failure means."""
    found: dict[str, str] = {}
    for key, value in failed.trailing_metadata() or ():
        if key in {CODE_KEY, WHERE_KEY, HINT_KEY}:
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            found[str(key)] = text
    details = failed.details() or ""
    cls = _CLASSES.get(found.get(CODE_KEY, ""))
    if cls is not None:
        return cls(details, where=found.get(WHERE_KEY, ""), hint=found.get(HINT_KEY, ""))
    return _from_status(failed.code(), details, address)


_TOO_MANY_CALLS = "concurrent rpc limit"
"""How gRPC's own refusal of a further call begins."""

_BY_CALLER = "locally cancelled"
"""How gRPC says that the caller itself took a call back."""


def _from_status(status: grpc.StatusCode | None, details: str, address: str) -> BpuError:
    match status:
        case grpc.StatusCode.UNAVAILABLE:
            reason = details.rpartition(": ")[2]  # what the system said; before it, gRPC's own path
            return BoardUnreachable(
                f"no agent answers ({reason})" if reason else "no agent answers",
                where=address,
                hint="start it with `bpu-agent --listen ADDRESS --store DIR`, or check the address",
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("the board did not answer in time", where=address)
        case grpc.StatusCode.CANCELLED if _BY_CALLER in details.lower():
            return Cancelled("the call was cancelled", where=address)
        case grpc.StatusCode.CANCELLED:  # by an agent that ends: as if the connection had broken
            return BoardUnreachable(
                "the agent ended during the call", where=address, hint="repeat the call"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED if _TOO_MANY_CALLS in details.lower():
            return CapacityError(
                "the board serves as many calls as it takes at once",
                where=address,
                hint="end streams that are not read any more, or try again later",
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return CapacityError(
                f"the message is larger than the board or this program takes ({details})",
                where=address,
                hint="send smaller tensors; models go up with `bpu deploy`",
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return UsageError(
                f"what answers does not know this call ({details})",
                where=address,
                hint="it is no OpenBPU agent, or one of another version: compare `bpu --version`",
            )
        case _:
            name = status.name if status is not None else "no status"
            return BpuError(f"the call failed: {name} {details}".strip(), where=address)


def _cut(text: str) -> bytes:
    """UTF-8 of at most MAX_TEXT_BYTES, cut at a character."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_TEXT_BYTES:
        return data
    return data[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode()
