"""A task plan in the form in which tasks walk along it: worked out once for all its frames."""

from __future__ import annotations

from bpu_common.machine import MachineSpec
from bpu_common.task import CpuStep, TaskPlan
from bpu_sim.device.ddr import Demand

SEGMENT = -1
"""Stands where a CPU step has its time."""
END = -2
"""Stands behind the last step."""

_KEPT = 64


class Route:
    """The steps of one plan on one machine.

    Attributes:
        times_ns: of each step: the time of a CPU step, or `SEGMENT`; then `END`.
        calls: function calls of each step; a CPU step has none.
    """

    __slots__ = ("calls", "model", "plan", "times_ns")

    def __init__(self, plan: TaskPlan, spec: MachineSpec) -> None:
        self.plan = plan
        self.model = plan.model
        self.times_ns = (
            *(each.duration_ns if isinstance(each, CpuStep) else SEGMENT for each in plan.steps),
            END,
        )
        self.calls = tuple(
            () if isinstance(each, CpuStep) else tuple(Demand(cost, spec) for cost in each.calls)
            for each in plan.steps
        )


class Routes:
    """Routes of the plans that were seen last.

    Attributes:
        known: them, by the identity of the plan.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._spec = spec
        self.known: dict[int, Route] = {}  # a route keeps its plan, and so its identity

    def of(self, plan: TaskPlan) -> Route:
        """The route of a plan, made if it is not known."""
        found = self.known.get(id(plan))
        if found is None:
            if len(self.known) >= _KEPT:
                self.known.clear()
            found = self.known[id(plan)] = Route(plan, self._spec)
        return found
