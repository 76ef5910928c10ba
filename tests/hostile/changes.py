"""Random changes of inputs that have a form: messages, JSON, text, bytes.

What comes of a change is mostly still of that form, so that it gets past the first check of its
reader. The same source of randomness gives the same change.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

TEXT = ("", "data", "conv0", "Relu", "Loop", "a" * 300, "ä☃", "\x1b[2J", "x/y z", "local")
WHOLE = (0, 1, -1, 2, 3, 7, 16, 255, 999, 1 << 20, (1 << 31) - 1, -(1 << 31))
LARGE = ((1 << 63) - 1, -(1 << 63))
REAL = (0.0, -1.0, 1e-38, 3e38, float("nan"), float("inf"), float("-inf"), 0.5)
_SIZES = (0, 1, 2, 63, 64, 65, 4096)
_FULL_AGAIN = 0.3
_UNSIGNED = (
    *(FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
    *(FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_FIXED64),
)
_NARROW = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32)


def change_message(source: random.Random, message: Message, times: int) -> None:
    """Change so many places of a message (in place): numbers, names, items gone or there twice."""
    for _ in range(times):
        places = _places(message)
        if source.random() < _FULL_AGAIN or not places:
            _set_some_field(source, message)
        else:
            _change(source, *source.choice(places))


def _places(message: Message) -> list[tuple[Message, FieldDescriptor]]:
    """All fields that are set, with the messages they stand in; of raw data none."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field))
        if field.message_type is not None and not _is_map(field):
            for item in value if field.is_repeated else [value]:
                found += _places(item)
    return found


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _set_some_field(source: random.Random, message: Message) -> None:
    """Give a field of the message, or of one within it, a first value."""
    within = [
        message,
        *(
            getattr(place, field.name)
            for place, field in _places(message)
            if field.message_type is not None and not field.is_repeated
        ),
    ]
    chosen = source.choice(within)
    field = source.choice(chosen.DESCRIPTOR.fields) if chosen.DESCRIPTOR.fields else None
    if field is None or _is_map(field):
        return
    value = getattr(chosen, field.name)
    if field.message_type is not None:
        (value.add() if field.is_repeated else value.SetInParent())
    elif field.is_repeated:
        value.append(_other(source, field, _default(field)))
    else:
        setattr(chosen, field.name, _other(source, field, value))


def _default(field: FieldDescriptor) -> Any:
    return (
        0.0
        if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
        else b""
        if field.type == FieldDescriptor.TYPE_BYTES
        else 0
    )


def _change(source: random.Random, message: Message, field: FieldDescriptor) -> None:
    value = getattr(message, field.name)
    if _is_map(field):
        del value[source.choice(sorted(value))]
        return
    if not field.is_repeated:
        if field.message_type is not None or source.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other(source, field, value))
        return
    at = source.randrange(len(value)) if len(value) else 0
    action = source.randrange(3)
    if not len(value):
        return
    if action == 0:
        del value[at]
    elif action == 1 and field.message_type is not None:
        value.add().CopyFrom(value[at])
    elif action == 1:
        value.append(value[at])
    elif field.message_type is None:
        value[at] = _other(source, field, value[at])
    else:
        value[at].CopyFrom(value[source.randrange(len(value))])


def _other(source: random.Random, field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return source.choice(TEXT)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return change_bytes(source, value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not value
    if isinstance(value, float):
        return source.choice(REAL)
    if field.enum_type is not None:
        return source.choice([each.number for each in field.enum_type.values])
    if field.type in _UNSIGNED:
        return source.choice([abs(each) for each in WHOLE])
    near = (value - 1, value + 1) if abs(value) < 1 << 30 else ()
    return source.choice((*WHOLE, *near) if field.type in _NARROW else (*WHOLE, *near, *LARGE))


def change_bytes(source: random.Random, data: bytes) -> bytes:
    """Bytes cut, lengthened, overwritten or doubled."""
    action = source.randrange(6)
    at = source.randrange(len(data) + 1)
    if action == 0:
        return data[:at]
    if action == 1:
        return data + b"\xff" * source.choice(_SIZES)
    if action == 2:
        return bytes(len(data))
    if action == 3:
        return b"\xff" * len(data)
    if action == 4:
        end = min(at + source.randrange(1, 9), len(data))
        return data[:at] + source.randbytes(end - at) + data[end:]
    end = min(at + source.choice(_SIZES), len(data))
    return data[:end] + data[at:]


def change_json(source: random.Random, value: Any) -> Any:
    """A loaded JSON value with one place changed."""
    if isinstance(value, dict) and value and source.random() < 0.9:
        name = source.choice(sorted(value))
        rest = dict(value)
        action = source.random()
        if action < 0.1:
            del rest[name]
        elif action < 0.2:
            rest[source.choice(TEXT)] = value[name]
        else:
            rest[name] = change_json(source, value[name])
        return rest
    if isinstance(value, list) and value and source.random() < 0.9:
        at = source.randrange(len(value))
        action = source.random()
        if action < 0.1:
            return value[:at] + value[at + 1 :]
        if action < 0.2:
            return value[:at] + [value[at]] * source.choice((2, 3, 50)) + value[at:]
        return [*value[:at], change_json(source, value[at]), *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and source.random() < 0.7:
        return source.choice((value + 1, value - 1, -value, value * 1000, *WHOLE, *LARGE))
    return source.choice((None, True, [], {}, "", *TEXT, *WHOLE, *LARGE, 1e308, 0.5, 10**30))


def change_text(source: random.Random, text: str, words: Sequence[str]) -> str:
    """A text of lines with one changed: gone, doubled, moved, or one of its words another one."""
    lines = text.split("\n")
    at = source.randrange(len(lines))
    actions: tuple[Callable[[], list[str]], ...] = (
        list,
        lambda: [lines[at], lines[at]],
        lambda: ["  " + lines[at]],
        lambda: [lines[at].lstrip()],
        lambda: [_with_word(source, lines[at], words)],
        lambda: [_with_word(source, lines[at], words)],
        lambda: [_with_word(source, lines[at], words)],
        lambda: [source.choice(lines)],
    )
    return "\n".join([*lines[:at], *source.choice(actions)(), *lines[at + 1 :]])


def _with_word(source: random.Random, line: str, words: Sequence[str]) -> str:
    head, colon, rest = line.partition(":")
    word = source.choice(words)
    return f"{head}{colon} {word}" if colon and source.random() < 0.8 else f"{word}:{rest}"
