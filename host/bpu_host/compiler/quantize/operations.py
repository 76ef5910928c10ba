"""One unit with its scales becomes one operation of the network, with all its integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bpu_common.errors import ModelUnsupported
from bpu_common.limits import INT32_LIMIT
from bpu_common.network import (
    BpuOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    bpu_tensor,
)
from bpu_common.params import ChannelParams
from bpu_common.program import FULL_RANGE, EltwiseEntry, EltwiseKind, Pair
from bpu_common.tensor import F64, I8, DType, Scale, TensorSpec
from bpu_host.compiler.units.functions import clamped
from bpu_host.compiler.units.reading import OffBpu, require
from bpu_host.compiler.units.work import (
    UNBOUNDED,
    AddWork,
    Bounds,
    ClampWork,
    ConcatWork,
    ConvWork,
    DepthSpaceWork,
    LutWork,
    MaxPoolWork,
    MulWork,
    PadWork,
    ResizeWork,
    SliceWork,
    Unary,
    Unit,
)
from bpu_sim import arith


def clamp_codes(bounds: Bounds, scale: float) -> Pair:
    """Inclusive int8 bounds of a fused activation."""
    lowest, highest = bounds
    if bounds == UNBOUNDED:
        return FULL_RANGE
    if lowest == 0:
        return arith.relu_clamp(scale, None if highest == inf else highest)
    low = -128 if lowest == -inf else int(np.clip(np.rint(lowest / scale), -128, 127))
    high = 127 if highest == inf else int(np.clip(np.rint(highest / scale), -128, 127))
    return low, high


def build(unit: Unit, xs: tuple[TensorSpec, ...], y: TensorSpec) -> tuple[BpuOp, TensorSpec]:
    """The operation of `unit` and its result tensor.

    Args:
        xs: the tensors it reads; those of a Concat all have the scale of `y`.
        y: the result; with dtype INT32 its scale is still empty and is set here.

    Raises:
        OffBpu: numbers that do not fit the chip.
    """
    try:
        if isinstance(unit.work, ConvWork):
            return _conv(unit, unit.work, xs[0], y)
        return _other(unit, xs, y), y
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error


@dataclass(frozen=True, slots=True, eq=False)
class ConvScales:
    """The scales of a convolution: of its input, of each filter's weights (O,), of its result.

    Attributes:
        s_out: None for a result in int32.
    """

    s_in: float
    s_w: F64
    s_out: float | None

    @classmethod
    def of(cls, work: ConvWork, x: TensorSpec, y: TensorSpec) -> ConvScales:
        s_in = x.scale.value
        s_out = None if y.dtype is DType.INT32 else y.scale.value
        least = arith.least_weight_scale(work.bias, s_in, s_out)
        return cls(s_in, arith.weight_scales(work.weights, least), s_out)

    def params(self, weights: I8, bias: F64) -> ChannelParams:
        """The parameters of all channels.

        Raises:
            ModelUnsupported: a ratio or a bias that the parameter table cannot hold.
            OffBpu: sums could leave int32.
        """
        step = self.s_in * self.s_w
        params = arith.channel_params(
            bias,
            step / (1.0 if self.s_out is None else self.s_out),
            step,
            int32_output=self.s_out is None,
            dead=arith.dead_channels(weights),
        )
        bound = int(arith.accumulator_bound(weights, params).max())
        require(
            bound <= INT32_LIMIT,
            f"its accumulator can reach {bound}, more than int32 holds ({INT32_LIMIT})",
        )
        return params


def _conv(unit: Unit, work: ConvWork, x: TensorSpec, y: TensorSpec) -> tuple[QConv, TensorSpec]:
    scales = ConvScales.of(work, x, y)
    weights = arith.quantize_weights(work.weights, scales.s_w)
    params = scales.params(weights, work.bias)
    s_out = scales.s_out
    if s_out is None:
        scale = Scale.per_channel((scales.s_in * scales.s_w).astype(np.float32))
        y = replace(y, scale=scale)
    operation = QConv(
        unit.name,
        x.name,
        y.name,
        weights,
        params,
        work.stride_hw,
        work.dilation_hw,
        work.pads_tlbr,
        work.groups,
        work.upsample_hw,
        FULL_RANGE if s_out is None else clamp_codes(unit.bounds, s_out),
        work.op_type,
        sources=unit.sources,
    )
    return operation, y


def _other(unit: Unit, xs: tuple[TensorSpec, ...], y: TensorSpec) -> BpuOp:
    name, x, sources = unit.name, xs[0], unit.sources
    match unit.work:
        case MaxPoolWork(kernel, stride, pads):
            return QMaxPool(name, x.name, y.name, kernel, stride, pads, sources=sources)
        case AddWork(signs, op_type):
            entry = arith.eltwise_add_constants(x.scale.value, xs[1].scale.value, y.scale.value)
            entry = replace(entry, ka=signs[0] * entry.ka, kb=signs[1] * entry.kb)
            return _eltwise(unit, EltwiseKind.ADD, xs, y, entry, op_type)
        case MulWork():
            entry = arith.eltwise_mul_constants(x.scale.value, xs[1].scale.value, y.scale.value)
            return _eltwise(unit, EltwiseKind.MUL, xs, y, entry, "HzSElementwiseMul")
        case LutWork(functions, op_type):
            tables = np.stack([_table(f, x.scale.value, y.scale.value) for f in functions])
            return QLut(name, x.name, y.name, tables, op_type, sources)
        case ClampWork(bounds, op_type):
            table = _table(clamped(bounds), x.scale.value, y.scale.value)
            return QLut(name, x.name, y.name, table[np.newaxis], op_type, sources)
        case ResizeWork(mode, rows, columns):
            return QResize(name, x.name, y.name, mode, rows, columns, sources=sources)
        case ConcatWork(axis):
            parts = tuple(part.name for part in xs)
            return QConcat(name, parts, y.name, axis, sources=sources)
        case SliceWork(start, step, op_type):
            return QSlice(name, x.name, y.name, start, step, op_type, sources)
        case PadWork(pads, value):
            code = int(arith.quantize(np.full((), value, np.float32), y.scale.value))
            return QPad(name, x.name, y.name, pads, code, sources=sources)
        case DepthSpaceWork(block, to_space, dcr, op_type):
            return QDepthToSpace(name, x.name, y.name, block, to_space, dcr, op_type, sources)
        case ConvWork():
            raise AssertionError("convolutions have their own way")


def _eltwise(
    unit: Unit,
    kind: EltwiseKind,
    xs: tuple[TensorSpec, ...],
    y: TensorSpec,
    entry: EltwiseEntry,
    op_type: str,
) -> QEltwise:
    return QEltwise(
        unit.name,
        kind,
        xs[0].name,
        xs[1].name,
        y.name,
        (entry,),
        clamp_codes(unit.bounds, y.scale.value),
        op_type=op_type,
        sources=unit.sources,
    )


def _table(function: Unary, s_x: float, s_y: float) -> I8:
    """The table of `function`; values pass through float32: the last bit of a libm is lost."""
    return arith.lut_table(
        lambda x: np.asarray(function(x)).astype(np.float32).astype(np.float64), s_x, s_y
    )


def rescale(x: TensorSpec, scale: float, sources: tuple[str, ...]) -> tuple[QEltwise, TensorSpec]:
    """The unit convolution that brings a branch of a Concat to the scale of its result.

    Raises:
        OffBpu: the ratio of the scales is out of range.
    """
    name = f"UNIT_CONV_FOR_{x.name}_{scale:.5f}_TO_FUSE_SCALE"
    try:
        entry = arith.scale_constants(x.scale.value, scale)
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error
    y = bpu_tensor(f"{name}_output", x.shape_hwc, Scale.per_tensor(scale))
    operation = QEltwise(
        name,
        EltwiseKind.SCALE,
        x.name,
        None,
        y.name,
        (entry,),
        op_type="HzSElementwiseScale",
        sources=sources,
    )
    return operation, y
