"""The instruction set: what the BPU cores do, as immutable values.

A `Program` is a tuple of function calls; a function call is the longest stretch a core runs without
a chance to be preempted. A function call leaves nothing behind in on-chip memory that a later one
reads: everything that lives across a call boundary lies in DDR. It holds a stream of instructions
for each core that it occupies.

Each instruction names the operation of its part that it works for, and runs on one of three
in-order queues of its core (`engine_of`): LOAD (DDR -> SRAM), COMPUTE (SRAM -> SRAM), STORE (SRAM
-> DDR). Across queues the order is given by `waits` alone: indices, within the same stream, of
earlier instructions that must have finished. Cores share nothing but DDR, and there is order
between them only where one says `AwaitStream`. Executing each stream in list order, one instruction
at a time and each `AwaitStream` behind what it waits for, is always a legal order
(`bpu_common.program.legal_order`).

The encoder, the decoder, the functional machine, the cost model and the disassembler are each one
`match` over `Instruction`. The forms and their arithmetic are ours where the chip's own are not
public (see docs/arithmetic.md).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from bpu_common.tensor import DType, InputType

Pair: TypeAlias = tuple[int, int]
Quad: TypeAlias = tuple[int, int, int, int]

FULL_RANGE: Pair = (-128, 127)
"""All int8 codes, bounds included."""

CHANNEL_PARAM_BYTES = 8
"""Size of one output channel's entry in a parameter table, see `bpu_common.params`."""


class Space(enum.IntEnum):
    """Address spaces. SRAM is per core; the others are DDR."""

    SRAM = 0
    WEIGHTS = 1
    SCRATCH = 2
    IO = 3


class Engine(enum.Enum):
    """The queues of a core."""

    LOAD = "load"
    COMPUTE = "compute"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Tile:
    """A (height, width, channels) box of elements somewhere in memory.

    Element (h, w, c) lies at `offset_bytes + h*row_pitch_bytes + w*pixel_pitch_bytes
    + c*dtype.size_bytes`; channels are always contiguous.
    """

    space: Space
    offset_bytes: int
    shape_hwc: tuple[int, int, int]
    row_pitch_bytes: int
    pixel_pitch_bytes: int
    dtype: DType = DType.INT8

    @property
    def element_count(self) -> int:
        h, w, c = self.shape_hwc
        return h * w * c

    @property
    def size_bytes(self) -> int:
        """Bytes of payload, without the gaps that the pitches leave."""
        return self.element_count * self.dtype.size_bytes

    @property
    def end_bytes(self) -> int:
        """First byte behind the last element."""
        h, w, c = self.shape_hwc
        last_row = self.offset_bytes + (h - 1) * self.row_pitch_bytes
        return last_row + (w - 1) * self.pixel_pitch_bytes + c * self.dtype.size_bytes


@dataclass(frozen=True, slots=True)
class Requant:
    """One requantization, the X3 form (docs/arithmetic.md "Requantization").

    y = clamp((saturate_int16((acc + bias) >> right_shift) * multiplier) >> out_shift)
    with arithmetic shifts. The half-LSB of rounding is part of `bias`.
    """

    bias: int
    right_shift: int
    multiplier: int
    out_shift: int


@dataclass(frozen=True, slots=True)
class EltwiseEntry:
    """What an element-wise operation does to one channel: its factors and its requantization."""

    ka: int
    kb: int
    requant: Requant


@dataclass(frozen=True, slots=True)
class Image:
    """A raw uint8 picture in the IO space.

    nv12: a Y plane of `height` rows, then `height / 2` rows of interleaved UV, rows `stride_bytes`
    apart. Others: interleaved pixels (NHWC), rows `stride_bytes` apart.
    """

    offset_bytes: int
    height: int
    width: int
    stride_bytes: int
    input_type: InputType


@dataclass(frozen=True, slots=True)
class Load:
    """Copy a DDR tile into SRAM (same shape and dtype)."""

    operation: int
    waits: tuple[int, ...]
    src: Tile
    dst: Tile


@dataclass(frozen=True, slots=True)
class LoadImage:
    """Read rows `row0 ...` of a picture, convert to int8 (value - 128), write (h, w, c) to SRAM.

    nv12 becomes YUV444 with each chroma sample replicated to its 2x2 pixels.
    """

    operation: int
    waits: tuple[int, ...]
    image: Image
    row0: int
    dst: Tile


@dataclass(frozen=True, slots=True)
class LoadRoi:
    """Rows `row0 ...` of a region of the caller's picture, scaled to the network's size.

    Picture and region are known only when a frame runs. Picture to int8 (value - 128, nv12 as for
    `LoadImage`), then bilinear (`bpu_sim.arith.resize_roi`).

    Attributes:
        roi: which one, an index into `Program.rois`.
        frame: whose picture, 0 to `Program.frames` - 1.
    """

    operation: int
    waits: tuple[int, ...]
    roi: int
    row0: int
    dst: Tile
    frame: int = 0


@dataclass(frozen=True, slots=True)
class LoadConst:
    """Copy `size_bytes` of the weights section into SRAM: weights, parameter or look-up tables."""

    operation: int
    waits: tuple[int, ...]
    src_offset_bytes: int
    dst_offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Store:
    """Copy an SRAM tile to DDR (same shape and dtype)."""

    operation: int
    waits: tuple[int, ...]
    src: Tile
    dst: Tile


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution of an int8 tile; y is int8 (requantized) or int32 (accumulator + bias).

    Weights lie in SRAM as int8 OHWI (O = y channels, I = x channels / groups); the parameter table
    holds one entry per y channel. `upsample_hw` > 1 inserts pixels between
    those of the input first (transposed convolution: (h - 1) * up + 1 rows before padding).
    With `depthwise` (groups = channels, multiplier 1) weights are (C, kh, kw, 1). Padding and
    inserted pixels are `pad_code`. An addend (int8, the shape of y) times `factors` (one, or one
    per channel of y) joins the accumulators.
    """

    operation: int
    waits: tuple[int, ...]
    x: Tile
    y: Tile
    weights_offset_bytes: int
    params_offset_bytes: int
    kernel_hw: Pair
    stride_hw: Pair
    dilation_hw: Pair
    pads_tlbr: Quad
    groups: int
    upsample_hw: Pair = (1, 1)
    clamp: Pair = FULL_RANGE
    pad_code: int = 0
    addend: Tile | None = None
    factors: tuple[int, ...] = ()

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.x.shape_hwc[2] == self.y.shape_hwc[2]


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum over a window; padding never wins. Codes and scale are kept."""

    operation: int
    waits: tuple[int, ...]
    x: Tile
    y: Tile
    kernel_hw: Pair
    stride_hw: Pair
    pads_tlbr: Quad


class EltwiseKind(enum.IntEnum):
    ADD = 0
    MUL = 1
    SCALE = 2


@dataclass(frozen=True, slots=True)
class Eltwise:
    """ADD: acc = a*ka + b*kb. MUL: acc = a*b. SCALE: acc = a*ka (b is None). Then requantize.

    a and b stand for codes minus `zeros`. `b` may be (1, 1, C) or (1, 1, 1): it is broadcast.
    `entries` holds one entry for all channels, or one per channel of y.
    """

    operation: int
    waits: tuple[int, ...]
    kind: EltwiseKind
    a: Tile
    b: Tile | None
    y: Tile
    entries: tuple[EltwiseEntry, ...]
    clamp: Pair = FULL_RANGE
    zeros: Pair = (0, 0)


@dataclass(frozen=True, slots=True)
class Lut:
    """y = table[x + 128]; `table_count` is 1 or the number of channels (256 int8 entries each)."""

    operation: int
    waits: tuple[int, ...]
    x: Tile
    y: Tile
    table_offset_bytes: int
    table_count: int


class ResizeMode(enum.IntEnum):
    NEAREST = 0
    BILINEAR = 1


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a resize: for each output position two source positions and a weight.

    value = (src[low] * (256 - frac) + src[high] * frac); positions are rows (or columns) of the
    instruction's own input tile. Nearest uses low alone.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    frac: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resize:
    """Nearest: copy. Bilinear: weights of 1/256 per axis, (sum + 2^15) >> 16, clamp int8."""

    operation: int
    waits: tuple[int, ...]
    mode: ResizeMode
    x: Tile
    y: Tile
    rows: Axis
    columns: Axis


@dataclass(frozen=True, slots=True)
class Move:
    """Copy an SRAM tile to another place in SRAM (concat, slice, pad, depth-to-space)."""

    operation: int
    waits: tuple[int, ...]
    x: Tile
    y: Tile


@dataclass(frozen=True, slots=True)
class Fill:
    """Write one int8 value to a whole SRAM tile."""

    operation: int
    waits: tuple[int, ...]
    y: Tile
    value: int


@dataclass(frozen=True, slots=True)
class AwaitStream:
    """Hold the queue `engine` of this core until an instruction of another stream has finished.

    Attributes:
        stream: index of the other stream in the function call.
        instruction: its index there.
    """

    operation: int
    waits: tuple[int, ...]
    engine: Engine
    stream: int
    instruction: int


Instruction: TypeAlias = (
    Load
    | LoadImage
    | LoadRoi
    | LoadConst
    | Store
    | Conv
    | MaxPool
    | Eltwise
    | Lut
    | Resize
    | Move
    | Fill
    | AwaitStream
)


def engine_of(instruction: Instruction) -> Engine:
    """The queue an instruction runs on."""
    match instruction:
        case Load() | LoadImage() | LoadRoi() | LoadConst():
            return Engine.LOAD
        case Store():
            return Engine.STORE
        case Conv() | MaxPool() | Eltwise() | Lut() | Resize() | Move() | Fill():
            return Engine.COMPUTE
        case AwaitStream(engine=engine):
            return engine
