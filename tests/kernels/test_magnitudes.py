"""The compiled magnitudes against numpy's, on everything that a float32 can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_sim.kernels import magnitudes
from tests.support.kernels_library import LIBRARY

SIZES = (1, 3, 1023, 1024, 1025, (1 << 15) - 1, 1 << 15, (1 << 15) + 1027, 100_003)


def test_the_compiled_ones_are_used() -> None:
    assert magnitudes._library() is LIBRARY.functions


def counted(values: np.ndarray, base: int, bins: int) -> np.ndarray:
    """Counts by the definition: the bits of each magnitude, shifted, held within the bins."""
    bits = np.abs(values.reshape(-1)).view(np.uint32).astype(np.int64)
    index = np.clip((bits >> magnitudes.BIN_SHIFT) - base, 0, bins - 1)
    return np.bincount(index, minlength=bins)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from(SIZES),
    base=st.integers(-100, 1 << 19),
    bins=st.sampled_from((1, 2, 100, 24_576)),
    offset=st.integers(0, 3),
)
@settings(deadline=None)
def test_counts_of_any_bits(seed: int, size: int, base: int, bins: int, offset: int) -> None:
    random = np.random.default_rng(seed)
    bits = random.integers(0, 1 << 32, size + offset, np.uint32)
    bits[random.random(bits.size) < 0.3] &= 0x80000000  # zeros of both signs
    values = bits.view(np.float32)[offset:]
    found = random.integers(0, 9, bins)
    wanted = found + counted(values, base, bins)
    magnitudes.count(values, base, found)
    np.testing.assert_array_equal(found, wanted)


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from(SIZES), power=st.integers(-140, 120))
@settings(deadline=None)
def test_both_ways_are_the_same(seed: int, size: int, power: int) -> None:
    random = np.random.default_rng(seed)
    values = np.ldexp(random.standard_normal(size), power).astype(np.float32)
    assert magnitudes.highest(values) == magnitudes._highest(values) == float(abs(values).max())
    found, wanted = np.zeros((2, 24_576), np.int64)
    base = int(random.integers(0, 1 << 19))
    magnitudes.count(values, base, found)
    magnitudes._count(values, base, wanted)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 17, 1023])
def test_what_is_not_finite_shows(odd: float, place: int) -> None:
    values = np.linspace(-3e38, 3e38, 1024, dtype=np.float32)
    assert magnitudes.highest(values) == float(np.float32(3e38))
    values[place] = odd
    assert not np.isfinite(magnitudes.highest(values))


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int8, np.uint8])
def test_other_numbers(dtype: type) -> None:
    values = np.array([[3, 90], [7, 100]]).astype(dtype)
    assert magnitudes.highest(values) == 100.0


def test_parts_of_arrays() -> None:
    whole = np.arange(-500, 500, dtype=np.float32).reshape(20, 50)
    counts = np.zeros(300, np.int64)
    magnitudes.count(whole[::2, ::3], 1 << 18, counts)
    assert counts.sum() == whole[::2, ::3].size
    assert magnitudes.highest(whole[::2, ::3]) == 500.0


def test_a_library_that_counts_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = magnitudes._count_by

    def wrong(library: object, values: np.ndarray, base: int, counts: np.ndarray) -> None:
        real(LIBRARY.functions, values, base + 1, counts)

    monkeypatch.setattr(magnitudes, "_count_by", wrong)
    assert magnitudes._library.__wrapped__() is None
