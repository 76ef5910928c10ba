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
        case MaxPool():
            return _compute(_pool_cycles(instruction, spec), spec)
        case Eltwise():
            return _compute(_eltwise_cycles(instruction, spec), spec)
        case Lut(y=y):
            return _compute(math.ceil(_padded_elements(y, spec) * spec.lut_cycles), spec)
        case Resize(y=y) | Move(y=y) | Fill(y=y):
            return _compute(_vector_cycles(y, 1, spec), spec)
        case AwaitStream():
            return Cost(0)


def conv_cycles(conv: Conv, spec: MachineSpec) -> int:
    """Cycles of the array for one convolution tile, padding included.

    Columns are padded by `padded_width`, kernels of a group to `out_channel_align`, input channels
    to `in_channel_align` (of a group among several: to `out_channel_align`, as the layer before
    makes them), kernels of even size to the next odd one. A row of a depthwise layer takes its
    products too, but at least `depthwise_row_cycles`.
    """
    height, width, out_channels = conv.y.shape_hwc
    columns = padded_width(width, conv.stride_hw[1], conv.kernel_hw[1], spec)
    if conv.depthwise:
        products = columns * align_up(out_channels, spec.out_channel_align) * _taps(conv)
        row = products / spec.macs_per_cycle * spec.array_overhead
        cycles = height * max(row, spec.depthwise_row_cycles)
    else:
        align = spec.in_channel_align if conv.groups == 1 else spec.out_channel_align
        in_channels = align_up(conv.x.shape_hwc[2] // conv.groups, align)
        kernels = align_up(out_channels // conv.groups, spec.out_channel_align) * conv.groups
        macs = height * columns * kernels * in_channels * _taps(conv)
        cycles = macs / spec.macs_per_cycle * spec.array_overhead
    return math.ceil(cycles) + _rearranged(conv) * _vector_cycles(conv.x, 1, spec)


def padded_width(width: int, stride: int, kernel: int, spec: MachineSpec) -> int:
    """Output columns that the array computes for `width` wanted ones (docs/machine.md).

    Windows of stride 2 take columns two at a time; a larger stride computes the results between,
    which nobody wants, as well.
    """
    wide = stride > 1 and kernel > 1
    steps = -(-stride // 2) if wide else 1
    return align_up(width * steps, spec.width_align_stride2 if wide else spec.width_align)


def _taps(conv: Conv) -> int:
    """Products that each pair of an input and an output channel costs.

    A transposed convolution reads zeros between pixels; only 1 tap in up_h * up_w is real work,
    done as that many convolutions with the matching part of the kernel.
    """
    kernel_h, kernel_w = conv.kernel_hw
    up_h, up_w = conv.upsample_hw
    if up_h * up_w > 1:
        return -(-kernel_h * kernel_w // (up_h * up_w))
    return _odd(kernel_h) * _odd(kernel_w)


def _odd(kernel: int) -> int:
    return kernel | 1


def _rearranged(conv: Conv) -> int:
    """How often the input is moved first: for a pad that is not half the kernel, for dilation.

    No pad at all needs no move: global means would cost SE-ResNet50 more than it takes. A tile at
    the right edge of a layer that is cut into columns cannot be told from a pad on one side, and
    is charged too; columns are cut only where nothing else fits.
    """
    if conv.upsample_hw != (1, 1):
        return 0
    left, right = conv.pads_tlbr[1], conv.pads_tlbr[3]
    half = conv.dilation_hw[1] * (conv.kernel_hw[1] - 1) // 2
    return int(left + right > 0 and left != half) + int(conv.dilation_hw != (1, 1))


def _border_cycles(conv: Conv, spec: MachineSpec) -> int:
    """Of filling what stands around the input: the array itself pads with zeros alone (ours)."""
    if not conv.pad_code:
        return 0
    height, width, channels = conv.x.shape_hwc
    top, left, bottom, right = conv.pads_tlbr
    pixels = (top + bottom) * (left + width + right) + (left + right) * height
    elements = pixels * align_up(channels, spec.in_channel_align)
    return -(-elements // spec.elements_per_cycle)


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


def _padded_elements(y: Tile, spec: MachineSpec) -> int:
    height, width, channels = y.shape_hwc
    return height * align_up(width, spec.width_align) * align_up(channels, spec.in_channel_align)


def _vector_cycles(y: Tile, operations: int, spec: MachineSpec) -> int:
    return -(-_padded_elements(y, spec) * operations // spec.elements_per_cycle)


def _pool_cycles(pool: MaxPool, spec: MachineSpec) -> int:
    """Every tap of a window; padding above 1 and strides above 2 move the input once more."""
    taps = pool.kernel_hw[0] * pool.kernel_hw[1]
    moved = max(pool.pads_tlbr) > 1 or max(pool.stride_hw) > 2
    return _vector_cycles(pool.y, taps, spec) + int(moved) * _vector_cycles(pool.x, 1, spec)


def _eltwise_cycles(eltwise: Eltwise, spec: MachineSpec) -> int:
    """ADD rides along with the convolution before it, MUL and SCALE go element by element."""
    if eltwise.kind is EltwiseKind.ADD:
        return 0
    return math.ceil(_padded_elements(eltwise.y, spec) * spec.mul_cycles)
