"""The float32 constants of a network as bytes: hints that spare an engine the search for them.

    magic "BPUH", uint16 version, uint32 number of records
    for each convolution with int8 results and each element-wise operation, in order:
        uint8 flags: 1 there are constants, 2 first rounding, 4 saturates, 8 split form
        with flag 1 and without 8: float32 slope and offset of each channel, all slopes first

Little endian. Hints are never believed: an engine proves each constant (`stage.proved`) before it
uses it, and bytes that do not fit the network are as good as none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from bpu_common.network import Network, QConv, QEltwise
from bpu_common.tensor import F32, DType
from bpu_sim.engines.ort.plans import Plans, eltwise_numbers
from bpu_sim.engines.ort.stage import Requants, Stage, requants_of, split_stage

ENGINE = "ort"
"""Under this name a model carries them."""
VERSION = 1
_HEADER = struct.Struct("<4sHI")
_MAGIC = b"BPUH"
_FOUND, _FIRST_ROUNDING, _SATURATES, _SPLIT = 1, 2, 4, 8


def write_hints(network: Network, plans: Plans) -> bytes:
    """The constants of all plans of a network; the search for those not yet made runs now."""
    parts = [_HEADER.pack(_MAGIC, VERSION, sum(1 for _ in _planned(network)))]
    for op in _planned(network):
        stage = plans.conv(op).stage if isinstance(op, QConv) else plans.eltwise(op).stage
        if stage is None:
            parts.append(b"\0")
            continue
        flags = _FOUND + _FIRST_ROUNDING * stage.first_rounding + _SATURATES * stage.saturates
        if stage.split is not None:
            parts.append(bytes([flags + _SPLIT]))
            continue
        parts.append(bytes([flags]))
        parts += [values.astype("<f4").tobytes() for values in (stage.slope, stage.offset)]
    return b"".join(parts)


def read_hints(network: Network, data: bytes | memoryview) -> dict[str, Stage | None]:
    """Constants by the tensor an operation makes, not proved; none at all from damaged bytes."""
    view = memoryview(data).cast("B")
    count = sum(1 for _ in _planned(network))
    if view[: _HEADER.size] != _HEADER.pack(_MAGIC, VERSION, count):
        return {}
    position = _HEADER.size
    found: dict[str, Stage | None] = {}
    for op in _planned(network):
        requants = _requants(op)
        size_bytes = 8 * requants.multiplier.size
        if position >= len(view):
            return {}
        flags = view[position]
        position += 1
        if not flags & _FOUND:
            found[op.y] = None
        elif flags & _SPLIT:
            found[op.y] = split_stage(requants, op.clamp)
        else:
            values = view[position : position + size_bytes]
            if len(values) < size_bytes:
                return {}
            position += size_bytes
            slope, offset = np.frombuffer(values, "<f4").astype(np.float32).reshape(2, -1)
            found[op.y] = _stage(op, flags, slope, offset)
    return found if position == len(view) else {}


def _planned(network: Network) -> Iterator[QConv | QEltwise]:
    """The operations that have constants."""
    for op in network.ops:
        wide = isinstance(op, QConv) and network.tensors[op.y].dtype is DType.INT32
        if isinstance(op, QConv | QEltwise) and not wide:
            yield op


def _requants(op: QConv | QEltwise) -> Requants:
    return requants_of(op.params) if isinstance(op, QConv) else eltwise_numbers(op)[2]


def _stage(op: QConv | QEltwise, flags: int, slope: F32, offset: F32) -> Stage:
    return Stage(bool(flags & _FIRST_ROUNDING), bool(flags & _SATURATES), op.clamp, slope, offset)
