"""Derived converters: every class and every field that crosses the wire."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass, replace

import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common import board as board_values
from bpu_common import daemon as daemon_values
from bpu_common import engine, inference, load, manifest, model, perf, provenance, tensor
from bpu_common.daemon import BoardEvent, JobState, LinkState
from bpu_common.device_kind import Clock, DeviceKind
from bpu_common.errors import ModelFormatError
from bpu_common.frame import FrameInput
from bpu_common.network import graph, ops
from bpu_common.params import ChannelParams
from bpu_common.program import Image, calls, instructions
from bpu_common.structure import Choice, Field, Record, fields_of, form_of
from bpu_common.telemetry import frame
from bpu_common.wire.gen.openbpu.v1 import board_pb2, daemon_pb2, model_pb2
from bpu_common.wire.messages import board, daemon, network
from bpu_common.wire.messages.model import WIRE
from bpu_common.wire.messages.record import Spread
from tests.support.values_wire import (
    Scopes,
    field_values,
    members,
    record,
    records,
    same,
    values,
)

# importing a module makes its converters
assert board.WIRE is daemon.WIRE is network.WIRE is WIRE
CONVERTERS = {str(getattr(made.kind, "__name__", made.kind)): made for made in WIRE.converters}
RECORDS = {
    f"{message.name}-{kind.__name__}": (kind, form, message)
    for made in WIRE.converters
    for kind, form, message in records(form_of(made.kind), made.message.DESCRIPTOR)
    # their fields stand in the message of their owner
    if kind not in (Image, ChannelParams, FrameInput)
}
BY_HAND = {
    # sections of the file, tests/container
    model.BpuModel, model.PartProgram, model.ConstantPlace,
    # another protocol's messages, tests/oip
    inference.NamedInference, inference.ModelState, inference.ModelTotals,
    # made on the host of several answers
    board_values.DeployResult,
}  # fmt: skip
APART = {perf.TimeStat: ("name",), perf.InferResult: ("runtime_wall_ns",)}
TENSOR = board_pb2.Tensor.DESCRIPTOR
FALLBACKS = {JobState, LinkState, DeviceKind, Clock}
NO_VALUES = {
    # messages of a single name or number, and those around values, used by the calls themselves
    "DeployRequest", "ListModelsRequest", "ListModelsResponse", "RemoveModelRequest",
    "RemoveModelResponse", "GetModelInfoRequest", "StopLoadRequest", "ListLoadsRequest",
    "ListLoadsResponse", "TelemetryRequest", "GetCapabilitiesRequest", "GetDaemonStatusRequest",
    "ResolveBoardRequest", "ResolveBoardResponse", "ListJobsRequest", "ListJobsResponse",
    "CancelJobRequest", "HoldBoardRequest", "HoldBoardEvent", "StopDaemonRequest", "Roi",
    "StopDaemonResponse",
    # the entries of a dict[str, scalar]; arrays, with what they hold
    "Parameter", "HintSection", "Temperature", "Tensor",
    # in the place of an array
    "StoredArray",
}  # fmt: skip


def test_every_class_and_every_message_is_converted() -> None:
    modules = (
        board_values,
        engine,
        daemon_values,
        inference,
        load,
        manifest,
        model,
        perf,
        calls,
        instructions,
        frame,
        tensor,
        graph,
        ops,
        provenance,
    )
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and is_dataclass(value) and value.__module__ == module.__name__
    }
    assert classes == {Image, *(kind for kind, _, _ in RECORDS.values())} | BY_HAND
    messages = {
        name
        for file in (board_pb2, daemon_pb2, model_pb2)
        for name in file.DESCRIPTOR.message_types_by_name
    }
    used = {
        scope.name
        for _, form, message in RECORDS.values()
        for _, scopes in members(form, message)
        for scope in scopes
    }
    held = {field.message_type.name for field in TENSOR.fields if field.message_type is not None}
    assert messages == used | NO_VALUES | held


@pytest.mark.parametrize("name", CONVERTERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_values_survive(name: str, data: st.DataObject) -> None:
    made = CONVERTERS[name]
    value = data.draw(values(form_of(made.kind), made.message.DESCRIPTOR))
    sent = made.to_pb(value).SerializeToString()
    assert same(made.from_pb(made.message.FromString(sent)), value)


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_field_has_its_place(name: str, data: st.DataObject) -> None:
    """Another value of a field changes the message fields of its name, and no others."""
    kind, form, message = RECORDS[name]
    scopes = dict(members(form, message))[kind]
    write, _ = WIRE.functions(form, message, APART.get(kind, ()))

    def on_wire(value: object) -> dict[str, list[bytes]]:
        made = GetMessageClass(message)()
        write(value, made)
        return fields_on_wire(made.SerializeToString(deterministic=True), scopes)

    value = data.draw(record(kind, scopes))
    for field in fields_of(kind):
        other = data.draw(field_values(kind, field, scopes))
        if kind is BoardEvent and field.name in {"frame", "link"}:
            value = replace(value, frame=b"", link=None)
        before, after = on_wire(value), on_wire(replace(value, **{field.name: other}))
        differing = {name for name in before | after if before.get(name) != after.get(name)}
        names = names_of(kind, field)
        assert differing <= names, field.name
        assert bool(differing) != same(other, getattr(value, field.name)), field.name


def fields_on_wire(data: bytes, scopes: Scopes) -> dict[str, list[bytes]]:
    """Name -> what the bytes hold under its number, read without knowing the message."""
    inner, outer = scopes[0], scopes[-1]
    found: dict[str, list[bytes]] = {}
    for field in UnknownFieldSet(daemon_pb2.HoldBoardEvent.FromString(data)):
        described = outer.fields_by_number[field.field_number]
        if inner is not outer and described.message_type is inner:
            found |= fields_on_wire(field.data, (inner,))
        else:
            found.setdefault(described.name, []).append(repr(field.data))
    return found


def names_of(kind: type, field: Field) -> set[str]:
    rule = WIRE.rules(kind).get(field.name)
    return set(rule.names) if isinstance(rule, Spread) else {field.name}


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_missing_or_not_known_is_named(name: str, data: st.DataObject) -> None:
    """A message without a part that has no default, or with an enum number of no member."""
    kind, form, message = RECORDS[name]
    scopes = dict(members(form, message))[kind]
    write, read = WIRE.functions(form, message, APART.get(kind, ()))
    made = GetMessageClass(message)()
    write(data.draw(record(kind, scopes)), made)
    for field in fields_of(kind):
        bad = GetMessageClass(message)()
        bad.CopyFrom(made)
        part = bad if len(scopes) == 1 else getattr(bad, bad.WhichOneof("kind"))
        of_its_own = field.name in WIRE.rules(kind)
        if isinstance(field.form, Record) and field.default is None and not of_its_own:
            part.ClearField(field.name)
            says, where = f"{field.name} is missing", ""
        elif isinstance(field.form, Choice) and field.form.kind not in FALLBACKS:
            setattr(part, field.name, 99)
            says, where = f"{field.form.kind.__name__} 99 is not known", field.name
        else:
            continue
        with pytest.raises(ModelFormatError) as caught:
            read(bad)
        assert (caught.value.message, caught.value.where) == (says, where)
