"""Memory rate, CPU clock and governor of the simulated board."""

from __future__ import annotations

import pytest

from bpu_common.errors import UsageError
from bpu_common.machine import X3E, X3M, MachineSpec
from bpu_common.machine_settings import configured
from bpu_common.task import CallCost
from bpu_sim.device.ddr import DdrBus, Demand
from bpu_sim.timing import cpu_step_ns


def test_nothing_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BPU_DDR_MTPS", "BPU_CPU_MHZ", "BPU_CPU_GOVERNOR"):
        monkeypatch.delenv(name, raising=False)
    assert configured(X3M) == X3M


def test_the_usual_memory_rate_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPU_DDR_MTPS", "3200")
    assert configured(X3M) == X3M


def test_slower_memory_slows_two_cores_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPU_DDR_MTPS", "2666")
    cost = CallCost("stream", 1_000_000, 1_000_000, 8_600_000)

    def end_ns(spec: MachineSpec) -> int:
        bus = DdrBus(spec)
        bus.start(0, Demand(cost, spec), 0)
        return max(end for _, end in bus.start(1, Demand(cost, spec), 0))

    assert end_ns(configured(X3M)) / end_ns(X3M) == pytest.approx(3200 / 2666, rel=1e-6)


def test_cpu_operators_follow_clock_and_governor(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = cpu_step_ns("HzLut", 1_000_000, X3M.cpu)
    monkeypatch.setenv("BPU_CPU_MHZ", "1800")
    fast = cpu_step_ns("HzLut", 1_000_000, configured(X3M).cpu)
    assert fast == pytest.approx(alone * 1200 / 1800, abs=1)
    monkeypatch.setenv("BPU_CPU_GOVERNOR", "ondemand")
    assert cpu_step_ns("HzLut", 1_000_000, configured(X3M).cpu) == pytest.approx(2 * fast, abs=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BPU_DDR_MTPS", "1600"),
        ("BPU_DDR_MTPS", "fast"),
        ("BPU_CPU_MHZ", "239"),
        ("BPU_CPU_MHZ", "1801"),
        ("BPU_CPU_MHZ", "9" * 5000),
        ("BPU_CPU_GOVERNOR", "turbo"),
    ],
)
def test_what_no_board_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        configured(X3E)
