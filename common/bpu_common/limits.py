"""What the chip's operators and number formats allow, each figure once, with its source.

Sources: TABLE = the published operator list of the chip (`rules/x3_operators.csv` restates it),
FACTS = public facts (docs/machine.md, docs/arithmetic.md), FORMAT = the width of a field of our own
format, OURS = our choice where nothing is published. The figures of one chip (arrays, clocks,
memories) are in `machine.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """The whole numbers `low` to `high`, both included."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low}, {self.high}]"


# Convolutions. Channels count per group.
CONV_KERNEL = Range(1, 7)  # TABLE
CONV_CHANNELS = Range(1, 2048)  # TABLE
CONV_CHANNELS_PLAIN = Range(1, 4096)  # TABLE: neither dilated nor grouped
CONV_CHANNELS_POINT = Range(1, 16384)  # TABLE (Gemm): input channels of a plain one on a 1x1 map
CONV_AREA = Range(1, 32768)  # TABLE: kernel height x width x input channels
FULL_KERNEL = Range(1, 31)  # TABLE (fully connected): a kernel as large as its input
FULL_POSITIONS = Range(1, 127)  # TABLE: height x width of it
FULL_CHANNELS = Range(1, 2048)  # TABLE
FULL_BLOCKS_INT8 = Range(1, 1024)  # TABLE: H x ceil(W / 8) x ceil(C / 4) for an int8 result
FULL_BLOCKS_INT32 = Range(1, 2047)  # TABLE: the same for an int32 result
FULL_WIDTH_BLOCK = 8  # TABLE
FULL_CHANNEL_BLOCK = 4  # TABLE
DECONV_KERNEL = Range(2, 14)  # TABLE
DECONV_CHANNELS = Range(1, 2048)  # TABLE
DECONV_STRIDES = (2, 4)  # TABLE


def full_blocks(height: int, width: int, channels: int) -> int:
    """Blocks of a map that a fully connected layer reads with one kernel."""
    return height * -(-width // FULL_WIDTH_BLOCK) * -(-channels // FULL_CHANNEL_BLOCK)


# Pools.
AVERAGE_POOL_KERNEL = Range(1, 7)  # TABLE
MAX_POOL_KERNEL = Range(1, 64)  # TABLE
POOL_STRIDE = Range(1, 185)  # TABLE
GLOBAL_AVERAGE_POSITIONS = Range(1, 8192)  # TABLE: height x width of one window
GLOBAL_AVERAGE_STEP = 7  # FACTS: windows of the chain that replaces a larger one
GLOBAL_MAX_SIDE = Range(1, 1024)  # TABLE: height and width

# Element-wise work, look-ups, rearranging.
ELTWISE_CHANNELS = Range(1, 2048)  # TABLE
CONCAT_CHANNELS = Range(1, 2048)  # TABLE
LUT_VALUES = Range(1, 8192)  # TABLE: the smaller of both paddings below
LUT_WIDTH_ALIGN = 8  # TABLE: width, together with
LUT_CHANNEL_ALIGN = 4  # TABLE: channels; or instead of both
LUT_CHANNEL_ALIGN_ALONE = 32  # TABLE: channels alone
BLOCK_SIZE = 2  # TABLE: DepthToSpace, SpaceToDepth

# Numbers.
MAX_RANK = 8  # FACTS: axes of a tensor
LUT_BYTES = 256  # FORMAT: one int8 result for each int8 code
RIGHT_SHIFT = Range(0, 16)  # FACTS: before the multiplication
OUT_SHIFT = Range(0, 31)  # FORMAT: behind it
BIAS_SHIFT = Range(0, 16)  # FACTS: exponent of the 16-bit bias
INT32_LIMIT = (1 << 31) - 1  # FACTS: magnitude of an accumulator
RESIZE_STEPS = 256  # OURS: a weight of an interpolation is 0 to 255 of so many

# Function calls.
LEAST_CALL_US = 1000  # FACTS (docs/preemption.md): shorter calls cannot be asked for
