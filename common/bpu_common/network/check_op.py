"""The rules every operation keeps: what it reads and makes fits, and its numbers are in range.

Checking costs no more than reading the operation does, except where weights are looked at: for
their least value, and where their sum decides whether accumulators fit int32; those bytes are
counted by who checks a network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from bpu_common import limits
from bpu_common.network.check_numbers import (
    MAX_EXTENT,
    MAX_MULTIPLIER,
    check_axis,
    check_clamp,
    check_entries,
    check_factors,
    check_groups,
    check_operands,
    check_pool_pads,
    check_windows,
)
from bpu_common.network.check_scale import check_kept_scale
from bpu_common.network.check_tensor import MAX_NAME, check_name
from bpu_common.network.ops import (
    BPU_OPS,
    Addend,
    BpuOp,
    Cast,
    CustomOp,
    Dequantize,
    EdgeOp,
    OnnxOp,
    Operation,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    Quantize,
    Reshape,
    Softmax,
    Transpose,
)
from bpu_common.network.rules import result_shape, tensors_made, tensors_read
from bpu_common.params import ChannelParams, accumulator_bound
from bpu_common.program import FULL_RANGE
from bpu_common.require import in_range, require
from bpu_common.tensor import DType, Layout, TensorSpec

MAX_OPERANDS = 4096
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")

Tensors = Mapping[str, TensorSpec]


def check_op(op: Operation, tensors: Tensors) -> None:
    """Check one operation whose tensors are all described.

    Raises:
        BrokenRuleError: which rule it breaks, in which field.
    """
    check_name(op.name, "operation", "name")
    check_name(op.op_type, "operation type", "op_type")
    require(len(op.sources) <= MAX_OPERANDS, f"{len(op.sources)} source nodes", "sources")
    for source in op.sources:
        check_name(source, "source node", "sources")
    if isinstance(op, BPU_OPS):
        _check_bpu_op(op, tensors)
    else:
        _check_cpu_op(op, tensors)
    if isinstance(op, (OnnxOp, CustomOp)):
        return
    wanted, made = result_shape(op, tensors), tensors[op.y].shape
    require(
        wanted is None or wanted == made,
        f"{op.y!r} has the shape {made}, the operation makes {wanted}",
        "y",
    )


def _check_bpu_op(op: BpuOp, tensors: Tensors) -> None:
    for name in tensors_read(op):
        _int8(tensors[name], {DType.INT8})
    wide = isinstance(op, QConv)
    _int8(tensors[op.y], {DType.INT8, DType.INT32} if wide else {DType.INT8})
    match op:
        case QConv():
            _check_conv(op, tensors)
        case QMaxPool():
            check_windows(op.kernel_hw, op.stride_hw, (1, 1), op.pads_tlbr, (1, 1))
            check_pool_pads(op.kernel_hw, op.pads_tlbr)
        case QEltwise():
            _check_eltwise(op, tensors)
        case QLut():
            shape, channels = op.tables.shape, tensors[op.x].shape_hwc[2]
            require(
                shape in {(1, limits.LUT_BYTES), (channels, limits.LUT_BYTES)},
                f"tables of shape {shape} for {channels} channels",
                "tables",
            )
        case QResize():
            height, width, _ = tensors[op.x].shape_hwc
            check_axis("rows", op.rows, height, tensors[op.y].shape_hwc[0])
            check_axis("columns", op.columns, width, tensors[op.y].shape_hwc[1])
        case QConcat():
            _check_concat(op, tensors)
        case QSlice():
            for axis, size in enumerate(tensors[op.x].shape_hwc):
                step = op.step_hwc[axis]
                in_range("start", op.start_hwc[axis], 0, size - 1, "start_hwc")
                in_range("step", step, 1, MAX_EXTENT, "step_hwc")
                last = op.start_hwc[axis] + (tensors[op.y].shape_hwc[axis] - 1) * step
                require(last < size, f"reads position {last} of {size}", "start_hwc")
        case QPad():
            for pad in op.pads_tlbr:
                in_range("pad", pad, 0, MAX_EXTENT, "pads_tlbr")
            in_range("value", op.value, *FULL_RANGE, "value")
        case QDepthToSpace():
            _check_blocks(op, tensors[op.x])
    check_kept_scale(op, tensors)


def _int8(spec: TensorSpec, dtypes: set[DType]) -> None:
    require(
        spec.dtype in dtypes
        and spec.layout is Layout.NHWC
        and len(spec.shape) == 4
        and spec.shape[0] == 1,
        f"tensor {spec.name!r} ({spec.dtype.value} {spec.shape} {spec.layout.value}) is none that "
        "an int8 operation reads or makes",
    )


def _check_conv(op: QConv, tensors: Tensors) -> None:
    channels, outputs = tensors[op.x].shape_hwc[2], tensors[op.y].shape_hwc[2]
    check_groups(channels, outputs, op.groups)
    wanted = (outputs, *op.weights.shape[1:3], channels // op.groups)
    require(
        op.weights.ndim == 4 and op.weights.shape == wanted,
        f"weights of shape {op.weights.shape} for {outputs} channels of {channels} in "
        f"{op.groups} groups",
        "weights",
    )
    in_range("weight", int(op.weights.min()), -127, 127, "weights")
    check_windows(op.kernel_hw, op.stride_hw, op.dilation_hw, op.pads_tlbr, op.upsample_hw)
    check_clamp(op.clamp)
    in_range("pad code", op.pad_code, *FULL_RANGE, "pad_code")
    factors: Sequence[int] = ()
    if isinstance(op.addend, Addend):
        factors = op.addend.factors
        check_factors(factors, outputs, "addend")
        second = tensors[op.addend.x].shape
        require(
            second == tensors[op.y].shape,
            f"an addend of shape {second} for a result of shape {tensors[op.y].shape}",
            "addend",
        )
    _check_params(op.params, outputs, wide=tensors[op.y].dtype is DType.INT32)
    # 128 * 128 for each weight is beyond what any codes can sum up to, and costs no look at them.
    bias = max(abs(int(op.params.bias.min())), abs(int(op.params.bias.max())))
    if op.weights[0].size * (1 << 14) + (1 << 14) * bool(factors) + bias > limits.INT32_LIMIT:
        bound = int(accumulator_bound(op.weights, op.params, factors=factors).max())
        require(bound <= limits.INT32_LIMIT, f"accumulators reach {bound}", "weights")


def _check_params(params: ChannelParams, channels: int, *, wide: bool) -> None:
    require(
        params.channels == channels, f"{params.channels} entries for {channels} channels", "params"
    )
    for what, values, most in (
        ("right shift", params.right_shift, limits.RIGHT_SHIFT.high),
        ("multiplier", params.multiplier, MAX_MULTIPLIER),
        ("out shift", params.out_shift, limits.OUT_SHIFT.high),
    ):
        highest = 0 if wide else most
        in_range(what, int(values.min()), 0, highest, "params")
        in_range(what, int(values.max()), 0, highest, "params")
    in_range("bias shift", int(params.bias_shift.min()), 0, limits.BIAS_SHIFT.high, "params")
    in_range("bias shift", int(params.bias_shift.max()), 0, limits.BIAS_SHIFT.high, "params")
    in_range("bias", int(params.bias_q.min()), -(1 << 15), (1 << 15) - 1, "params")
    in_range("bias", int(params.bias_q.max()), -(1 << 15), (1 << 15) - 1, "params")


def _check_eltwise(op: QEltwise, tensors: Tensors) -> None:
    shape = tensors[op.a].shape_hwc
    check_operands(op.kind, shape, None if op.b is None else tensors[op.b].shape_hwc)
    check_entries(op.kind, op.entries, shape[2], op.zeros)
    check_clamp(op.clamp)


def _check_concat(op: QConcat, tensors: Tensors) -> None:
    in_range("number of parts", len(op.xs), 1, MAX_OPERANDS, "xs")
    in_range("axis", op.axis, 0, 2, "axis")
    first = tensors[op.xs[0]].shape_hwc
    for x in op.xs:
        shape = tensors[x].shape_hwc
        require(
            all(axis == op.axis or shape[axis] == first[axis] for axis in range(3)),
            f"{shape} does not join {first} along axis {op.axis}",
            "xs",
        )


def _check_blocks(op: QDepthToSpace, x: TensorSpec) -> None:
    in_range("block", op.block, 1, MAX_EXTENT, "block")
    height, width, channels = x.shape_hwc
    parts = (channels % (op.block * op.block),) if op.to_space else (height, width)
    whole = parts[0] == 0 if op.to_space else all(size % op.block == 0 for size in parts)
    require(whole, f"{x.shape_hwc} is not made of blocks of {op.block}", "block")


def _check_cpu_op(op: EdgeOp | OnnxOp | CustomOp, tensors: Tensors) -> None:
    match op:
        case Quantize(x=x, y=y):
            _require_dtype(tensors[x], {DType.FLOAT32}, "x")
            _require_dtype(tensors[y], {DType.INT8, DType.UINT8}, "y")
            _check_same_elements(tensors[x], tensors[y])
            require(bool(tensors[y].scale), f"{y!r} has no scale", "y")
        case Dequantize(x=x, y=y):
            _require_dtype(tensors[x], {DType.INT8, DType.UINT8, DType.INT32}, "x")
            _require_dtype(tensors[y], {DType.FLOAT32}, "y")
            _check_same_elements(tensors[x], tensors[y])
            require(bool(tensors[x].scale), f"{x!r} has no scale", "x")
        case Transpose(x=x, y=y, perm=perm):
            rank = len(tensors[x].shape)
            require(sorted(perm) == list(range(rank)), f"order {perm} of {rank} axes", "perm")
            _require_dtype(tensors[y], {tensors[x].dtype}, "y")
        case Cast(y=y, to=to):
            _require_dtype(tensors[y], {to}, "y")
        case Reshape(x=x, y=y):
            _require_dtype(tensors[y], {tensors[x].dtype}, "y")
            _check_same_elements(tensors[x], tensors[y])
        case Softmax(x=x, y=y, axis=axis):
            rank = len(tensors[x].shape)
            _require_dtype(tensors[x], {DType.FLOAT32}, "x")
            _require_dtype(tensors[y], {DType.FLOAT32}, "y")
            in_range("axis", axis, -rank, rank - 1, "axis")
        case OnnxOp() | CustomOp():
            in_range("number of inputs", len(op.xs), 0, MAX_OPERANDS, "xs")
            in_range("number of outputs", len(op.ys), 1, MAX_OPERANDS, "ys")
            require(bool(tensors_made(op)), "an operation without results", "ys")
            if isinstance(op, CustomOp):
                _check_custom(op)


def _check_custom(op: CustomOp) -> None:
    """What names code: a module that Python imports by name, never a file that it opens."""
    require(
        len(op.module) <= MAX_NAME and _MODULE.fullmatch(op.module) is not None,
        f"module {op.module[:64]!r} is no import path",
        "module",
    )
    require(op.class_name.isidentifier(), f"{op.class_name[:64]!r} is no class", "class_name")
    require(
        _SHA256.fullmatch(op.source_sha256) is not None,
        "the digest of the source is not 64 hexadecimal digits",
        "source_sha256",
    )
    require(len(op.attributes) <= MAX_OPERANDS, f"{len(op.attributes)} attributes", "attributes")


def _require_dtype(spec: TensorSpec, dtypes: set[DType], field: str) -> None:
    require(spec.dtype in dtypes, f"{spec.name!r} is {spec.dtype.value}", field)


def _check_same_elements(x: TensorSpec, y: TensorSpec) -> None:
    require(
        math.prod(x.shape) == math.prod(y.shape),
        f"{x.shape} and {y.shape} do not hold the same number of elements",
        "y",
    )
