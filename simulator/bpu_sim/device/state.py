"""Tasks and cores of the chip, and a sample of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bpu_common.task import TaskControl, TaskEvent
from bpu_sim.device.ddr import Demand
from bpu_sim.device.route import Route

OnEvent: TypeAlias = Callable[[TaskEvent], None]

TRANSIT, CPU_QUEUE, DRIVER = range(3)
"""Where a task is: decides what a cancellation can do at once."""


@dataclass(frozen=True, slots=True)
class ChipSample:
    """State at one instant; counters since the chip began.

    Attributes:
        core_busy_ns: per BPU core, time with a function call on it.
        core_calls: per BPU core, function calls completed.
        preemptions: per BPU core, how often a task lost it at a call boundary.
        running: per BPU core, (task, call) or None.
        models: per BPU core, the model of that task, or empty.
        waiting: runs of function calls in the driver without a core.
        cpu_busy_ns: CPU core time used by operators, all cores together.
        core_ddr_bytes: per BPU core, loaded and stored by completed function calls.
        core_ddr_wait_ns: per BPU core, how much longer those took because cores share the DDR bus.
        tasks_alive: submitted and not yet over.
    """

    time_ns: int
    core_busy_ns: tuple[int, ...]
    core_calls: tuple[int, ...]
    preemptions: tuple[int, ...]
    running: tuple[tuple[int, int] | None, ...]
    models: tuple[str, ...]
    waiting: int
    cpu_busy_ns: int
    cpu_running: int
    core_ddr_bytes: tuple[int, ...]
    core_ddr_wait_ns: tuple[int, ...]
    tasks_alive: int
    tasks_done: int


class Task:
    """One frame on the chip; what most frames never change is an attribute of the class."""

    begun_ns = -1
    bpu_ns = 0
    cancelled = False
    cpu_ns = 0  # of completed operators
    operator_ns = 0  # of the operator that runs
    every_event = False
    place = TRANSIT
    step = 0
    turn = 0

    def __init__(
        self, number: int, route: Route, control: TaskControl, on_event: OnEvent | None
    ) -> None:
        self.id = number
        self.route = route
        self.control = control
        self.on_event = on_event


class Core:
    """A BPU core: the call that runs there, and its counters.

    Attributes:
        ticket: a completion counts only with the last one.
    """

    __slots__ = (
        "busy_ns", "call", "calls", "ddr_bytes", "ddr_wait_ns", "demand", "index", "preemptions",
        "since_ns", "task", "ticket",
    )  # fmt: skip
    task: Task
    demand: Demand

    def __init__(self, index: int) -> None:
        self.index = index
        self.ticket = self.call = self.since_ns = 0
        self.busy_ns = self.calls = self.preemptions = self.ddr_bytes = self.ddr_wait_ns = 0
