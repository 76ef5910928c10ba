"""Values of value classes <-> what `json` dumps and loads, derived from type hints.

A value class is an object with its field names, `tuple[X, ...]` an array, `dict[str, X]` an object,
a bool, int, float or str itself, an enum of strings its value. Readers ignore keys that they do not
know and take a field's default where the key is missing, so that old and new programs read each
other's files; a value of another type than the class declares is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from bpu_common.errors import InputError
from bpu_common.structure import (
    Choice,
    Form,
    Many,
    Plain,
    Record,
    Table,
    fields_of,
    item_place,
    joined,
)

_V = TypeVar("_V")

Rows: TypeAlias = Mapping[type, Sequence[str]]

_Write: TypeAlias = Callable[[Any], object]
_Read: TypeAlias = Callable[[object, str], Any]  # (loaded, its place) -> value

_NO_ROWS: Rows = {}
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
_KINDS = {dict: "an object", list: "an array", bool: "a bool", int: "an int", str: "a string"}


def parse_json(text: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """What a JSON text of somebody else holds.

    Raises:
        InputError: it is no JSON, nests too deeply, or has a number that no program stores.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"no JSON: {error}") from None
    except RecursionError:
        raise InputError("no JSON: it nests too deeply") from None


def json_writer(kind: type[_V], rows: Rows = _NO_ROWS) -> Callable[[_V], object]:
    """Value -> what `json.dumps` takes.

    Args:
        rows: classes that are arrays instead of objects -> the order of their fields there.

    Raises:
        TypeError: the class has a field that JSON has no form for.
    """
    return _writer(Record(kind), rows)


def json_reader(kind: type[_V], rows: Rows = _NO_ROWS) -> Callable[[object], _V]:
    """What `json.loads` gives -> value.

    The reader raises InputError if it describes no value; `where` is the place in it
    (`model[2].latency`).

    Args:
        rows: as in `json_writer`; names that are no fields are ignored.

    Raises:
        TypeError: the class has a field that JSON has no form for.
    """
    read = _reader(Record(kind), rows)
    return lambda loaded: read(loaded, "")


def _writer(form: Form, rows: Rows) -> _Write:
    match form:
        case Plain(kind) if kind is not bytes:
            return lambda value: value
        case Choice(kind) if issubclass(kind, str):
            return lambda value: value.value
        case Record(kind):
            writers = {each.name: _writer(each.form, rows) for each in fields_of(kind)}
            columns = rows.get(kind)
            if columns is not None:
                chosen = [(name, writers[name]) for name in columns]
                return lambda value: [write(getattr(value, name)) for name, write in chosen]
            return lambda value: {
                name: write(getattr(value, name)) for name, write in writers.items()
            }
        case Many(item):
            write_item = _writer(item, rows)
            return lambda value: [write_item(each) for each in value]
        case Table(item):
            write_item = _writer(item, rows)
            return lambda value: {name: write_item(each) for name, each in value.items()}
        case _:
            raise TypeError(f"{form} has no form in JSON")


def _reader(form: Form, rows: Rows) -> _Read:
    match form:
        case Plain(kind) if kind is not bytes:
            return lambda loaded, where: _checked(kind, loaded, where)
        case Choice(members) if issubclass(members, str):
            return lambda loaded, where: _member(members, loaded, where)
        case Record(kind) if kind in rows:
            return _row_reader(kind, rows)
        case Record(kind):
            return _record_reader(kind, rows)
        case Many(item):
            read_item = _reader(item, rows)
            return lambda loaded, where: tuple(
                read_item(each, item_place(where, index))
                for index, each in enumerate(_checked(list, loaded, where))
            )
        case Table(item):
            read_item = _reader(item, rows)
            return lambda loaded, where: {
                name: read_item(each, joined(where, name))
                for name, each in _checked(dict, loaded, where).items()
            }
        case _:
            raise TypeError(f"{form} has no form in JSON")


def _record_reader(kind: type, rows: Rows) -> _Read:
    readers = {each.name: _reader(each.form, rows) for each in fields_of(kind)}
    required = [each.name for each in fields_of(kind) if each.default is None]

    def read(loaded: object, where: str) -> object:
        found = _checked(dict, loaded, where)
        for name in required:
            if name not in found:
                raise InputError(f"{kind.__name__} without {name}", where=where)
        return kind(
            **{
                name: reader(found[name], joined(where, name))
                for name, reader in readers.items()
                if name in found
            }
        )

    return read


def _row_reader(kind: type, rows: Rows) -> _Read:
    columns, read_record = rows[kind], _record_reader(kind, rows)

    def read(loaded: object, where: str) -> object:
        row = _checked(list, loaded, where)
        if len(row) != len(columns):
            raise InputError(f"{len(row)} values for {len(columns)} columns", where=where)
        return read_record(dict(zip(columns, row, strict=True)), where)

    return read


def _member(kind: type[Enum], loaded: object, where: str) -> Enum:
    try:
        return kind(_checked(str, loaded, where))
    except ValueError:
        raise InputError(f"{loaded!r:.40} is not a {kind.__name__}", where=where) from None


def _checked(kind: type[_V], loaded: object, where: str) -> _V:
    if type(loaded) is not kind:  # a bool is no int here
        raise InputError(f"{loaded!r:.40} is not {_KINDS.get(kind, kind.__name__)}", where=where)
    if isinstance(loaded, int) and not _LEAST <= loaded <= _MOST:
        raise InputError("a number beyond 64 bits", where=where)
    if isinstance(loaded, float) and not math.isfinite(loaded):
        raise InputError(f"{loaded} is not a finite number", where=where)
    return loaded
