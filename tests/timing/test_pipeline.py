"""Three queues with waits: against a time-stepped oracle, between the closed-form bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from bpu_common.machine import X3M, MachineSpec
from bpu_common.program import Engine, FunctionCall, LoadConst, Space, Store, engine_of
from bpu_sim.timing import (
    bounds,
    call_bounds,
    instruction_cost,
    predict,
    simulate_call,
)
from tests.support.timing_calls import calls, conv, program, specs, sram, tile

STEP = 1 / 8


def stepped_cycles(call: FunctionCall, spec: MachineSpec) -> float:
    """The same rules, moved forward in steps of `STEP` cycles."""
    queues = {e: [i for i, x in enumerate(call.instructions) if engine_of(x) is e] for e in Engine}
    active: dict[Engine, int | None] = dict.fromkeys(Engine)
    left: dict[Engine, float] = {}
    ends: dict[int, float] = {}
    both = min(1.0, spec.ddr_total_bytes_per_cycle / spec.ddr_bytes_per_cycle / 2)
    layer, now = -1, 0.0
    while len(ends) < len(call.instructions):
        for engine in Engine:
            if active[engine] is None and queues[engine]:
                index = queues[engine][0]
                instruction = call.instructions[index]
                if all(ends.get(w, now + 1) <= now for w in instruction.waits):
                    active[engine] = queues[engine].pop(0)
                    left[engine] = instruction_cost(instruction, spec).cycles
                    if engine is Engine.COMPUTE and instruction.layer != layer:
                        layer = instruction.layer
                        left[engine] += spec.layer_setup_cycles
        shared = active[Engine.LOAD] is not None and active[Engine.STORE] is not None
        now += STEP
        for engine in Engine:
            index = active[engine]
            if index is None:
                continue
            left[engine] -= STEP * (both if shared and engine is not Engine.COMPUTE else 1.0)
            if left[engine] <= 1e-9:
                latency = instruction_cost(call.instructions[index], spec).latency_cycles
                ends[index] = now + latency
                active[engine] = None
    return max(ends.values())


@given(calls(8), specs())
@settings(max_examples=60, deadline=None)
def test_equals_the_time_stepped_oracle(call: FunctionCall, spec: MachineSpec) -> None:
    timing = simulate_call(call, spec)
    # A step may end up to one step late, and a chain is at most as long as the list.
    assert timing.cycles == pytest.approx(
        stepped_cycles(call, spec), abs=2 * STEP * len(call.instructions) + 1
    )


@given(calls(), specs())
@settings(max_examples=300, deadline=None)
def test_lies_between_the_bounds(call: FunctionCall, spec: MachineSpec) -> None:
    timing, limits = simulate_call(call, spec), call_bounds(call, spec)
    assert limits.lower_cycles <= timing.cycles <= limits.sum_cycles
    assert timing.compute_cycles == limits.compute_cycles
    assert timing.ddr_cycles <= timing.load_cycles + timing.store_cycles
    assert timing.ddr_cycles <= timing.cycles


@given(calls(), specs())
@settings(max_examples=100, deadline=None)
def test_order_and_waits_are_respected(call: FunctionCall, spec: MachineSpec) -> None:
    timing = simulate_call(call, spec)
    last: dict[Engine, int] = {}
    for index, instruction in enumerate(call.instructions):
        span = timing.spans[index]
        assert span.start_cycles <= span.end_cycles <= timing.cycles
        for wait in instruction.waits:
            assert span.start_cycles >= timing.spans[wait].end_cycles - 1  # both are rounded
        engine = engine_of(instruction)
        assert span.start_cycles >= last.get(engine, 0)
        last[engine] = span.start_cycles


@given(calls(), specs())
@settings(max_examples=60, deadline=None)
def test_layers_account_for_compute_and_stalls(call: FunctionCall, spec: MachineSpec) -> None:
    timing = simulate_call(call, spec)
    busy = sum(layer.cycles - layer.stall_cycles for layer in timing.layers)
    assert busy == pytest.approx(timing.compute_cycles, abs=len(timing.layers) + 1)
    assert sum(layer.cycles for layer in timing.layers) <= timing.cycles + len(timing.layers)
    assert sum(layer.load_bytes for layer in timing.layers) == timing.load_bytes
    assert sum(layer.store_bytes for layer in timing.layers) == timing.store_bytes
    assert sum(layer.macs for layer in timing.layers) == timing.macs


def test_set_up_is_paid_when_the_layer_changes() -> None:
    first, second = conv((8, 8, 8), 8, layer=0), conv((8, 8, 8), 8, layer=1)
    cost = instruction_cost(first, X3M).cycles
    same = simulate_call(FunctionCall("same", (first, first)), X3M)
    other = simulate_call(FunctionCall("other", (first, second)), X3M)
    assert same.cycles == 2 * cost + X3M.layer_setup_cycles
    assert other.cycles == same.cycles + X3M.layer_setup_cycles


def test_loads_hide_behind_computation() -> None:
    work = conv((64, 64, 64), 64, kernel=3)
    weights = LoadConst(0, (), 0, 0, 86_000)
    alone = simulate_call(FunctionCall("alone", (work,)), X3M)
    hidden = simulate_call(FunctionCall("hidden", (weights, work)), X3M)
    exposed = simulate_call(FunctionCall("exposed", (weights, replace(work, waits=(0,)))), X3M)
    assert hidden.cycles == alone.cycles
    load = instruction_cost(weights, X3M)
    assert exposed.cycles == alone.cycles + load.cycles + load.latency_cycles


def test_load_and_store_share_the_bus() -> None:
    load = LoadConst(0, (), 0, 0, 640_000)
    store = Store(0, (), sram(100, 100, 64), tile(Space.SCRATCH, 100, 100, 64))
    both = simulate_call(FunctionCall("both", (load, store)), X3M)
    assert both.cycles >= 1_280_000 / X3M.ddr_total_bytes_per_cycle
    assert both.cycles < 1_280_000 / X3M.ddr_bytes_per_cycle


@given(calls(6), calls(6), specs())
@settings(max_examples=40, deadline=None)
def test_a_program_is_the_sum_of_its_calls(
    first: FunctionCall, second: FunctionCall, spec: MachineSpec
) -> None:
    whole = predict(program(first, second), spec)
    parts = [simulate_call(first, spec), simulate_call(second, spec)]
    assert whole.calls == tuple(parts)
    assert whole.cycles == sum(p.cycles for p in parts)
    assert whole.macs == sum(p.macs for p in parts)
    assert sum(layer.macs for layer in whole.layers) == whole.macs
    limits = bounds(program(first, second), spec)
    assert limits.lower_cycles <= whole.cycles <= limits.sum_cycles


def test_an_empty_call_takes_no_time() -> None:
    assert simulate_call(FunctionCall("empty", ()), X3M).cycles == 0
