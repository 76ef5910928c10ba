"""A bound on what a message may unfold to, checked on its bytes before it is parsed.

An empty sub-message takes two bytes on the wire and a hundred in memory, a packed number one byte
and twelve, so sixteen hostile mebibytes could ask for a gigabyte. Counting them first costs little
and bounds that.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bpu_common.errors import CapacityError, InputError, ModelFormatError

MAX_FIELDS = 2_000_000
"""Fields and packed values in one message, sub-messages included (about 200,000 instructions)."""

MAX_REQUEST_FIELDS = 500_000
"""The same of a request, where `_PACKED_IN_REQUEST` packed values count as one field: a tensor may
come as numbers instead of bytes."""

_PACKED_IN_REQUEST = 16

_SMALL_BYTES = 256 << 10
"""Nothing this short can unfold to more than some 20 MB."""

_VARINT, _BYTES = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}


class _OverBudgetError(Exception):
    """More fields than are allowed."""


class _NoMessageError(Exception):
    """Bytes that no message has; the text says why."""


def check_budget(data: bytes | memoryview, descriptor: Descriptor, what: str) -> None:
    """Count the fields of a message out of a file and of all messages in it.

    Raises:
        ModelFormatError: more than MAX_FIELDS, or (found here for long ones) no message at all.
    """
    try:
        _count(bytes(data), descriptor, MAX_FIELDS, 1)
    except _OverBudgetError:
        raise ModelFormatError(f"{what} has more than {MAX_FIELDS} fields") from None
    except _NoMessageError as error:
        raise ModelFormatError(f"{what} is not a valid message{error}") from None


def check_request_budget(data: bytes, descriptor: Descriptor, what: str) -> None:
    """Count the fields of a request and of all messages in it.

    Raises:
        CapacityError: more than MAX_REQUEST_FIELDS.
        InputError: (found here for long ones) no message at all.
    """
    try:
        _count(data, descriptor, MAX_REQUEST_FIELDS, _PACKED_IN_REQUEST)
    except _OverBudgetError:
        raise CapacityError(
            f"{what} has more than {MAX_REQUEST_FIELDS} fields",
            hint="send the values of tensors as raw bytes",
        ) from None
    except _NoMessageError as error:
        raise InputError(f"{what} is not a valid message{error}") from None


def _count(raw: bytes, descriptor: Descriptor, most: int, packed_per_field: int) -> None:
    if len(raw) <= _SMALL_BYTES:
        return
    fields_left = most
    position, end, children = 0, len(raw), _children(descriptor)
    outer: list[tuple[int, _Children]] = []  # messages around: end and children
    while position < end or outer:
        if position >= end:
            if position > end:
                break
            end, children = outer.pop()
            continue
        fields_left -= 1
        tag, position = _varint(raw, position, end)
        wire = tag & 7
        if wire == _VARINT:
            _, position = _varint(raw, position, end)
        elif wire == _BYTES:
            size, position = _varint(raw, position, end)
            child = children.get(tag >> 3)
            if child is None or not size:
                position += size
            elif isinstance(child, int):
                position += size
                fields_left -= size // (child * packed_per_field)
            elif _children(child):
                outer.append((end, children))
                end, children = min(position + size, end), _children(child)
            else:
                position += size
        elif wire in _FIXED_BYTES:
            position += _FIXED_BYTES[wire]
        else:
            raise _NoMessageError
        if fields_left < 0:
            raise _OverBudgetError
    if position != end:
        raise _NoMessageError(" (it ends within a field)")


_Children: TypeAlias = dict[int, Descriptor | int]


@cache
def _children(descriptor: Descriptor) -> _Children:
    """Field number -> message type, or least size of a packed value in bytes.

    Empty for leaves, which are counted but not looked into.
    """
    packed = {
        field.number: 8 if field.type == FieldDescriptor.TYPE_DOUBLE else 1
        for field in descriptor.fields
        if field.is_packed
    }
    messages = {
        field.number: field.message_type
        for field in descriptor.fields
        if field.message_type is not None
    }
    return {**packed, **messages}


def _varint(raw: bytes, position: int, end: int) -> tuple[int, int]:
    if position < end and raw[position] < 0x80:
        return raw[position], position + 1
    value = shift = 0
    while position < end and shift < 64:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _NoMessageError(" (a number does not end)")
