"""Windowed percentiles stay within 2 % and forget what is old."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bpu_board.profiler.histogram import WindowedHistogram, bucket_of, middle_of

SECOND = 1_000_000_000


@given(st.integers(60, 10**15))
def test_bucket_stands_for_its_values_within_two_percent(value):
    assert abs(middle_of(bucket_of(value)) - value) <= 0.02 * value + 1


@given(st.lists(st.integers(100_000, 10**10), min_size=1, max_size=200))
def test_percentiles_against_sorted_values(values):
    histogram = WindowedHistogram(10 * SECOND)
    for index, value in enumerate(values):
        histogram.add(index * 1000, value)
    sample = histogram.sample(len(values) * 1000)
    ordered = sorted(values)
    assert sample.count == len(values)
    assert sample.max_ns == ordered[-1]
    for got, q in ((sample.p50_ns, 50), (sample.p90_ns, 90), (sample.p99_ns, 99)):
        true = ordered[math.ceil(len(ordered) * q / 100) - 1]
        assert abs(got - true) <= 0.02 * true


def test_window_slides():
    histogram = WindowedHistogram(10 * SECOND)
    histogram.add(0, 1000)
    histogram.add(5 * SECOND, 2000)
    assert histogram.sample(9 * SECOND).count == 2
    assert histogram.sample(int(10.6 * SECOND)).count == 1
    assert histogram.sample(30 * SECOND).count == 0
    assert histogram.sample(30 * SECOND).max_ns == 0


def test_memory_is_bounded_in_time():
    histogram = WindowedHistogram(10 * SECOND)
    for step in range(10_000):
        histogram.add(step * SECOND // 10, 1_000_000 + step)
    assert len(histogram._slices) <= 21
