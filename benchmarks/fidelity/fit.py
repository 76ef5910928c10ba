"""The fit: constants of least squares of relative errors, every network with the same weight.

A network counts once, whatever the number of its rows. `left_out` predicts each network by the
constants of all others; the range of a constant over these fits is its jackknife range, and one
that no other network determines is missing in the fit without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fidelity.features import BPU_CONSTANTS, CPU_CONSTANTS, Features
from benchmarks.fidelity.published import Row
from bpu_common.machine import X3M

CONSTANTS = (*BPU_CONSTANTS, *CPU_CONSTANTS)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One network predicted by a fit that has not seen it.

    Attributes:
        errors: relative, by row.
        constants: of that fit; one that nothing else determines keeps the value of the whole fit.
        lost: constants that this network alone determines.
    """

    network: str
    errors: dict[str, float]
    constants: dict[str, float]
    lost: tuple[str, ...]


def cpu_scale(row: Row) -> float:
    """How much slower than at the reference clock the CPU of a row is."""
    return X3M.cpu.reference_clock_hz / (row.cpu_mhz * 1e6)


def error(row: Row, found: Mapping[str, Features], constants: dict[str, float]) -> float:
    """Relative error of the latency of one thread."""
    predicted_ns = found[row.network].latency_ns(constants, cpu_scale(row))
    return predicted_ns / (row.latency_ms * 1e6) - 1


def fit(
    rows: Sequence[Row],
    found: Mapping[str, Features],
    known: Mapping[str, float] | None = None,
    without: Collection[str] = (),
) -> dict[str, float]:
    """The constants that fit `rows` of one thread best; none is negative.

    Args:
        known: values of constants that these rows say nothing about.
        without: constants that are 0 (an ablation).
    """
    weights = Counter(row.network for row in rows)
    free = [name for name in CONSTANTS if name not in without]
    values = dict.fromkeys(CONSTANTS, 0.0)
    free = [n for n in free if any(_count(row, found, n) > 0 for row in rows)]
    values.update({n: known[n] for n in CONSTANTS if known and n not in free and n not in without})
    while free:
        matrix, wanted = [], []
        for row in rows:
            scale = 1 / (row.latency_ms * 1e6 * weights[row.network] ** 0.5)
            matrix.append([_count(row, found, n) * row.latency_ms * 1e6 * scale for n in free])
            fixed = dict.fromkeys(CONSTANTS, 0.0) | {
                n: v for n, v in values.items() if n not in free
            }
            rest_ns = found[row.network].latency_ns(fixed, cpu_scale(row))
            wanted.append((row.latency_ms * 1e6 - rest_ns) * scale)
        best, *_ = np.linalg.lstsq(np.array(matrix), np.array(wanted), rcond=None)
        values.update(zip(free, map(float, best), strict=True))
        negative = [name for name in free if values[name] < 0]
        if not negative:
            break
        values.update(dict.fromkeys(negative, 0.0))
        free = [name for name in free if name not in negative]
    return values


def _count(row: Row, found: Mapping[str, Features], name: str) -> float:
    """Share of a row's latency that one unit of a constant takes."""
    scale = cpu_scale(row) if name in CPU_CONSTANTS else 1.0
    return found[row.network].counts[name] * scale / (row.latency_ms * 1e6)


def left_out(rows: Sequence[Row], found: Mapping[str, Features]) -> list[LeftOut]:
    """Every network predicted by the others."""
    whole = fit(rows, found)
    results = []
    for network in dict.fromkeys(row.network for row in rows):
        others = [row for row in rows if row.network != network]
        constants = fit(others, found, whole)
        shares = {n: max(_count(row, found, n) * whole[n] for row in others) for n in CONSTANTS}
        mine = [row for row in rows if row.network == network]
        own = {n: max(_count(row, found, n) * whole[n] for row in mine) for n in CONSTANTS}
        lost = tuple(n for n in CONSTANTS if own[n] > 0.02 and shares[n] < 0.02)
        constants |= {n: whole[n] for n in lost}
        errors = {row.row: error(row, found, constants) for row in mine}
        results.append(LeftOut(network, errors, constants, lost))
    return results
