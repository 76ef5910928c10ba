"""Which codes each quantized tensor can hold: tighter bounds make more layers exact in float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bpu_common.network.ops import (
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
)
from bpu_common.program import FULL_RANGE, Pair
from bpu_common.tensor import DType, TensorSpec


def code_ranges(ops: Iterable[Operation], tensors: Mapping[str, TensorSpec]) -> dict[str, Pair]:
    """Inclusive bounds of the codes of every int8 tensor the ops write; others are full range."""
    known: dict[str, Pair] = {}
    for op in ops:
        match op:
            case QConv() if tensors[op.y].dtype is not DType.INT32:
                known[op.y] = op.clamp
            case QEltwise():
                known[op.y] = op.clamp
            case QLut():
                known[op.y] = (int(op.tables.min()), int(op.tables.max()))
            case QMaxPool() | QSlice() | QResize() | QDepthToSpace():
                known[op.y] = known.get(op.x, FULL_RANGE)
            case QPad():
                low, high = known.get(op.x, FULL_RANGE)
                known[op.y] = (min(low, op.value), max(high, op.value))
            case QConcat():
                parts = [known.get(x, FULL_RANGE) for x in op.xs]
                known[op.y] = (min(low for low, _ in parts), max(high for _, high in parts))
            case _:
                pass
    return known
