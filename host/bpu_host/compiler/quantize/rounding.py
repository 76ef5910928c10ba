"""Rounding the weights of a filter together, so that their errors cancel in its result.

A filter's result is off by e . x, where e are the errors of its weight codes. Its mean can be taken
into the bias; what is left is e' C e, with C the covariance of the inputs x. Rounding each weight
to its nearest code minimizes every e by itself and not that sum. Here the codes are chosen one
column after the other along the Cholesky factor R of C = R'R, the last column first: each is the
one nearest to where the errors made so far would have it. That is GPTQ (arXiv 2210.17323), written
as Babai's nearest plane, without the inverse of C. Filters of few weights follow many choices at
once: of up to nine weights all 2^9 of the two codes around each such place, of more the best few.

Codes stay in -127..127, scales are not touched, and a filter keeps its nearest codes where those
are no worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bpu_common.tensor import F64, INT8_MAX

FEW = 32
"""Filters of up to so many weights follow several choices at once."""
EXHAUSTIVE = 9
"""Filters of up to so many weights follow all choices."""
_WIDTH = 8
"""Choices that are followed of a filter with more weights than EXHAUSTIVE."""
_DAMPING = 0.01
"""Of the mean variance, added to every column's: what samples do not show is not relied on."""
_LEAST = 1e-6
"""Of a filter whose own inputs never change: squared steps, where a code counts as 1."""
_BLOCK = 128
_STATES = 1 << 18
"""Choices of all filters that are worked on at the same time."""


def nearest(steps: F64) -> F64:
    """Each value's nearest code in -127..127."""
    return np.asarray(np.clip(np.rint(steps), -INT8_MAX, INT8_MAX))


def expected_error(codes: F64, steps: F64, covariance: F64) -> F64:
    """e' C e of each filter: the variance of its result's error, in squared steps, (O,).

    Args:
        codes, steps: (O, K).
        covariance: (K, K), or (O, K, K) for filters with inputs of their own.
    """
    errors = codes - steps
    if covariance.ndim == 2:
        return np.asarray(((errors @ covariance) * errors).sum(axis=1))
    return np.asarray((np.matmul(covariance, errors[:, :, None])[:, :, 0] * errors).sum(axis=1))


def round_together(steps: F64, covariance: F64) -> F64:
    """Codes of filters that lose least together, (O, K).

    Args:
        steps: real weights in steps of their filter, (O, K).
        covariance: of the inputs, (K, K), or (O, K, K) for filters with inputs of their own.
    """
    plain = nearest(steps)
    variances = np.diagonal(covariance, axis1=-2, axis2=-1)
    if not variances.any():  # inputs that never change: the bias takes all
        return plain
    order = np.argsort(variances, axis=-1, kind="stable")  # the greatest is rounded first
    back = np.argsort(order, axis=-1, kind="stable")
    columns = _taken(steps, order)
    factor = _factor(covariance, order)
    found = _beam(columns, factor) if steps.shape[1] <= FEW else _feedback(columns, factor)
    codes = _taken(found, back)
    better = expected_error(codes, steps, covariance) < expected_error(plain, steps, covariance)
    return np.where(better[:, None], codes, plain)


def _taken(values: F64, order: NDArray[np.intp]) -> F64:
    return np.take_along_axis(values, np.broadcast_to(order, values.shape), axis=1)


def _factor(covariance: F64, order: NDArray[np.intp]) -> F64:
    """R with R'R = the covariance in another order of its columns, damped; upper triangular."""
    rows = np.take_along_axis(covariance, order[..., :, None], axis=-2)
    damped = np.take_along_axis(rows, order[..., None, :], axis=-1)
    del rows
    size = damped.shape[-1]
    mean = np.trace(damped, axis1=-2, axis2=-1) / size
    damped[..., range(size), range(size)] += np.maximum(_DAMPING * mean, _LEAST)[..., None]
    return np.asarray(np.linalg.cholesky(damped).swapaxes(-1, -2), np.float64)


def _feedback(steps: F64, factor: F64) -> F64:
    """One choice a filter; `factor` (K, K) upper triangular."""
    wanted = np.ascontiguousarray(steps.T)
    codes, errors = np.empty_like(wanted), np.zeros_like(wanted)
    for stop in range(len(wanted), 0, -_BLOCK):
        start = max(0, stop - _BLOCK)
        behind = factor[start:stop, stop:] @ errors[stop:]
        for column in range(stop - 1, start - 1, -1):
            inner = slice(column + 1, stop)
            pull = behind[column - start] + factor[column, inner] @ errors[inner]
            codes[column] = nearest(wanted[column] - pull / factor[column, column])
            errors[column] = codes[column] - wanted[column]
    return codes.T


def _beam(steps: F64, factor: F64) -> F64:
    """The best of many choices a filter; `factor` (K, K) or (O, K, K) upper triangular."""
    filters, size = steps.shape
    width = 1 << size if size <= EXHAUSTIVE else _WIDTH
    each = np.broadcast_to(factor, (filters, size, size))
    some = max(1, _STATES // (width * size))
    parts = [slice(first, first + some) for first in range(0, filters, some)]
    return np.concatenate([_followed(steps[part], each[part], width) for part in parts])


def _followed(steps: F64, factor: F64, width: int) -> F64:
    filters, size = steps.shape
    errors = np.zeros((filters, 1, size))
    costs = np.zeros((filters, 1))
    for column in range(size - 1, -1, -1):
        scale = factor[:, column, column, None]
        later = factor[:, column, column + 1 :, None]
        pull = np.matmul(errors[:, :, column + 1 :], later)[:, :, 0] / scale
        below = np.floor(steps[:, column, None] - pull)
        both = np.clip(np.concatenate([below, below + 1], axis=1), -INT8_MAX, INT8_MAX)
        made = both - steps[:, column, None]
        costs = np.tile(costs, 2) + (scale * (made + np.tile(pull, 2))) ** 2
        errors = np.tile(errors, (1, 2, 1))
        errors[:, :, column] = made
        if costs.shape[1] > width:
            kept = np.argsort(costs, axis=1, kind="stable")[:, :width]
            costs = np.take_along_axis(costs, kept, axis=1)
            errors = np.take_along_axis(errors, kept[:, :, None], axis=1)
    best = np.argmin(costs, axis=1)
    codes: F64 = np.rint(errors[np.arange(filters), best] + steps)
    return codes
