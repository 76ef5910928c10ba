"""What a chip is doing, for those who watch it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChipSample:
    """State at one instant; counters since the chip began.

    Attributes:
        core_busy_ns: per BPU core, time with a function call on it.
        core_calls: per BPU core, function calls completed.
        preemptions: per BPU core, how often a task lost it at a call boundary.
        running: per BPU core, (task, call) or None.
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
    waiting: int
    cpu_busy_ns: int
    cpu_running: int
    core_ddr_bytes: tuple[int, ...]
    core_ddr_wait_ns: tuple[int, ...]
    tasks_alive: int
    tasks_done: int
