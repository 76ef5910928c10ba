"""Instructions on compiled kernels: what is packed is what lies in memory, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.params import ChannelParams
from bpu_common.program import Conv, Instruction, LoadConst, Lut, Tile
from bpu_sim import arith
from bpu_sim.kernels.plan import Plan
from tests.support.kernels_library import SETS
from tests.support.programs_machine import run_one, sram_tile

X, Y = sram_tile(0, (3, 5, 8)), sram_tile(512, (3, 5, 8))


def params_of(rng: np.random.Generator, channels: int, **changes: np.ndarray) -> ChannelParams:
    made = arith.channel_params(
        rng.normal(0, 0.1, channels), rng.uniform(1e-3, 0.3, channels), np.full(channels, 1e-3)
    )
    return replace(made, **changes)


def conv_at(x: Tile, y: Tile, constants: int, **changes: object) -> Conv:
    outputs = y.shape_hwc[2]
    made = Conv(
        0, (), x, y, constants + 8 * outputs, constants, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1
    )
    return replace(made, **changes)


def test_constants_that_change_count() -> None:
    """The same instruction runs twice, with other weights and parameters in the same place."""
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, X.shape_hwc).astype(np.int8)
    conv, target = conv_at(X, Y, 2048), sram_tile(1024, Y.shape_hwc)
    sections, wanted = [], []
    for _ in range(2):
        weights = rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8)
        params = params_of(rng, 8)
        sections.append(params.to_bytes() + weights.tobytes())
        wanted.append(arith.conv(x, weights, params))
    size = len(sections[0])
    body: list[Instruction] = [LoadConst(0, (), 0, 2048, size), conv]
    body += [LoadConst(0, (), size, 2048, size), replace(conv, y=target)]
    for tile, expected in ((Y, wanted[0]), (target, wanted[1])):
        found = run_one(body, [(X, x)], tile, b"".join(sections))
        np.testing.assert_array_equal(found, expected)


def test_equal_instructions_share_what_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of one layer have the same constants: they are packed once, and once for all runs."""
    made: list[int] = []
    begin = Plan.__init__

    def counted(self: Plan, *arguments: object) -> None:
        made.append(1)
        begin(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Plan, "__init__", counted)
    rng = np.random.default_rng(4)
    x = rng.integers(-128, 128, X.shape_hwc).astype(np.int8)
    weights = rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8)
    section = params_of(rng, 8).to_bytes() + weights.tobytes()
    conv = conv_at(X, Y, 2048)
    again = replace(conv, x=Y, y=sram_tile(1024, Y.shape_hwc), operation=1)
    body = [LoadConst(0, (), 0, 2048, len(section)), conv, again]
    run_one(body, [(X, x)], again.y, section)
    assert len(made) == len(SETS)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 8]), st.integers(1, 3))
def test_weights_of_minus_128(seed: int, groups: int, kernel: int) -> None:
    """The least int8 has no opposite: kernels that multiply magnitudes must not meet it."""
    rng = np.random.default_rng(seed)
    shape = (8, kernel, kernel, 8 // groups)
    x = rng.choice(np.array([-128, -127, 0, 127], np.int8), X.shape_hwc)
    weights = rng.choice(np.array([-128, -127, 127], np.int8), shape)
    params = params_of(rng, 8, right_shift=np.full(8, 6, np.int32))
    y = sram_tile(512, (3 - kernel + 1, 5 - kernel + 1, 8))
    conv = conv_at(X, y, 2048, kernel_hw=(kernel, kernel), groups=groups)
    section = params.to_bytes() + weights.tobytes()
    found = run_one([LoadConst(0, (), 0, 2048, len(section)), conv], [(X, x)], y, section)
    np.testing.assert_array_equal(found, arith.conv(x, weights, params, groups=groups))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 3))
def test_numbers_that_no_network_has(seed: int, rows: int, columns: int) -> None:
    """Multipliers beyond 15 bits, and inputs larger than what the windows meet."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (3 + rows, 5 + columns, 8)).astype(np.int8)
    weights = rng.integers(-127, 128, (8, 2, 2, 8)).astype(np.int8)
    multiplier = rng.integers(0, 1 << 16, 8).astype(np.int32)
    params = params_of(rng, 8, multiplier=multiplier if seed % 2 else multiplier % (1 << 15))
    x_tile, y = sram_tile(0, x.shape), sram_tile(1024, (2, 3, 8))
    conv = conv_at(x_tile, y, 2048, kernel_hw=(2, 2), pads_tlbr=(0, 0, 1, 1))
    section = params.to_bytes() + weights.tobytes()
    found = run_one([LoadConst(0, (), 0, 2048, len(section)), conv], [(x_tile, x)], y, section)
    whole = arith.conv(x, weights, params, pads=(0, 0, 1, 1))
    np.testing.assert_array_equal(found, whole[:2, :3])


def test_a_table_that_changes_counts() -> None:
    x = np.arange(-60, 60, dtype=np.int8).reshape(X.shape_hwc)
    tables = np.random.default_rng(5).integers(-128, 128, (2, 256)).astype(np.int8)
    target = sram_tile(1024, Y.shape_hwc)
    body = [
        LoadConst(0, (), 0, 2048, 256),
        Lut(0, (), X, Y, 2048, 1),
        LoadConst(0, (), 256, 2048, 256),
        Lut(0, (), Y, target, 2048, 1),
    ]
    found = run_one(body, [(X, x)], target, tables.tobytes())
    np.testing.assert_array_equal(found, arith.lut(arith.lut(x, tables[:1]), tables[1:]))
