"""Converters between value classes and messages, derived from type hints and descriptors.

A value class and its message have the same field names; a difference is a TypeError when the
converter is derived, never a field that is silently lost. What stands for what:

    bool, int, float, str, bytes   the scalar of that type (float: double)
    enum                           enum whose values are named `<ITS_NAME>_<MEMBER>`
    value class                    message; if it is absent, the field's default or an error
    A | B                          message with one `oneof`: members are named as the classes, in
                                   snake_case; fields beside the `oneof` belong to every class
    X | None                       presence
    tuple[X, ...]                  repeated
    tuple[X, X]                    repeated, of exactly that length
    dict[str, X]                   repeated message, in order, whose `name` is the key; X is a value
                                   class (its other fields) or a scalar (the field `value`)

A field that follows none of these has a rule of its own: `Spread`, `Most` or `Hook`.

The functions are written as source and compiled once, at first use (`record.py`): straight code
with a local per field is as fast as what one would write by hand, closures per field are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

from bpu_common.errors import BpuError, ModelFormatError
from bpu_common.structure import Form, OneOf, Record, form_of
from bpu_common.wire.messages.enums import Members, snake_case
from bpu_common.wire.messages.record import (
    Functions,
    Rule,
    descriptor_of,
    functions_of,
    message_of,
)

_V = TypeVar("_V")
_M = TypeVar("_M", bound=Message)


class Converter(Generic[_V, _M]):
    """`from_pb(to_pb(value)) == value`; made on first use.

    Attributes:
        kind: the value class, or a union of value classes.
        message: the message class.
    """

    def __init__(
        self,
        kind: object,
        message: type[_M],
        error: type[BpuError],
        derive: Callable[[], Functions],
    ) -> None:
        self.kind = kind
        self.message = message
        self._error = error
        self._derive = derive

    @cached_property
    def to_pb(self) -> Callable[[_V], _M]:
        """Value -> message.

        Raises:
            ValueError: a number that does not fit its field.
        """
        make, (write, _) = self.message, self._derive()

        def to_pb(value: _V) -> _M:
            message = make()
            write(value, message)
            return message

        return to_pb

    @cached_property
    def from_pb(self) -> Callable[[_M], _V]:
        """Message -> value.

        Raises:
            BpuError: the message describes no value; `where` is the place in it
                (`call[7].instruction[3].x`). Also whatever the value classes raise.
        """
        error, (_, read) = self._error, self._derive()

        def from_pb(message: _M) -> _V:
            try:
                value: _V = read(message)
            except ModelFormatError as bad:
                raise error(bad.message, where=bad.where, hint=bad.hint) from None
            return value

        return from_pb


class Derivation:
    """Makes converters that share the functions of nested classes.

    Args:
        rules: class -> field -> its own rule.
        fallbacks: members that numbers stand for that their enum does not know.

    Attributes:
        converters: all that were made, in order.
    """

    def __init__(
        self, rules: Mapping[type, Mapping[str, Rule]], fallbacks: Iterable[Enum] = ()
    ) -> None:
        self._rules = rules
        self._fallbacks = {type(member): member for member in fallbacks}
        self._known: dict[tuple[Form, str, tuple[str, ...]], Functions] = {}
        self.converters: list[Converter[Any, Any]] = []

    @overload
    def converter(
        self,
        kind: type[_V],
        message: type[_M],
        error: type[BpuError] = ...,
        apart: tuple[str, ...] = ...,
    ) -> Converter[_V, _M]: ...

    @overload
    def converter(
        self,
        kind: object,
        message: type[_M],
        error: type[BpuError] = ...,
        apart: tuple[str, ...] = ...,
    ) -> Converter[Any, _M]: ...

    def converter(
        self,
        kind: object,
        message: type[_M],
        error: type[BpuError] = ModelFormatError,
        apart: tuple[str, ...] = (),
    ) -> Converter[Any, _M]:
        """The converter of a value class, or of a union of value classes.

        Args:
            error: what `from_pb` raises.
            apart: fields of the message that are no part of the value.
        """
        descriptor = descriptor_of(message)
        made: Converter[Any, _M] = Converter(
            kind, message, error, lambda: self.functions(form_of(kind), descriptor, apart)
        )
        self.converters.append(made)
        return made

    def functions(
        self, form: Form, descriptor: Descriptor, apart: tuple[str, ...] = ()
    ) -> Functions:
        """The functions of a class or a union.

        Raises:
            TypeError: it differs from the message.
        """
        key = form, descriptor.full_name, apart
        if key not in self._known:
            match form:
                case Record(kind):
                    self._known[key] = functions_of(kind, descriptor, self, apart)
                case OneOf(kinds):
                    self._known[key] = self._of_union(kinds, descriptor)
                case _:
                    raise TypeError(f"{form} is no value class")
        return self._known[key]

    def rules(self, kind: type) -> Mapping[str, Rule]:
        return self._rules.get(kind, {})

    def members(self, kind: type[Enum], descriptor: EnumDescriptor) -> Mapping[int, Enum]:
        """Number -> member; one that is not known is an error or the enum's fallback."""
        return Members(kind, descriptor, self._fallbacks.get(kind))

    def _of_union(self, kinds: tuple[type, ...], descriptor: Descriptor) -> Functions:
        """Functions that choose by the class of the value, or by the member that is set."""
        names = {snake_case(kind.__name__): kind for kind in kinds}
        which = next(
            (
                each.name
                for each in descriptor.oneofs
                if {f.name for f in each.fields} == set(names)
            ),
            None,
        )
        if which is None:
            raise TypeError(f"{descriptor.name} has no oneof of {', '.join(names)}")
        writers: dict[type, Callable[[Any, Any], None]] = {}
        readers: dict[str | None, Callable[[Any], Any]] = {}
        for name, kind in names.items():
            inner = message_of(descriptor.fields_by_name[name])
            writers[kind], readers[name] = functions_of(kind, inner, self, outer=(descriptor, name))

        def write(value: object, message: Any) -> None:  # noqa: ANN401  made at run time
            writers[type(value)](value, message)

        def read(message: Any) -> object:  # noqa: ANN401
            reader = readers.get(message.WhichOneof(which))
            if reader is None:
                raise ModelFormatError(f"{descriptor.name.lower()} of no known kind")
            return reader(message)

        return write, read
