"""The vectorized divergence search against the loop that defines it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_host.compiler.calibrate.kl import LEVELS, _divergence, best_bin_count


def naive_divergence(histogram: np.ndarray, bins: int) -> float:
    """KL(P || Q) of one candidate, step by step."""
    p = histogram[:bins].astype(np.float64).copy()
    p[-1] += histogram[bins:].sum()
    q = np.zeros(bins)
    for level in range(LEVELS):
        start, stop = level * bins // LEVELS, (level + 1) * bins // LEVELS
        used = p[start:stop] > 0
        if used.any():
            q[start:stop][used] = histogram[start:stop].sum() / used.sum()
    if q.sum() == 0:
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    if ((p > 0) & (q == 0)).any():
        return np.inf
    mask = p > 0
    return float((p[mask] * np.log(p[mask] / q[mask])).sum())


def histogram_of(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    size = int(random.integers(LEVELS + 1, 400))
    shape = np.exp(-np.arange(size) / random.uniform(5, 200))
    counts = random.poisson(shape * random.uniform(0.5, 2000))
    counts[random.random(size) < random.uniform(0, 0.5)] = 0
    counts[-1] = 1
    return counts.astype(np.float64)


@given(st.integers(0, 100_000))
@settings(max_examples=25, deadline=None)
def test_divergence_equals_the_definition(seed: int) -> None:
    histogram = histogram_of(seed)
    candidates = np.arange(LEVELS, len(histogram) + 1)
    expected = np.array([naive_divergence(histogram, int(n)) for n in candidates])
    found = _divergence(histogram, candidates)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-9, atol=1e-12)


@given(st.integers(0, 100_000))
@settings(max_examples=30, deadline=None)
def test_the_best_candidate_has_the_least_divergence(seed: int) -> None:
    histogram = histogram_of(seed)
    used = histogram.copy()
    used[0] = used[1]
    if used.sum() == 0:
        return
    best = best_bin_count(histogram)
    values = [naive_divergence(used, n) for n in range(LEVELS, len(used) + 1)]
    assert values[best - LEVELS] <= min(values) + 1e-9


def test_an_outlier_is_cut_off() -> None:
    """A bell with one far outlier: the threshold stays near the bell."""
    values = np.abs(np.random.default_rng(0).normal(0, 1, 200_000))
    counts, _ = np.histogram(np.append(values, 40.0), 2000, (0, 40.0))
    threshold = best_bin_count(counts.astype(np.float64)) * 0.02
    assert 3.0 < threshold < 8.0


def test_short_and_empty_histograms_keep_everything() -> None:
    assert best_bin_count(np.ones(100)) == 100
    assert best_bin_count(np.zeros(500)) == 500
