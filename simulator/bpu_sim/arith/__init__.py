"""The arithmetic of the chip, defined once: every other implementation equals this one bit for bit.

`operations` says what each operation computes (numpy int64: short, slow, normative), `scales`
chooses the integers an operation works with (shifts, multipliers, biases, weight codes), `sampling`
the positions and weights of a resize. docs/arithmetic.md is the text to it and says which forms are
the chip's public ones and which are ours.
"""

from bpu_common.params import accumulator_bound
from bpu_sim.arith.operations import (
    conv,
    eltwise,
    lut,
    max_pool,
    pad,
    requantize,
    requantize_entries,
    resize,
    resize_roi,
    space_depth,
)
from bpu_sim.arith.sampling import NEAREST_MODES, resize_axis, roi_axis
from bpu_sim.arith.scales import (
    MAX_RATIO,
    MIN_RATIO,
    channel_params,
    choose_requant,
    dead_channels,
    dequantize,
    eltwise_add_constants,
    eltwise_mul_constants,
    least_weight_scale,
    lut_table,
    quantize,
    quantize_weights,
    relu_clamp,
    scale_constants,
    weight_scales,
)

__all__ = [
    "MAX_RATIO",
    "MIN_RATIO",
    "NEAREST_MODES",
    "accumulator_bound",
    "channel_params",
    "choose_requant",
    "conv",
    "dead_channels",
    "dequantize",
    "eltwise",
    "eltwise_add_constants",
    "eltwise_mul_constants",
    "least_weight_scale",
    "lut",
    "lut_table",
    "max_pool",
    "pad",
    "quantize",
    "quantize_weights",
    "relu_clamp",
    "requantize",
    "requantize_entries",
    "resize",
    "resize_axis",
    "resize_roi",
    "roi_axis",
    "scale_constants",
    "space_depth",
    "weight_scales",
]
