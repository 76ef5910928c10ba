"""The rules of the BPU, operator by operator (figures from `x3_operators.csv`)."""

from __future__ import annotations

import numpy as np

from bpu_common.tensor import align_up
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.fold_pads import spatial_pads
from bpu_host.compiler.rules.rule import NodeView, Rule

LUT_OPS = ("Sigmoid", "Tanh", "Exp", "Cos", "Sin", "Softplus", "Sqrt", "Pow", "Reciprocal")
WINDOW_OPS = ("Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool", "MaxPool")
MOVE_OPS = ("Concat", "Slice", "Split", "Pad", "Resize", "DepthToSpace", "SpaceToDepth")
ACTIVATION_OPS = ("Relu", "Clip", "LeakyRelu", "PRelu")
BPU_OPS = (*WINDOW_OPS, *MOVE_OPS, *ACTIVATION_OPS, *LUT_OPS, "Add", "Mul")
"""Operators that the back end of OpenBPU implements (see `compiler/network.py`)."""

LUT_LIMIT = 8192
GLOBAL_LIMIT = 8192
_C_MAX, _C_MAX_PLAIN, _C_MAX_POINT = 2048, 4096, 16384


def _ranges(what: str, ranges: list[list[int]], found: list[int]) -> str | None:
    """The chapter's sentence when a value lies outside its range."""
    if all(low <= value <= high for (low, high), value in zip(ranges, found, strict=True)):
        return None
    expected = ",".join(f"[{low}, {high}]" for low, high in ranges)
    data = ",".join(str(value) for value in found)
    return f"Expected data shape range of {what} is [{expected}], but the data shape is [{data}]"


def _rank(view: NodeView) -> str | None:
    shapes = {0: view.shape(0), -1: view.result}
    for shape in shapes.values():
        if len(shape) != 4:
            return f"Tensor expects be 4 dimensions, but {len(shape)} provided"
        if shape[0] != 1:
            return f"the batch is {shape[0]}; OpenBPU runs a batch of 1 on the BPU"
    return None


def _float(view: NodeView) -> str | None:
    value = view.node.inputs[0]
    kind = value.dtype.name if value is not None and value.dtype is not None else "FLOAT"
    return None if kind == "FLOAT" else f"its input is {kind.lower()}, not float"


def _constant_weights(view: NodeView) -> str | None:
    for index in range(1, len(view.node.inputs)):
        if view.node.inputs[index] is not None and not view.is_constant(index):
            return "its weights or bias are computed, not constant"
    return None


def _conv_kernel(view: NodeView) -> str | None:
    weight = view.shape(1)
    if len(weight) != 4:
        return f"Tensor expects be 4 dimensions, but {len(weight)} provided"
    group = int(g.attribute(view.node, "group", 1))
    plain = group == 1 and view.pair("dilations") == (1, 1)
    limit = _C_MAX_PLAIN if plain else _C_MAX
    limit_in = _C_MAX_POINT if plain and view.shape(0)[2:] == (1, 1) else limit
    found = [weight[0] // group, weight[2], weight[3], weight[1]]
    return _ranges("Kernel shape", [[1, limit], [1, 7], [1, 7], [1, limit_in]], found)


def _conv_area(view: NodeView) -> str | None:
    weight = view.shape(1)
    area = weight[1] * weight[2] * weight[3]
    if area <= 32768:
        return None
    return f"one kernel has {area} values (height x width x channels); the limit is 32768"


def _conv_dilation(view: NodeView) -> str | None:
    dilation, stride = view.pair("dilations"), view.pair("strides")
    if dilation == (1, 1):
        return None
    for size, step in zip(dilation, stride, strict=True):
        if size & (size - 1) or (size > 1 and size % step):
            return f"dilation {size} is not a power of two that stride {step} divides"
    if dilation[0] > dilation[1]:
        return f"dilation {dilation[0]} of height is above {dilation[1]} of width"
    return None


def _transposed(view: NodeView) -> str | None:
    weight, group = view.shape(1), int(g.attribute(view.node, "group", 1))
    if len(weight) != 4:
        return f"Tensor expects be 4 dimensions, but {len(weight)} provided"
    found = [weight[0] // group, weight[2], weight[3], weight[1]]
    problem = _ranges("Kernel shape", [[1, _C_MAX], [2, 14], [2, 14], [1, _C_MAX]], found)
    if problem:
        return problem
    stride = view.pair("strides")
    if not set(stride) <= {2, 4} or stride[0] > stride[1]:
        return f"strides {list(stride)}; they must be 2 or 4, height not above width"
    if view.pair("dilations") != (1, 1):
        return f"dilations {list(view.pair('dilations'))}; they must be 1"
    limits = [(weight[2 + index % 2] - 1) // 2 for index in range(4)]
    if any(not 0 <= pad <= limit for pad, limit in zip(view.pads, limits, strict=True)):
        return f"pads {list(view.pads)}; each must be at most (kernel - 1) / 2"
    return None


def _average_pool(view: NodeView) -> str | None:
    problem = _pool(view, 7)
    if problem:
        return problem
    if any(view.pads) and not g.attribute(view.node, "count_include_pad", 0):
        return "padding is left out of its mean (count_include_pad 0)"
    return None


def _max_pool(view: NodeView) -> str | None:
    if len(view.node.outputs) > 1 and view.node.outputs[1].uses():
        return "its second output (indices) is used"
    if view.pair("dilations") != (1, 1):
        return f"dilations {list(view.pair('dilations'))}; they must be 1"
    return _pool(view, 64)


def _pool(view: NodeView, largest: int) -> str | None:
    kernel, stride = view.pair("kernel_shape"), view.pair("strides")
    if g.attribute(view.node, "ceil_mode", 0):
        return "ceil_mode makes windows that reach beyond the padding"
    problem = _ranges("Kernel shape", [[1, largest], [1, largest]], list(kernel))
    return problem or _ranges("strides", [[1, 185], [1, 185]], list(stride))


def _global_average(view: NodeView) -> str | None:
    height, width = view.shape(0)[2:]
    if height * width <= GLOBAL_LIMIT or (_factors(height) and _factors(width)):
        return None
    return (
        f"H x W is {height * width}; the limit is {GLOBAL_LIMIT}, unless H and W are products of "
        "numbers up to 7"
    )


def _factors(size: int) -> bool:
    for factor in (2, 3, 5, 7):
        while size % factor == 0:
            size //= factor
    return size == 1


def _lut(view: NodeView) -> str | None:
    _, channels, height, width = view.shape(0)
    size = min(
        height * align_up(width, 8) * align_up(channels, 4),
        height * width * align_up(channels, 32),
    )
    if size <= LUT_LIMIT:
        return None
    return f"look-up of {size} values (padded C x H x W); the limit is {LUT_LIMIT}"


def _pow(view: NodeView) -> str | None:
    exponent = g.constant(view.node.inputs[1])
    if exponent is not None and exponent.size == 1:
        return None
    return "the exponent must be one constant value"


def _two_operands(view: NodeView) -> str | None:
    if len(view.node.inputs) != 2 or view.is_constant(0) or view.is_constant(1):
        return "both operands must be outputs of other operators"
    first, second = view.shape(0), view.shape(1)
    small = ((1, first[1], 1, 1), (1, 1, 1, 1)) if len(first) == 4 else ()
    turned = ((1, second[1], 1, 1), (1, 1, 1, 1)) if len(second) == 4 else ()
    if first != second and second not in small and first not in turned:
        return f"shapes {list(first)} and {list(second)}; they must be equal, or 1xCx1x1 beside it"
    return _ranges("channels", [[1, _C_MAX]], [max(first[1], second[1])])


def _add_scalar(view: NodeView) -> str | None:
    if (1, 1, 1, 1) in (view.shape(0), view.shape(1)) and view.result[1:] != (1, 1, 1):
        return "a single value is added to a map; only 1xCx1x1 may be"
    return None


def _concat(view: NodeView) -> str | None:
    for index in range(len(view.node.inputs)):
        if view.is_constant(index):
            return "one of its inputs is constant"
        if len(view.shape(index)) != 4:
            return f"Tensor expects be 4 dimensions, but {len(view.shape(index))} provided"
    if int(g.attribute(view.node, "axis", 1)) % 4 == 0:
        return "it joins along the batch"
    return _ranges("channels", [[1, _C_MAX]], [view.result[1]])


def _split(view: NodeView) -> str | None:
    axis = int(g.attribute(view.node, "axis", 0)) % 4
    sizes = {g.shape_of(output) for output in view.node.outputs}
    if axis == 0 or len(sizes) != 1:
        return "it must divide height, width or channels into equal pieces"
    return None


def _slice(view: NodeView) -> str | None:
    if not all(view.is_constant(index) for index in range(1, len(view.node.inputs))
               if view.node.inputs[index] is not None):  # fmt: skip
        return "its bounds are computed, not constant"
    steps = g.constant(view.node.inputs[4]) if len(view.node.inputs) > 4 else None
    if steps is not None and np.any(np.asarray(steps, np.int64) < 1):
        return "it steps backwards"
    return None


def _pad(view: NodeView) -> str | None:
    if spatial_pads(view.node) is None:
        return "it must pad height and width with a constant, by constant amounts of 0 or more"
    return None


def _blocks(view: NodeView) -> str | None:
    block = int(g.attribute(view.node, "blocksize", 0))
    return None if block == 2 else f"block size {block}; it must be 2"


def _resize(view: NodeView) -> str | None:
    node, x, y = view.node, view.shape(0), view.result
    mode = g.text(node, "mode", "nearest")
    if mode not in ("nearest", "linear"):
        return f"mode {mode}; it must be nearest or linear"
    if x[:2] != y[:2]:
        return "it must resize height and width alone"
    coordinates = g.text(node, "coordinate_transformation_mode", "half_pixel")
    known = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    if coordinates not in known:
        return f"coordinate_transformation_mode {coordinates}; it must be one of {', '.join(known)}"
    if g.attribute(node, "antialias", 0):
        return "antialias is not possible"
    if mode == "linear" or y[2] < x[2] or y[3] < x[3]:
        return None
    factors = [divmod(y[axis], x[axis]) for axis in (2, 3)]
    if any(rest or factor & (factor - 1) for factor, rest in factors) or (
        factors[0][0] > factors[1][0]
    ):
        return (
            f"nearest from {x[2]}x{x[3]} to {y[2]}x{y[3]}; factors must be powers of two, height "
            "not above width"
        )
    return None


def _prelu(view: NodeView) -> str | None:
    slope = g.constant(view.node.inputs[1])
    if slope is None:
        return "its slope is computed, not constant"
    if slope.size == 1 or slope.shape in ((view.shape(0)[1], 1, 1), (1, view.shape(0)[1], 1, 1)):
        return None
    return f"a slope of shape {list(slope.shape)}; it must be one value, or one per channel"


def _bounds(view: NodeView) -> str | None:
    for index in (1, 2):
        inputs = view.node.inputs
        if index < len(inputs) and inputs[index] is not None and not view.is_constant(index):
            return "its bounds are computed, not constant"
    return None


RULES: tuple[Rule, ...] = (
    Rule("RANK", BPU_OPS, "Input and output have 4 dimensions (NCHW) and a batch of 1.", _rank),
    Rule("FLOAT", BPU_OPS, "The input is float in the float model.", _float),
    Rule("WEIGHTS", ("Conv", "ConvTranspose"), "Weights and bias are constant.",
         _constant_weights),
    Rule("CONV-KERNEL", ("Conv",),
         "Kernel height and width 1 to 7; channels per group up to 2048 (4096 when neither dilated "
         "nor grouped; 16384 input channels on a 1x1 map).", _conv_kernel),
    Rule("CONV-AREA", ("Conv",), "Kernel height x width x input channels per group up to 32768.",
         _conv_area),
    Rule("CONV-DILATION", ("Conv",),
         "Dilations are powers of two divisible by the stride, height not above width.",
         _conv_dilation),
    Rule("DECONV", ("ConvTranspose",),
         "Kernel 2 to 14, channels up to 2048, strides 2 or 4 (height not above width), dilation "
         "1, pads up to (kernel - 1) / 2.", _transposed),
    Rule("POOL-AVERAGE", ("AveragePool",),
         "Kernel 1 to 7, stride 1 to 185, padding counted or absent.", _average_pool),
    Rule("POOL-MAX", ("MaxPool",), "Kernel 1 to 64, stride 1 to 185, no dilation.", _max_pool),
    Rule("POOL-GLOBAL", ("GlobalAveragePool",),
         "H x W up to 8192, or both products of numbers up to 7 (then split into a chain).",
         _global_average),
    Rule("ELTWISE", ("Add", "Mul"),
         "Two computed operands of equal shape, or one of shape 1xCx1x1; channels up to 2048.",
         _two_operands),
    Rule("ADD-SCALAR", ("Add",), "A single computed value is not added to a map.", _add_scalar),
    Rule("LUT", LUT_OPS,
         "At most 8192 values, the smaller of W padded to 8 with C to 4, and C padded to 32.",
         _lut),
    Rule("POW", ("Pow",), "The exponent is one constant value.", _pow),
    Rule("CONCAT", ("Concat",), "Computed 4-D inputs, up to 2048 channels, not along the batch.",
         _concat),
    Rule("SPLIT", ("Split",), "Equal pieces of height, width or channels.", _split),
    Rule("SLICE", ("Slice",), "Constant bounds, positive steps.", _slice),
    Rule("PAD", ("Pad",), "Constant padding of height and width.", _pad),
    Rule("BLOCKS", ("DepthToSpace", "SpaceToDepth"), "Block size 2.", _blocks),
    Rule("RESIZE", ("Resize",),
         "Nearest or linear on height and width; nearest enlarges by powers of two, height not "
         "above width.", _resize),
    Rule("PRELU", ("PRelu",), "A constant slope, one value or one per channel.", _prelu),
    Rule("CLIP", ("Clip",), "Constant bounds.", _bounds),
)  # fmt: skip
