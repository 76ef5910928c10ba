"""What convolutions read, against the arithmetic of a convolution and the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.network import QConv
from bpu_common.params import ChannelParams
from bpu_common.tensor import DType
from bpu_host.compiler.quantize.moments import Moments, moments_of, rows_at_places
from bpu_sim import arith

OUTPUTS_A_GROUP = 2


def some_conv(draw: st.DataObject, random: np.random.Generator) -> tuple[QConv, np.ndarray]:
    pick = lambda low, high: draw.draw(st.integers(low, high))  # noqa: E731
    groups, depth = pick(1, 3), pick(1, 3)
    kernel, dilation = (pick(1, 3), pick(1, 3)), (pick(1, 2), pick(1, 2))
    weights = random.integers(-127, 128, (groups * OUTPUTS_A_GROUP, *kernel, depth), np.int8)
    zeros = np.zeros(len(weights), np.int32)
    op = QConv(
        "conv",
        "x",
        "y",
        weights,
        ChannelParams(zeros, zeros, zeros, zeros, zeros),
        (pick(1, 2), pick(1, 2)),
        dilation,
        (pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2)),
        groups,
        (pick(1, 2), pick(1, 2)),
        pad_code=pick(-128, 127),
    )
    shape = (pick(5, 8), pick(5, 8), groups * depth)
    return op, random.integers(-128, 128, shape, np.int8)


@settings(max_examples=150)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_rows_times_weights_are_the_convolution(data: st.DataObject, seed: int) -> None:
    op, x = some_conv(data, np.random.default_rng(seed))
    made = arith.conv(
        x,
        op.weights,
        op.params,
        stride=op.stride_hw,
        dilation=op.dilation_hw,
        pads=op.pads_tlbr,
        groups=op.groups,
        upsample=op.upsample_hw,
        out=DType.INT32,
        pad_code=op.pad_code,
    )
    rows = rows_at_places(op, x, made.shape[:2], math.prod(made.shape[:2]), 0)
    weights = op.weights.reshape(op.groups, OUTPUTS_A_GROUP, -1).astype(np.int64)
    sums = np.einsum("ngk,gok->ngo", rows.astype(np.int64), weights)
    assert np.array_equal(sums.reshape(made.shape), made)


@given(
    counts=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    groups=st.integers(1, 4),
    size=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_moments_are_those_of_all_rows_whatever_came_together(
    counts: list[int], groups: int, size: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    parts = [random.integers(-128, 128, (n, groups, size), np.int8) for n in counts]
    found = Moments(groups, size)
    for part in parts:
        found.add(part)
    mean, spread = found.finish()
    rows = np.concatenate(parts).astype(np.int64)
    count = len(rows)
    sums, products = rows.sum(axis=0), np.einsum("ngj,ngk->gjk", rows, rows)
    assert np.array_equal(mean, sums / count)
    whole = count * products - sums[:, :, None] * sums[:, None, :]
    assert np.array_equal(spread, whole / count**2)


def test_extreme_codes_are_summed_exactly() -> None:
    found = Moments(1, 2)
    rows = np.full((5000, 1, 2), -128, np.int8)
    rows[::2, 0, 1] = 127
    found.add(rows)
    mean, spread = found.finish()
    assert mean.tolist() == [[-128.0, -0.5]]
    assert spread.tolist() == [[[0.0, 0.0], [0.0, 127.5**2]]]


def test_places_are_chosen_by_the_seed() -> None:
    weights = np.ones((1, 1, 1, 1), np.int8)
    zeros = np.zeros(1, np.int32)
    params = ChannelParams(zeros, zeros, zeros, zeros, zeros)
    op = QConv("c", "x", "y", weights, params, (1, 1), (1, 1), (0, 0, 0, 0), 1)
    x = np.arange(100, dtype=np.int8).reshape(10, 10, 1)
    rows = [rows_at_places(op, x, (10, 10), 7, seed).reshape(-1).tolist() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]
    assert len(set(rows[0])) == 7
    assert moments_of(op).size == 1


@pytest.mark.parametrize("count", [100, 1000])
def test_all_places_are_taken_where_there_are_no_more(count: int) -> None:
    zeros = np.zeros(1, np.int32)
    params = ChannelParams(zeros, zeros, zeros, zeros, zeros)
    op = QConv(
        "c", "x", "y", np.ones((1, 1, 1, 1), np.int8), params, (1, 1), (1, 1), (0, 0, 0, 0), 1
    )
    x = np.arange(100, dtype=np.int8).reshape(10, 10, 1)
    assert rows_at_places(op, x, (10, 10), count, 3).reshape(-1).tolist() == list(range(100))
