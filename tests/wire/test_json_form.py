"""Values as JSON: round trip, places of what does not fit, forms that there are none for."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.device_kind import Clock
from bpu_common.errors import InputError
from bpu_common.json_form import json_reader, json_writer
from bpu_common.structure import form_of
from bpu_common.telemetry import CallSlice, TelemetryFrame
from bpu_common.telemetry.lines import SLICE_COLUMNS
from bpu_common.tensor import DType
from bpu_common.wire.gen.openbpu.v1 import board_pb2 as pb
from tests.support.values_wire import same, values

FRAME = values(form_of(TelemetryFrame), pb.TelemetryFrame.DESCRIPTOR)


@given(FRAME, st.permutations(SLICE_COLUMNS))
@settings(deadline=None)
def test_frames_survive_with_any_order_of_columns(frame: TelemetryFrame, order: list[str]) -> None:
    for rows in ({}, {CallSlice: order}):
        text = json.dumps(json_writer(TelemetryFrame, rows)(frame))
        assert same(json_reader(TelemetryFrame, rows)(json.loads(text)), frame)


def places(loaded: Any, where: str = "") -> list[tuple[Any, Any, str]]:
    """(container, key, place) of everything in `loaded`."""
    found = []
    keys = loaded if isinstance(loaded, dict) else range(len(loaded))
    for key in keys:
        if isinstance(loaded, dict):
            place = f"{where}.{key}" if where and key else where or key
        else:
            place = f"{where.removesuffix('s')}[{key}]"
        found.append((loaded, key, place))
        if isinstance(loaded[key], (dict, list)):
            found += places(loaded[key], place)
    return found


@given(FRAME, st.data())
@settings(deadline=None)
def test_a_value_of_another_type_is_named(frame: TelemetryFrame, data: st.DataObject) -> None:
    loaded = json_writer(TelemetryFrame)(frame)
    holder, key, place = data.draw(st.sampled_from(places(loaded)))
    other = data.draw(
        st.sampled_from([None, True, 1, 1.5, "x", [], {}]).filter(
            lambda value: type(value) is not type(holder[key])
        )
    )
    holder[key] = other
    with pytest.raises(InputError, match="is not") as caught:
        json_reader(TelemetryFrame)(loaded)
    assert caught.value.where == place


class Colour(str, Enum):
    RED = "red"


def test_members_of_enums_that_are_not_known() -> None:
    kind = make_dataclass("Owner", [("field", Colour)])
    assert json_writer(kind)(kind(Colour.RED)) == {"field": "red"}
    assert json_reader(kind)({"field": "red"}) == kind(Colour.RED)
    with pytest.raises(InputError, match="'blue' is not a Colour") as caught:
        json_reader(kind)({"field": "blue"})
    assert caught.value.where == "field"
    newer = make_dataclass("Newer", [("field", Clock)])
    assert json_reader(newer)({"field": "atomic"}) == newer(Clock.UNKNOWN)


def test_what_json_has_no_form_for() -> None:
    for hint in (bytes, int | None, DType, tuple[int, str], object):
        kind = make_dataclass("Owner", [("field", hint)])
        for derive in (json_reader, json_writer):
            with pytest.raises(TypeError, match="no form in JSON"):
                derive(kind)
