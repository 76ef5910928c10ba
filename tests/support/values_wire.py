"""Generated values of every class that crosses the wire, from type hints and descriptors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from bpu_common.daemon import BoardEvent, BoardLink, LinkState
from bpu_common.frame import FrameInput, Roi
from bpu_common.load import LoadRequest
from bpu_common.network import Network, QConv, QLut
from bpu_common.params import ChannelParams
from bpu_common.perf import PerfRequest
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
)
from bpu_common.tensor import DType, TensorSpec
from bpu_common.wire.messages.record import Hook
from bpu_common.wire.messages.rules import WIRE

Scopes: TypeAlias = tuple[Descriptor, ...]

NAME = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
SHAPE = st.lists(st.integers(0, 1 << 24), max_size=8).map(tuple)
RANGES = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
}
PLAIN = {
    bool: st.booleans(),
    float: st.floats(),
    str: NAME,
    bytes: st.binary(max_size=9),
}
ARRAYS = st.dictionaries(
    NAME,
    st.builds(
        lambda dtype, shape, seed: (
            np.random.default_rng(seed)
            .integers(0, 256, (*shape, dtype.size_bytes), np.uint8)
            .view(dtype.numpy)
            .reshape(shape)
            .copy()
        ),
        st.sampled_from(DType).filter(
            lambda dtype: dtype is not DType.BOOL and dtype.size_bits >= 8
        ),
        st.lists(st.integers(0, 5), max_size=4).map(tuple),
        st.integers(0, 1000),
    ),
    max_size=3,
)
_PIXEL = st.integers(0, 2**32 - 1)
ROIS = st.none() | st.builds(Roi, _PIXEL, _PIXEL, _PIXEL, _PIXEL)
INPUTS = st.tuples(ARRAYS, st.lists(ROIS, min_size=3, max_size=3)).map(
    lambda pair: {
        name: FrameInput(array, roi)
        for (name, array), roi in zip(pair[0].items(), pair[1], strict=False)
    }
)

EMPTY_ARRAYS = st.lists(st.integers(0, 9), max_size=4).map(lambda shape: np.zeros(shape, np.int8))

OWN: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    # what the classes refuse or change
    (LoadRequest, "name"): st.text(st.characters(categories=("L", "N")), max_size=12),
    (LoadRequest, "threads"): st.integers(1, 8),
    (LoadRequest, "rate_hz"): st.just(0.0) | st.floats(0.001, 10_000),
    (LoadRequest, "priority"): st.integers(0, 255),
    (PerfRequest, "thread_num"): st.integers(1, 8),
    (PerfRequest, "frame_count"): st.integers(1, 2**64 - 1),
    (PerfRequest, "duration_ns"): st.integers(0, 2**63),
    (PerfRequest, "priority"): st.integers(0, 255),
    (TensorSpec, "shape"): SHAPE,
    # arrays: the message holds shapes, content lies in sections of the file
    (QConv, "weights"): EMPTY_ARRAYS,
    (QConv, "params"): st.just(ChannelParams.from_bytes(b"", 0)),
    (QLut, "tables"): EMPTY_ARRAYS,
    (Network, "constants"): st.just({}),
    (TensorSpec, "aligned_shape"): SHAPE.filter(bool),
}
LINKS = st.builds(BoardLink, NAME, st.sampled_from(LinkState))


def values(form: Form, descriptor: Descriptor) -> st.SearchStrategy[Any]:
    """Values of a class or a union."""
    return st.one_of([record(kind, scopes) for kind, scopes in members(form, descriptor)])


def members(form: Form, descriptor: Descriptor) -> list[tuple[type, Scopes]]:
    """The classes of a form, each with the messages that hold its fields, the inner one first."""
    if isinstance(form, Record):
        return [(form.kind, (descriptor,))]
    assert isinstance(form, OneOf)
    by_name = {field.name.replace("_", ""): field.message_type for field in descriptor.fields}
    return [(kind, (by_name[kind.__name__.lower()], descriptor)) for kind in form.kinds]


def record(kind: type, scopes: Scopes) -> st.SearchStrategy[Any]:
    if kind is BoardEvent:  # a frame or a link
        head = {"board": NAME, "age_ns": st.integers(0, 2**64 - 1), "dropped": st.integers(0, 9)}
        frames = st.builds(BoardEvent, frame=st.binary(min_size=1, max_size=9), **head)
        return frames | st.builds(BoardEvent, link=LINKS, **head)
    return st.builds(
        kind, **{field.name: field_values(kind, field, scopes) for field in fields_of(kind)}
    )


def field_values(kind: type, field: Field, scopes: Scopes) -> st.SearchStrategy[Any]:
    """Values of one field; its message field is looked for in `scopes`, the inner one first."""
    if (kind, field.name) in OWN:
        return OWN[kind, field.name]
    for scope in scopes:
        if field.name in scope.fields_by_name:
            return _form(field.form, scope.fields_by_name[field.name])
    # spread over the message of its owner
    match field.form:
        case Record(inner):
            return record(inner, scopes)
        case Fixed(items):
            uint32 = scopes[0].fields_by_name["height"]
            return st.tuples(*(_form(item, uint32) for item in items))
    raise AssertionError(f"{kind.__name__}.{field.name}")


def _form(form: Form, field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.name == "Tensor":
        return INPUTS if field.name == "inputs" else ARRAYS
    match form:
        case Plain(kind):
            return PLAIN[kind] if kind is not int else st.integers(*RANGES[field.type])
        case Choice(kind):
            return st.sampled_from(kind)
        case Maybe(item):
            return st.none() | _form(item, field)
        case Many(item):
            return st.lists(_form(item, field), max_size=3).map(tuple)
        case Fixed(items):
            return st.tuples(*(_form(item, field) for item in items))
        case Table(Plain() as item):
            inner = field.message_type.fields_by_name["value"]
            return st.dictionaries(NAME, _form(item, inner), max_size=3)
        case Table(Record(kind) as item) if any(each.name == "name" for each in fields_of(kind)):
            found = st.lists(_form(item, field), max_size=2, unique_by=lambda value: value.name)
            return found.map(lambda each: {value.name: value for value in each})
        case Table(item):
            return st.dictionaries(NAME, _form(item, field), max_size=2)
    return values(form, field.message_type)


def same(a: object, b: object) -> bool:
    """Equality that sees into arrays, NaN and the sign of zero."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a):
            return math.isnan(b)
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)
        )
    return type(a) is type(b) and a == b


def records(form: Form, descriptor: Descriptor) -> Iterator[tuple[type, Form, Descriptor]]:
    """Every class within a form: the class, the class or union it is converted as, its message."""
    for kind, scopes in members(form, descriptor):
        yield kind, form, descriptor
        for field in fields_of(kind):
            if isinstance(WIRE.rules(kind).get(field.name), Hook):
                continue  # what it holds is the hook's business
            item = field.form
            while isinstance(item, (Maybe, Many, Table)):
                item = item.item
            if isinstance(item, (Record, OneOf)):
                held = [each.fields_by_name.get(field.name) for each in scopes]
                inner = [each.message_type for each in held if each is not None]
                if inner and inner[0].name == "Tensor":  # arrays are converted by hand
                    continue
                yield from records(item, inner[0] if inner else scopes[0])
