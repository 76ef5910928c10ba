"""Convolutions, transposed convolutions and poolings of the float graph as units' work.

The passes have made kernel, strides, dilations and pads explicit (`passes.normalize_windows`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from bpu_common import limits
from bpu_common.program import Pair, Quad
from bpu_common.tensor import F32, F64
from bpu_host.compiler.passes import PREPROCESS_PREFIX
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.passes.affine import is_affine
from bpu_host.compiler.units.reading import OffBpu, constant_input, pair, require, shape_hwc
from bpu_host.compiler.units.work import ConvWork, MaxPoolWork, Unit

Step = tuple[Pair, Pair]
"""Kernel and stride of one window of a chain."""


def _pads(node: ir.Node) -> Quad:
    pads = g.ints(node, "pads", (0, 0, 0, 0))
    require(len(pads) == 4, f"pads of {node.op_type} has {len(pads)} values, not 4")
    require(min(pads) >= 0, f"pads {list(pads)}; they must not be negative")
    return pads[0], pads[1], pads[2], pads[3]


def _weights_and_bias(node: ir.Node, out_channels: int) -> tuple[F32 | F64, F64]:
    """Weights in the type they are stored in (they are many), the bias in float64."""
    weights: F32 | F64 | None = constant_input(node, 1, "weights")
    stored = g.constant(node.inputs[1])
    if weights is None or stored is None:
        raise OffBpu("it has no weights")
    if stored.dtype == np.float32:
        weights = stored.astype(np.float32, copy=False)
    require(
        weights.ndim == 4, f"Tensor expects be 4 dimensions, but {weights.ndim} provided", "RANK"
    )
    bias = constant_input(node, 2, "bias")
    return weights, np.zeros(out_channels) if bias is None else bias


def convolution(node: ir.Node) -> ConvWork:
    """ONNX Conv, 4-D, constant weights."""
    _, _, channels = shape_hwc(node.outputs[0])
    weights, bias = _weights_and_bias(node, channels)
    image = g.name_of(node).startswith(PREPROCESS_PREFIX)
    return ConvWork(
        weights.transpose(0, 2, 3, 1),
        bias,
        pair(node, "strides"),
        pair(node, "dilations"),
        _pads(node),
        int(g.attribute(node, "group", 1)),
        op_type="HzSQuantizedPreprocess" if image else "HzSQuantizedConv",
        affine=is_affine(node),
    )


def transposed_convolution(node: ir.Node) -> ConvWork:
    """ONNX ConvTranspose as a convolution over the input spread by its stride.

    The kernel is turned round; `kernel - 1 - pad` zeros stand around the spread input, at bottom
    and right as many as the output size asks for (asymmetric pads, output_padding).
    """
    in_h, in_w, _ = shape_hwc(node.inputs[0])
    out_h, out_w, out_c = shape_hwc(node.outputs[0])
    weights, bias = _weights_and_bias(node, out_c)
    groups = int(g.attribute(node, "group", 1))
    stride, dilation, cut = pair(node, "strides"), pair(node, "dilations"), _pads(node)
    depth, per_group, kernel_h, kernel_w = weights.shape
    extent = ((kernel_h - 1) * dilation[0] + 1, (kernel_w - 1) * dilation[1] + 1)
    before = [extent[axis] - 1 - cut[axis] for axis in range(2)]
    spread = ((in_h - 1) * stride[0] + 1, (in_w - 1) * stride[1] + 1)
    after = [
        out_size + extent[axis] - 1 - spread[axis] - before[axis]
        for axis, out_size in enumerate((out_h, out_w))
    ]
    require(min(before + after) >= 0, f"pads {list(cut)}, larger than its kernel")
    turned = weights[:, :, ::-1, ::-1].reshape(
        groups, depth // groups, per_group, kernel_h, kernel_w
    )
    ohwi = turned.transpose(0, 2, 3, 4, 1).reshape(out_c, kernel_h, kernel_w, depth // groups)
    return ConvWork(
        ohwi.copy(),
        bias,
        (1, 1),
        dilation,
        (before[0], before[1], after[0], after[1]),
        groups,
        stride,
        cut,
        "HzSQuantizedConvTranspose",
    )


def _average(channels: int, kernel: Pair, stride: Pair, pads: Quad = (0, 0, 0, 0)) -> ConvWork:
    """A mean as a depthwise convolution with the constant 1 / (kh * kw)."""
    weights = np.full((channels, *kernel, 1), 1.0 / (kernel[0] * kernel[1]))
    bias = np.zeros(channels)
    return ConvWork(weights, bias, stride, pads_tlbr=pads, groups=channels, high_precision=False)


def average_pool(node: ir.Node) -> ConvWork:
    """AveragePool whose windows all divide by the same number."""
    _, _, channels = shape_hwc(node.inputs[0])
    pads = _pads(node)
    require(
        not any(pads) or bool(g.attribute(node, "count_include_pad", 0)),
        "its means leave padding out (count_include_pad 0), so they divide by different numbers",
    )
    return _average(channels, pair(node, "kernel_shape"), pair(node, "strides"), pads)


def max_pool(node: ir.Node) -> MaxPoolWork:
    """MaxPool without the indices."""
    return MaxPoolWork(pair(node, "kernel_shape"), pair(node, "strides"), _pads(node))


def global_average(node: ir.Node) -> tuple[Unit, ...]:
    """GlobalAveragePool: one depthwise convolution, or a chain of small ones for big inputs."""
    height, width, channels = shape_hwc(node.inputs[0])
    steps: list[Step] = [((height, width), (1, 1))]
    if height * width not in limits.GLOBAL_AVERAGE_POSITIONS:
        steps = [(kernel, kernel) for kernel in _split_kernels(height, width)]
    works = [_average(channels, kernel, stride) for kernel, stride in steps]
    return _chain(node, "SPLIT_WITH_DEPTHWISE_CONV", works)


def global_maximum(node: ir.Node) -> tuple[Unit, ...]:
    """GlobalMaxPool: one window, or windows that may overlap and the maximum of their results."""
    height, width, _ = shape_hwc(node.inputs[0])
    works: list[MaxPoolWork] = []
    while not works or (height, width) != (1, 1):
        rows, columns = _cover(height), _cover(width)
        kernel, stride = (rows[0], columns[0]), (rows[1], columns[1])
        works.append(MaxPoolWork(kernel, stride, (0, 0, 0, 0)))
        height, width = (height - kernel[0]) // stride[0] + 1, (width - kernel[1]) // stride[1] + 1
    return _chain(node, "SPLIT_WITH_MAX_POOL", works)


def _cover(size: int) -> Pair:
    """(kernel, stride) of the fewest allowed windows that cover `size` positions exactly."""
    count = -(-size // limits.MAX_POOL_KERNEL.high)
    while (kernel := size - (count - 1) * (size // count)) not in limits.MAX_POOL_KERNEL:
        count += 1
    return kernel, size // count if count > 1 else 1


def _chain(node: ir.Node, label: str, works: Iterable[ConvWork | MaxPoolWork]) -> tuple[Unit, ...]:
    """Windows one behind the other; the last has the name and result of the node."""
    steps = list(works)
    shape, x, name = shape_hwc(node.inputs[0]), g.name_of(node.inputs[0]), g.name_of(node)
    units: list[Unit] = []
    for position, work in enumerate(steps):
        last = position == len(steps) - 1
        step = name if last else f"{name}_{label}_{position}"
        y = g.name_of(node.outputs[0]) if last else f"{step}_output"
        y_shape = (
            (shape[0] - work.kernel_hw[0]) // work.stride_hw[0] + 1,
            (shape[1] - work.kernel_hw[1]) // work.stride_hw[1] + 1,
            shape[2],
        )
        units.append(Unit(step, work, (node,), (x,), (shape,), y, y_shape))
        x, shape = y, y_shape
    return tuple(units)


def _split_kernels(height: int, width: int) -> list[Pair]:
    kernels: list[Pair] = []
    size = height * width
    while (height, width) != (1, 1):
        kernel = _greatest_divisor(height), _greatest_divisor(width)
        require(
            (kernel[0] > 1 or height == 1) and (kernel[1] > 1 or width == 1),
            f"H x W is {size}; the limit is {limits.GLOBAL_AVERAGE_POSITIONS.high}, unless H and W "
            f"are products of numbers up to {limits.GLOBAL_AVERAGE_STEP}",
            "POOL-GLOBAL",
        )
        kernels.append(kernel)
        height, width = height // kernel[0], width // kernel[1]
    return kernels


def _greatest_divisor(size: int) -> int:
    return next(k for k in range(min(size, limits.GLOBAL_AVERAGE_STEP), 0, -1) if size % k == 0)
