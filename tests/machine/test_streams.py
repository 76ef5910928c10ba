"""Two cores: order across streams, proved and executed, and streams that wait for each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import CompilerBug, DeviceFault
from bpu_common.program import (
    AwaitStream,
    DeadlockError,
    Engine,
    Fill,
    FunctionCall,
    Instruction,
    Load,
    Program,
    Space,
    Store,
    Stream,
    Tile,
    engine_of,
    legal_order,
)
from bpu_sim.machine import Executor, check_hazards, find_hazards
from bpu_sim.machine.access import accesses

BYTES = 8
CHIP = Tile(Space.SRAM, 0, (1, 1, BYTES), BYTES, BYTES)
Place = tuple[int, int]


def one_call(*streams: list[Instruction]) -> Program:
    call = FunctionCall("call", tuple(Stream(tuple(body)) for body in streams))
    return Program((call,), (), (), BYTES, BYTES, BYTES)


@st.composite
def two_streams(draw: st.DrawFn) -> Program:
    """Fills, loads and stores of single bytes on two cores, with random waits and awaits."""
    bodies: list[list[Instruction]] = []
    for core in range(2):
        body: list[Instruction] = [Fill(0, (), CHIP, core)]
        for index in range(1, draw(st.integers(2, 8))):
            waits = tuple(sorted(draw(st.sets(st.integers(0, index - 1), max_size=2))))
            chip, ddr = (
                Tile(space, draw(st.integers(0, 2)), (1, 1, 1), 1, 1)
                for space in (Space.SRAM, draw(st.sampled_from([Space.SCRATCH, Space.IO])))
            )
            body.append(
                draw(
                    st.sampled_from(
                        [
                            Fill(0, waits, chip, index),
                            Load(0, waits, ddr, chip),
                            Store(0, waits, chip, ddr),
                            AwaitStream(
                                0,
                                waits,
                                draw(st.sampled_from(Engine)),
                                1 - core,
                                draw(st.integers(0, 3)),
                            ),
                        ]
                    )
                )
            )
        bodies.append(body)
    return one_call(*bodies)


def direct_before(program: Program) -> dict[Place, set[Place]]:
    """What must have finished before each instruction, without what follows from that."""
    streams = program.calls[0].streams
    found: dict[Place, set[Place]] = {}
    for core, stream in enumerate(streams):
        for index, each in enumerate(stream.instructions):
            queue = [
                k for k in range(index) if engine_of(stream.instructions[k]) is engine_of(each)
            ]
            found[core, index] = {(core, k) for k in (*queue, *each.waits)}
            if isinstance(each, AwaitStream):
                found[core, index].add((each.stream, each.instruction))
    return found


def is_possible(program: Program) -> bool:
    """Whether executing the streams in list order comes to an end, by trying every choice."""
    streams = program.calls[0].streams
    sizes = tuple(len(stream.instructions) for stream in streams)
    seen, reached = set(), [(0, 0)]
    while reached:
        done = reached.pop()
        if done == sizes:
            return True
        if done in seen:
            continue
        seen.add(done)
        for core in range(2):
            if done[core] == sizes[core]:
                continue
            each = streams[core].instructions[done[core]]
            if isinstance(each, AwaitStream) and each.instruction >= done[each.stream]:
                continue
            reached.append((done[0] + (core == 0), done[1] + (core == 1)))
    return False


def touched(tiles: tuple[Tile, ...], core: int) -> set[tuple[object, ...]]:
    return {
        (core if tile.space is Space.SRAM else -1, tile.space, tile.offset_bytes + k)
        for tile in tiles
        for k in range(tile.size_bytes)
    }


def conflicts(program: Program) -> set[tuple[frozenset[Place], str]]:
    """Unordered pairs on different queues that share a byte which one of them writes."""
    streams = program.calls[0].streams
    before = direct_before(program)
    changed = True
    while changed:
        changed = False
        for place, known in before.items():
            more = set().union(*(before[other] for other in known)) - known
            if more:
                before[place] |= more
                changed = True
    found = set()
    for one in before:
        for other in before:
            first, second = (streams[c].instructions[k] for c, k in (one, other))
            queues = {(one[0], engine_of(first)), (other[0], engine_of(second))}
            if one >= other or len(queues) < 2 or one in before[other] or other in before[one]:
                continue
            reads, writes = (touched(part, one[0]) for part in accesses(first))
            other_reads, other_writes = (touched(part, other[0]) for part in accesses(second))
            if writes & other_writes:
                found.add((frozenset({one, other}), "WAW"))
            if writes & other_reads or reads & other_writes:
                found.add((frozenset({one, other}), "read"))
    return found


@settings(max_examples=300, deadline=None)
@given(two_streams())
def test_order_exists_exactly_when_it_can_be_found_by_trying(program: Program) -> None:
    if not is_possible(program):
        with pytest.raises(DeadlockError):
            legal_order(program.calls[0])
        with pytest.raises(DeviceFault, match="waits for ever"):
            Executor(program, b"").run()
        return
    order = legal_order(program.calls[0])
    position = {place: number for number, place in enumerate(order)}
    assert sorted(order) == sorted(direct_before(program))
    for place, known in direct_before(program).items():
        assert all(position[other] < position[place] for other in known)


@settings(max_examples=300, deadline=None)
@given(two_streams())
def test_hazards_are_those_that_brute_force_finds(program: Program) -> None:
    """Some hazard of every kind at every pair of queues; the last one stands for those before."""
    if not is_possible(program):
        return
    wanted = conflicts(program)
    found = {
        (frozenset({hazard.earlier, hazard.later}), "WAW" if hazard.kind == "WAW" else "read")
        for hazard in find_hazards(program)
    }
    assert found <= wanted
    assert bool(found) == bool(wanted)


def hand_over(*, awaits: bool) -> Program:
    """Core 0 writes to DDR what core 1 reads and returns."""
    scratch, out = replace(CHIP, space=Space.SCRATCH), replace(CHIP, space=Space.IO)
    first = [Fill(0, (), CHIP, 7), Store(0, (0,), CHIP, scratch)]
    wait = [AwaitStream(1, (), Engine.LOAD, 0, 1)] if awaits else []
    last = len(wait)
    second = [*wait, Load(1, (), scratch, CHIP), Store(1, (last,), CHIP, out)]
    return one_call(first, second)


def test_one_core_reads_what_another_wrote() -> None:
    program = hand_over(awaits=True)
    check_hazards(program)
    executor = Executor(program, b"")
    for order in (None, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]):
        executor.begin()
        executor.run_call(0, order)
        assert (executor.read(replace(CHIP, space=Space.IO)) == 7).all()


def test_without_the_await_it_is_a_hazard() -> None:
    with pytest.raises(CompilerBug, match="instruction 0 of stream 1 and instruction 1 are not"):
        check_hazards(hand_over(awaits=False))


def test_cores_have_memories_of_their_own() -> None:
    """What one core loads, the other one has not; a fault names the stream."""
    program = one_call(
        [Fill(0, (), CHIP, 1)],
        [Store(0, (), CHIP, replace(CHIP, space=Space.IO))],
    )
    with pytest.raises(DeviceFault, match="never written") as caught:
        Executor(program, b"").run()
    assert "stream 1, instruction 0 (Store)" in caught.value.where
    both = one_call([Fill(0, (), CHIP, 1)], [Fill(0, (), CHIP, 2)])
    assert list(find_hazards(both)) == []
