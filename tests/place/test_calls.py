"""Function calls within a time limit, and what a layer that does not fit says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bpu_common.errors import CapacityError, ConfigError
from bpu_common.network import Network
from bpu_common.program import EltwiseKind, Program, Space
from bpu_host.compiler.place import EmitOptions
from bpu_sim.machine.access import accesses
from bpu_sim.timing import predict
from tests.support.nets_place import LoweredNet, check_program, small_machine

SLOW = replace(small_machine(16_384), clock_hz=40_000_000)
"""A clock at which a millisecond is 40,000 cycles: a few small layers."""


def _chain(layers: int = 8) -> Network:
    net = LoweredNet(3)
    x = net.image((32, 32, 3))
    x = net.conv(x, 16)
    outputs = []
    for index in range(layers):
        y = net.conv(net.depthwise(net.conv(x, 24, (1, 1), pads=(0, 0, 0, 0))), 16)
        x = net.eltwise(EltwiseKind.ADD, y, x)
        if index == 2:
            outputs.append(x)
    return net.graph(*outputs, net.concat([x, net.pool(x, 3, 1)]))


def _limit_cycles(limit_us: int) -> int:
    return limit_us * SLOW.clock_hz // 1_000_000


@pytest.mark.parametrize("limit_us", [1_000, 1_700, 5_000])
def test_every_call_is_within_the_limit(limit_us: int) -> None:
    network = _chain()
    program = check_program(network, SLOW, EmitOptions(max_time_per_fc_us=limit_us))
    assert len(program.calls) > 1
    assert max(c.predicted_cycles for c in program.calls) <= _limit_cycles(limit_us)
    _reads_only_what_it_wrote(program)


def test_long_layer_is_divided() -> None:
    net = LoweredNet(4)
    x = net.codes((28, 28, 32))
    network = net.graph(net.conv(x, 48, (5, 5), pads=(2, 2, 2, 2)))
    program = check_program(network, SLOW, EmitOptions(max_time_per_fc_us=1_000))
    assert len(program.calls) > 2
    assert max(c.predicted_cycles for c in program.calls) <= _limit_cycles(1_000)


def test_long_fully_connected_layer_is_divided_by_channels() -> None:
    net = LoweredNet(5)
    y = net.conv(net.codes((1, 1, 512)), 2_000, (1, 1), pads=(0, 0, 0, 0), int32=True)
    program = check_program(net.graph(y), SLOW, EmitOptions(max_time_per_fc_us=1_000))
    assert len(program.calls) > 1
    assert max(c.predicted_cycles for c in program.calls) <= _limit_cycles(1_000)


def test_one_call_without_a_limit_or_when_it_is_short() -> None:
    network = _chain(2)
    assert len(check_program(network, SLOW, EmitOptions()).calls) == 1
    generous = EmitOptions(max_time_per_fc_us=10_000_000)
    assert len(check_program(network, SLOW, generous).calls) == 1


def test_predicted_cycles_are_those_of_the_timing_model() -> None:
    program = check_program(_chain(2), SLOW, EmitOptions(max_time_per_fc_us=2_000))
    timing = predict(program, SLOW)
    assert [c.predicted_cycles for c in program.calls] == [c.cycles for c in timing.calls]


def test_impossible_limit_names_the_layer() -> None:
    net = LoweredNet(3)
    network = net.graph(net.conv(net.codes((6, 6, 8)), 8))
    slowest = replace(SLOW, clock_hz=1_000_000)  # 1,000 cycles a call: less than one set-up
    with pytest.raises(CapacityError, match=r"layer '\w+' .*function calls"):
        check_program(network, slowest, EmitOptions(max_time_per_fc_us=1_000))


def test_layer_too_big_for_the_memory_is_named() -> None:
    net = LoweredNet(6)
    network = net.graph(net.conv(net.codes((9, 9, 64)), 8, (5, 5), pads=(2, 2, 2, 2)))
    with pytest.raises(CapacityError, match=r"conv_0.*does not fit into 1024 bytes"):
        check_program(network, small_machine(1_024), EmitOptions())


@pytest.mark.parametrize("values", [{"optimize_level": "O4"}, {"compile_mode": "fast"}])
def test_unknown_option_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values.values()))):
        EmitOptions(**values)  # type: ignore[arg-type]


def test_milliseconds_are_refused() -> None:
    with pytest.raises(ConfigError, match="microseconds"):
        EmitOptions(max_time_per_fc_us=10)


def _reads_only_what_it_wrote(program: Program) -> None:
    """No call reads bytes of SRAM that an earlier call left there."""
    for call in program.calls:
        written = bytearray(program.sram_bytes)
        for instruction in call.instructions:
            reads, writes = accesses(instruction)
            for tile in reads:
                if tile.space is Space.SRAM:
                    assert all(written[tile.offset_bytes : tile.end_bytes]), call.name
            for tile in writes:
                if tile.space is Space.SRAM:
                    size = tile.end_bytes - tile.offset_bytes
                    written[tile.offset_bytes : tile.end_bytes] = bytes([1]) * size
