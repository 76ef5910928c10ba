"""Every operation on every instruction set with numbers at the ends of what the format allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.limits import BIAS_SHIFT, OUT_SHIFT, RIGHT_SHIFT
from bpu_common.network import (
    Addend,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    tensors_read,
)
from bpu_common.network.check_op import check_op
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseEntry, EltwiseKind, Requant, ResizeMode
from bpu_sim.engines.reference import compute
from bpu_sim.kernels.plan import Plan
from tests.support.kernels_library import LIBRARY, SETS
from tests.support.nets_codes import NetBuilder

SEEDS = st.integers(0, 2**32 - 1)
CLAMPS = st.one_of(
    st.sampled_from([(-128, 127), (0, 127), (0, 0), (-128, -128), (127, 127), (5, 90)]),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(lambda p: (min(p), max(p))),
)
FILLS = ["any", "lowest", "highest", "ends", "zero"]
MANY = settings(max_examples=120, deadline=None)


def numbers(rng: np.random.Generator, fill: str, shape: tuple[int, ...], least: int) -> np.ndarray:
    """int8 from `least` to 127: anything, all of one end, both ends, nothing."""
    made = {
        "any": rng.integers(least, 128, shape),
        "lowest": np.full(shape, least),
        "highest": np.full(shape, 127),
        "ends": rng.choice([least, 127], shape),
        "zero": np.zeros(shape),
    }[fill]
    return made.astype(np.int8)


def channel_params(rng: np.random.Generator, channels: int, sums: int) -> ChannelParams:
    """Anything that the format allows; the ends of each range are likely.

    Args:
        sums: greatest magnitude of an accumulator before its bias.
    """

    def draw(low: int, high: int) -> np.ndarray:
        values = rng.integers(low, high + 1, channels)
        ends = rng.choice([low, high], channels)
        return np.where(rng.random(channels) < 0.3, ends, values).astype(np.int32)

    bias, shift = draw(-(1 << 15), (1 << 15) - 1), draw(BIAS_SHIFT.low, BIAS_SHIFT.high)
    room = (1 << 31) - 1 - sums
    while (too_much := np.abs(bias.astype(np.int64) << shift) > room).any():
        shift[too_much] -= 1
    return ChannelParams(
        bias, shift, draw(RIGHT_SHIFT.low, RIGHT_SHIFT.high), draw(0, (1 << 15) - 1),
        draw(OUT_SHIFT.low, OUT_SHIFT.high),
    )  # fmt: skip


def check(net: NetBuilder, set_name: str, fill: str, threads: int) -> None:
    """All tensors of the network against `bpu_sim.arith`."""
    network = net.network([op.y for op in net.ops])
    for op in network.ops:
        check_op(op, network.tensors)
    values = {
        each.tensor.name: numbers(net.rng, fill, each.tensor.shape, -128) for each in net.inputs
    }
    plan = Plan(
        LIBRARY, set_name, network.ops, network.tensors, tuple(values), [op.y for op in net.ops]
    )
    found = plan.run(values, threads=threads)
    for op in network.ops:
        xs = [values[name] for name in tensors_read(op)]
        values[op.y] = compute(op, xs, network.tensors[op.y])
        np.testing.assert_array_equal(found[op.y], values[op.y], f"{set_name}: {op}")


@pytest.mark.parametrize("set_name", SETS)
@MANY
@given(seed=SEEDS, data=st.data())
def test_convolutions(set_name: str, seed: int, data: st.DataObject) -> None:
    draw = data.draw
    net = NetBuilder(seed)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 16, 24]))
    depthwise = groups > 3
    depth = groups * (1 if depthwise else draw(st.sampled_from([1, 2, 3, 4, 9, 16, 33])))
    outputs = groups * (1 if depthwise else draw(st.sampled_from([1, 2, 5, 16, 17, 40])))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    upsample = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 2), (3, 1)]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1), (3, 3)]))
    size = [(k - 1) * d + draw(st.integers(1, 9)) for k, d in zip(kernel, dilation, strict=True)]
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    x = net.input("x", (*size, depth))
    if draw(st.booleans()):  # codes that are never negative
        x = net.conv(x, depth, clamp=(0, 127))
    shape = (outputs, *kernel, depth // groups)
    weights = numbers(net.rng, draw(st.sampled_from(FILLS)), shape, -127)
    wide = draw(st.booleans())
    sums = weights[0].size * (1 << 14) + (1 << 14)
    params = channel_params(net.rng, outputs, sums)
    if wide:
        none = np.zeros(outputs, np.int32)
        params = replace(params, right_shift=none, multiplier=none, out_shift=none)
    y = net.conv(
        x, outputs, kernel, stride, pads, groups, draw(CLAMPS), dilation, upsample, wide, params,
        weights, draw(st.sampled_from([0, -128, 127, 3])),
    )  # fmt: skip
    if draw(st.booleans()):
        op = net.ops.pop()
        assert isinstance(op, QConv)
        addend = net.input("r", net.tensors[y].shape_hwc)
        factors = net.rng.choice([-128, 127, 1], draw(st.sampled_from([1, outputs])))
        net.ops.append(replace(op, addend=Addend(addend, tuple(int(f) for f in factors))))
    check(net, set_name, draw(st.sampled_from(FILLS)), draw(st.integers(1, 3)))


@pytest.mark.parametrize("set_name", SETS)
@MANY
@given(seed=SEEDS, data=st.data())
def test_element_wise(set_name: str, seed: int, data: st.DataObject) -> None:
    draw = data.draw
    net = NetBuilder(seed)
    kind, channels = draw(st.sampled_from(list(EltwiseKind))), draw(st.integers(1, 40))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 6)), channels)
    other = draw(st.sampled_from([shape, (1, 1, channels), (1, 1, 1)]))
    a, b = net.input("a", shape), net.input("b", other)
    count = draw(st.sampled_from([1, channels]))
    small = draw(st.booleans())  # what fits the forms of 16 bits
    room = 900 if small else (1 << 31) - 1 - (1 << 17)
    factors = st.integers(0, 127) if small else st.sampled_from([-128, -127, -1, 0, 1, 126, 127])
    entries = tuple(
        EltwiseEntry(
            draw(factors), draw(factors),
            Requant(
                draw(st.integers(-room, room)), 0 if small else draw(st.integers(0, 16)),
                draw(st.one_of(st.sampled_from([0, 1, 32767]), st.integers(0, 32767))),
                draw(st.integers(16, 31)) if small else draw(st.integers(0, 31)),
            ),
        )
        for _ in range(count)
    )  # fmt: skip
    zero = st.sampled_from([-128, 0, 127]) if draw(st.booleans()) else st.just(0)
    second = None if kind is EltwiseKind.SCALE else b
    op = QEltwise("e", kind, a, second, "y", entries, draw(CLAMPS), (draw(zero), draw(zero)))
    net.add(op, shape)
    check(net, set_name, draw(st.sampled_from(FILLS)), draw(st.integers(1, 3)))


@pytest.mark.parametrize("set_name", SETS)
@MANY
@given(seed=SEEDS, data=st.data())
def test_what_only_moves_codes(set_name: str, seed: int, data: st.DataObject) -> None:
    """Pools whose padding must not win, look-ups of every code, resizes at the ends of weights."""
    draw = data.draw
    net = NetBuilder(seed)
    channels = draw(st.sampled_from([1, 3, 16, 17, 40]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    x = net.input("x", (height, width, channels))
    match draw(st.sampled_from(["pool", "lut", "resize", "pad"])):
        case "pool":
            kernel = (draw(st.integers(1, height)), draw(st.integers(1, width)))
            stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
            pads = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
            made = [
                (n + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1
                for i, n in enumerate((height, width))
            ]
            net.add(QMaxPool("p", x, "y", kernel, stride, pads), (*made, channels))
        case "lut":
            shape = (draw(st.sampled_from([1, channels])), 256)
            tables = numbers(net.rng, draw(st.sampled_from(FILLS)), shape, -128)
            net.add(QLut("l", x, "y", tables), (height, width, channels))
        case "resize":
            axes = []
            for size in (height, width):
                made = draw(st.integers(1, 12))
                ends = [tuple(int(v) for v in net.rng.integers(0, size, made)) for _ in range(2)]
                fractions = tuple(int(v) for v in net.rng.choice([0, 1, 128, 255], made))
                axes.append(Axis(*ends, fractions))
            mode = draw(st.sampled_from(list(ResizeMode)))
            shape = (len(axes[0].low), len(axes[1].low), channels)
            net.add(QResize("r", x, "y", mode, *axes), shape)
        case _:
            pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
            shape = (height + pads[0] + pads[2], width + pads[1] + pads[3], channels)
            net.add(QPad("d", x, "y", pads, draw(st.sampled_from([-128, 0, 127]))), shape)
    check(net, set_name, draw(st.sampled_from(FILLS)), draw(st.integers(1, 3)))
