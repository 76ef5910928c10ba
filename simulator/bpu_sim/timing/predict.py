"""Whole programs: the prediction per call and operation, and closed-form bounds beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bpu_common.machine import MachineSpec
from bpu_common.program import Engine, FunctionCall, Program, engine_of
from bpu_sim.timing.cost import instruction_cost
from bpu_sim.timing.pipeline import CallTiming, OperationTiming, simulate_call


@dataclass(frozen=True, slots=True)
class ProgramTiming:
    """Prediction for a program alone on one core, calls one after the other.

    Attributes:
        operations: per operation over all calls, in order of first appearance.
    """

    calls: tuple[CallTiming, ...]
    operations: tuple[OperationTiming, ...]
    clock_hz: int

    @property
    def cycles(self) -> int:
        return sum(c.cycles for c in self.calls)

    @property
    def duration_ns(self) -> int:
        return cycles_to_ns(self.cycles, self.clock_hz)

    @property
    def load_bytes(self) -> int:
        return sum(c.load_bytes for c in self.calls)

    @property
    def store_bytes(self) -> int:
        return sum(c.store_bytes for c in self.calls)

    @property
    def macs(self) -> int:
        return sum(c.macs for c in self.calls)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Closed-form limits in cycles: every prediction lies in [max(compute, ddr), total]."""

    compute_cycles: int
    ddr_cycles: int
    sum_cycles: int

    @property
    def lower_cycles(self) -> int:
        return max(self.compute_cycles, self.ddr_cycles)


def cycles_to_ns(cycles: int, clock_hz: int) -> int:
    """Cycles as integer nanoseconds, rounded up."""
    return -(-cycles * 1_000_000_000 // clock_hz)


def predict(program: Program, spec: MachineSpec) -> ProgramTiming:
    """Predict every call of `program` alone on a core of `spec`."""
    calls = tuple(simulate_call(call, spec) for call in program.calls)
    rows: dict[int, list[int]] = {}
    for operation in (operation for call in calls for operation in call.operations):
        row = rows.setdefault(operation.operation, [0, 0, 0, 0, 0])
        values = (
            operation.cycles,
            operation.stall_cycles,
            operation.macs,
            operation.load_bytes,
            operation.store_bytes,
        )
        for column, value in enumerate(values):
            row[column] += value
    operations = tuple(OperationTiming(index, *row) for index, row in rows.items())
    return ProgramTiming(calls, operations, spec.clock_hz)


def bounds(program: Program, spec: MachineSpec) -> Bounds:
    """Compute-only, DDR-only and strictly serial time of `program`.

    Compute-only: all compute instructions back to back. DDR-only: the busier DMA
    port, or all bytes over the bus, whichever is longer. Sum: nothing overlaps, latency paid each.
    """
    each = [call_bounds(call, spec) for call in program.calls]
    return Bounds(
        sum(b.compute_cycles for b in each),
        sum(b.ddr_cycles for b in each),
        sum(b.sum_cycles for b in each),
    )


def call_bounds(call: FunctionCall, spec: MachineSpec) -> Bounds:
    """`bounds` of one function call."""
    compute_cycles = port_cycles = sum_cycles = bus_bytes = 0
    for stream in call.streams:
        busy = {Engine.LOAD: 0, Engine.COMPUTE: 0, Engine.STORE: 0}
        for instruction in stream.instructions:
            cost = instruction_cost(instruction, spec)
            engine = engine_of(instruction)
            busy[engine] += cost.cycles
            sum_cycles += cost.latency_cycles
            bus_bytes += cost.load_bytes + cost.store_bytes
        compute_cycles = max(compute_cycles, busy[Engine.COMPUTE])
        port_cycles = max(port_cycles, busy[Engine.LOAD], busy[Engine.STORE])
        sum_cycles += sum(busy.values())
    bus_cycles = math.floor(bus_bytes / spec.ddr_total_bytes_per_cycle)
    return Bounds(compute_cycles, max(port_cycles, bus_cycles), sum_cycles)
