"""The fitted constants in the code are those of the fit, and the published error band is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fidelity.features import Features, constants_of, recorded
from benchmarks.fidelity.fit import CONSTANTS, error, fit, left_out
from benchmarks.fidelity.published import Row, published
from bpu_common.fidelity import BAND
from bpu_common.machine import X3M

ROOT = Path(__file__).resolve().parents[2]
ROWS = [row for row in published() if row.threads == 1]


@pytest.fixture(scope="module")
def found() -> dict[str, Features]:
    return recorded()


def _mean(values: list[float]) -> float:
    return sum(map(abs, values)) / len(values)


def test_the_constants_are_those_of_the_fit(found: dict[str, Features]) -> None:
    fitted, code = fit(ROWS, found), constants_of(X3M)
    for name in CONSTANTS:
        assert code[name] == pytest.approx(fitted[name], rel=0.05), name


def test_the_fit_finds_constants_that_made_the_times(found: dict[str, Features]) -> None:
    """Oracle: times computed from other constants lead back to them."""
    wanted = {name: value * 1.3 for name, value in constants_of(X3M).items()}
    rows = [
        Row(
            row.row,
            row.network,
            1,
            found[row.network].latency_ns(wanted, 1.0) / 1e6,
            None,
            X3M.cpu.reference_clock_hz // 1_000_000,
            "",
        )
        for row in ROWS
    ]
    assert fit(rows, found) == pytest.approx(wanted, rel=1e-6)


def test_the_error_band_is_that_of_the_recorded_networks(found: dict[str, Features]) -> None:
    errors = [100 * error(row, found, constants_of(X3M)) for row in ROWS]
    outside = [100 * off for each in left_out(ROWS, found) for off in each.errors.values()]
    assert (len(ROWS), len({row.network for row in ROWS})) == (BAND.rows, BAND.networks)
    assert _mean(errors) == pytest.approx(BAND.mean, abs=0.051)
    assert max(map(abs, errors)) == pytest.approx(BAND.worst, abs=0.051)
    assert _mean(outside) == pytest.approx(BAND.left_out, abs=0.051)


@pytest.mark.parametrize("page", ["README.md", "docs/machine.md"])
def test_pages_quote_the_error_band(page: str) -> None:
    words = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert BAND.sentence in words
