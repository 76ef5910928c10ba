"""The rules of the derivation, and what it refuses, on messages made for the purpose."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace
from enum import Enum, IntEnum

import pytest
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from bpu_common.errors import ModelFormatError, UsageError
from bpu_common.wire.messages.derive import Converter, Derivation
from bpu_common.wire.messages.record import Most, Spread

FILE = """
name: "shapes.proto" package: "t" syntax: "proto3"
enum_type { name: "FillMode" value { name: "FILL_MODE_NONE" number: 0 }
            value { name: "FILL_MODE_ALL" number: 4 } }
message_type { name: "Dot"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "x" number: 2 type: TYPE_SINT32 label: LABEL_OPTIONAL } }
message_type { name: "Count"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "value" number: 2 type: TYPE_UINT32 label: LABEL_OPTIONAL } }
message_type { name: "Sheet"
  field { name: "mode" number: 1 type: TYPE_ENUM type_name: ".t.FillMode" label: LABEL_OPTIONAL }
  field { name: "modes" number: 2 type: TYPE_ENUM type_name: ".t.FillMode" label: LABEL_REPEATED }
  field { name: "limit" number: 3 type: TYPE_UINT32 label: LABEL_OPTIONAL
          proto3_optional: true oneof_index: 0 }
  field { name: "dots" number: 4 type: TYPE_MESSAGE type_name: ".t.Dot" label: LABEL_REPEATED }
  field { name: "counts" number: 5 type: TYPE_MESSAGE type_name: ".t.Count" label: LABEL_REPEATED }
  field { name: "size_hw" number: 6 type: TYPE_UINT32 label: LABEL_REPEATED }
  field { name: "origin" number: 7 type: TYPE_MESSAGE type_name: ".t.Dot" label: LABEL_OPTIONAL }
  field { name: "level" number: 9 type: TYPE_ENUM type_name: ".t.FillMode" label: LABEL_OPTIONAL
          proto3_optional: true oneof_index: 1 }
  field { name: "end" number: 8 type: TYPE_MESSAGE type_name: ".t.Dot" label: LABEL_OPTIONAL }
  oneof_decl { name: "_limit" } oneof_decl { name: "_level" } }
message_type { name: "Item"
  field { name: "layer" number: 1 type: TYPE_UINT32 label: LABEL_OPTIONAL }
  field { name: "dot" number: 2 type: TYPE_MESSAGE type_name: ".t.Dot" oneof_index: 0 }
  field { name: "flat_sheet" number: 3 type: TYPE_MESSAGE type_name: ".t.Count" oneof_index: 0 }
  oneof_decl { name: "kind" } }
message_type { name: "Items"
  field { name: "items" number: 1 type: TYPE_MESSAGE type_name: ".t.Item" label: LABEL_REPEATED } }
"""
POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(text_format.Parse(FILE, FileDescriptorProto()).SerializeToString())
DOT, COUNT, SHEET, ITEM, ITEMS = (
    GetMessageClass(POOL.FindMessageTypeByName(f"t.{name}"))
    for name in ("Dot", "Count", "Sheet", "Item", "Items")
)


class Mode(Enum):
    NONE = "none"
    ALL = "all"


class Level(IntEnum):
    NONE = 7
    ALL = 3


@dataclass(frozen=True)
class Point:
    name: str
    x: int


@dataclass(frozen=True)
class Sheet:
    mode: Mode
    modes: tuple[Level, ...]
    limit: int | None
    level: Level | None
    dots: dict[str, Point]
    counts: dict[str, int]
    size_hw: tuple[int, int]
    origin: Point
    end: Point = Point("end", 5)


@dataclass(frozen=True)
class Dot:
    layer: int
    x: int
    name: str = ""


@dataclass(frozen=True)
class FlatSheet:
    layer: int
    name: str
    value: int


@dataclass(frozen=True)
class Items:
    items: tuple[Dot | FlatSheet, ...] = field(default=())


SHEETS = Derivation({}).converter(Sheet, SHEET, UsageError)
A_SHEET = Sheet(
    Mode.ALL,
    (Level.ALL, Level.NONE),
    0,
    Level.ALL,
    {"b": Point("b", 1), "a": Point("a", -2)},
    {"z": 3, "y": 0},
    (4, 5),
    Point("", 0),
)


def test_every_rule() -> None:
    message = SHEETS.to_pb(A_SHEET)
    assert (message.mode, list(message.modes), message.HasField("limit")) == (4, [4, 0], True)
    assert [(each.name, each.value) for each in message.counts] == [("z", 3), ("y", 0)]
    assert SHEETS.from_pb(SHEET.FromString(message.SerializeToString())) == A_SHEET
    nothing = replace(A_SHEET, limit=None, level=None, dots={}, counts={}, modes=())
    message = SHEETS.to_pb(nothing)
    assert not message.HasField("limit")
    assert message.HasField("origin")  # although all of it is zero
    assert SHEETS.from_pb(message) == nothing
    message.ClearField("end")
    assert SHEETS.from_pb(message).end == Point("end", 5)


def test_a_union_shares_the_fields_beside_it() -> None:
    made = Derivation({}).converter(Items, ITEMS)
    value = Items((Dot(1, -5, "d"), FlatSheet(2, "s", 3), Dot(0, 0)))
    message = made.to_pb(value)
    assert [item.WhichOneof("kind") for item in message.items] == ["dot", "flat_sheet", "dot"]
    assert [item.layer for item in message.items] == [1, 2, 0]
    assert made.from_pb(ITEMS.FromString(message.SerializeToString())) == value
    message.items[1].ClearField("flat_sheet")
    with pytest.raises(ModelFormatError) as caught:
        made.from_pb(message)
    assert str(caught.value) == "item[1]: item of no known kind"


def sheet(change: str, value: object) -> object:
    message = SHEETS.to_pb(A_SHEET)
    if value is None:
        message.ClearField(change)
    elif isinstance(value, int):
        setattr(message, change, value)
    else:
        getattr(message, change).extend(value)
    return message


@pytest.mark.parametrize(
    ("change", "value", "says"),
    [
        ("mode", 1, "mode: Mode 1 is not known"),
        ("level", 8, "level: Level 8 is not known"),
        ("modes", [9], "modes: Level 9 is not known"),
        ("origin", None, "origin is missing"),
        ("size_hw", [6], "size_hw: 3 values instead of 2"),
        ("size_hw", None, "size_hw: 0 values instead of 2"),
        ("counts", [COUNT(name="z")], "two counts of one name"),
        ("dots", [DOT(name="b")], "two dots of one name"),
    ],
)
def test_messages_of_no_value(change: str, value: object, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        SHEETS.from_pb(sheet(change, value))
    assert str(caught.value) == says


def test_a_member_that_stands_for_numbers_not_known() -> None:
    made = Derivation({}, fallbacks=(Mode.NONE,)).converter(Sheet, SHEET)
    assert made.from_pb(sheet("mode", 99)).mode is Mode.NONE


def test_most_and_spread() -> None:
    spread = make_dataclass("Owner", [("name_and_x", tuple[str, int])])
    made: Converter = Derivation({spread: {"name_and_x": Spread(("name", "x"))}}).converter(
        spread, DOT
    )
    assert made.to_pb(spread(("a", 4))) == DOT(name="a", x=4)
    assert made.from_pb(DOT(name="a", x=4)) == spread(("a", 4))
    bounded = Derivation({Items: {"items": Most(2)}}).converter(Items, ITEMS)
    assert bounded.from_pb(ITEMS(items=[ITEM(dot=DOT())] * 2)).items == (Dot(0, 0),) * 2
    with pytest.raises(ModelFormatError, match="items: 3 values, at most 2"):
        bounded.from_pb(ITEMS(items=[ITEM()] * 3))


def made_of(**hints: object) -> type:
    return make_dataclass("Made", list(hints.items()), frozen=True)


@pytest.mark.parametrize(
    ("kind", "message", "says"),
    [
        (made_of(name=str), DOT, "Made has no fields x"),
        (made_of(name=str, x=int, y=int), DOT, "no message field y for Made.y"),
        (made_of(name=str, x=str), DOT, "t.Dot.x cannot hold"),
        (made_of(name=str, x=float), DOT, "t.Dot.x cannot hold"),
        (made_of(name=str, x=bool), DOT, "t.Dot.x cannot hold"),
        (made_of(name=bytes, x=int), DOT, "t.Dot.name cannot hold"),
        (made_of(name=str, x=int | None), DOT, "x needs presence"),
        (made_of(name=str, x=int | str), DOT, "t.Dot.x cannot hold"),
        (made_of(name=str, x=Mode), DOT, "t.Dot.x cannot hold"),
        (made_of(name=str, x=tuple[int, ...]), DOT, "t.Dot.x cannot hold"),
        (made_of(name=str, x=Point), DOT, "t.Dot.x is no message"),
        (made_of(items=Point), ITEMS, "cannot be the repeated field items"),
        (made_of(items=tuple[Mode, ...]), ITEMS, "t.Items.items cannot hold"),
        (made_of(items=tuple[Dot | Point, ...]), ITEMS, "Item has no oneof of dot, point"),
        (made_of(items=dict[str, int]), ITEMS, "Item is no entry of the table items"),
        (made_of(items=dict[str, Point]), ITEMS, "Item is no entry of the table items"),
        (Dot | FlatSheet, DOT, "Dot has no oneof of dot, flat_sheet"),
        (int, DOT, "is no value class"),
    ],
)
def test_classes_that_differ_from_their_messages(kind: object, message: type, says: str) -> None:
    made = Derivation({}).converter(kind, message)
    for direction in ("to_pb", "from_pb"):
        with pytest.raises(TypeError, match=says):
            getattr(made, direction)


def test_enums_that_differ_from_their_messages() -> None:
    for names, says in (
        ("NONE ALL SOME", "FILL_MODE_SOME"),
        ("NONE", "FILL_MODE_ALL"),
        ("NONE all", "FILL_MODE_all"),
    ):
        kind = make_dataclass("Modes", [("mode", Enum("Some", names))])
        apart = tuple(each.name for each in SHEET.DESCRIPTOR.fields if each.name != "mode")
        with pytest.raises(TypeError, match=says):
            _ = Derivation({}).converter(kind, SHEET, apart=apart).to_pb
