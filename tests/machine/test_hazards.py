"""The hazard checker against a brute-force oracle, and against executions in other legal orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import CompilerBug
from bpu_common.program import (
    Engine,
    Fill,
    Instruction,
    Load,
    Move,
    Space,
    Store,
    Tile,
    engine_of,
)
from bpu_common.tensor import DType
from bpu_sim.machine import Executor, check_hazards, find_hazards
from bpu_sim.machine.access import accesses
from tests.support.programs_machine import program_of, sram_tile

MEMORY_BYTES = 96
WHOLE = Tile(Space.SRAM, 0, (1, 1, MEMORY_BYTES), MEMORY_BYTES, MEMORY_BYTES)


def random_tile(draw: st.DrawFn, space: Space, shape: tuple[int, int, int]) -> Tile:
    pixel = shape[2] + draw(st.integers(0, 2))
    row = shape[1] * pixel + draw(st.integers(0, 3))
    tile = Tile(space, 0, shape, row, pixel)
    return replace(tile, offset_bytes=draw(st.integers(0, MEMORY_BYTES - tile.end_bytes)))


@st.composite
def bodies(draw: st.DrawFn) -> list[Instruction]:
    """Random copies and fills on small memories, each with random waits."""
    body: list[Instruction] = [Fill(0, (), WHOLE, 1)]
    for index in range(1, draw(st.integers(3, 12))):
        shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)))
        waits = tuple(sorted(draw(st.sets(st.integers(0, index - 1), max_size=2))))
        kind = draw(st.sampled_from([Load, Move, Store, Fill]))
        chip, other = random_tile(draw, Space.SRAM, shape), random_tile(draw, Space.SRAM, shape)
        ddr = random_tile(draw, draw(st.sampled_from([Space.SCRATCH, Space.IO])), shape)
        body.append(
            Load(0, waits, ddr, chip)
            if kind is Load
            else Store(0, waits, chip, ddr)
            if kind is Store
            else Move(0, waits, chip, other)
            if kind is Move
            else Fill(0, waits, chip, index)
        )
    return body


def touched(tile: Tile) -> set[tuple[Space, int]]:
    rows, columns, channels = tile.shape_hwc
    return {
        (tile.space, tile.offset_bytes + r * tile.row_pitch_bytes + c * tile.pixel_pitch_bytes + d)
        for r in range(rows)
        for c in range(columns)
        for d in range(channels)
    }


def brute_force(body: list[Instruction]) -> set[tuple[int, str]]:
    """(later instruction, kind) of every unordered conflicting pair on different queues."""
    before: list[set[int]] = []
    for index, instruction in enumerate(body):
        same = [k for k in range(index) if engine_of(body[k]) is engine_of(instruction)]
        direct = {*instruction.waits, *same}
        before.append(direct.union(*(before[k] for k in direct)))
    found = set()
    for later, instruction in enumerate(body):
        reads, writes = (set().union(*map(touched, part)) for part in accesses(instruction))
        for earlier in range(later):
            other = body[earlier]
            if engine_of(other) is engine_of(instruction) or earlier in before[later]:
                continue
            first_reads, first_writes = (set().union(*map(touched, p)) for p in accesses(other))
            if reads & first_writes:
                found.add((later, "RAW"))
            if writes & first_writes:
                found.add((later, "WAW"))
            if writes & first_reads:
                found.add((later, "WAR"))
    return found


@settings(max_examples=200, deadline=None)
@given(bodies())
def test_finds_exactly_what_brute_force_finds(body: list[Instruction]) -> None:
    program = program_of(body, sram=MEMORY_BYTES, scratch=MEMORY_BYTES, io=MEMORY_BYTES)
    hazards = [hazard for hazard in find_hazards(program) if hazard.kind != "ALIAS"]
    assert {(hazard.later[1], hazard.kind) for hazard in hazards} == brute_force(body)


@settings(max_examples=100, deadline=None)
@given(bodies(), st.randoms(use_true_random=False))
def test_a_program_without_hazards_gives_the_same_bits_in_every_legal_order(body, random) -> None:
    body = [one for one in body if not (isinstance(one, Move) and touched(one.x) & touched(one.y))]
    body = [replace(one, waits=()) for one in body]
    while hazards := list(find_hazards(one_call(body))):
        for hazard in hazards:
            later = hazard.later[1]
            waits = {*body[later].waits, hazard.earlier[1]}
            body[later] = replace(body[later], waits=tuple(sorted(waits)))
    check_hazards(one_call(body))
    expected = final_memories(body, tuple(range(len(body))))
    for _ in range(3):
        assert final_memories(body, legal_order(body, random)) == expected


def one_call(body: list[Instruction]):
    return program_of(body, sram=MEMORY_BYTES, scratch=MEMORY_BYTES, io=MEMORY_BYTES)


def legal_order(body: list[Instruction], random) -> tuple[int, ...]:
    """Some order in which each queue is in order and every wait is respected."""
    queues = {
        engine: [k for k, one in enumerate(body) if engine_of(one) is engine] for engine in Engine
    }
    order: list[int] = []
    while len(order) < len(body):
        ready = [q[0] for q in queues.values() if q and set(body[q[0]].waits) <= set(order)]
        order.append(random.choice(ready))
        queues[engine_of(body[order[-1]])].pop(0)
    return tuple(order)


def final_memories(body: list[Instruction], order: tuple[int, ...]) -> list[bytes]:
    executor = Executor(one_call(body), b"")
    rng = np.random.default_rng(1)
    spaces = (Space.SCRATCH, Space.IO)
    for space in spaces:
        values = rng.integers(-128, 128, (1, 1, MEMORY_BYTES)).astype(np.int8)
        executor.write(replace(WHOLE, space=space), values)
    executor.run_call(0, [(0, index) for index in order])
    return [executor.read(replace(WHOLE, space=space)).tobytes() for space in (*spaces, Space.SRAM)]


def double_buffered(strips: int) -> list[Instruction]:
    """Load, move and store strips through two buffers each, with exactly the waits needed."""
    body: list[Instruction] = []
    for k in range(strips):
        shape = (2, 4, 4)
        x, y = sram_tile(32 * (k % 2), shape), sram_tile(64 + 32 * (k % 2), shape)
        source = replace(x, space=Space.IO, offset_bytes=32 * k)
        target = replace(x, space=Space.SCRATCH, offset_bytes=32 * k)
        base = len(body)
        body.append(Load(0, (base - 5,) if k >= 2 else (), source, x))
        body.append(Move(0, (base, base - 4) if k >= 2 else (base,), x, y))
        body.append(Store(0, (base + 1,), y, target))
    return body


def test_every_wait_of_a_double_buffer_is_needed() -> None:
    body = double_buffered(6)
    sizes = {"sram": 128, "scratch": 192, "io": 192}
    check_hazards(program_of(body, **sizes))
    for index, instruction in enumerate(body):
        for wait in instruction.waits:
            less = list(body)
            kept = tuple(w for w in instruction.waits if w != wait)
            less[index] = replace(instruction, waits=kept)
            hazards = list(find_hazards(program_of(less, **sizes)))
            assert ((0, wait), (0, index)) in {(h.earlier, h.later) for h in hazards}
            with pytest.raises(CompilerBug, match=f"instruction {index} and instruction {wait}"):
                check_hazards(program_of(less, **sizes))


def test_calls_are_barriers() -> None:
    store = Store(0, (0,), WHOLE, replace(WHOLE, space=Space.SCRATCH))
    load = Load(1, (), replace(WHOLE, space=Space.SCRATCH), WHOLE)
    sizes = {"sram": MEMORY_BYTES, "scratch": MEMORY_BYTES}
    check_hazards(program_of([Fill(0, (), WHOLE, 1), store], [load], **sizes))
    with pytest.raises(CompilerBug, match="'second'"):
        check_hazards(
            program_of([Fill(0, (), WHOLE, 1), store, load], **sizes), ("first", "second")
        )


@pytest.mark.parametrize("wait", [-1, 1, 7])
def test_a_wait_must_name_an_earlier_instruction(wait: int) -> None:
    body = [Fill(0, (), WHOLE, 1), Fill(0, (wait,), WHOLE, 2)]
    assert [hazard.kind for hazard in find_hazards(one_call(body))] == ["WAIT"]


def test_an_instruction_must_not_overwrite_what_it_still_reads() -> None:
    x = sram_tile(0, (2, 2, 4))
    fill = Fill(0, (), WHOLE, 1)
    shifted = replace(x, offset_bytes=4)
    assert [h.kind for h in find_hazards(one_call([fill, Move(0, (), x, shifted)]))] == ["ALIAS"]
    assert list(find_hazards(one_call([fill, Move(0, (), x, x)]))) == []
    between = Tile(Space.SRAM, 0, (2, 2, 2), 8, 4), Tile(Space.SRAM, 2, (2, 2, 2), 8, 4)
    assert list(find_hazards(one_call([fill, Move(0, (), *between)]))) == []


def test_int32_tiles_cover_all_their_bytes() -> None:
    wide = sram_tile(0, (1, 2, 2), DType.INT32)
    ddr = replace(wide, space=Space.IO)
    body = [Load(0, (), ddr, wide), Fill(0, (), sram_tile(15, (1, 1, 1)), 0)]
    assert [hazard.kind for hazard in find_hazards(one_call(body))] == ["WAW"]
