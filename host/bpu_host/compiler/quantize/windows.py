"""Convolutions, transposed convolutions and poolings of the float graph as units' work."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bpu_common.program import Pair
from bpu_common.tensor import F64
from bpu_host.compiler.quantize.graphview import (
    Shape3,
    float_constant,
    input_at,
    node_name,
    pair,
    require,
    shape_hwc,
    value_name,
    window_pads,
)
from bpu_host.compiler.quantize.units import ConvWork, MaxPoolWork, Unit

GLOBAL_POOL_LIMIT = 8192
"""H * W above which a global average becomes a chain of small ones (vendor_facts 7.4)."""
SPLIT_KERNEL_LIMIT = 7
PREPROCESS_PREFIX = "HZ_PREPROCESS_FOR_"


def _extent(kernel: Pair, dilation: Pair) -> Pair:
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _weights_and_bias(node: ir.Node, out_channels: int) -> tuple[F64, F64]:
    weights = float_constant(node, 1)
    require(weights is not None, f"the weights of {node.op_type} are not constant")
    assert weights is not None
    require(weights.ndim == 4, f"{node.op_type} has {weights.ndim}-D weights, the BPU needs 4-D")
    require(bool(np.isfinite(weights).all()), "the weights hold values that are not finite")
    bias = float_constant(node, 2)
    if bias is None:
        require(not value_name(input_at(node, 2)), f"the bias of {node.op_type} is not constant")
        bias = np.zeros(out_channels)
    require(bool(np.isfinite(bias).all()), "the bias holds values that are not finite")
    return weights, bias


def convolution(node: ir.Node) -> ConvWork:
    """ONNX Conv, 4-D, constant weights."""
    in_h, in_w, _ = shape_hwc(input_at(node, 0))
    out_h, out_w, out_c = shape_hwc(node.outputs[0])
    weights, bias = _weights_and_bias(node, out_c)
    kernel = (weights.shape[2], weights.shape[3])
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    pads = window_pads(node, (in_h, in_w), (out_h, out_w), _extent(kernel, dilation), stride)
    image = (node.name or "").startswith(PREPROCESS_PREFIX)
    return ConvWork(
        weights.transpose(0, 2, 3, 1),
        bias,
        stride,
        dilation,
        pads,
        int(node.attributes.get_int("group", 1)),
        op_type="HzSQuantizedPreprocess" if image else "HzSQuantizedConv",
    )


def transposed_convolution(node: ir.Node) -> ConvWork:
    """ONNX ConvTranspose as a convolution over the input spread by its stride.

    The kernel is turned round; `kernel - 1 - pad` zeros stand around the spread input, at bottom
    and right as many as the output size asks for (asymmetric pads, output_padding).
    """
    in_h, in_w, _ = shape_hwc(input_at(node, 0))
    out_h, out_w, out_c = shape_hwc(node.outputs[0])
    weights, bias = _weights_and_bias(node, out_c)
    groups = int(node.attributes.get_int("group", 1))
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    mode = node.attributes.get_string("auto_pad") or "NOTSET"
    require(mode == "NOTSET", f"ConvTranspose with auto_pad {mode}")
    given = node.attributes.get_ints("pads") or (0, 0, 0, 0)
    extent = _extent((weights.shape[2], weights.shape[3]), dilation)
    before = [extent[axis] - 1 - int(given[axis]) for axis in range(2)]
    spread = ((in_h - 1) * stride[0] + 1, (in_w - 1) * stride[1] + 1)
    after = [
        out_size + extent[axis] - 1 - spread[axis] - before[axis]
        for axis, out_size in enumerate((out_h, out_w))
    ]
    require(min(before + after) >= 0, "ConvTranspose with pads larger than its kernel")
    depth, per_group, kernel_h, kernel_w = weights.shape
    turned = weights[:, :, ::-1, ::-1].reshape(
        groups, depth // groups, per_group, kernel_h, kernel_w
    )
    ohwi = turned.transpose(0, 2, 3, 4, 1).reshape(out_c, kernel_h, kernel_w, depth // groups)
    return ConvWork(
        np.ascontiguousarray(ohwi),
        bias,
        (1, 1),
        dilation,
        (before[0], before[1], after[0], after[1]),
        groups,
        stride,
        op_type="HzSQuantizedConvTranspose",
    )


def _average(
    channels: int, kernel: Pair, stride: Pair, pads: tuple[int, int, int, int]
) -> ConvWork:
    weights = np.full((channels, *kernel, 1), 1.0 / (kernel[0] * kernel[1]))
    return ConvWork(
        weights,
        np.zeros(channels),
        stride,
        pads_tlbr=pads,
        groups=channels,
        high_precision=False,
    )


def average_pool(node: ir.Node) -> ConvWork:
    """AveragePool as a depthwise convolution with the constant 1 / (kh * kw)."""
    in_h, in_w, channels = shape_hwc(input_at(node, 0))
    out_h, out_w, _ = shape_hwc(node.outputs[0])
    kernel, stride = pair(node, "kernel_shape"), pair(node, "strides")
    require(pair(node, "dilations") == (1, 1), "AveragePool with dilations")
    pads = window_pads(node, (in_h, in_w), (out_h, out_w), kernel, stride)
    given = tuple(node.attributes.get_ints("pads") or (0, 0, 0, 0))
    counted = bool(node.attributes.get_int("count_include_pad", 0))
    require(
        not any(pads) or (counted and tuple(pads) == given),
        "AveragePool whose border windows divide by another number than the inner ones "
        "(count_include_pad 0 with padding, or ceil_mode)",
    )
    return _average(channels, kernel, stride, pads)


def global_average(node: ir.Node, x: str, y: str) -> tuple[Unit, ...]:
    """GlobalAveragePool: one depthwise convolution, or a chain of small ones for big inputs."""
    height, width, channels = shape_hwc(input_at(node, 0))
    name = node_name(node)
    if height * width <= GLOBAL_POOL_LIMIT:
        work = _average(channels, (height, width), (1, 1), (0, 0, 0, 0))
        return (Unit(name, work, (node,), (x,), y, (1, 1, channels)),)
    kernels = _split_kernels(height, width)
    units: list[Unit] = []
    for position, kernel in enumerate(kernels):
        last = position == len(kernels) - 1
        height, width = height // kernel[0], width // kernel[1]
        step = name if last else f"{name}_SPLIT_WITH_DEPTHWISE_CONV_{position}"
        out = y if last else f"{step}_output"
        work = _average(channels, kernel, kernel, (0, 0, 0, 0))
        units.append(Unit(step, work, (node,), (x,), out, (height, width, channels)))
        x = out
    return tuple(units)


def _split_kernels(height: int, width: int) -> list[Pair]:
    kernels: list[Pair] = []
    while (height, width) != (1, 1):
        kernel = _greatest_divisor(height), _greatest_divisor(width)
        require(
            kernel != (1, 1) and (kernel[0] > 1 or height == 1) and (kernel[1] > 1 or width == 1),
            f"a global average over {height}x{width} cannot be split into windows of up to "
            f"{SPLIT_KERNEL_LIMIT}",
        )
        kernels.append(kernel)
        height, width = height // kernel[0], width // kernel[1]
    return kernels


def _greatest_divisor(size: int) -> int:
    return next(k for k in range(min(size, SPLIT_KERNEL_LIMIT), 0, -1) if size % k == 0)


def max_pool(node: ir.Node) -> MaxPoolWork:
    """MaxPool and GlobalMaxPool."""
    in_h, in_w, _ = shape_hwc(input_at(node, 0))
    if node.op_type == "GlobalMaxPool":
        return MaxPoolWork((in_h, in_w), (1, 1), (0, 0, 0, 0))
    out_h, out_w, _ = shape_hwc(node.outputs[0])
    require(
        len(node.outputs) == 1 or not node.outputs[1].uses(), "MaxPool with its second output used"
    )
    kernel, stride = pair(node, "kernel_shape"), pair(node, "strides")
    require(pair(node, "dilations") == (1, 1), "MaxPool with dilations")
    pads = window_pads(node, (in_h, in_w), (out_h, out_w), kernel, stride)
    return MaxPoolWork(kernel, stride, pads)


def affine(node: ir.Node) -> ConvWork | None:
    """Add, Sub, Mul, Div of a tensor and a constant per channel as a depthwise 1x1 convolution.

    None if no operand is constant.
    """
    left, right = float_constant(node, 0), float_constant(node, 1)
    if left is None and right is None:
        return None
    factor = left if right is None else right
    assert factor is not None
    data = node.inputs[1] if right is None else node.inputs[0]
    _, _, channels = shape_hwc(data)
    values = _per_channel(factor, channels, node)
    ones, zeros = np.ones(channels), np.zeros(channels)
    match node.op_type, right is None:
        case "Mul", _:
            weights, bias = values, zeros
        case "Add", _:
            weights, bias = ones, values
        case "Sub", False:
            weights, bias = ones, -values
        case "Sub", True:
            weights, bias = -ones, values
        case "Div", False:
            require(bool((values != 0).all()), "Div by a constant that holds 0")
            weights, bias = 1.0 / values, zeros
        case _:
            require(False, f"{node.op_type} of a constant by a tensor")
    return ConvWork(weights.reshape(channels, 1, 1, 1), bias, groups=channels)


def _per_channel(factor: F64, channels: int, node: ir.Node) -> F64:
    shape = (1,) * (4 - factor.ndim) + factor.shape
    require(
        factor.ndim <= 4 and shape[0] == shape[2] == shape[3] == 1 and shape[1] in (1, channels),
        f"{node.op_type} with a constant of shape {list(factor.shape)}; "
        "the BPU takes one value, or one per channel",
    )
    require(bool(np.isfinite(factor).all()), "the constant holds values that are not finite")
    return np.broadcast_to(factor.reshape(-1), (channels,)).astype(np.float64)


def broadcast_operands(node: ir.Node) -> tuple[ir.Value | None, ir.Value | None]:
    """The two operands of Add or Mul, the full-sized one first.

    Raises:
        OffBpu: shapes other than equal, (1, 1, C) or (1, 1, 1) for the second.
    """
    require(len(node.inputs) == 2, f"{node.op_type} of {len(node.inputs)} inputs")
    first, second = shape_hwc(node.inputs[0]), shape_hwc(node.inputs[1])
    out = shape_hwc(node.outputs[0])

    def fits(full: Shape3, other: Shape3) -> bool:
        return full == out and other in (out, (1, 1, out[2]), (1, 1, 1))

    if fits(first, second):
        return node.inputs[0], node.inputs[1]
    require(fits(second, first), f"{node.op_type} of shapes {list(first)} and {list(second)} (HWC)")
    return node.inputs[1], node.inputs[0]
