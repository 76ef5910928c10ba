"""The weights section of a BPU segment: weights, parameter tables and look-up tables, packed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bpu_common.model import ExternalConstant
from bpu_common.network import Operation, QConv, QLut
from bpu_common.tensor import DType
from bpu_host.compiler.place import ConstantPlace

WEIGHTS_ALIGN = 64


@dataclass(frozen=True, slots=True, eq=False)
class PackedWeights:
    """The section and where everything lies in it.

    Attributes:
        places: by operation name.
        constants: convolution weights by the name the fast path knows them by
            (`<operation>/weights`, int8 OHWI).
    """

    data: bytes
    places: dict[str, ConstantPlace]
    constants: tuple[ExternalConstant, ...]


class _Section:
    """Blobs behind one another, 64-byte aligned; equal blobs are stored once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, blob: bytes) -> int:
        """Offset of `blob` in the section."""
        if blob in self._known:
            return self._known[blob]
        self.data.extend(bytes(-len(self.data) % WEIGHTS_ALIGN))
        offset = self._known[blob] = len(self.data)
        self.data.extend(blob)
        return offset


def pack_weights(ops: Iterable[Operation]) -> PackedWeights:
    """Pack the constants of the operations, in their order."""
    section = _Section()
    places: dict[str, ConstantPlace] = {}
    constants: list[ExternalConstant] = []
    for op in ops:
        if isinstance(op, QConv):
            weights = np.ascontiguousarray(op.weights, np.int8)
            offset = section.add(weights.tobytes())
            places[op.name] = ConstantPlace(
                weights=offset, params=section.add(op.params.to_bytes())
            )
            shape = tuple(int(n) for n in weights.shape)
            constants.append(ExternalConstant(f".{op.y}/weights", offset, DType.INT8, shape))
        elif isinstance(op, QLut):
            tables = np.ascontiguousarray(op.tables, np.int8)
            places[op.name] = ConstantPlace(tables=section.add(tables.tobytes()))
    return PackedWeights(bytes(section.data), places, tuple(constants))
