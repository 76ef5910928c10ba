"""Messages out of a file: what is not known is an error with its place, whatever hides it."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common import container
from bpu_common.container.layout import Section, pack, unpack
from bpu_common.errors import ModelFormatError
from bpu_common.manifest import SectionKind
from bpu_common.program import Program
from bpu_common.structure import form_of
from bpu_common.wire.gen.openbpu.v1 import board_pb2
from bpu_common.wire.gen.openbpu.v1 import model_pb2 as pb
from bpu_common.wire.messages import board, budget
from bpu_common.wire.messages.rules import WIRE
from bpu_common.wire.messages.strict import parse
from tests.support.models_wire import small_model
from tests.support.values_wire import values

PROGRAM = next(made for made in WIRE.converters if made.kind is Program)
UNKNOWN = (
    (b"\x88\x3e\x05", 993),  # a number
    (b"\x8a\x3e\x00", 993),  # an empty string
    (b"\x8a\x3e\x02\x08\x01", 993),  # what may be a message
    (b"\x8d\x3e\x01\x02\x03\x04", 993),  # four bytes
)


def parts(message: Message, where: str = "") -> list[tuple[Message, str]]:
    """The message and all within it, with the places that errors give them."""
    found = [(message, where)]
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for index, item in enumerate(value if field.is_repeated else [value]):
            place = field.name
            if field.is_repeated:
                place = f"{field.name[:-1]}[{index}]"
            elif field.containing_oneof is not None:
                place = ""
            found += parts(item, ".".join(each for each in (where, place) if each))
    return found


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_field_that_is_not_known_is_found_wherever_it_is(data: st.DataObject) -> None:
    form = form_of(PROGRAM.kind)
    program = data.draw(values(form, pb.Program.DESCRIPTOR))
    message = PROGRAM.to_pb(program)
    parse(pb.Program, message.SerializeToString(), "program")
    part, where = data.draw(st.sampled_from(parts(message)))
    extra, number = data.draw(st.sampled_from(UNKNOWN))
    part.MergeFromString(extra)
    with pytest.raises(ModelFormatError) as caught:
        parse(pb.Program, message.SerializeToString(), "program")
    name = part.DESCRIPTOR.name
    assert caught.value.message == f"field {number} of {name} is not known to this version"
    assert caught.value.where == (where or "program")
    assert caught.value.hint


def test_a_known_field_of_another_wire_type_is_not_known() -> None:
    with pytest.raises(ModelFormatError, match="field 6 of Program"):
        parse(pb.Program, b"\x32\x00", "program")  # scratch_bytes as a string


def test_an_encoding_that_hides_its_length() -> None:
    """A single number is a byte longer packed: it could make up for a field that is dropped."""
    raw = b"\x0a\x02\x10\x07" * 4  # instructions of one wait each, not packed
    assert len(pb.Stream.FromString(raw).SerializeToString()) == len(raw) + 4
    hidden = raw + b"\xa2\x3e\x01\x00"
    known = pb.Stream.FromString(hidden)
    known.DiscardUnknownFields()
    assert len(known.SerializeToString()) == len(hidden)
    with pytest.raises(ModelFormatError, match="field 996 of Stream"):
        parse(pb.Stream, hidden, "stream")


@pytest.mark.parametrize("kind", [SectionKind.MANIFEST, SectionKind.NETWORK, SectionKind.PROGRAM])
def test_a_file_with_a_field_that_is_not_known_is_refused(kind: SectionKind) -> None:
    sections = unpack(memoryview(container.dump([small_model()])))
    changed = [
        Section(each.kind, bytes(each.data) + UNKNOWN[0][0]) if each.kind is kind else each
        for each in sections
    ]
    with pytest.raises(ModelFormatError, match="field 993"):
        container.loads(pack(changed))


def test_calls_keep_the_rule_of_the_protocol() -> None:
    """A newer board may say more than its caller knows."""
    entry = board_pb2.ModelEntry(name="net", size_bytes=5)
    entry.MergeFromString(UNKNOWN[1][0])
    found = board.MODEL_ENTRY.from_pb(board_pb2.ModelEntry.FromString(entry.SerializeToString()))
    assert (found.name, found.size_bytes) == ("net", 5)


def test_packed_numbers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in a list takes a byte in the file and many in memory."""
    monkeypatch.setattr(budget, "MAX_FIELDS", 400_000)
    numbers = pb.Axis(low=[1] * 500_000).SerializeToString()
    with pytest.raises(ModelFormatError, match="more than 400000 fields"):
        budget.check_budget(numbers, pb.Axis.DESCRIPTOR, "axis")
    doubles, field = next(
        (message, field)
        for message in pb.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.is_packed and field.type == field.TYPE_DOUBLE
    )
    few = GetMessageClass(doubles)(**{field.name: [1.0] * 50_000}).SerializeToString()
    budget.check_budget(few, doubles, "eight bytes each")
