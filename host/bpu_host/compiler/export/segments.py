"""The graphs that stand in a `.bin`: BPU segments without weights, CPU segments whole."""

from __future__ import annotations

from collections.abc import Sequence

from bpu_common.network import BpuOp, Network, Part
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.ort.caches import FALLBACK_BYTES, sizes_for
from bpu_sim.engines.ort.graph import write_graph


def fast_path(
    ops: Sequence[BpuOp],
    network: Network,
    inputs: Sequence[str],
    outputs: Sequence[str],
    plans: Plans | None = None,
) -> bytes:
    """ONNX bytes of a BPU segment, for `bpu_sim.fastpath.FastSegment`.

    Args:
        ops: the segment's operations in topological order.
        inputs: names of the int8 NHWC tensors it reads.
        outputs: names of the int8 or int32 NHWC tensors it gives, unpadded.
    """
    sizes = sizes_for(FALLBACK_BYTES)
    return write_graph(ops, network, plans or Plans.of(network), inputs, outputs, sizes).data


def cpu_graph(part: Part, network: Network) -> bytes:
    """ONNX bytes of a CPU part: quantized tensors NHWC at its edges, transposes inside."""
    sizes = sizes_for(FALLBACK_BYTES)
    plans = Plans.of(network)
    return write_graph(part.ops, network, plans, part.inputs, part.outputs, sizes).data
