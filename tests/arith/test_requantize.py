"""Requantization against whole-number arithmetic in plain Python and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import ModelUnsupported
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseEntry, Requant
from bpu_sim import arith

RATIOS = st.floats(min_value=arith.MIN_RATIO, max_value=arith.MAX_RATIO) | st.floats(
    min_value=1e-6, max_value=2.0
)
ACCUMULATORS = st.integers(-(2**31), 2**31 - 1) | st.sampled_from(
    [0, 1, -1, 2**15 - 1, -(2**15), 2**15, 2**31 - 1, -(2**31)]
)


def oracle(acc: int, r: Requant, clamp: tuple[int, int]) -> int:
    """The formula with Python's unbounded integers and floor division instead of shifts."""
    first = (acc + r.bias) // 2**r.right_shift
    first = min(max(first, -32768), 32767)
    return min(max(first * r.multiplier // 2**r.out_shift, clamp[0]), clamp[1])


def params_of(*requants: Requant) -> ChannelParams:
    rows = [(r.bias, 0, r.right_shift, r.multiplier, r.out_shift) for r in requants]
    return ChannelParams(*np.array(rows, np.int32).T)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ACCUMULATORS, min_size=1, max_size=8),
    st.builds(
        Requant,
        st.integers(-(2**15), 2**15 - 1),
        st.integers(0, 16),
        st.integers(2**14, 2**15 - 1),
        st.integers(0, 31),
    ),
    st.sampled_from([(-128, 127), (0, 127), (0, 31)]),
)
def test_equals_whole_number_arithmetic(
    values: list[int], requant: Requant, clamp: tuple[int, int]
) -> None:
    acc = np.array(values, np.int64)
    expected = [oracle(value, requant, clamp) for value in values]
    assert arith.requantize_entries(acc, [EltwiseEntry(1, 1, requant)], clamp).tolist() == expected
    per_channel = arith.requantize(acc[:, None], params_of(requant), clamp)
    assert per_channel[:, 0].tolist() == expected
    assert per_channel.dtype == np.int8


def test_channels_take_their_own_parameters() -> None:
    requants = [Requant(7, 0, 16384, 14), Requant(-300, 3, 30000, 20), Requant(9, 16, 20000, 2)]
    acc = np.arange(-600, 600, dtype=np.int64).reshape(20, 20, 3) * 997
    y = arith.requantize(acc, params_of(*requants), (-128, 127))
    for channel, requant in enumerate(requants):
        assert (
            y[..., channel]
            == arith.requantize_entries(acc[..., channel], [EltwiseEntry(1, 1, requant)])
        ).all()


@settings(max_examples=300, deadline=None)
@given(RATIOS)
def test_chosen_shifts_and_multiplier_against_fractions(ratio: float) -> None:
    right_shift, multiplier, out_shift = arith.choose_requant(ratio)
    exact = Fraction(ratio)
    fits = [Fraction(127) / exact / 2**r <= 32767 for r in range(17)]
    assert right_shift == fits.index(True)
    assert 0 <= out_shift <= 31
    assert 2**14 <= multiplier < 2**15
    error = abs(Fraction(multiplier, 2 ** (right_shift + out_shift)) / exact - 1)
    assert error <= Fraction(1, 2**15)


def test_multiplier_that_rounds_up_is_renormalised() -> None:
    ratio = float(np.nextafter(1.0, 0.0))  # 2^15 - tiny rounds up to 2^15
    assert arith.choose_requant(ratio) == arith.choose_requant(1.0) == (0, 1 << 14, 14)


@pytest.mark.parametrize(
    "ratio", [0.0, -1.0, math.nan, math.inf, arith.MIN_RATIO / 2, arith.MAX_RATIO * 1.01]
)
def test_ratio_out_of_reach_is_refused(ratio: float) -> None:
    with pytest.raises(ModelUnsupported, match="channel 0"):
        arith.choose_requant(ratio)


def test_limits_of_the_ratio_are_reachable() -> None:
    assert arith.choose_requant(arith.MIN_RATIO)[0] == 16
    assert arith.choose_requant(arith.MAX_RATIO) == (0, 32767, 0)
    with pytest.raises(ModelUnsupported):
        arith.choose_requant(float(np.nextafter(arith.MIN_RATIO, 0.0)))


@settings(max_examples=100, deadline=None)
@given(st.floats(min_value=1e-6, max_value=0.3))
def test_staircase_rounds_and_saturates(ratio: float) -> None:
    """With the half-LSB in the bias: monotone, within one step of the real value, saturating."""
    params = arith.channel_params(np.zeros(1), np.array([ratio]), np.ones(1))
    reach = math.ceil(140 / ratio)
    acc = np.unique(np.linspace(-reach, reach, 4001).astype(np.int64))
    y = arith.requantize(acc[:, None], params)[:, 0].astype(np.int64)
    assert (np.diff(y) >= 0).all()
    assert y[0] == -128
    assert y[-1] == 127
    real = acc * ratio
    inside = np.abs(real) < 126
    # 0.5 of rounding; the first shift drops < 2^-8 step, bias and multiplier rounding the rest
    assert np.abs(y - real)[inside].max() <= 0.5 + 127 / 2**15 + 2**-8 + 0.5 * ratio + 1e-9
    assert y[np.abs(acc).argmin()] == 0


def test_worked_example_of_the_documentation() -> None:
    """docs/arithmetic.md, section 'A worked example'."""
    s_in, s_w, s_out, bias = 0.02, 0.003, 0.05, 0.31
    ratio = s_in * s_w / s_out
    assert arith.choose_requant(ratio) == (2, 20133, 22)
    params = arith.channel_params(np.array([bias]), np.array([ratio]), np.array([s_in * s_w]))
    assert (params.bias_q[0], params.bias_shift[0]) == (5583, 0)
    y = arith.requantize(np.array([[12345], [-40000], [200000]]), params)
    assert y[:, 0].tolist() == [21, -42, 127]
