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


class _Running:
    __slots__ = ("ddr_share", "demand", "left_ns", "since_ns", "stretch")

    def __init__(self, cost: CallCost, cycle_ns: float, now_ns: int) -> None:
        cycles = max(1, cost.cycles)
        self.demand = cost.ddr_bytes / cycles  # bytes per cycle
        self.ddr_share = min(1.0, cost.ddr_cycles / cycles)
        self.left_ns = cycles * cycle_ns  # of work, as if alone
        self.since_ns = now_ns
        self.stretch = 1.0


class DdrBus:
    """The calls that run now, one per core, and when each will be done."""

    def __init__(self, spec: MachineSpec) -> None:
        self._bus = spec.ddr_total_bytes_per_cycle
        self._cycle_ns = 1e9 / spec.clock_hz
        self._running: dict[int, _Running] = {}
        self._excess = 1.0

    def start(self, core: int, cost: CallCost, now_ns: int) -> list[tuple[int, int]]:
        """Call `cost` begins on idle `core`.

        Returns:
            (core, end time) of this call and of every other whose end has changed.
        """
        call = _Running(cost, self._cycle_ns, now_ns)
        self._running[core] = call
        changed = self._rebalance(now_ns)
        return changed or [(core, self._end_ns(call))]

    def alone_ns(self, cost: CallCost) -> int:
        """How long call `cost` takes with the bus to itself."""
        return math.ceil(max(1, cost.cycles) * self._cycle_ns - 1e-6)

    def stop(self, core: int, now_ns: int) -> list[tuple[int, int]]:
        """The call on `core` is over; returns the new end of every other one that changed."""
        del self._running[core]
        return self._rebalance(now_ns)

    def _rebalance(self, now_ns: int) -> list[tuple[int, int]]:
        demand = 0.0
        for call in self._running.values():
            demand += call.demand
        if demand <= self._bus and self._excess == 1.0:
            return []
        excess = max(1.0, demand / self._bus)
        self._excess = excess
        changed = []
        for core, call in self._running.items():
            call.left_ns = max(0.0, call.left_ns - (now_ns - call.since_ns) / call.stretch)
            call.since_ns = now_ns
            call.stretch = 1.0 + call.ddr_share * (excess - 1.0)
            changed.append((core, self._end_ns(call)))
        return changed

    @staticmethod
    def _end_ns(call: _Running) -> int:
        return call.since_ns + math.ceil(call.left_ns * call.stretch - 1e-6)
