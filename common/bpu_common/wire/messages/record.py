"""The source of the two functions that convert one value class, written from its fields.

    def write(v, m):                          def read(m):
        m.space = E0[v.space]                     at = ''
        w = v.shape_hwc                           try:
        m.height = w[0]                               at = 'space'
        ...                                           r0 = E1[m.space]
                                                      return C2(r0, m.offset_bytes, ...)
                                                  except ModelFormatError as error:
                                                      raise prefixed(error, at) from None

`at` is the field that is being read, so that an error gets its place for the price of one
assignment; only fields that can fail set it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from bpu_common.errors import ModelFormatError
from bpu_common.structure import (
    Choice,
    Field,
    Fixed,
    Form,
    Many,
    Maybe,
    OneOf,
    Plain,
    Record,
    Table,
    fields_of,
    item_place,
    joined,
)
from bpu_common.wire.messages.enums import numbers_of

_V = TypeVar("_V")
_M = TypeVar("_M")

Functions: TypeAlias = tuple[Callable[[Any, Any], None], Callable[[Any], Any]]
"""write(value, message) and read(message) -> value."""

_TYPES: dict[type, tuple[int, ...]] = {
    bool: (FieldDescriptor.TYPE_BOOL,),
    int: (
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_SINT64,
    ),
    float: (FieldDescriptor.TYPE_DOUBLE,),  # a float would round
    str: (FieldDescriptor.TYPE_STRING,),
    bytes: (FieldDescriptor.TYPE_BYTES,),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """The parts of a fixed tuple or of a value class stand in the owner's message, as `names`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Most:
    """A repeated field of at most `count` values, refused before it becomes Python values."""

    count: int


@dataclass(frozen=True, slots=True)
class Hook:
    """A field with code of its own.

    Attributes:
        name: the message field that it stands for.
        write: (value of the owner, message of the owner) -> None.
        read: message of the owner -> value of the field.
    """

    name: str
    write: Callable[[Any, Any], None]
    read: Callable[[Any], object]


Rule: TypeAlias = Spread | Most | Hook


class Nested(Protocol):
    """Where the functions and rules of other classes come from."""

    def functions(
        self, form: Form, descriptor: Descriptor, apart: tuple[str, ...] = ()
    ) -> Functions: ...

    def rules(self, kind: type) -> Mapping[str, Rule]: ...

    def members(self, kind: type[Enum], descriptor: EnumDescriptor) -> Mapping[int, Enum]: ...


def functions_of(
    kind: type,
    descriptor: Descriptor,
    nested: Nested,
    apart: Sequence[str] = (),
    outer: tuple[Descriptor, str] | None = None,
) -> Functions:
    """The two functions of a value class.

    Args:
        apart: fields of the message that are no part of the value.
        outer: the message around, and the name of the member of its `oneof` that the class is;
            fields of the class may stand there too. The functions then take the outer message.

    Raises:
        TypeError: class and message do not have the same fields.
    """
    source = _Source(kind, nested)
    if outer is not None:
        around, member = outer
        source.add_scope("m", around, [field.name for field in _oneof_of(around, member)])
        source.enter(member)
    source.add_scope("m" if outer is None else "n", descriptor, apart)
    return source.functions()


def prefixed(error: ModelFormatError, place: str) -> ModelFormatError:
    """The same error with `place` before its `where`."""
    return ModelFormatError(error.message, where=joined(place, error.where), hint=error.hint)


def all_of(read: Callable[[_M], _V], messages: Iterable[_M], name: str) -> list[_V]:
    """The values of the repeated field `name`; an error gets its place."""
    found: list[_V] = []
    try:
        for message in messages:
            found.append(read(message))  # noqa: PERF401  the length says which one failed
    except ModelFormatError as error:
        raise prefixed(error, item_place(name, len(found))) from None
    return found


def at_most(items: Sequence[object], count: int) -> None:
    """Check the length of a repeated field before it becomes Python values.

    Raises:
        ModelFormatError: more than `count` values.
    """
    if len(items) > count:
        raise ModelFormatError(f"{len(items)} values, at most {count} are possible")


class _Source:
    """Source lines, and the objects that they name."""

    def __init__(self, kind: type, nested: Nested) -> None:
        self._kind = kind
        self._nested = nested
        self._objects: dict[str, object] = {}
        self._fields: dict[str, tuple[str, FieldDescriptor]] = {}  # those not yet converted
        self._write: list[str] = []
        self._read: list[str] = []

    def add_scope(self, variable: str, descriptor: Descriptor, apart: Iterable[str]) -> None:
        """Let fields of the class stand in the message `variable`."""
        for field in descriptor.fields:
            if field.name in self._fields:
                raise TypeError(f"{field.full_name} stands in the message around too")
            if field.name not in apart:
                self._fields[field.name] = (variable, field)

    def enter(self, member: str) -> None:
        self._write += [f"n = m.{member}", "n.SetInParent()"]
        self._read.append(f"n = m.{member}")

    def functions(self) -> Functions:
        values = ", ".join(self._values(self._kind, "v"))
        if self._fields:
            raise TypeError(f"{self._kind.__name__} has no fields {', '.join(self._fields)}")
        self._read.append(f"return {self._bind(self._kind)}({values})")
        lines = ["def write(v, m):", *_indented([*self._write, "return"])]
        lines += ["def read(m):", "    at = ''", "    try:", *_indented(_indented(self._read))]
        lines += [f"    except {self._bind(ModelFormatError)} as error:"]
        lines += [f"        raise {self._bind(prefixed)}(error, at) from None"]
        code = compile("\n".join(lines), f"<messages of {self._kind.__name__}>", "exec")
        found: dict[str, Any] = {}
        exec(code, self._objects, found)
        return found["write"], found["read"]

    def _values(self, kind: type, value: str) -> list[str]:
        """Add the code of all fields; the expressions that give them when read."""
        rules = self._nested.rules(kind)
        return [
            self._field(field, rules.get(field.name), f"{value}.{field.name}")
            for field in fields_of(kind)
        ]

    def _field(self, field: Field, rule: Rule | None, value: str) -> str:
        if isinstance(rule, Spread):
            return self._spread(field.form, rule.names, value)
        name = rule.name if isinstance(rule, Hook) else field.name
        if name not in self._fields:
            raise TypeError(f"no message field {name} for {self._kind.__name__}.{field.name}")
        variable, descriptor = self._fields.pop(name)
        if isinstance(rule, Hook):
            self._write.append(f"{self._bind(rule.write)}(v, {variable})")
            return self._local(name, f"{self._bind(rule.read)}({variable})")
        source = f"{variable}.{name}"
        if isinstance(rule, Most):
            self._local(name, f"{self._bind(at_most)}({source}, {rule.count})")
        if descriptor.is_repeated:
            return self._repeated(field.form, descriptor, source, value)
        return self._single(field, descriptor, variable, value)

    def _spread(self, form: Form, names: tuple[str, ...], value: str) -> str:
        match form:
            case Fixed(items) if len(items) == len(names):
                parts = [
                    self._field(Field(name, item, None), None, f"{value}[{index}]")
                    for index, (name, item) in enumerate(zip(names, items, strict=True))
                ]
                return f"({', '.join(parts)},)"
            case Record(kind) if tuple(field.name for field in fields_of(kind)) == names:
                return f"{self._bind(kind)}({', '.join(self._values(kind, value))})"
            case _:
                raise TypeError(f"{self._kind.__name__}: {form} does not spread over {names}")

    def _single(self, field: Field, descriptor: FieldDescriptor, owner: str, value: str) -> str:
        name, source, form = descriptor.name, f"{owner}.{descriptor.name}", field.form
        present, absent = f"{owner}.HasField({name!r})", "None"
        if isinstance(form, Maybe):
            if not descriptor.has_presence:
                raise TypeError(f"{name} needs presence to be None")
            self._write.append(f"if {value} is not None:")
            form = form.item
        elif not isinstance(form, (Record, OneOf)):
            self._write.append(f"{source} = {self._encoded(form, descriptor, value)}")
            return self._decoded(form, descriptor, source, name)
        elif field.default is not None:
            absent = f"{self._bind(field.default)}()"
        else:
            self._local("", f"{present} or {self._bind(_missing)}({name!r})")
        if isinstance(form, (Record, OneOf)):
            write, read = map(self._bind, self._nested.functions(form, message_of(descriptor)))
            lines = [f"{source}.SetInParent()", f"{write}({value}, {source})"]
            self._write += _indented(lines) if isinstance(field.form, Maybe) else lines
            found = f"{read}({source})"
        else:
            self._write.append(f"    {source} = {self._encoded(form, descriptor, value)}")
            found = self._decoded(form, descriptor, source, "")
        return self._local(name, f"{found} if {present} else {absent}")

    def _repeated(self, form: Form, descriptor: FieldDescriptor, source: str, value: str) -> str:
        name = descriptor.name
        match form:
            case Many(Record() | OneOf() as item):
                write, read = map(self._bind, self._nested.functions(item, message_of(descriptor)))
                self._write.append(f"for x in {value}: {write}(x, {source}.add())")
                return self._local("", f"tuple({self._all_of(read, source, name)})")
            case Many(item):
                encoded = self._encoded(item, descriptor, "x")
                values = value if encoded == "x" else f"[{encoded} for x in {value}]"
                self._write.append(f"{source}.extend({values})")
                decoded = self._decoded(item, descriptor, "x", "")
                items = source if decoded == "x" else f"[{decoded} for x in {source}]"
                return self._local(name, f"tuple({items})")
            case Fixed(items) if len(set(items)) == 1:
                self._local(name, f"{self._bind(_exactly)}({source}, {len(items)})")
                return self._repeated(Many(items[0]), descriptor, source, value)
            case Table(item):
                return self._table(item, descriptor, source, value)
            case _:
                raise TypeError(f"{form} cannot be the repeated field {name}")

    def _table(self, item: Form, descriptor: FieldDescriptor, source: str, value: str) -> str:
        name, message = descriptor.name, message_of(descriptor)
        parts = set(message.fields_by_name)
        if "name" not in parts or not (isinstance(item, Record) or parts == {"name", "value"}):
            raise TypeError(f"{message.name} is no entry of the table {name}")
        if isinstance(item, Record):
            named = any(field.name == "name" for field in fields_of(item.kind))
            apart = () if named else ("name",)
            write, read = map(self._bind, self._nested.functions(item, message, apart))
            lines = [f"{write}(x, y)"]
            found = self._all_of(read, source, name)
        else:
            field = message.fields_by_name["value"]
            lines = [f"y.value = {self._encoded(item, field, 'x')}"]
            found = f"[{self._decoded(item, field, 'x.value', '')} for x in {source}]"
        # the key comes last: a value class with a name of its own cannot contradict it
        lines = [f"y = {source}.add()", *lines, "y.name = k"]
        self._write += [f"for k, x in {value}.items():", *_indented(lines)]
        unique = self._bind(_unique)
        return self._local("", f"{unique}([x.name for x in {source}], {found}, {name!r})")

    def _encoded(self, form: Form, descriptor: FieldDescriptor, value: str) -> str:
        """The expression that a scalar field is set to."""
        match form:
            case Plain(kind) if descriptor.type in _TYPES[kind]:
                return value
            case Choice(kind) if descriptor.enum_type is not None:
                return f"{self._bind(numbers_of(kind, descriptor.enum_type))}[{value}]"
            case _:
                raise TypeError(f"message field {descriptor.full_name} cannot hold {form}")

    def _decoded(self, form: Form, descriptor: FieldDescriptor, source: str, name: str) -> str:
        """The expression that a scalar field gives; with `name`, code that sets the place too."""
        if not isinstance(form, Choice) or descriptor.enum_type is None:
            return source
        members = self._bind(self._nested.members(form.kind, descriptor.enum_type))
        return self._local(name, f"{members}[{source}]") if name else f"{members}[{source}]"

    def _all_of(self, read: str, source: str, name: str) -> str:
        return f"{self._bind(all_of)}({read}, {source}, {name!r})"

    def _local(self, at: str, expression: str) -> str:
        """A new local of `read` for something that can fail at the field `at`."""
        name = f"r{len(self._read)}"
        self._read += [f"at = {at!r}", f"{name} = {expression}"]
        return name

    def _bind(self, value: object) -> str:
        """A name for an object that the code uses."""
        name = f"o{len(self._objects)}"
        self._objects[name] = value
        return name


def descriptor_of(message: type[Message]) -> Descriptor:
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]  # upb's own, alike
    return descriptor


def message_of(field: FieldDescriptor) -> Descriptor:
    """The message that a field holds.

    Raises:
        TypeError: it holds none.
    """
    if field.message_type is None:
        raise TypeError(f"{field.full_name} is no message")
    return field.message_type


def _oneof_of(descriptor: Descriptor, member: str) -> Sequence[FieldDescriptor]:
    oneof = descriptor.fields_by_name[member].containing_oneof
    return oneof.fields if oneof is not None else ()


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _unique(names: list[str], values: list[object], what: str) -> dict[str, object]:
    table = dict(zip(names, values, strict=True))
    if len(table) != len(names):
        raise ModelFormatError(f"two {what} of one name")
    return table


def _exactly(items: Sequence[object], count: int) -> None:
    if len(items) != count:
        raise ModelFormatError(f"{len(items)} values instead of {count}")


def _missing(name: str) -> None:
    raise ModelFormatError(f"{name} is missing")
