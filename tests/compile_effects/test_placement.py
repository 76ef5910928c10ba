"""`compile_mode`, `optimize_level`, `max_time_per_fc`: cycles, bytes and function calls."""

from __future__ import annotations

import pytest

from tests.compile_effects.conftest import SLOW_CLOCK_HZ, Convert

LEVELS = ("O0", "O1", "O2", "O3")
LIMIT_US = 1_000


@pytest.mark.parametrize("level", ["O0", "O3"])
@pytest.mark.parametrize("network", ["residual", "large_map"])
def test_no_mode_loses_by_its_own_measure(convert: Convert, network: str, level: str) -> None:
    latency = convert(network, optimize_level=level, compile_mode="latency")
    bandwidth = convert(network, optimize_level=level, compile_mode="bandwidth")
    assert bandwidth.ddr_bytes <= latency.ddr_bytes
    assert latency.cycles <= bandwidth.cycles


def test_the_modes_differ_where_bytes_cost_time(convert: Convert) -> None:
    latency, bandwidth = (convert("large_map", compile_mode=m) for m in ("latency", "bandwidth"))
    assert bandwidth.ddr_bytes < latency.ddr_bytes
    assert latency.cycles < bandwidth.cycles


@pytest.mark.parametrize("network", ["residual", "chain"])
def test_each_level_is_faster_than_the_one_before(convert: Convert, network: str) -> None:
    cycles = [convert(network, optimize_level=level).cycles for level in LEVELS]
    assert cycles == sorted(cycles, reverse=True)
    assert len(set(cycles)) == len(cycles)


def test_tensors_that_stay_on_the_chip_move_fewer_bytes(convert: Convert) -> None:
    o0, o1, o2 = (convert("residual", optimize_level=level).ddr_bytes for level in LEVELS[:3])
    assert max(o1, o2) < o0


def test_a_limit_makes_more_and_shorter_calls(convert: Convert) -> None:
    whole = convert("residual", clock_hz=SLOW_CLOCK_HZ)
    assert len(whole.call_cycles) == 1
    limit_cycles = LIMIT_US * SLOW_CLOCK_HZ // 1_000_000
    assert whole.cycles > limit_cycles
    cut = convert("residual", clock_hz=SLOW_CLOCK_HZ, max_time_per_fc_us=LIMIT_US)
    finer = len(cut.call_cycles)
    assert max(cut.call_cycles) <= limit_cycles
    assert cut.cycles >= whole.cycles
    generous = convert("residual", clock_hz=SLOW_CLOCK_HZ, max_time_per_fc_us=2 * LIMIT_US)
    assert 1 < len(generous.call_cycles) <= finer
    assert max(generous.call_cycles) > max(cut.call_cycles)


def test_a_limit_that_is_not_reached_changes_nothing(convert: Convert) -> None:
    limited, free = convert("chain", max_time_per_fc_us=LIMIT_US), convert("chain")
    assert limited.call_cycles == free.call_cycles
    assert limited.ddr_bytes == free.ddr_bytes
