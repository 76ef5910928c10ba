"""What a value class is made of, read from its type hints.

Everything that is derived from value classes (messages, JSON) is derived from these forms, so a
new kind of field is added here once.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

PLAIN = (bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Plain:
    """One value of a type in `PLAIN`."""

    kind: type


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enum."""

    kind: type[Enum]


@dataclass(frozen=True, slots=True)
class Record:
    """A value of another value class."""

    kind: type


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of one of several value classes: `A | B`."""

    kinds: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class Maybe:
    """`X | None`."""

    item: Form


@dataclass(frozen=True, slots=True)
class Many:
    """`tuple[X, ...]`."""

    item: Form


@dataclass(frozen=True, slots=True)
class Fixed:
    """`tuple[X, Y]`: as many values as items."""

    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`dict[str, X]`, in order."""

    item: Form


@dataclass(frozen=True, slots=True)
class Opaque:
    """Anything else: whoever derives from it needs a rule of its own."""

    hint: object


Form: TypeAlias = Plain | Choice | Record | OneOf | Maybe | Many | Fixed | Table | Opaque


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a value class; `default` makes its default, None: it has none."""

    name: str
    form: Form
    default: Callable[[], object] | None


def form_of(hint: object) -> Form:
    """The form of a type hint (resolved, not a string)."""
    if isinstance(hint, type) and not get_args(hint):
        if hint in PLAIN:
            return Plain(hint)
        if issubclass(hint, Enum):
            return Choice(hint)
        return Record(hint) if is_dataclass(hint) else Opaque(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _of_union(hint, args)
    if origin is tuple and args and args[-1] is Ellipsis:
        return Many(form_of(args[0]))
    if origin is tuple and args:
        return Fixed(tuple(form_of(arg) for arg in args))
    if origin is dict and args[0] is str:
        return Table(form_of(args[1]))
    return Opaque(hint)


def _of_union(hint: object, args: tuple[Any, ...]) -> Form:
    kinds = tuple(arg for arg in args if arg is not types.NoneType)
    item = form_of(kinds[0]) if len(kinds) == 1 else OneOf(kinds)
    if isinstance(item, OneOf) and not all(is_dataclass(kind) for kind in kinds):
        return Opaque(hint)
    return item if len(kinds) == len(args) else Maybe(item)


@cache
def fields_of(kind: type[Any]) -> tuple[Field, ...]:
    """The fields of a value class, in the order of its constructor."""
    hints = get_type_hints(kind)
    return tuple(
        Field(each.name, form_of(hints[each.name]), _default(each)) for each in fields(kind)
    )


def _default(field: dataclasses.Field[Any]) -> Callable[[], object] | None:
    if field.default is not MISSING:
        value = field.default
        return lambda: value
    return None if field.default_factory is MISSING else field.default_factory


def joined(place: str, inner: str) -> str:
    """`inner` as seen from outside of `place`; either may be empty."""
    return f"{place}.{inner}" if place and inner else place or inner


def item_place(name: str, index: int) -> str:
    """An item of a repeated field: `call[7]` of `calls`."""
    return f"{name.removesuffix('s')}[{index}]"
