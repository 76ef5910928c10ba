"""A bound on what a message may unfold to, checked on its bytes before it is parsed.

An empty sub-message takes two bytes on the wire and a hundred in memory, so sixteen hostile
mebibytes could ask for a gigabyte. Counting the sub-messages first costs little and bounds that.
"""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor

from bpu_common.errors import ModelFormatError

MAX_FIELDS = 2_000_000
"""Fields looked at in one message, sub-messages included (about 200,000 instructions)."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_budget(data: bytes | memoryview, descriptor: Descriptor, what: str) -> None:
    """Count the fields of a message and of all messages in it.

    Raises:
        ModelFormatError: more than MAX_FIELDS, or bytes that are no message.
    """
    raw = bytes(data)
    fields_left = MAX_FIELDS
    pending = [(0, len(raw), _children(descriptor))]
    while pending:
        position, end, children = pending.pop()
        while position < end:
            fields_left -= 1
            if fields_left < 0:
                raise ModelFormatError(f"{what} has more than {MAX_FIELDS} fields")
            tag = raw[position]
            position += 1
            if tag >= 0x80:
                tag, position = _varint(raw, position - 1, end, what)
            wire = tag & 7
            if wire == _VARINT:
                while position < end and raw[position] >= 0x80:
                    position += 1
                position += 1
            elif wire == _BYTES:
                size, position = _varint(raw, position, end, what)
                child = children.get(tag >> 3)
                if child is not None and size and _children(child):
                    pending.append((position, min(position + size, end), _children(child)))
                position += size
            elif wire == _FIXED64:
                position += 8
            elif wire == _FIXED32:
                position += 4
            else:
                raise ModelFormatError(f"{what} is not a valid message")
        if position > end:
            raise ModelFormatError(f"{what} is not a valid message (it ends within a field)")


@cache
def _children(descriptor: Descriptor) -> dict[int, Descriptor]:
    """Field number -> message type. Empty for leaves, which are counted but not looked into."""
    return {
        field.number: field.message_type
        for field in descriptor.fields
        if field.message_type is not None
    }


def _varint(raw: bytes, position: int, end: int, what: str) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 64:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ModelFormatError(f"{what} is not a valid message (a number does not end)")
