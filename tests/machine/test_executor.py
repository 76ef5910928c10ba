"""Every instruction on the modelled memories equals the normative arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.limits import INT32_LIMIT
from bpu_common.params import ChannelParams
from bpu_common.program import (
    Axis,
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Fill,
    LoadConst,
    Lut,
    MaxPool,
    Move,
    Requant,
    Resize,
    ResizeMode,
)
from bpu_common.tensor import DType
from bpu_sim import arith
from bpu_sim.machine import kernels
from tests.support.programs_machine import run_one, sram_tile

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADS = st.tuples(*[st.integers(0, 2)] * 4)
GAPS = st.sampled_from([(0, 0), (3, 0), (0, 5), (8, 1)])
GROUPS = st.sampled_from([(1, 3, 5), (1, 16, 8), (2, 3, 2), (6, 1, 1), (3, 1, 2)])


def random_params(rng: np.random.Generator, channels: int) -> ChannelParams:
    acc_scale = rng.uniform(1e-4, 1e-2, channels)
    ratio = rng.uniform(1e-3, 0.3, channels)
    return arith.channel_params(rng.normal(0, 0.1, channels), ratio, acc_scale)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    PAIRS,
    PAIRS,
    PAIRS,
    PADS,
    PAIRS,
    GROUPS,
    GAPS,
    st.booleans(),
)
def test_conv(seed, size, kernel, stride, dilation, pads, upsample, channels, gaps, wide) -> None:
    groups, depth, per_group = channels
    outputs = groups * per_group
    spread = [(size[k] - 1) * upsample[k] + 1 + pads[k] + pads[k + 2] for k in (0, 1)]
    reach = [(kernel[k] - 1) * dilation[k] + 1 for k in (0, 1)]
    if spread[0] < reach[0] or spread[1] < reach[1]:
        return
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (*size, groups * depth)).astype(np.int8)
    weights = rng.integers(-127, 128, (outputs, *kernel, depth)).astype(np.int8)
    params = random_params(rng, outputs)
    pad_code = int(rng.integers(-128, 128))
    factors = tuple(int(f) for f in rng.integers(-128, 128, outputs if seed % 4 == 1 else 1))
    rows, columns = ((spread[k] - reach[k]) // stride[k] + 1 for k in (0, 1))
    dtype = DType.INT32 if wide else DType.INT8
    x_tile = sram_tile(0, x.shape, gaps=gaps)
    y_tile = sram_tile(8192, (rows, columns, outputs), dtype, gaps=gaps)
    section = params.to_bytes() + weights.tobytes()
    op = Conv(
        operation=0,
        waits=(),
        x=x_tile,
        y=y_tile,
        weights_offset_bytes=40960 + 8 * outputs,
        params_offset_bytes=40960,
        kernel_hw=kernel,
        stride_hw=stride,
        dilation_hw=dilation,
        pads_tlbr=pads,
        groups=groups,
        upsample_hw=upsample,
        clamp=(-128, 90),
        pad_code=pad_code,
    )
    operands = [(x_tile, x)]
    addend = None
    if seed % 2:
        addend = rng.integers(-128, 128, y_tile.shape_hwc).astype(np.int8)
        second = sram_tile(32768, y_tile.shape_hwc)
        operands.append((second, addend))
        op = replace(op, addend=second, factors=factors)
    body = [LoadConst(0, (), 0, 40960, len(section)), op]
    y = run_one(body, operands, y_tile, section)
    expected = arith.conv(
        x,
        weights,
        params,
        stride=stride,
        dilation=dilation,
        pads=pads,
        groups=groups,
        upsample=upsample,
        clamp=(-128, 90),
        out=dtype,
        pad_code=pad_code,
        addend=addend,
        factors=factors if addend is not None else (),
    )
    assert y.dtype == expected.dtype
    assert (y == expected).all()


@pytest.mark.parametrize("depth", [16, 1040, 1200])
@pytest.mark.parametrize("code", [-128, 127])
def test_conv_beyond_float32_stays_exact(depth: int, code: int) -> None:
    """The sums of the deeper layers pass 2^24 and are odd: float32 could not hold them."""
    x = np.full((2, 2, depth), code, np.int8)
    x[0, 0, 0] = 1
    weights = np.full((8, 1, 1, depth), 127, np.int8)
    weights[1::2] = -127
    zeros = np.zeros(8, np.int32)
    params = ChannelParams(np.arange(8, dtype=np.int32), zeros, zeros, zeros, zeros)
    op = Conv(
        0, (), sram_tile(0, x.shape), sram_tile(0, (2, 2, 8), DType.INT32), 0, 0,
        (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1,
    )  # fmt: skip
    y = kernels.conv(x, weights, params, op)
    assert (y == arith.conv(x, weights, params, out=DType.INT32)).all()


def test_conv_whose_bias_could_leave_int32_takes_the_normative_path() -> None:
    x = np.full((1, 1, 64), -128, np.int8)
    weights = np.full((1, 1, 1, 64), 127, np.int8)
    one = np.ones(1, np.int32)
    params = ChannelParams(32767 * one, 16 * one, 16 * one, 16384 * one, 14 * one)
    assert arith.accumulator_bound(weights, params).max() > INT32_LIMIT
    op = Conv(
        0, (), sram_tile(0, x.shape), sram_tile(0, (1, 1, 1)), 0, 0,
        (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1,
    )  # fmt: skip
    assert (kernels.conv(x, weights, params, op) == arith.conv(x, weights, params)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), PAIRS, PAIRS, PADS, GAPS)
def test_max_pool(seed, kernel, stride, pads, gaps) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, (7, 6, 3)).astype(np.int8)
    expected = arith.max_pool(x, kernel, stride, pads)
    x_tile, y_tile = sram_tile(0, x.shape, gaps=gaps), sram_tile(8192, expected.shape, gaps=gaps)
    y = run_one([MaxPool(0, (), x_tile, y_tile, kernel, stride, pads)], [(x_tile, x)], y_tile)
    assert (y == expected).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(list(EltwiseKind)),
    st.sampled_from([(4, 5, 6), (1, 1, 6), (1, 1, 1)]),
    GAPS,
    st.booleans(),
)
def test_eltwise(seed, kind, b_shape, gaps, in_place) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, (4, 5, 6)).astype(np.int8)
    b = rng.integers(-128, 128, b_shape).astype(np.int8)
    requant = Requant(77, int(rng.integers(0, 4)), 20_000, int(rng.integers(14, 24)))
    a_tile, b_tile = sram_tile(0, a.shape, gaps=gaps), sram_tile(2048, b_shape)
    y_tile = a_tile if in_place else sram_tile(8192, a.shape, gaps=gaps)
    single = kind is EltwiseKind.SCALE
    entries = (EltwiseEntry(100, -57, requant),)
    second = None if single else b_tile
    op = Eltwise(0, (), kind, a_tile, second, y_tile, entries, (-90, 80), (3, -4))
    operands = [(a_tile, a)] if single else [(a_tile, a), (b_tile, b)]
    expected = arith.eltwise(
        kind, a, None if single else b, entries=entries, clamp=(-90, 80), zeros=(3, -4)
    )
    assert (run_one([op], operands, y_tile) == expected).all()


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("gaps", [(0, 0), (5, 3)])
def test_lut(count: int, gaps: tuple[int, int]) -> None:
    rng = np.random.default_rng(count)
    tables = rng.integers(-128, 128, (count, 256)).astype(np.int8)
    x = rng.integers(-128, 128, (9, 7, 6)).astype(np.int8)
    x_tile, y_tile = sram_tile(0, x.shape, gaps=gaps), sram_tile(4096, x.shape)
    body = [
        LoadConst(0, (), 0, 16384, tables.size),
        Lut(0, (), x_tile, y_tile, 16384, count),
    ]
    y = run_one(body, [(x_tile, x)], y_tile, tables.tobytes())
    assert (y == arith.lut(x, tables)).all()


@pytest.mark.parametrize("mode", list(ResizeMode))
@pytest.mark.parametrize("coordinate_mode", ["half_pixel", "asymmetric", "align_corners"])
def test_resize(mode: ResizeMode, coordinate_mode: str) -> None:
    x = np.random.default_rng(2).integers(-128, 128, (5, 6, 4)).astype(np.int8)
    rows = arith.resize_axis(5, 11, mode, coordinate_mode)
    columns = arith.resize_axis(6, 4, mode, coordinate_mode)
    x_tile, y_tile = sram_tile(0, x.shape), sram_tile(4096, (11, 4, 4))
    y = run_one([Resize(0, (), mode, x_tile, y_tile, rows, columns)], [(x_tile, x)], y_tile)
    assert (y == arith.resize(x, mode, rows, columns)).all()


def test_resize_of_a_strip_uses_positions_of_its_own_tile() -> None:
    x = np.arange(24, dtype=np.int8).reshape(6, 2, 2)
    rows = Axis((1, 3), (2, 3), (128, 0))
    columns = Axis((0, 1), (0, 1), (0, 0))
    x_tile, y_tile = sram_tile(0, x.shape), sram_tile(4096, (2, 2, 2))
    op = Resize(0, (), ResizeMode.BILINEAR, x_tile, y_tile, rows, columns)
    y = run_one([op], [(x_tile, x)], y_tile)
    assert (y[0] == (x[1].astype(int) + x[2] + 1) // 2).all()
    assert (y[1] == x[3]).all()


def test_fill_then_move_into_the_middle() -> None:
    """Padding with a value: a whole tile is filled, then its inner box is overwritten."""
    x = np.arange(-10, 14, dtype=np.int8).reshape(3, 4, 2)
    x_tile, whole = sram_tile(0, x.shape), sram_tile(4096, (5, 6, 2))
    inner = sram_tile(4096 + whole.row_pitch_bytes + whole.pixel_pitch_bytes, x.shape)
    inner = type(whole)(
        whole.space, inner.offset_bytes, x.shape, whole.row_pitch_bytes, whole.pixel_pitch_bytes
    )
    body = [Fill(0, (), whole, -7), Move(0, (), x_tile, inner)]
    y = run_one(body, [(x_tile, x)], whole)
    assert (y == arith.pad(x, (1, 1, 1, 1), -7)).all()


def test_move_with_pitches_interleaves_channels() -> None:
    """Concat along channels: two moves into tiles whose pixels lie further apart."""
    a = np.arange(12, dtype=np.int8).reshape(2, 3, 2)
    b = -np.arange(6, dtype=np.int8).reshape(2, 3, 1)
    a_tile, b_tile = sram_tile(0, a.shape), sram_tile(64, b.shape)
    y_tile = sram_tile(256, (2, 3, 3))
    left = sram_tile(256, a.shape, gaps=(0, 1))
    right = sram_tile(258, b.shape, gaps=(0, 2))
    body = [Move(0, (), a_tile, left), Move(0, (), b_tile, right)]
    y = run_one(body, [(a_tile, a), (b_tile, b)], y_tile)
    assert (y == np.concatenate([a, b], axis=2)).all()
