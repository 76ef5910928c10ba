"""Means and covariances of what convolutions read, from the codes of samples, exactly.

Rows are the inputs of one result of a convolution (im2col), at places that a seeded choice takes
from each sample. They are whole numbers, and so are the sums of them and of their products: neither
the machine, nor its threads, nor their order changes a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from bpu_common.network import QConv
from bpu_common.tensor import F32, F64, I8

_EXACT_ROWS = 1024
"""So many products of codes (2^14 each) have a sum that float32 holds exactly."""
_LEAST_ROWS = 256


@dataclass(slots=True)
class Moments:
    """Of the inputs of each group of a convolution.

    Rows wait until they are larger than the matrix of their products.

    Attributes:
        groups, size: inputs of a result are (groups, size) codes.
        count: rows seen.
    """

    groups: int
    size: int
    count: int = 0
    _rows: list[I8] = field(default_factory=list)
    _waiting: int = 0
    _totals: tuple[F64, F64] | None = None

    def add(self, rows: I8) -> None:
        """Note rows (n, groups, size)."""
        self.count += len(rows)
        self._waiting += len(rows)
        self._rows.append(rows)
        if self._waiting >= max(_LEAST_ROWS, 8 * self.size):
            self._totals = self._summed()

    def finish(self) -> tuple[F64, F64]:
        """Mean (groups, size) and covariance (groups, size, size), in codes; at least one row."""
        sums, products = self._summed()
        self._totals = None
        products *= self.count
        products -= sums[:, :, None] * sums[:, None, :]  # whole numbers up to here
        products /= self.count**2
        return sums / self.count, products

    def _summed(self) -> tuple[F64, F64]:
        """The sums of all rows and of their products; rows that waited are let go."""
        sums, products = self._totals or (
            np.zeros((self.groups, self.size)),
            np.zeros((self.groups, self.size, self.size)),
        )
        if self._rows:
            rows = np.concatenate(self._rows).transpose(1, 0, 2)
            self._rows, self._waiting = [], 0
            for first in range(0, rows.shape[1], _EXACT_ROWS):
                some: F32 = rows[:, first : first + _EXACT_ROWS].astype(np.float32)
                sums += some.sum(axis=1)
                products += np.matmul(some.transpose(0, 2, 1), some)
        return sums, products


def moments_of(op: QConv) -> Moments:
    """Empty ones for the inputs of a convolution."""
    return Moments(op.groups, math.prod(op.weights.shape[1:]))


def rows_at_places(op: QConv, x: I8, out_hw: tuple[int, int], count: int, seed: int) -> I8:
    """Inputs of `count` results (of all, if there are no more), (n, groups, kh * kw * channels).

    Args:
        x: codes (H, W, C).
        seed: of the choice of places.
    """
    total = out_hw[0] * out_hw[1]
    if count < total:
        places = np.random.default_rng(seed).choice(total, count, replace=False)
    else:
        places = np.arange(total)
    top, left, bottom, right = op.pads_tlbr
    (up_y, up_x), (height, width, channels) = op.upsample_hw, x.shape
    spread = ((height - 1) * up_y + 1, (width - 1) * up_x + 1)
    padded = np.full(
        (spread[0] + top + bottom, spread[1] + left + right, channels), op.pad_code, np.int8
    )
    padded[top : top + spread[0] : up_y, left : left + spread[1] : up_x] = x
    ys, xs = np.divmod(places, out_hw[1])
    kernel_ys = np.arange(op.kernel_hw[0]) * op.dilation_hw[0]
    kernel_xs = np.arange(op.kernel_hw[1]) * op.dilation_hw[1]
    rows = padded[
        (ys * op.stride_hw[0])[:, None, None] + kernel_ys[:, None],
        (xs * op.stride_hw[1])[:, None, None] + kernel_xs,
    ]
    grouped = rows.reshape(len(places), -1, op.groups, channels // op.groups)
    return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3)).reshape(len(places), op.groups, -1)
