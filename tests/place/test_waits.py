"""Waits are minimal: without any one of them the order is no longer proven."""

from __future__ import annotations

from dataclasses import replace

from bpu_common.program import (
    EltwiseKind,
    Engine,
    FunctionCall,
    Instruction,
    Program,
    engine_of,
)
from bpu_host.compiler.place import EmitOptions
from bpu_sim.machine import find_hazards
from tests.support.nets_place import LoweredNet, place_whole, small_machine


def _program() -> Program:
    net = LoweredNet(7)
    x = net.codes((12, 12, 8))
    y = net.eltwise(EltwiseKind.ADD, net.conv(net.conv(x, 16), 8), x)
    network = net.graph(net.conv(net.concat([y, x]), 8))
    return place_whole(network, small_machine(4_096), EmitOptions()).program


def _without(program: Program, index: int, wait: int) -> Program:
    (call,) = program.calls
    changed = list(call.instructions)
    kept = tuple(w for w in changed[index].waits if w != wait)
    changed[index] = replace(changed[index], waits=kept)
    return replace(program, calls=(FunctionCall.on_one_core(call.name, changed),))


def test_no_wait_can_be_left_out() -> None:
    program = _program()
    instructions = program.calls[0].instructions
    pairs = [(i, w) for i, each in enumerate(instructions) for w in each.waits]
    assert len(pairs) >= 10
    for index, wait in pairs:
        assert next(iter(find_hazards(_without(program, index, wait))), None), (index, wait)


def test_waits_cross_queues_and_point_back() -> None:
    for index, instruction in enumerate(_program().calls[0].instructions):
        for wait in instruction.waits:
            assert wait < index
            other = _program().calls[0].instructions[wait]
            assert engine_of(other) is not engine_of(instruction)


def _three_tiles() -> tuple[Instruction, ...]:
    """One layer in at least three tiles, with room for two of them."""
    net = LoweredNet(8)
    network = net.graph(net.conv(net.codes((64, 64, 16)), 16))
    program = place_whole(network, small_machine(49_152), EmitOptions()).program
    return program.calls[0].instructions


def _of(instructions: tuple[Instruction, ...], engine: Engine) -> list[int]:
    return [i for i, each in enumerate(instructions) if engine_of(each) is engine]


def test_loads_run_ahead_of_the_computation() -> None:
    """Double buffering: a load waits for the tile before the previous one, not for the last."""
    instructions = _three_tiles()
    computes = _of(instructions, Engine.COMPUTE)
    assert len(computes) >= 3
    for load in _of(instructions, Engine.LOAD):
        earlier = [c for c in computes if c < load]
        assert not earlier or earlier[-1] not in instructions[load].waits


def test_stores_run_beside_the_computation() -> None:
    """A tile is computed while the one before it is stored: nothing waits for the last store."""
    instructions = _three_tiles()
    stores = _of(instructions, Engine.STORE)
    assert len(stores) >= 3
    for compute in _of(instructions, Engine.COMPUTE):
        earlier = [s for s in stores if s < compute]
        assert not earlier or earlier[-1] not in instructions[compute].waits
