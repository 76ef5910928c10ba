"""What one instruction costs on its own engine: one `match`, from the numbers in `MachineSpec`.

The array is modelled as `width lanes x output channels x input channels`: a dense convolution fills
it with 8 neighbouring outputs of a row, 8 kernels and 4 input channels a cycle (256 MACs); what
does not fill those is lost. A depthwise convolution uses all MACs on channels instead. The cost of
reconfiguring the array when the layer changes depends on the instruction before, so it is added by
`bpu_sim.timing.pipeline`, not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bpu_common.machine import MachineSpec
from bpu_common.program import (
    AwaitStream,
    Conv,
    Eltwise,
    EltwiseKind,
    Fill,
    Instruction,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Resize,
    Store,
    Tile,
)
from bpu_common.tensor import align_up


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one instruction.

    Attributes:
        cycles: how long it holds its queue (alone on the DDR bus).
        load_bytes: bytes read from DDR, bursts counted whole.
        store_bytes: bytes written to DDR, bursts counted whole.
        latency_cycles: after leaving the queue, until others may use the result.
    """

    cycles: int
    load_bytes: int = 0
    store_bytes: int = 0
    latency_cycles: int = 0


def instruction_cost(instruction: Instruction, spec: MachineSpec) -> Cost:
    """Cost of `instruction` on one core of `spec`, without the layer set-up."""
    match instruction:
        case Load(src=tile):
            return _dma(tile_bytes(tile, spec), 0, spec)
        case LoadImage():
            return _dma(_image_bytes(instruction), 0, spec)
        case LoadRoi(dst=dst):
            # An interpolation reads two rows for each it makes; the picture's size is not known.
            height, width, channels = dst.shape_hwc
            return _dma(2 * height * width * channels, 0, spec)
        case LoadConst(size_bytes=size_bytes):
            return _dma(align_up(size_bytes, spec.ddr_burst_bytes), 0, spec)
        case Store(dst=tile):
            return _dma(0, tile_bytes(tile, spec), spec)
        case Conv():
            cycles = conv_cycles(instruction, spec) + _border_cycles(instruction, spec)
            return _compute(cycles, spec)
        case MaxPool(y=y, kernel_hw=(kernel_h, kernel_w)):
            return _compute(_vector_cycles(y, kernel_h * kernel_w, spec), spec)
        case Eltwise():
            return _compute(_eltwise_cycles(instruction, spec), spec)
        case Lut(y=y) | Resize(y=y) | Move(y=y) | Fill(y=y):
            return _compute(_vector_cycles(y, 1, spec), spec)
        case AwaitStream():
            return Cost(0)


def conv_cycles(conv: Conv, spec: MachineSpec) -> int:
    """Cycles of the array for one convolution tile, padding included.

    Columns are padded to `width_align` (`width_align_stride2` at stride 2 and more), kernels of a
    group to `out_channel_align`, input channels of a group to `in_channel_align`.
    """
    height, width, out_channels = conv.y.shape_hwc
    kernel = conv.kernel_hw[0] * conv.kernel_hw[1]
    # A transposed convolution reads zeros between pixels; only 1 tap in up_h * up_w is real work,
    # done as that many convolutions with the matching part of the kernel.
    taps = -(-kernel // (conv.upsample_hw[0] * conv.upsample_hw[1]))
    columns = padded_width(width, conv.stride_hw[1], spec)
    if conv.depthwise:
        channels = align_up(out_channels, spec.out_channel_align)
        return -(-height * columns * channels * taps // spec.macs_per_cycle)
    in_channels = align_up(conv.x.shape_hwc[2] // conv.groups, spec.in_channel_align)
    kernels = align_up(out_channels // conv.groups, spec.out_channel_align) * conv.groups
    return -(-height * columns * kernels * in_channels * taps // spec.macs_per_cycle)


def _border_cycles(conv: Conv, spec: MachineSpec) -> int:
    """Of filling what stands around the input: the array itself pads with zeros alone (ours)."""
    if not conv.pad_code:
        return 0
    height, width, channels = conv.x.shape_hwc
    top, left, bottom, right = conv.pads_tlbr
    pixels = (top + bottom) * (left + width + right) + (left + right) * height
    elements = pixels * align_up(channels, spec.in_channel_align)
    return -(-elements // spec.elements_per_cycle)


def padded_width(width: int, stride: int, spec: MachineSpec) -> int:
    """Output columns that the array computes for `width` wanted ones (docs/machine.md)."""
    return align_up(width, spec.width_align if stride == 1 else spec.width_align_stride2)


def tile_bytes(tile: Tile, spec: MachineSpec) -> int:
    """Bytes on the bus for a tile: every contiguous run counts in whole bursts."""
    height, width, channels = tile.shape_hwc
    pixel_bytes = channels * tile.dtype.size_bytes
    burst = spec.ddr_burst_bytes
    if width > 1 and tile.pixel_pitch_bytes != pixel_bytes:
        return height * width * align_up(pixel_bytes, burst)
    row_bytes = width * pixel_bytes
    if height > 1 and tile.row_pitch_bytes != row_bytes:
        return height * align_up(row_bytes, burst)
    return align_up(height * row_bytes, burst)


def macs_of(instruction: Instruction) -> int:
    """Useful multiply-accumulates of an instruction, without padding."""
    match instruction:
        case Conv(x=x, y=y, kernel_hw=(kernel_h, kernel_w), groups=groups):
            return y.element_count * kernel_h * kernel_w * (x.shape_hwc[2] // groups)
        case _:
            return 0


def _dma(load_bytes: int, store_bytes: int, spec: MachineSpec) -> Cost:
    size_bytes = load_bytes + store_bytes
    cycles = spec.dma_issue_cycles + int(-(-size_bytes // spec.ddr_bytes_per_cycle))
    return Cost(cycles, load_bytes, store_bytes, spec.ddr_latency_cycles)


def _image_bytes(load: LoadImage) -> int:
    height, width, channels = load.dst.shape_hwc
    if load.image.input_type.is_nv12:
        chroma_rows = -(-(load.row0 + height) // 2) - load.row0 // 2
        return (height + chroma_rows) * align_up(width, 2)
    return height * width * channels


def _compute(cycles: int, spec: MachineSpec) -> Cost:
    return Cost(spec.instruction_cycles + cycles)


def _vector_cycles(y: Tile, operations: int, spec: MachineSpec) -> int:
    height, width, channels = y.shape_hwc
    elements = (
        height * align_up(width, spec.width_align) * align_up(channels, spec.in_channel_align)
    )
    return -(-elements * operations // spec.elements_per_cycle)


def _eltwise_cycles(eltwise: Eltwise, spec: MachineSpec) -> int:
    """ADD is a unit convolution (C kernels over C channels), MUL and SCALE go element by element.

    The residual add is compiled to a 1x1 unit convolution and costs MACs
    (docs/machine.md "Cost of an instruction"); which share of the dense product is really computed
    is `unit_conv_share`.
    """
    height, width, channels = eltwise.y.shape_hwc
    vector = _vector_cycles(eltwise.y, 1, spec)
    if eltwise.kind is not EltwiseKind.ADD:
        return vector
    columns = align_up(width, spec.width_align)
    kernels = align_up(channels, spec.out_channel_align)
    inputs = align_up(channels, spec.in_channel_align)
    dense = height * columns * kernels * inputs / spec.macs_per_cycle
    return max(vector, math.ceil(dense * spec.unit_conv_share))
