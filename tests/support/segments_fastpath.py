"""BPU segments around a fast path, without a program: for tests and benchmarks of the fast path."""

from __future__ import annotations

import numpy as np

from bpu_common.model import BpuSegment, ExternalConstant
from bpu_common.network import BPU_OPS, Network, QConv
from bpu_common.program import Program
from bpu_common.tensor import DType
from bpu_host.compiler.export import fast_path

NO_PROGRAM = Program((), (), (), (), 0, 0, 0)


def fast_segment(network: Network, inputs=None, outputs=None) -> BpuSegment:
    """All BPU operations of a quantized network as one segment, weights 64-byte aligned."""
    ops = [op for op in network.ops if isinstance(op, BPU_OPS)]
    inputs = tuple(inputs or (each.tensor.name for each in network.inputs))
    outputs = tuple(outputs or (each.tensor for each in network.outputs))
    data = fast_path(ops, network, inputs, outputs)
    weights, constants = bytearray(), []
    for op in ops:
        if isinstance(op, QConv):
            weights += bytes(-len(weights) % 64)
            name = f".{op.y}/weights"
            constants.append(ExternalConstant(name, len(weights), DType.INT8, op.weights.shape))
            weights += np.ascontiguousarray(op.weights).tobytes()
    return BpuSegment(
        f"{network.name}_subgraph_0",
        inputs,
        outputs,
        NO_PROGRAM,
        data,
        tuple(constants),
        bytes(weights),
    )
