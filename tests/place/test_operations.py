"""Every operation, whole and in tiny tiles: the machine gives the reference's bits."""

from __future__ import annotations

import inspect

import pytest

from bpu_common.network import Addend
from bpu_common.program import Conv, EltwiseKind, ResizeMode
from bpu_common.tensor import InputType
from bpu_host.compiler.place import EmitOptions
from tests.support.nets_place import LoweredNet, check_program, small_machine

SRAM_BYTES = (2_048, 4_096, 16_384, 1 << 20)


def _conv(net: LoweredNet) -> str:
    return net.conv(net.codes((13, 17, 6)), 20)


def _conv_stride_dilation(net: LoweredNet) -> str:
    x = net.codes((14, 19, 5))
    return net.conv(x, 9, (3, 2), stride=(2, 1), dilation=(2, 3), pads=(2, 1, 0, 3))


def _conv_groups(net: LoweredNet) -> str:
    return net.conv(net.codes((9, 10, 12)), 24, groups=3)


def _conv_int32(net: LoweredNet) -> str:
    return net.conv(net.codes((7, 8, 16)), 11, (1, 1), pads=(0, 0, 0, 0), int32=True)


def _conv_zero_point(net: LoweredNet) -> str:
    x = net.conv(net.codes((9, 10, 6)), 12, pad_code=-128)
    return net.conv(x, 8, (4, 4), pads=(2, 2, 2, 2), upsample=(2, 2), pad_code=77)


def _conv_addend(net: LoweredNet) -> str:
    """A residual that rides along; then one with a factor for each channel, in strides."""
    x = net.codes((14, 11, 8))
    y = net.conv(net.conv(x, 12), 8, addend=Addend(x, (-5,)))
    small = net.pool(y)
    return net.conv(y, 8, stride=(2, 2), groups=2, addend=Addend(small, tuple(range(8))))


def _conv_transposed(net: LoweredNet) -> str:
    return net.conv(net.codes((6, 7, 8)), 8, (4, 4), pads=(2, 2, 2, 2), upsample=(2, 2))


def _conv_transposed_sparse(net: LoweredNet) -> str:
    return net.conv(net.codes((6, 7, 8)), 8, (2, 2), pads=(1, 1, 1, 1), upsample=(3, 3))


def _conv_wide_padding(net: LoweredNet) -> str:
    return net.conv(net.codes((6, 7, 8)), 8, (1, 1), pads=(3, 2, 4, 1))


def _fully_connected(net: LoweredNet) -> str:
    return net.conv(net.codes((1, 1, 96)), 100, (1, 1), pads=(0, 0, 0, 0), int32=True)


def _depthwise(net: LoweredNet) -> str:
    return net.depthwise(net.codes((15, 12, 24)), 5, 2)


def _pool(net: LoweredNet) -> str:
    return net.pool(net.codes((15, 12, 24)))


def _add(net: LoweredNet) -> str:
    return net.eltwise(EltwiseKind.ADD, net.codes((9, 9, 16)), net.codes((9, 9, 16)))


def _add_itself(net: LoweredNet) -> str:
    x = net.codes((9, 9, 16))
    return net.eltwise(EltwiseKind.ADD, x, x)


def _mul_channels(net: LoweredNet) -> str:
    return net.eltwise(EltwiseKind.MUL, net.codes((9, 9, 16)), net.codes((1, 1, 16)))


def _mul_scalar(net: LoweredNet) -> str:
    return net.eltwise(EltwiseKind.MUL, net.codes((9, 9, 16)), net.codes((1, 1, 1)))


def _scale(net: LoweredNet) -> str:
    return net.eltwise(EltwiseKind.SCALE, net.codes((9, 9, 16)), None)


def _lut(net: LoweredNet) -> str:
    return net.lut(net.lut(net.codes((9, 9, 16))), per_channel=True)


def _nearest(net: LoweredNet) -> str:
    return net.resize(net.codes((7, 9, 8)), (15, 18), ResizeMode.NEAREST)


def _bilinear(net: LoweredNet) -> str:
    return net.resize(net.codes((7, 9, 8)), (16, 13), ResizeMode.BILINEAR)


def _bilinear_down(net: LoweredNet) -> str:
    return net.resize(net.codes((17, 19, 8)), (5, 6), ResizeMode.BILINEAR)


def _concat(net: LoweredNet) -> str:
    x = net.codes((10, 11, 8))
    made = net.conv(x, 12)
    joined = net.concat([made, x, net.pool(x, 3, 1), made])
    return net.conv(joined, 8)


def _concat_rows(net: LoweredNet) -> str:
    x = net.codes((6, 11, 8))
    return net.concat([net.concat([net.conv(x, 8), x], 0), net.codes((12, 3, 8))], 1)


def _concat_nested(net: LoweredNet) -> str:
    x = net.codes((10, 11, 8))
    inner = net.concat([net.conv(x, 8), net.conv(x, 4)])
    return net.conv(net.concat([inner, net.conv(inner, 8)]), 8)


def _slices(net: LoweredNet) -> str:
    x = net.conv(net.codes((10, 12, 8)), 16)
    left = net.slice(x, (0, 0, 0), (10, 12, 8))
    right = net.slice(x, (1, 2, 5), (9, 10, 7))
    third = net.slice(right, (1, 1, 1), (4, 4, 6), (2, 2, 1))
    odd = net.slice(x, (0, 0, 1), (10, 12, 8), (1, 1, 2))
    net.pool(third, 1, 1, 0)
    return net.concat([left, odd, net.conv(right, 8, pads=(1, 2, 2, 2))])


def _slice_output(net: LoweredNet) -> str:
    return net.slice(net.codes((10, 12, 8)), (1, 2, 3), (4, 5, 4), (2, 2, 1))


def _focus(net: LoweredNet) -> str:
    x = net.image((12, 16, 3))
    parts = [net.slice(x, (i, j, 0), (6, 8, 3), (2, 2, 1)) for i in (0, 1) for j in (0, 1)]
    return net.conv(net.concat(parts), 8)


def _pad(net: LoweredNet) -> str:
    return net.conv(net.pad(net.conv(net.codes((8, 9, 4)), 8), (1, 2, 3, 0), -7), 8)


def _pad_input(net: LoweredNet) -> str:
    return net.pad(net.codes((8, 9, 4)), (1, 2, 3, 0), 5)


def _depth_to_space(net: LoweredNet) -> str:
    return net.blocks(net.conv(net.codes((6, 7, 8)), 16), to_space=True)


def _depth_to_space_crd(net: LoweredNet) -> str:
    return net.blocks(net.codes((6, 7, 16)), to_space=True, dcr=False)


def _space_to_depth(net: LoweredNet) -> str:
    return net.conv(net.blocks(net.codes((8, 6, 4)), to_space=False), 8)


def _nv12(net: LoweredNet) -> str:
    return net.conv(net.image((14, 18, 3), InputType.NV12), 8, stride=(2, 2))


def _gray(net: LoweredNet) -> str:
    return net.conv(net.image((9, 7, 1), InputType.GRAY), 8)


CASES = {
    name[1:]: value
    for name, value in list(globals().items())
    if inspect.isfunction(value) and name.startswith("_")
}


@pytest.mark.parametrize("level", ["O0", "O3"])
@pytest.mark.parametrize("name", CASES)
def test_machine_equals_reference(name: str, level: str) -> None:
    for sram_bytes in SRAM_BYTES:
        net = LoweredNet(seed=len(name))
        y = CASES[name](net)
        check_program(net.graph(y), small_machine(sram_bytes), EmitOptions(level))


def test_blocks_of_a_grouped_convolution_respect_its_groups() -> None:
    """11 channels a group have no multiple of 8: blocks are whole groups or parts of one."""
    net = LoweredNet(seed=9)
    y = net.conv(net.codes((12, 6, 28)), 22, (4, 4), groups=2)
    for sram_bytes in (3_072, 4_096, 8_192):
        check_program(net.graph(y), small_machine(sram_bytes), EmitOptions())


def test_a_fused_grouped_convolution_keeps_all_its_channels() -> None:
    """10 channels, not a multiple of 8, are one block wherever they fit."""
    net = LoweredNet(seed=10)
    x = net.conv(net.codes((18, 18, 8)), 10, (1, 4), pads=(2, 2, 0, 0), groups=2)
    y = net.conv(net.resize(x, (14, 9), ResizeMode.BILINEAR), 10, (2, 2), pads=(0, 0, 0, 0))
    for sram_bytes in (4_096, 6_144, 1 << 20):
        options = EmitOptions(compile_mode="bandwidth")
        program = check_program(net.graph(y), small_machine(sram_bytes), options)
    assert all(
        instruction.y.shape_hwc[2] == 10
        for call in program.calls
        for instruction in call.instructions
        if isinstance(instruction, Conv)
    )
