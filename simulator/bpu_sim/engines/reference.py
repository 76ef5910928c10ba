"""The normative engine: every operation as it is defined; slow, and what others must equal.

`bpu_sim.arith` defines the int8 operations, this file the operations at the edges.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from bpu_common.network import (
    BPU_OPS,
    Addend,
    BpuOp,
    Cast,
    Dequantize,
    Network,
    Part,
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
    Transpose,
    tensors_read,
)
from bpu_common.stop import Stop
from bpu_common.tensor import F32, I8, AnyArray, Layout, TensorSpec
from bpu_sim import arith
from bpu_sim.engines.contained import Worker
from bpu_sim.engines.cpu import CpuPart
from bpu_sim.engines.engine import Arrays, CustomLoader, PartRunner, PartsEngine
from bpu_sim.engines.ort import Plans

ExactOp: TypeAlias = BpuOp | Quantize | Dequantize | Transpose | Cast | Reshape
"""Operations whose results are defined to the last bit."""
EXACT_OPS = (*BPU_OPS, Quantize, Dequantize, Transpose, Cast, Reshape)


class ReferenceEngine(PartsEngine):
    """Runs a network operation by operation.

    CPU parts with float operators are those of every engine (`CpuPart`).

    Args:
        threads: onnxruntime's threads within a float operator.
        contained: float operators run in a process of their own.

    Raises:
        ModelUnsupported: a custom operator, and nothing that computes it.
        ModelFormatError: a CPU part holds what may not be run.
    """

    def __init__(
        self,
        network: Network,
        *,
        threads: int = 1,
        load_custom: CustomLoader | None = None,
        contained: bool = False,
    ) -> None:
        worker = Worker(threads) if contained else None
        plans = Plans.of(network)
        runners: dict[str, PartRunner] = {
            part.name: ReferencePart(part, network)
            if all(isinstance(op, EXACT_OPS) for op in part.ops)
            else CpuPart(part, network, plans, threads, load_custom, worker)
            for part in network.parts
        }
        super().__init__("reference", network, runners)


class ReferencePart:
    """Runs a part of exact operations."""

    def __init__(self, part: Part, network: Network) -> None:
        self._part, self._network = part, network

    def run(
        self,
        values: Mapping[str, AnyArray],
        keep: Collection[str] = (),
        stop: Stop | None = None,
    ) -> Arrays:
        """The outputs and the kept tensors that are made here."""
        del stop  # looked at between parts
        known = dict(values)
        made: Arrays = {}
        for op in self._part.ops:
            assert isinstance(op, EXACT_OPS)
            specs = self._network.tensors
            xs = [known[name] for name in tensors_read(op)]
            known[op.y] = made[op.y] = compute(op, xs, specs[op.y], specs[tensors_read(op)[0]])
        wanted = {*self._part.outputs, *keep}
        return {name: array for name, array in made.items() if name in wanted}


def compute(
    op: ExactOp, xs: Sequence[AnyArray], y: TensorSpec, x: TensorSpec | None = None
) -> AnyArray:
    """The result of one operation.

    Args:
        xs: what it reads, in the order of `tensors_read`: int8 (1, H, W, C) for BPU operations.
        y: the result's description.
        x: that of what is read first; needed to dequantize it.

    Returns:
        The result as `y` describes it.
    """
    match op:
        case Quantize():
            return quantize(xs[0], y)
        case Dequantize():
            assert x is not None
            return dequantize(xs[0], x, y.shape)
        case Transpose():
            return np.ascontiguousarray(xs[0].transpose(op.perm))
        case Cast():
            return xs[0].astype(op.to.numpy)
        case Reshape():
            return xs[0].reshape(y.shape)
        case _:
            codes = [x[0].astype(np.int8, copy=False) for x in xs]
            return np.ascontiguousarray(_compute(op, codes, y)[np.newaxis])


def quantize(real: AnyArray, spec: TensorSpec) -> AnyArray:
    """clamp(round_half_even(real / scale) + zero point), the quotient in float32.

    Args:
        real: float32, the elements of `spec` in any shape, channels first where `spec` is NHWC.
    """
    values, zeros = spec.scale.shaped(len(spec.shape))
    nhwc = spec.layout is Layout.NHWC
    if nhwc:
        n, h, w, c = spec.shape
        real = real.reshape(n, c, h, w).transpose(0, 2, 3, 1)
    steps = np.rint(real.reshape(spec.shape).astype(np.float32) / values.astype(np.float32))
    limits = np.iinfo(spec.dtype.value)
    codes = np.clip(steps.astype(np.float64) + zeros, limits.min, limits.max)
    return codes.astype(spec.dtype.numpy)


def dequantize(codes: AnyArray, spec: TensorSpec, shape: Sequence[int]) -> F32:
    """(code - zero point) * scale: the difference exact, then rounded to float32, then the product.

    Args:
        codes: int8, uint8 or int32 as `spec` describes them.
        shape: of the result, channels first where `spec` is NHWC.
    """
    values, zeros = spec.scale.shaped(len(spec.shape))
    steps = (codes.astype(np.int64) - zeros).astype(np.float32)
    real: F32 = steps * values.astype(np.float32)
    if spec.layout is Layout.NHWC:
        real = real.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(real).reshape(shape)


def _compute(op: BpuOp, xs: Sequence[I8], y: TensorSpec) -> AnyArray:
    x = xs[0]
    match op:
        case QConv():
            return _conv(op, xs, y)
        case QMaxPool():
            return arith.max_pool(x, op.kernel_hw, op.stride_hw, op.pads_tlbr)
        case QEltwise():
            b = xs[1] if op.b is not None else None
            return arith.eltwise(op.kind, x, b, entries=op.entries, clamp=op.clamp, zeros=op.zeros)
        case QLut():
            return arith.lut(x, op.tables)
        case QResize():
            return arith.resize(x, op.mode, op.rows, op.columns)
        case QConcat():
            return np.concatenate(xs, op.axis)
        case QSlice():
            box = tuple(
                slice(start, start + (size - 1) * step + 1, step)
                for start, step, size in zip(op.start_hwc, op.step_hwc, y.shape_hwc, strict=True)
            )
            return x[box]
        case QPad():
            return arith.pad(x, op.pads_tlbr, op.value)
        case QDepthToSpace():
            return arith.space_depth(x, op.block, to_space=op.to_space, dcr=op.dcr)


def _conv(op: QConv, xs: Sequence[I8], y: TensorSpec) -> AnyArray:
    addend, factors = (xs[1], op.addend.factors) if isinstance(op.addend, Addend) else (None, ())
    return arith.conv(
        xs[0],
        op.weights,
        op.params,
        stride=op.stride_hw,
        dilation=op.dilation_hw,
        pads=op.pads_tlbr,
        groups=op.groups,
        upsample=op.upsample_hw,
        clamp=op.clamp,
        out=y.dtype,
        pad_code=op.pad_code,
        addend=addend,
        factors=factors,
    )
