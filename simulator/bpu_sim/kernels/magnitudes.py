"""Magnitudes of float tensors for calibration: compiled where there are kernels, else in numpy.

A magnitude is compared and counted as the bits of its float32. Both ways give the same numbers.
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from bpu_common.tensor import F32, I32, I64, AnyArray
from bpu_sim.kernels.library import load

BIN_SHIFT = 12
"""A bin is the magnitude's bits without the lowest twelve: exponent and 11 bits of mantissa."""

_MAGNITUDE = np.int32(0x7FFFFFFF)
_CHUNK = 1 << 15  # elements that stay in the first two caches


def highest(values: AnyArray) -> float:
    """The greatest magnitude of numbers of any type, at least one; not finite if one is not."""
    library = _library()
    if library is None or values.dtype != np.float32:
        return _highest(values)
    return _highest_by(library, values.astype(np.float32, copy=False))


def count(values: F32, base: int, counts: I64) -> None:
    """Add each value to `counts[bin - base]` (in place), or to the nearest end of `counts`.

    Args:
        values: of any shape, finite.
        counts: contiguous, at least one bin.
    """
    library = _library()
    if library is not None:
        _count_by(library, values, base, counts)
    else:
        _count(values, base, counts)


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled functions, if there are any and they count as numpy does."""
    library, _ = load()
    if library is None:
        return None
    probe = np.arange(-40_000, 40_000, dtype=np.float32)  # long enough for every way of counting
    counts, wanted = np.zeros((2, 1 << 14), np.int64)
    _count_by(library.functions, probe, 1 << 18, counts)
    _count(probe, 1 << 18, wanted)
    same = _highest_by(library.functions, probe) == _highest(probe)
    return library.functions if same and np.array_equal(counts, wanted) else None


def _highest_by(library: ctypes.CDLL, values: F32) -> float:
    bits = _bits(values)
    most = np.array(library.magnitude_highest(bits.ctypes.data, bits.size), np.int32)
    return float(most.view(np.float32))


def _count_by(library: ctypes.CDLL, values: F32, base: int, counts: I64) -> None:
    bits = _bits(values)
    library.magnitude_count(bits.ctypes.data, bits.size, base, counts.size, counts.ctypes.data)


def _highest(values: AnyArray) -> float:
    return max(float(values.max()), -float(values.min()))


def _count(values: F32, base: int, counts: I64) -> None:
    bits = _bits(values)
    index = np.empty(min(_CHUNK, bits.size), np.int32)
    for start in range(0, bits.size, _CHUNK):
        part = bits[start : start + _CHUNK]
        slot = index[: part.size]
        np.bitwise_and(part, _MAGNITUDE, out=slot)
        np.right_shift(slot, np.int32(BIN_SHIFT), out=slot)
        np.subtract(slot, np.int32(base), out=slot)
        np.clip(slot, 0, counts.size - 1, out=slot)
        counted = np.bincount(slot)
        counts[: counted.size] += counted


def _bits(values: F32) -> I32:
    """In a row, as integers."""
    return np.ascontiguousarray(values).reshape(-1).view(np.int32)
