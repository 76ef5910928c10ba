"""Messages out of a file: bounded before they are parsed, and nothing in them is left over.

Protobuf ignores fields that it does not know, so that old programs read new messages. In a file
that would be a wrong result: an old reader would run a network without what the field says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from bpu_common.errors import ModelFormatError
from bpu_common.structure import item_place, joined
from bpu_common.wire.messages.budget import check_budget
from bpu_common.wire.messages.record import descriptor_of

_M = TypeVar("_M", bound=Message)


def parse(
    kind: type[_M],
    data: bytes | memoryview,
    what: str,
    look: Callable[[_M], None] | None = None,
) -> _M:
    """The message in `data`.

    Args:
        look: sees the message before fields that are not known are refused, and may say better why
            it cannot be read.

    Raises:
        ModelFormatError: not such a message, one that would need far more memory than bytes, or
            one with a field that is not known (`where` is the place in it).
    """
    message = kind()
    raw = bytes(data)
    check_budget(raw, descriptor_of(kind), what)
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise ModelFormatError(f"{what} is not a valid message ({error})") from None
    if look is not None:
        look(message)
    # Both sizes are those of the parsed message: its own encoding may be shorter than `data`.
    size_bytes = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size_bytes:
        raise _unknown_field(kind.FromString(raw), what)
    return message


def _unknown_field(message: Message, what: str) -> ModelFormatError:
    where, name, number = next(_unknown_fields(message, ""))
    return ModelFormatError(
        f"field {number} of {name} is not known to this version",
        where=where or what,
        hint="use the OpenBPU version that made the model, or convert it again",
    )


def _unknown_fields(message: Message, where: str) -> Iterator[tuple[str, str, int]]:
    """Place, message name and number of each, in no order that matters."""
    unknown_fields: Iterable[Any] = UnknownFieldSet(message)  # type: ignore[assignment]
    for unknown in unknown_fields:
        yield where, message.DESCRIPTOR.name, unknown.field_number
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from _unknown_fields(item, joined(where, item_place(field.name, index)))
        else:
            chosen = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
            yield from _unknown_fields(value, joined(where, "" if chosen else field.name))
