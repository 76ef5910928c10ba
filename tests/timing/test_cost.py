"""The price of single instructions: against hand-counted values, and monotone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.machine import X3M
from bpu_common.program import (
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Image,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Requant,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import InputType
from bpu_sim.timing import conv_cycles, instruction_cost, macs_of
from tests.support.timing_calls import conv, sram, tile

UNIT = Requant(0, 0, 1 << 14, 14)


IDEAL = replace(X3M, array_overhead=1.0, depthwise_row_cycles=0)
"""X3M without what was fitted: cycles can be counted by hand."""


def test_dense_convolution_uses_256_macs_a_cycle_where_it_fits() -> None:
    layer = conv((56, 56, 64), 64, kernel=3)
    full = macs_of(layer) // 256
    assert conv_cycles(layer, IDEAL) == full == 56 * 56 * 64 * 64 * 9 // 256
    assert conv_cycles(layer, X3M) == math.ceil(full * X3M.array_overhead)


def test_width_kernels_and_channels_are_padded() -> None:
    full = conv_cycles(conv((7, 8, 16), 8), IDEAL)
    assert conv_cycles(conv((7, 7, 16), 8), IDEAL) == full
    assert conv_cycles(conv((7, 8, 9), 8), IDEAL) == full
    assert conv_cycles(conv((7, 8, 16), 5), IDEAL) == full
    assert conv_cycles(conv((7, 9, 16), 8), IDEAL) == 2 * full


def test_width_is_padded_to_16_at_stride_2() -> None:
    assert conv_cycles(conv((4, 7, 8), 4, 3, 2), IDEAL) == conv_cycles(
        conv((4, 16, 8), 4, 3), IDEAL
    )


def test_a_depthwise_row_takes_its_products_or_a_least_time() -> None:
    few = conv((14, 16, 64), 64, kernel=3, groups=64)
    assert few.depthwise
    assert conv_cycles(few, IDEAL) == macs_of(few) // 256
    assert conv_cycles(few, X3M) == 14 * X3M.depthwise_row_cycles
    many = conv((14, 16, 2048), 2048, kernel=7, groups=2048)
    assert conv_cycles(many, X3M) == math.ceil(macs_of(many) / 256 * X3M.array_overhead)


def test_grouped_convolution_pads_every_group() -> None:
    grouped = conv((8, 8, 32), 32, groups=4)  # 8 kernels over 8 channels each
    assert conv_cycles(grouped, IDEAL) == 8 * 8 * 4 * 8 * 8 // 256
    narrow = conv((8, 8, 16), 16, groups=4)  # 4 kernels over 4 channels, both padded to 8
    assert conv_cycles(narrow, IDEAL) == conv_cycles(grouped, IDEAL)


def test_transposed_convolution_does_not_pay_for_inserted_zeros() -> None:
    plain = conv((8, 8, 8), 8, kernel=5)
    transposed = replace(plain, kernel_hw=(4, 4), upsample_hw=(2, 2))
    assert conv_cycles(transposed, IDEAL) * 25 == conv_cycles(plain, IDEAL) * 4


@pytest.mark.parametrize(("even", "odd"), [(2, 3), (4, 5), (6, 7)])
def test_even_kernels_cost_as_the_next_odd_one(even: int, odd: int) -> None:
    layers = [replace(conv((16, 16, 8), 8, kernel=odd), kernel_hw=(k, k)) for k in (even, odd)]
    layers = [replace(layer, pads_tlbr=(0, 0, 0, 0)) for layer in layers]
    assert conv_cycles(layers[0], IDEAL) == conv_cycles(layers[1], IDEAL)


def test_strides_above_2_compute_columns_that_nobody_wants() -> None:
    def cycles(stride: int) -> int:
        layer = replace(conv((16, 16, 8), 8, 3), pads_tlbr=(0, 0, 0, 0))
        return conv_cycles(replace(layer, stride_hw=(stride, stride)), IDEAL)

    assert cycles(2) == cycles(1)
    assert (cycles(3), cycles(4), cycles(5)) == (2 * cycles(2), 2 * cycles(2), 3 * cycles(2))


def test_a_stride_with_a_1x1_kernel_pads_the_width_to_8_only() -> None:
    assert conv_cycles(conv((8, 8, 8), 8, 1, 2), IDEAL) == conv_cycles(conv((8, 8, 8), 8), IDEAL)


def test_a_pad_that_is_not_half_the_kernel_and_dilation_move_the_input() -> None:
    layer = conv((16, 16, 32), 32, kernel=3)
    moved = math.prod(layer.x.shape_hwc[:1]) * 32 * -(-layer.x.shape_hwc[1] // 8) * 8
    moved //= X3M.elements_per_cycle
    base = conv_cycles(replace(layer, pads_tlbr=(1, 1, 1, 1)), X3M)
    assert conv_cycles(replace(layer, pads_tlbr=(0, 0, 1, 1)), X3M) == base + moved
    assert conv_cycles(replace(layer, pads_tlbr=(2, 2, 2, 2)), X3M) == base + moved
    assert conv_cycles(replace(layer, pads_tlbr=(0, 0, 0, 0)), X3M) == base
    dilated = replace(layer, pads_tlbr=(2, 2, 2, 2), dilation_hw=(2, 2))
    assert conv_cycles(dilated, X3M) == base + moved


def test_max_pooling_with_large_pads_or_strides_moves_its_input() -> None:
    x, y = sram(32, 32, 32), sram(16, 16, 32)
    moved = 32 * 32 * 32 // X3M.elements_per_cycle

    def cycles(pad: int, stride: int) -> int:
        pool = MaxPool(0, (), x, y, (5, 5), (stride, stride), (pad,) * 4)
        return instruction_cost(pool, X3M).cycles

    assert cycles(1, 2) == X3M.instruction_cycles + 16 * 16 * 32 * 25 // X3M.elements_per_cycle
    assert cycles(2, 2) == cycles(1, 3) == cycles(1, 2) + moved


def test_add_rides_along_and_mul_goes_by_elements() -> None:
    x = sram(28, 32, 128)
    add = Eltwise(0, (), EltwiseKind.ADD, x, x, x, (EltwiseEntry(1, 1, UNIT),))
    assert instruction_cost(add, X3M).cycles == X3M.instruction_cycles
    mul = replace(add, kind=EltwiseKind.MUL)
    elements = math.ceil(28 * 32 * 128 * X3M.mul_cycles)
    assert instruction_cost(mul, X3M).cycles == X3M.instruction_cycles + elements


def test_runs_on_the_bus_count_in_whole_bursts() -> None:
    burst = X3M.ddr_burst_bytes
    dense = tile(Space.SCRATCH, 10, 8, 3)
    assert instruction_cost(Load(0, (), dense, dense), X3M).load_bytes == 240
    rows = replace(dense, row_pitch_bytes=100)
    assert instruction_cost(Load(0, (), rows, dense), X3M).load_bytes == 10 * 2 * burst
    pixels = replace(dense, pixel_pitch_bytes=64, row_pitch_bytes=512)
    assert instruction_cost(Store(0, (), dense, pixels), X3M).store_bytes == 80 * burst


def test_nv12_loads_one_and_a_half_bytes_a_pixel() -> None:
    image = Image(0, 224, 224, 224, InputType.NV12)
    picture = LoadImage(0, (), image, 0, sram(224, 224, 3))
    assert instruction_cost(picture, X3M).load_bytes == 224 * 224 * 3 // 2
    rgb = replace(picture, image=replace(image, input_type=InputType.RGB))
    assert instruction_cost(rgb, X3M).load_bytes == 224 * 224 * 3


def test_dma_takes_its_bytes_at_the_port_rate() -> None:
    cost = instruction_cost(LoadConst(0, (), 0, 0, 860_000), X3M)
    assert cost.cycles == pytest.approx(100_000 + X3M.dma_issue_cycles, abs=1)
    assert cost.latency_cycles == X3M.ddr_latency_cycles


sizes = st.integers(1, 40)


@given(sizes, sizes, sizes, sizes, st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
def test_convolutions_never_get_cheaper_by_growing(
    height: int, width: int, kernels: int, channels: int, kernel: int, stride: int
) -> None:
    def cycles(h: int, w: int, o: int, i: int, k: int) -> int:
        layer = conv((h, w, o), i, k, stride)
        return conv_cycles(replace(layer, pads_tlbr=(k // 2,) * 4), X3M)

    base = cycles(height, width, kernels, channels, kernel)
    assert base >= macs_of(conv((height, width, kernels), channels, kernel, stride)) / 256
    assert cycles(height + 1, width, kernels, channels, kernel) >= base
    assert cycles(height, width + 1, kernels, channels, kernel) >= base
    assert cycles(height, width, kernels + 1, channels, kernel) >= base
    assert cycles(height, width, kernels, channels + 1, kernel) >= base
    assert cycles(height, width, kernels, channels, kernel + 2) >= base


@given(sizes, sizes, sizes)
def test_everything_else_never_gets_cheaper_by_growing(h: int, w: int, c: int) -> None:
    def prices(y: Tile) -> list[int]:
        image = Image(0, 64, 64, 64, InputType.NV12)
        instructions = [
            MaxPool(0, (), y, y, (3, 3), (2, 2), (0, 0, 0, 0)),
            Eltwise(0, (), EltwiseKind.ADD, y, y, y, (EltwiseEntry(1, 1, UNIT),)),
            Eltwise(0, (), EltwiseKind.MUL, y, y, y, (EltwiseEntry(1, 1, UNIT),)),
            Lut(0, (), y, y, 0, 1),
            Load(0, (), y, y),
            Store(0, (), y, y),
            LoadImage(0, (), image, 0, y),
        ]
        return [instruction_cost(i, X3M).cycles for i in instructions]

    base = prices(sram(h, w, c))
    for larger in (sram(h + 1, w, c), sram(h, w + 1, c), sram(h, w, c + 1)):
        assert all(a >= b for a, b in zip(prices(larger), base, strict=True))


def test_a_convolution_with_groups_that_is_not_depthwise_is_dense_inside() -> None:
    layer = Conv(
        0, (), sram(8, 8, 8), sram(8, 8, 16), 0, 0, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 8
    )
    assert not layer.depthwise
    assert conv_cycles(layer, IDEAL) == 8 * 8 * (8 * 8) * 8 // 256


def test_another_pad_code_costs_the_filling_of_the_border() -> None:
    plain = replace(conv((8, 8, 16), 16, 3), pads_tlbr=(1, 1, 1, 1))
    border = replace(plain, pad_code=-128)
    pixels = 12 * 12 - 10 * 10
    filling = -(-pixels * 16 // X3M.elements_per_cycle)
    assert instruction_cost(border, X3M).cycles == instruction_cost(plain, X3M).cycles + filling
    inside = replace(border, pads_tlbr=(0, 0, 0, 0))
    assert (
        instruction_cost(inside, X3M).cycles
        == instruction_cost(replace(inside, pad_code=0), X3M).cycles
    )
