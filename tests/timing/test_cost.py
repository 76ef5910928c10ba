"""The price of single instructions: against hand-counted values, and monotone."""

from __future__ import annotations

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


def test_dense_convolution_uses_256_macs_a_cycle_where_it_fits() -> None:
    layer = conv((56, 56, 64), 64, kernel=3)
    assert conv_cycles(layer, X3M) == macs_of(layer) // 256 == 56 * 56 * 64 * 64 * 9 // 256


def test_width_kernels_and_channels_are_padded() -> None:
    full = conv_cycles(conv((7, 8, 16), 8), X3M)
    assert conv_cycles(conv((7, 7, 16), 8), X3M) == full
    assert conv_cycles(conv((7, 8, 9), 8), X3M) == full
    assert conv_cycles(conv((7, 8, 16), 5), X3M) == full
    assert conv_cycles(conv((7, 9, 16), 8), X3M) == 2 * full


def test_width_is_padded_to_16_at_stride_2() -> None:
    assert conv_cycles(conv((4, 7, 8), 4, 3, 2), X3M) == conv_cycles(conv((4, 16, 8), 4, 3), X3M)


def test_depthwise_runs_near_full_efficiency() -> None:
    layer = conv((14, 16, 512), 512, kernel=3, groups=512)
    assert layer.depthwise
    assert conv_cycles(layer, X3M) == macs_of(layer) // 256


def test_grouped_convolution_pads_every_group() -> None:
    grouped = conv((8, 8, 32), 32, groups=4)  # 8 kernels over 8 channels each
    assert conv_cycles(grouped, X3M) == 8 * 8 * 4 * 8 * 8 // 256
    narrow = conv((8, 8, 16), 16, groups=4)  # 4 kernels, padded to 8, over 4 channels each
    assert conv_cycles(narrow, X3M) == 8 * 8 * 4 * 8 * 4 // 256


def test_transposed_convolution_does_not_pay_for_inserted_zeros() -> None:
    plain = conv((8, 8, 8), 8, kernel=4)
    assert conv_cycles(replace(plain, upsample_hw=(2, 2)), X3M) * 4 == conv_cycles(plain, X3M)


def test_add_costs_macs_and_mul_does_not() -> None:
    x = sram(28, 32, 128)
    add = Eltwise(0, (), EltwiseKind.ADD, x, x, x, (EltwiseEntry(1, 1, UNIT),))
    dense = conv_cycles(conv((28, 32, 128), 128), X3M)
    cost = instruction_cost(add, X3M).cycles - X3M.instruction_cycles
    assert cost == dense * X3M.unit_conv_share
    mul = replace(add, kind=EltwiseKind.MUL)
    assert instruction_cost(mul, X3M).cycles < instruction_cost(add, X3M).cycles


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
        return conv_cycles(conv((h, w, o), i, k, stride), X3M)

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
    assert conv_cycles(layer, X3M) == 8 * 8 * (8 * 8) * 4 // 256


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
