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


def clamp_codes(bounds: Bounds, scale: Scale) -> Pair:
    """Inclusive int8 bounds of a fused activation."""
    lowest, highest = bounds
    if bounds == UNBOUNDED:
        return FULL_RANGE
    if lowest == 0 and not scale.zero_point:
        return arith.relu_clamp(scale.value, None if highest == inf else highest)
    low = -128 if lowest == -inf else _code(lowest, scale)
    high = 127 if highest == inf else _code(highest, scale)
    return low, high


def _code(real: float, scale: Scale) -> int:
    return int(np.clip(np.rint(real / scale.value) + scale.zero_point, -128, 127))


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
        out: None for a result in int32.
    """

    x: Scale
    w: F64
    out: Scale | None

    @classmethod
    def of(cls, work: ConvWork, x: TensorSpec, y: TensorSpec) -> ConvScales:
        out = None if y.dtype is DType.INT32 else y.scale
        offset = 0.0 if out is None else abs(out.zero_point) * out.value
        least = arith.least_weight_scale(
            np.abs(work.bias) + offset, x.scale.value, None if out is None else out.value
        )
        return cls(x.scale, arith.weight_scales(work.weights, least), out)

    @property
    def step(self) -> F64:
        """The value of one step of the accumulator, (O,)."""
        return self.x.value * self.w

    def params(self, weights: I8, bias: F64) -> ChannelParams:
        """The parameters of all channels; biases take up the zero points of input and result.

        Raises:
            ModelUnsupported: a ratio or a bias that the parameter table cannot hold.
            OffBpu: sums could leave int32.
        """
        step, out = self.step, self.out
        sums = weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
        folded = bias - self.x.zero_point * step * sums
        if out is not None:
            folded = folded + out.zero_point * out.value
        params = arith.channel_params(
            folded,
            step / (1.0 if out is None else out.value),
            step,
            int32_output=out is None,
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
    weights = arith.quantize_weights(work.weights, scales.w)
    params = scales.params(weights, work.bias)
    if scales.out is None:
        scale = Scale.per_channel(scales.step.astype(np.float32))
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
        FULL_RANGE if scales.out is None else clamp_codes(unit.bounds, scales.out),
        work.op_type,
        x.scale.zero_point,
        sources=unit.sources,
    )
    return operation, y


def _other(unit: Unit, xs: tuple[TensorSpec, ...], y: TensorSpec) -> BpuOp:
    name, x, sources = unit.name, xs[0], unit.sources
    match unit.work:
        case MaxPoolWork(kernel, stride, pads):
            return QMaxPool(name, x.name, y.name, kernel, stride, pads, sources=sources)
        case AddWork(signs, op_type):
            entry = arith.eltwise_add_constants(
                x.scale.value, xs[1].scale.value, y.scale.value, y.scale.zero_point
            )
            entry = replace(entry, ka=signs[0] * entry.ka, kb=signs[1] * entry.kb)
            return _eltwise(unit, EltwiseKind.ADD, xs, y, entry, op_type)
        case MulWork():
            entry = arith.eltwise_mul_constants(
                x.scale.value, xs[1].scale.value, y.scale.value, y.scale.zero_point
            )
            return _eltwise(unit, EltwiseKind.MUL, xs, y, entry, "HzSElementwiseMul")
        case LutWork(functions, op_type):
            tables = np.stack([_table(f, x.scale, y.scale) for f in functions])
            return QLut(name, x.name, y.name, tables, op_type, sources)
        case ClampWork(bounds, op_type):
            table = _table(clamped(bounds), x.scale, y.scale)
            return QLut(name, x.name, y.name, table[np.newaxis], op_type, sources)
        case ResizeWork(mode, rows, columns):
            return QResize(name, x.name, y.name, mode, rows, columns, sources=sources)
        case ConcatWork(axis):
            parts = tuple(part.name for part in xs)
            return QConcat(name, parts, y.name, axis, sources=sources)
        case SliceWork(start, step, op_type):
            return QSlice(name, x.name, y.name, start, step, op_type, sources)
        case PadWork(pads, value):
            code = int(
                arith.quantize(np.full((), value, np.float32), y.scale.value, y.scale.zero_point)
            )
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
        clamp_codes(unit.bounds, y.scale),
        (xs[0].scale.zero_point, xs[1].scale.zero_point),
        op_type=op_type,
        sources=unit.sources,
    )


def _table(function: Unary, x: Scale, y: Scale) -> I8:
    """The table of `function`; values pass through float32: the last bit of a libm is lost."""
    return arith.lut_table(
        lambda reals: np.asarray(function(reals)).astype(np.float32).astype(np.float64),
        x.value,
        y.value,
        (x.zero_point, y.zero_point),
    )


def rescale(x: TensorSpec, scale: Scale, sources: tuple[str, ...]) -> tuple[QEltwise, TensorSpec]:
    """The unit convolution that brings a branch of a Concat to the scale of its result.

    Raises:
        OffBpu: the ratio of the scales is out of range.
    """
    name = f"UNIT_CONV_FOR_{x.name}_{scale.value:.5f}_TO_FUSE_SCALE"
    try:
        entry = arith.scale_constants(x.scale.value, scale.value, scale.zero_point)
    except ModelUnsupported as error:
        raise OffBpu(error.message) from error
    y = bpu_tensor(f"{name}_output", x.shape_hwc, scale)
    operation = QEltwise(
        name,
        EltwiseKind.SCALE,
        x.name,
        None,
        y.name,
        (entry,),
        zeros=(x.scale.zero_point, 0),
        op_type="HzSElementwiseScale",
        sources=sources,
    )
    return operation, y
