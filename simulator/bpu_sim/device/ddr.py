"""How running function calls slow each other down on the DDR bus: a fluid model.

Alone, a call lasts `cycles`, moves `ddr_bytes` and keeps its DDR port busy for `ddr_cycles` of
them. Its demand is its mean rate, `ddr_bytes / cycles`. While the demands of all running calls
together exceed the bus, the DDR part of each stretches by that excess and the rest does not:

    stretch = 1 + ddr_cycles / cycles * (max(1, sum of demands / bus) - 1)
"""

from __future__ import annotations

import math

from bpu_common.machine import MachineSpec
from bpu_common.task import CallCost


class Demand:
    """What one function call asks of a machine, worked out once.

    Attributes:
        alone_ns: how long it takes with the bus to itself.
        rate: bytes per cycle.
        ddr_share: part of its time in which its DDR port is busy.
        work_ns: `alone_ns` before rounding.
    """

    __slots__ = ("alone_ns", "ddr_bytes", "ddr_share", "name", "rate", "work_ns")

    def __init__(self, cost: CallCost, spec: MachineSpec) -> None:
        cycles = max(1, cost.cycles)
        self.name = cost.name
        self.ddr_bytes = cost.ddr_bytes
        self.rate = cost.ddr_bytes / cycles
        self.ddr_share = min(1.0, cost.ddr_cycles / cycles)
        self.work_ns = cycles * (1e9 / spec.clock_hz)
        self.alone_ns = math.ceil(self.work_ns - 1e-6)


class _Running:
    __slots__ = ("demand", "left_ns", "since_ns", "stretch")

    def __init__(self, demand: Demand, now_ns: int) -> None:
        self.demand = demand
        self.left_ns = demand.work_ns  # of work, as if alone
        self.since_ns = now_ns
        self.stretch = 1.0


class DdrBus:
    """The calls that run now, one per core, and when each will be done."""

    def __init__(self, spec: MachineSpec) -> None:
        self._bus = spec.ddr_total_bytes_per_cycle
        self._running: dict[int, _Running] = {}
        self._excess = 1.0

    def start(self, core: int, demand: Demand, now_ns: int) -> list[tuple[int, int]]:
        """A call begins on idle `core`.

        Returns:
            (core, end time) of this call and of every other whose end has changed.
        """
        self._running[core] = _Running(demand, now_ns)
        if self._excess == 1.0:
            total = 0.0
            for call in self._running.values():
                total += call.demand.rate
            if total <= self._bus:
                return [(core, now_ns + demand.alone_ns)]
        return self._rebalance(now_ns)

    def stop(self, core: int, now_ns: int) -> list[tuple[int, int]]:
        """The call on `core` is over; returns the new end of every other one that changed."""
        del self._running[core]
        if self._excess == 1.0:  # less demand changes nothing
            return []
        return self._rebalance(now_ns)

    def shape(self, now_ns: int) -> object:
        """All that decides what it will answer, times counted from `now_ns`; to be compared.

        The order of the calls is part of it: sums of floats depend on it.
        """
        return self._excess, [
            (core, call.demand, call.left_ns, now_ns - call.since_ns, call.stretch)
            for core, call in self._running.items()
        ]

    def leap(self, time_ns: int) -> None:
        """All times are later by `time_ns`."""
        for call in self._running.values():
            call.since_ns += time_ns

    def _rebalance(self, now_ns: int) -> list[tuple[int, int]]:
        """The end of every running call, after more or less demand."""
        total = 0.0
        for call in self._running.values():  # `sum` rounds otherwise from Python 3.12 on
            total += call.demand.rate
        self._excess = excess = max(1.0, total / self._bus)
        changed = []
        for core, call in self._running.items():
            call.left_ns = max(0.0, call.left_ns - (now_ns - call.since_ns) / call.stretch)
            call.since_ns = now_ns
            call.stretch = 1.0 + call.demand.ddr_share * (excess - 1.0)
            changed.append((core, now_ns + math.ceil(call.left_ns * call.stretch - 1e-6)))
        return changed
