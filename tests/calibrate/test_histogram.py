"""Streaming histograms against exact statistics of all values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_host.compiler.calibrate.histogram import BINS_PER_OCTAVE, OCTAVES, MagnitudeHistogram


def filled(parts: list[np.ndarray]) -> MagnitudeHistogram:
    histogram = MagnitudeHistogram()
    for part in parts:
        histogram.add(part, float(np.abs(part).max()))
    return histogram


def spread(seed: int, parts: int) -> list[np.ndarray]:
    """Parts of different size and strength, with zeros and both signs."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(parts):
        size = int(random.integers(1, 70_000))
        values = random.standard_t(3, size) * 10.0 ** random.uniform(-3, 4)
        values[random.random(size) < 0.2] = 0.0
        made.append(values.astype(np.float32))
    return made


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.3, 0.99999))
@settings(max_examples=40, deadline=None)
def test_quantile_is_just_above_the_exact_one(seed: int, parts: int, fraction: float) -> None:
    arrays = spread(seed, parts)
    magnitudes = np.sort(np.abs(np.concatenate(arrays)).astype(np.float64))
    exact = magnitudes[max(0, int(np.ceil(fraction * magnitudes.size)) - 1)]
    found = filled(arrays).quantile(fraction)
    smallest = magnitudes[-1] / 2 ** (OCTAVES - 1)
    assert found >= exact
    assert found <= max(exact * (1 + 1.001 / BINS_PER_OCTAVE), smallest)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_order_of_the_parts_does_not_matter(seed: int) -> None:
    arrays = spread(seed, 4)
    forward, backward = filled(arrays), filled(arrays[::-1])
    assert forward.highest == backward.highest
    for one, other in zip(forward.linear(), backward.linear(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert forward.quantile(0.9) == backward.quantile(0.9)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_linear_bins_are_an_exact_histogram(seed: int) -> None:
    arrays = spread(seed, 3)
    histogram = filled(arrays)
    counts, width = histogram.linear()
    magnitudes = np.abs(np.concatenate(arrays)).astype(np.float64)
    expected = np.bincount(np.floor(magnitudes / width).astype(np.int64))
    # Values below the range of octaves are counted in the first bin; there they belong too.
    np.testing.assert_array_equal(counts, expected)
    assert 1024 <= len(counts) <= 2048


def test_maximum_is_exact_and_zeros_are_counted() -> None:
    histogram = filled([np.zeros(5, np.float32), np.array([0.1, -3.7], np.float32)])
    assert histogram.quantile(1.0) == float(np.float32(3.7))
    assert histogram.total == 7
    assert histogram.linear()[0][0] == 5
    assert histogram.quantile(0.5) <= 3.7 / 1024


@pytest.mark.parametrize("value", [1e-38, 1e-30, 1.0, 3e38])
def test_extreme_magnitudes(value: float) -> None:
    histogram = filled([np.full(10, value, np.float32)])
    assert histogram.quantile(0.5) == pytest.approx(value, rel=1e-3)


def test_all_zero() -> None:
    histogram = filled([np.zeros(9, np.float32)] * 2)
    assert histogram.highest == 0.0
    assert histogram.quantile(0.9999) == 0.0
