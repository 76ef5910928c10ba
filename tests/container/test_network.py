"""The network section: all of it comes back, and each rule that is broken is named in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.container.weights import (
    ALIGN,
    pack_constants,
    pack_weights,
    spans,
    with_arrays,
)
from bpu_common.errors import ModelFormatError
from bpu_common.model import ConstantPlace
from bpu_common.network import Addend, Network, Operation, Place
from bpu_common.network.check import check_network
from bpu_common.params import ChannelParams, accumulator_bound
from bpu_common.program import Axis, EltwiseEntry, Requant
from bpu_common.tensor import DType, Layout, Scale, TensorSpec
from tests.support.networks_format import every_op_network, params

NET = every_op_network()
OPS = {op.name: (p, k) for p, part in enumerate(NET.parts) for k, op in enumerate(part.ops)}


def with_op(name: str, change: Callable[[Operation], Operation]) -> Network:
    part_index, index = OPS[name]
    part = NET.parts[part_index]
    ops = (*part.ops[:index], change(part.ops[index]), *part.ops[index + 1 :])
    return with_part(part_index, ops=ops)


def with_part(index: int, **changes: object) -> Network:
    parts = list(NET.parts)
    parts[index] = replace(parts[index], **changes)  # type: ignore[arg-type]
    return replace(NET, parts=tuple(parts))


def with_tensor(tensor: str, **changes: object) -> Network:
    spec = replace(NET.tensors[tensor], **changes)  # type: ignore[arg-type]
    return replace(NET, tensors={**NET.tensors, tensor: spec})


def refused(network: Network) -> ModelFormatError:
    with pytest.raises(ModelFormatError) as caught:
        check_network(network, "net")
    return caught.value


def entry(**changes: int) -> tuple[EltwiseEntry, ...]:
    return (EltwiseEntry(1, 1, replace(Requant(0, 0, 1, 0), **changes)),)


def table(**changes: int) -> ChannelParams:
    zero = np.zeros(8, np.int32)
    fields = {name: zero + value for name, value in changes.items()}
    return replace(params(8), **fields)


BROKEN_OPS = [
    ("conv", lambda o: replace(o, clamp=(0, 128)), "clamp", "clamp (0, 128)"),
    ("conv", lambda o: replace(o, clamp=(5, 4)), "clamp", "clamp (5, 4)"),
    ("conv", lambda o: replace(o, weights=np.full_like(o.weights, -128)), "weights", "weight -128"),
    ("conv", lambda o: replace(o, groups=2), "groups", "2 groups"),
    ("conv", lambda o: replace(o, groups=0), "groups", "0 groups"),
    ("conv", lambda o: replace(o, pad_code=128), "pad_code", "pad code 128"),
    ("conv", lambda o: replace(o, stride_hw=(0, 2)), "stride_hw", "stride 0"),
    ("conv", lambda o: replace(o, dilation_hw=(1, 1 << 17)), "dilation_hw", "dilation"),
    ("conv", lambda o: replace(o, pads_tlbr=(-1, 1, 1, 1)), "pads_tlbr", "pad -1"),
    ("conv", lambda o: replace(o, upsample_hw=(0, 1)), "upsample_hw", "upsample 0"),
    ("conv", lambda o: replace(o, stride_hw=(1, 2)), "y", "the operation makes (1, 8, 4, 8)"),
    ("conv", lambda o: replace(o, weights=o.weights[:7]), "weights", "(7, 3, 3, 3)"),
    ("conv", lambda o: replace(o, params=params(7)), "params", "7 entries"),
    ("conv", lambda o: replace(o, params=table(right_shift=17)), "params", "right shift 17"),
    ("conv", lambda o: replace(o, params=table(multiplier=1 << 15)), "params", "multiplier"),
    ("conv", lambda o: replace(o, params=table(out_shift=32)), "params", "out shift 32"),
    ("conv", lambda o: replace(o, params=table(bias_shift=17)), "params", "bias shift 17"),
    ("conv", lambda o: replace(o, params=table(bias_q=1 << 15)), "params", "bias 32768"),
    ("conv", lambda o: replace(o, params=table(bias_q=1 << 14, bias_shift=16)), "", ""),
    (
        "conv",
        lambda o: replace(o, params=table(bias_q=(1 << 15) - 1, bias_shift=16)),
        "weights",
        "accumulators reach",
    ),
    ("conv", lambda o: replace(o, name=""), "name", "operation needs a name"),
    ("conv", lambda o: replace(o, sources=("a\0",)), "sources", "source node needs a name"),
    ("conv", lambda o: replace(o, x="nowhere"), "", "nothing before makes"),
    ("conv", lambda o: replace(o, x="offset"), "", "nothing before makes"),
    ("conv", lambda o: replace(o, y="nowhere"), "", "not described"),
    (
        "head",
        lambda o: replace(o, params=params(4)),
        "params",
        "right shift 3 is outside 0 to 0",
    ),
    ("rides", lambda o: replace(o, addend=Addend("u", (1,))), "addend", "addend of shape"),
    ("rides", lambda o: replace(o, addend=Addend("p", (1, 2))), "addend", "2 factors"),
    ("rides", lambda o: replace(o, addend=Addend("p", (128,))), "addend", "factor 128"),
    ("pool", lambda o: replace(o, pads_tlbr=(3, 1, 1, 1)), "pads_tlbr", "in the padding"),
    ("pool", lambda o: replace(o, kernel_hw=(2, 3)), "y", "(1, 5, 4, 8)"),
    ("add", lambda o: replace(o, b=None), "b", "operand b"),
    ("add", lambda o: replace(o, b="image"), "b", "cannot be broadcast"),
    ("add", lambda o: replace(o, entries=o.entries[:2]), "entries", "2 entries"),
    ("add", lambda o: replace(o, entries=entry(right_shift=17)), "entries", "right shift 17"),
    ("add", lambda o: replace(o, entries=entry(multiplier=-1)), "entries", "multiplier -1"),
    ("add", lambda o: replace(o, entries=entry(out_shift=32)), "entries", "out shift 32"),
    ("add", lambda o: replace(o, entries=entry(bias=(1 << 31) - 1)), "entries", "bias"),
    ("add", lambda o: replace(o, zeros=(0, 128)), "zeros", "zero 128"),
    ("lut", lambda o: replace(o, tables=o.tables[:2]), "tables", "(2, 256)"),
    ("lut", lambda o: replace(o, tables=o.tables[:, :255]), "tables", "(8, 255)"),
    ("up", lambda o: replace(o, rows=Axis((4,) * 8, (0,) * 8, (0,) * 8)), "rows", "outside 0 to 3"),
    ("up", lambda o: replace(o, columns=Axis((0,), (0,), (0,))), "columns", "positions for 1"),
    ("cat", lambda o: replace(o, axis=3), "axis", "axis 3"),
    ("cat", lambda o: replace(o, xs=()), "xs", "number of parts 0"),
    ("cat", lambda o: replace(o, xs=("u", "l")), "xs", "does not join"),
    ("cut", lambda o: replace(o, start_hwc=(0, 0, 9)), "start_hwc", "reads position 16"),
    ("cut", lambda o: replace(o, step_hwc=(0, 2, 1)), "step_hwc", "step 0"),
    ("pad", lambda o: replace(o, value=200), "value", "value 200"),
    ("pad", lambda o: replace(o, pads_tlbr=(0, 1, 1, 1)), "y", "(1, 5, 6, 8)"),
    ("blocks", lambda o: replace(o, block=3), "block", "blocks of 3"),
    ("own", lambda o: replace(o, module="/srv/layers.py"), "module", "no import path"),
    ("own", lambda o: replace(o, module="user/layers"), "module", "no import path"),
    ("own", lambda o: replace(o, module="..layers"), "module", "no import path"),
    ("own", lambda o: replace(o, class_name="a.b"), "class_name", "no class"),
    ("own", lambda o: replace(o, source_sha256="0F" * 32), "source_sha256", "64 hexadecimal"),
    ("own", lambda o: replace(o, ys=("",)), "ys", "without results"),
    ("deq", lambda o: replace(o, y="t2"), "", "not described"),
    ("quant", lambda o: replace(o, x="h"), "x", "'h' is int32"),
    ("flat", lambda o: replace(o, x="zq"), "y", "'v' is float32"),
    ("prob", lambda o: replace(o, axis=2), "axis", "axis 2"),
    ("turn", lambda o: replace(o, perm=(0, 0)), "perm", "order (0, 0)"),
    ("whole", lambda o: replace(o, to=DType.BOOL), "y", "'wi' is int64"),
]


@pytest.mark.parametrize(("name", "change", "field", "says"), BROKEN_OPS)
def test_broken_operation(
    name: str, change: Callable[[Operation], Operation], field: str, says: str
) -> None:
    network = with_op(name, change)
    if not says:
        check_network(network, "net")  # the last value within the limit
        return
    error = refused(network)
    part, index = OPS[name]
    place = f"net.part[{part}].op[{index}]"
    assert says in error.message
    assert error.where == (f"{place}.{field}" if field else place)


PER_CHANNEL = Scale((1.0,) * 8, (), 3)
BROKEN_NETWORKS = [
    (lambda: replace(NET, name=""), "net.name", "needs a name"),
    (lambda: replace(NET, inputs=()), "net", "needs inputs"),
    (lambda: replace(NET, outputs=()), "net", "needs inputs"),
    (lambda: replace(NET, parts=()), "net", "needs inputs"),
    (lambda: replace(NET, inputs=NET.inputs * 2), "net", "two inputs"),
    (lambda: replace(NET, outputs=NET.outputs[:1] * 2), "net", "two outputs"),
    (lambda: with_part(1, name="net_subgraph_0"), "net", "two parts"),
    (lambda: with_part(1, name=""), "net.part[1].name", "needs a name"),
    (lambda: with_part(1, ops=()), "net.part[1]", "without operations"),
    (lambda: with_part(1, place=Place.BPU), "net.part[1].op[1]", "cannot run on the BPU"),
    (lambda: with_part(1, inputs=("h", "n")), "net.part[1].inputs", "are not ('n', 'h')"),
    (lambda: with_part(0, outputs=("a", "h", "n", "n")), "net.part[0]", "two outputs"),
    (lambda: with_part(0, outputs=("a", "h")), "net.part[0].outputs", "used elsewhere"),
    (lambda: with_part(0, outputs=("a", "h", "n", "c")), "net.part[0].outputs", "elsewhere"),
    (lambda: replace(NET, parts=NET.parts[::-1]), "net.part[0].op[0]", "nothing before"),
    (
        lambda: replace(NET, outputs=(replace(NET.outputs[0], tensor="c2"), *NET.outputs[1:])),
        "net.output 'scores'",
        "no part makes",
    ),
    (lambda: with_tensor("p", scale=Scale((0.25,))), "net.part[0].op[1].y", "another scale"),
    (lambda: with_tensor("u", scale=PER_CHANNEL), "net.part[0].op[4].y", "another scale"),
    (lambda: with_tensor("h", dtype=DType.FLOAT32), "net.part[0].op[9]", "none that"),
    (lambda: with_tensor("h", layout=Layout.NCHW), "net.part[0].op[9]", "none that"),
    (lambda: with_tensor("v", shape=(1, 575)), "net.part[1].op[5].y", "the same number"),
    (lambda: with_tensor("h", name="x"), "net.tensor 'h'", "calls itself"),
    (lambda: with_tensor("w", shape=(1, 0)), "net.tensor 'w'.shape", "not possible"),
    (lambda: with_tensor("w", shape=(1,) * 9), "net.tensor 'w'.shape", "not possible"),
    (lambda: with_tensor("w", strides_bytes=(4,)), "net.tensor 'w'.strides_bytes", "strides"),
    (lambda: with_tensor("w", strides_bytes=(4, 0)), "net.tensor 'w'.strides_bytes", "strides"),
    (lambda: with_tensor("w", scale=Scale((0.0,))), "net.tensor 'w'.scale", "positive"),
    (lambda: with_tensor("w", scale=Scale((1.0,), (1, 2))), "net.tensor 'w'.scale", "zero points"),
    (lambda: with_tensor("w", scale=Scale((1.0,), (128,))), "net.tensor 'w'.scale", "zero point"),
    (lambda: with_tensor("w", scale=Scale((1.0,), (256,))), "net.tensor 'w'.scale", "256"),
    (lambda: with_tensor("image", scale=Scale()), "net.input 'image'", "otherwise"),
    (
        lambda: replace(NET, constants={**NET.constants, "w": np.zeros(3, np.int8)}),
        "net.tensor 'w'",
        "a constant has the same name",
    ),
    (
        lambda: replace(NET, removed=(replace(NET.removed[0], op=NET.parts[0].ops[0]),)),
        "net.removed[0].op",
        "taken out",
    ),
    (
        lambda: replace(NET, removed=(replace(NET.removed[0], mean=(float("nan"),)),)),
        "net.removed[0].mean",
        "finite",
    ),
]


@pytest.mark.parametrize(("make", "where", "says"), BROKEN_NETWORKS)
def test_broken_network(make: Callable[[], Network], where: str, says: str) -> None:
    error = refused(make())
    assert says in error.message
    assert error.where == where


def test_weights_are_aligned_shared_and_come_back_as_views() -> None:
    ops = NET.parts[0].ops
    packed = pack_weights((*ops, *ops))
    assert packed.places[: len(ops)] == packed.places[len(ops) :]  # stored once
    section = memoryview(packed.data)
    for op, place in zip(ops, packed.places, strict=False):
        assert all(start % ALIGN == 0 and end <= len(section) for start, end in spans(op, place))
        read = with_arrays(op, place, section)
        if place.weights >= 0:
            assert np.array_equal(read.weights, op.weights)
            assert not read.weights.flags.writeable
            assert not read.weights.flags.owndata
            assert read.params.to_bytes() == op.params.to_bytes()
        if place.tables >= 0:
            assert np.array_equal(read.tables, op.tables)


def test_places_outside_of_a_section_are_refused() -> None:
    conv = NET.parts[0].ops[0]
    packed = pack_weights([conv])
    section = memoryview(packed.data)
    good = packed.places[0]
    for place, field in (
        (ConstantPlace(good.weights + 1, good.params), "weights"),
        (ConstantPlace(1 << 40, good.params), "weights"),
        (ConstantPlace(good.weights, good.params + ALIGN), "params"),
    ):
        with pytest.raises(ModelFormatError) as caught:
            with_arrays(conv, place, section)
        assert caught.value.where == field


def test_constants_of_cpu_parts_are_stored_together() -> None:
    packed = pack_constants(NET)
    assert [len(places) for places in packed.parts] == [len(NET.parts[1].ops)]
    assert [(c.name, c.dtype, c.shape) for c in packed.constants] == [
        ("offset", DType.FLOAT32, (1, 4, 1, 1)),
        ("none", DType.INT64, (0, 3)),
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_bound_with_an_addend_is_reached_and_never_passed(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (channels, 2, 2, 3)).astype(np.int64)
    factors = rng.integers(-128, 128, channels)
    table = params(channels)
    bound = accumulator_bound(weights.astype(np.int8), table, factors=tuple(map(int, factors)))
    ends = []
    for up in (1, -1):  # codes that drive each channel as far up, or down, as they can
        x = np.where(weights * up > 0, 127, -128)
        addend = np.where(factors * up > 0, 127, -128)
        sums = (weights * x).sum(axis=(1, 2, 3)) + addend * factors
        ends.append(np.abs(sums + np.maximum(up * table.bias, 0) * up))
    assert (np.maximum(*ends) == bound).all()


def test_tensors_hold_all_types_and_strides() -> None:
    """4-bit elements share bytes; strides may leave gaps."""
    assert TensorSpec("x", (3, 5), DType.INT4).size_bytes == 8
    assert TensorSpec("x", (), DType.FLOAT64).size_bytes == 8
    assert TensorSpec("x", (2, 3), DType.INT16, strides_bytes=(32, 4)).aligned_size_bytes == 42
