"""Weights rounded together lose no more than weights rounded each to its nearest code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_host.compiler.quantize import rounding
from bpu_host.compiler.quantize.rounding import expected_error, nearest, round_together


def related_inputs(size: int, count: int, seed: int) -> np.ndarray:
    """Inputs with much in common, (count, size): as neighbouring pixels and channels have."""
    random = np.random.default_rng(seed)
    shared = random.normal(0, 1, (count, max(1, size // 8)))
    mixed = shared @ random.normal(0, 1, (shared.shape[1], size))
    return np.rint(20 * (mixed + 0.3 * random.normal(0, 1, (count, size)))).clip(-128, 127)


def covariance(inputs: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.cov(inputs, rowvar=False, bias=True))


def some_steps(filters: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-127, 127, (filters, size))


@given(
    filters=st.integers(1, 6),
    size=st.integers(1, 70),
    count=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_filter_is_worse_than_rounded_to_nearest(
    filters: int, size: int, count: int, seed: int
) -> None:
    steps, spread = some_steps(filters, size, seed), covariance(related_inputs(size, count, seed))
    codes = round_together(steps, spread)
    assert (codes == np.rint(codes)).all()
    assert (np.abs(codes) <= 127).all()
    plain = expected_error(nearest(steps), steps, spread)
    assert (expected_error(codes, steps, spread) <= plain).all()


@pytest.mark.parametrize("size", [9, 25, 64, 300])
def test_related_inputs_leave_a_fraction_of_the_error(size: int) -> None:
    steps, spread = some_steps(32, size, 1), covariance(related_inputs(size, 4000, 2))
    plain = expected_error(nearest(steps), steps, spread).sum()
    assert expected_error(round_together(steps, spread), steps, spread).sum() < 0.4 * plain


@given(size=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_inputs_that_have_nothing_in_common_are_rounded_to_nearest(size: int, seed: int) -> None:
    variances = np.random.default_rng(seed).uniform(0.5, 2.0, size)
    steps = some_steps(3, size, seed)
    assert np.array_equal(round_together(steps, np.diag(variances)), nearest(steps))


@pytest.mark.parametrize("size", [1, 4, 9])
def test_few_weights_are_as_good_as_the_best_of_all_floors_and_ceilings(size: int) -> None:
    filters = 40
    steps = some_steps(filters, size, 3)
    spreads = np.stack([covariance(related_inputs(size, 500, seed)) for seed in range(filters)])
    spreads += rounding._DAMPING * np.eye(size) * spreads.trace(axis1=1, axis2=2)[:, None, None]
    best = np.full(filters, np.inf)
    for choice in itertools.product((0, 1), repeat=size):
        codes = np.clip(np.floor(steps) + choice, -127, 127)
        best = np.minimum(best, expected_error(codes, steps, spreads))
    found = expected_error(round_together(steps, spreads), steps, spreads)
    assert found.sum() <= best.sum()
    assert (found <= 1.05 * best + 1e-9).all()


def test_filters_with_inputs_of_their_own_are_rounded_for_these() -> None:
    steps = some_steps(3, 9, 4)
    spreads = np.stack([covariance(related_inputs(9, 300, seed)) for seed in range(3)])
    together = round_together(steps, spreads)
    for index in range(3):
        alone = round_together(steps[index : index + 1], spreads[index])
        assert np.array_equal(together[index : index + 1], alone)


def test_weights_at_the_end_of_the_range_stay_within_it() -> None:
    steps = np.full((2, 50), 127.0) - np.random.default_rng(5).uniform(0, 0.5, (2, 50))
    codes = round_together(steps, covariance(related_inputs(50, 400, 6)))
    assert codes.max() <= 127


@pytest.mark.parametrize("size", [3, 40])
def test_inputs_that_never_change_leave_the_nearest_codes(size: int) -> None:
    steps = some_steps(4, size, 7)
    assert np.array_equal(round_together(steps, np.zeros((size, size))), nearest(steps))
    some = np.zeros((size, size))
    some[0, 0] = 5.0
    assert np.array_equal(round_together(steps, some), nearest(steps))


def test_one_filter_without_changing_inputs_among_others() -> None:
    steps = some_steps(2, 9, 8)
    spreads = np.stack([np.zeros((9, 9)), covariance(related_inputs(9, 200, 9))])
    assert np.array_equal(round_together(steps, spreads)[0], nearest(steps)[0])
