"""Whole programs: the prediction per call and layer, and closed-form bounds beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bpu_common.machine import MachineSpec
from bpu_common.program import Engine, FunctionCall, Program, engine_of
from bpu_sim.timing.cost import instruction_cost
from bpu_sim.timing.pipeline import CallTiming, LayerTiming, simulate_call


@dataclass(frozen=True, slots=True)
class ProgramTiming:
    """Prediction for a program alone on one core, calls one after the other.

    Attributes:
        layers: per layer over all calls, in order of first appearance.
    """

    calls: tuple[CallTiming, ...]
    layers: tuple[LayerTiming, ...]
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
    for layer in (layer for call in calls for layer in call.layers):
        row = rows.setdefault(layer.layer, [0, 0, 0, 0, 0])
        values = (
            layer.cycles,
            layer.stall_cycles,
            layer.macs,
            layer.load_bytes,
            layer.store_bytes,
        )
        for column, value in enumerate(values):
            row[column] += value
    layers = tuple(LayerTiming(index, *row) for index, row in rows.items())
    return ProgramTiming(calls, layers, spec.clock_hz)


def bounds(program: Program, spec: MachineSpec) -> Bounds:
    """Compute-only, DDR-only and strictly serial time of `program`.

    Compute-only: all compute instructions back to back, set-ups included. DDR-only: the busier DMA
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
    busy = {Engine.LOAD: 0, Engine.COMPUTE: 0, Engine.STORE: 0}
    latency = bus_bytes = 0
    layer = -1
    for instruction in call.instructions:
        cost = instruction_cost(instruction, spec)
        engine = engine_of(instruction)
        busy[engine] += cost.cycles
        latency += cost.latency_cycles
        bus_bytes += cost.load_bytes + cost.store_bytes
        if engine is Engine.COMPUTE and instruction.layer != layer:
            layer = instruction.layer
            busy[engine] += spec.layer_setup_cycles
    bus_cycles = math.floor(bus_bytes / spec.ddr_total_bytes_per_cycle)
    return Bounds(
        compute_cycles=busy[Engine.COMPUTE],
        ddr_cycles=max(busy[Engine.LOAD], busy[Engine.STORE], bus_cycles),
        sum_cycles=sum(busy.values()) + latency,
    )
