"""Protobuf's wire format: just enough to read and write ONNX without its library."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from bpu_common.errors import ModelFormatError

Bytes: TypeAlias = memoryview
Field: TypeAlias = tuple[int, int | Bytes]
"""(field number, value): varints as int, length-delimited and fixed ones as bytes."""

_MAX_VARINT_BYTES = 10
_MAX_FIELD = (1 << 29) - 1
_UINT64 = (1 << 64) - 1
_SMALL = tuple(bytes((value,)) for value in range(0x80))


def fields(data: Bytes, where: str) -> Iterator[Field]:
    """The fields of one message, in file order.

    Raises:
        ModelFormatError: the bytes are no protobuf message; `where` names the part.
    """
    position = 0
    while position < len(data):
        key, position = _varint(data, position, where)
        number, kind = key >> 3, key & 7
        if not 1 <= number <= _MAX_FIELD:
            raise _broken(where, f"field number {number}")
        if kind == 0:
            value, position = _varint(data, position, where)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(data, position, where)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _broken(where, f"wire type {kind}")
        if size > len(data) - position:
            raise _broken(where, f"a field of {size} bytes runs past the end")
        yield number, data[position : position + size]
        position += size


def varints(value: int | Bytes, where: str) -> list[int]:
    """The values of a repeated varint field, packed or single."""
    if isinstance(value, int):
        return [value]
    found = []
    position = 0
    while position < len(value):
        one, position = _varint(value, position, where)
        found.append(one)
    return found


def text(value: int | Bytes, where: str) -> str:
    """A string field."""
    try:
        return bytes(message(value, where)).decode("utf-8")
    except UnicodeDecodeError:
        raise _broken(where, "a name that is not UTF-8") from None


def message(value: int | Bytes, where: str) -> Bytes:
    """A length-delimited field."""
    if isinstance(value, int):
        raise _broken(where, "a number where a message belongs")
    return value


def number(value: int | Bytes, where: str) -> int:
    """A varint field as int64."""
    if not isinstance(value, int):
        raise _broken(where, "a message where a number belongs")
    return value - (1 << 64) if value >= 1 << 63 else value


def integer(key: int, value: int) -> bytes:
    """A varint field; negative values as int64."""
    return _encoded(key << 3) + _encoded(value & _UINT64)


def head(key: int, size_bytes: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    return _encoded(key << 3 | 2) + _encoded(size_bytes)


def block(key: int, data: bytes | memoryview) -> bytes:
    """A length-delimited field: bytes or a message."""
    return b"".join((head(key, len(data)), data))


def string(key: int, value: str) -> bytes:
    """A string field."""
    return block(key, value.encode())


def integers(key: int, values: Sequence[int]) -> bytes:
    """A varint field for each value; negative ones as int64."""
    head = _encoded(key << 3)
    return b"".join(head + _encoded(int(value) & _UINT64) for value in values)


def float32(key: int, value: float) -> bytes:
    """A fixed field of four bytes."""
    return floats32(key, (value,))


def floats32(key: int, values: Sequence[float]) -> bytes:
    """A fixed field of four bytes for each value."""
    head = _encoded(key << 3 | 5)
    return b"".join(head + struct.pack("<f", value) for value in values)


@functools.lru_cache(1 << 16)
def _encoded(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _varint(data: Bytes, position: int, where: str) -> tuple[int, int]:
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        if position >= len(data):
            raise _broken(where, "it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & _UINT64, position
    raise _broken(where, "a number longer than 64 bits")


def _broken(where: str, what: str) -> ModelFormatError:
    return ModelFormatError(f"the ONNX graph is damaged: {what}", where=where)
