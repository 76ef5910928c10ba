"""Three queues with waits: against a time-stepped oracle, between the closed-form bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings

from bpu_common.machine import X3M, MachineSpec
from bpu_common.program import (
    AwaitStream,
    Engine,
    FunctionCall,
    Instruction,
    LoadConst,
    Space,
    Store,
    engine_of,
)
from bpu_sim.timing import (
    bounds,
    call_bounds,
    instruction_cost,
    predict,
    simulate_call,
)
from tests.support.timing_calls import calls, conv, program, specs, sram, tile, two_cores

STEP = 1 / 8
Place: TypeAlias = tuple[int, int]
"""Stream, and index in it."""
Key: TypeAlias = tuple[int, Engine]


def stepped_cycles(call: FunctionCall, spec: MachineSpec) -> float:
    """The same rules, moved forward in steps of `STEP` cycles."""
    body = {(s, i): x for s, t in enumerate(call.streams) for i, x in enumerate(t.instructions)}
    keys = [(core, engine) for core in range(len(call.streams)) for engine in Engine]
    queues = {key: [p for p, x in body.items() if (p[0], engine_of(x)) == key] for key in keys}
    active: dict[Key, Place | None] = dict.fromkeys(keys)
    left: dict[Key, float] = {}
    ends: dict[Place, float] = {}
    now = 0.0
    while len(ends) < len(body):
        for key in keys:
            if active[key] is None and queues[key]:
                place = queues[key][0]
                instruction = body[place]
                if all(ends.get(w, now + 1) <= now for w in _waits(place, instruction)):
                    active[key] = queues[key].pop(0)
                    left[key] = instruction_cost(instruction, spec).cycles
        ports = sum(active[key] is not None for key in keys if key[1] is not Engine.COMPUTE)
        rate = min(1.0, spec.ddr_total_bytes_per_cycle / spec.ddr_bytes_per_cycle / max(ports, 1))
        now += STEP
        for key in keys:
            place = active[key]
            if place is None:
                continue
            left[key] -= STEP * (rate if key[1] is not Engine.COMPUTE else 1.0)
            if left[key] <= 1e-9:
                ends[place] = now + instruction_cost(body[place], spec).latency_cycles
                active[key] = None
    return max(ends.values())


def _waits(place: Place, instruction: Instruction) -> list[Place]:
    waits = [(place[0], wait) for wait in instruction.waits]
    if isinstance(instruction, AwaitStream):
        waits.append((instruction.stream, instruction.instruction))
    return waits


@given(calls(8) | two_cores(), specs())
@settings(max_examples=90, deadline=None)
def test_equals_the_time_stepped_oracle(call: FunctionCall, spec: MachineSpec) -> None:
    timing = simulate_call(call, spec)
    # A step may end up to one step late, and a chain is at most as long as the list.
    assert timing.cycles == pytest.approx(
        stepped_cycles(call, spec), abs=2 * STEP * len(call.instructions) + 1
    )


@given(calls() | two_cores(), specs())
@settings(max_examples=300, deadline=None)
def test_lies_between_the_bounds(call: FunctionCall, spec: MachineSpec) -> None:
    timing, limits = simulate_call(call, spec), call_bounds(call, spec)
    assert limits.lower_cycles <= timing.cycles <= limits.sum_cycles
    cores = len(call.streams)
    assert limits.compute_cycles <= timing.compute_cycles <= cores * limits.compute_cycles
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
def test_operations_account_for_compute_and_stalls(call: FunctionCall, spec: MachineSpec) -> None:
    timing = simulate_call(call, spec)
    busy = sum(operation.cycles - operation.stall_cycles for operation in timing.operations)
    assert busy == pytest.approx(timing.compute_cycles, abs=len(timing.operations) + 1)
    assert sum(operation.cycles for operation in timing.operations) <= timing.cycles + len(
        timing.operations
    )
    assert sum(operation.load_bytes for operation in timing.operations) == timing.load_bytes
    assert sum(operation.store_bytes for operation in timing.operations) == timing.store_bytes
    assert sum(operation.macs for operation in timing.operations) == timing.macs


def test_another_layer_costs_no_set_up() -> None:
    first, second = conv((8, 8, 8), 8, operation=0), conv((8, 8, 8), 8, operation=1)
    cost = instruction_cost(first, X3M).cycles
    same = simulate_call(FunctionCall.on_one_core("same", (first, first)), X3M)
    other = simulate_call(FunctionCall.on_one_core("other", (first, second)), X3M)
    assert same.cycles == other.cycles == 2 * cost


def test_loads_hide_behind_computation() -> None:
    work = conv((64, 64, 64), 64, kernel=3)
    weights = LoadConst(0, (), 0, 0, 86_000)
    alone = simulate_call(FunctionCall.on_one_core("alone", (work,)), X3M)
    hidden = simulate_call(FunctionCall.on_one_core("hidden", (weights, work)), X3M)
    exposed = simulate_call(
        FunctionCall.on_one_core("exposed", (weights, replace(work, waits=(0,)))), X3M
    )
    assert hidden.cycles == alone.cycles
    load = instruction_cost(weights, X3M)
    assert exposed.cycles == alone.cycles + load.cycles + load.latency_cycles


def test_load_and_store_share_the_bus() -> None:
    load = LoadConst(0, (), 0, 0, 640_000)
    store = Store(0, (), sram(100, 100, 64), tile(Space.SCRATCH, 100, 100, 64))
    both = simulate_call(FunctionCall.on_one_core("both", (load, store)), X3M)
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
    assert sum(operation.macs for operation in whole.operations) == whole.macs
    limits = bounds(program(first, second), spec)
    assert limits.lower_cycles <= whole.cycles <= limits.sum_cycles


def test_an_empty_call_takes_no_time() -> None:
    assert simulate_call(FunctionCall.on_one_core("empty", ()), X3M).cycles == 0
