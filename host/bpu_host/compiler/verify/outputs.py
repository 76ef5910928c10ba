"""What to say about outputs that quantization changed much."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bpu_common.network import Network, Operation, tensors_made, tensors_read
from bpu_host.compiler.findings import Finding
from bpu_host.compiler.quantize import Similarity

MAX_ERROR = 0.3
"""About 10 dB: then a third of what an output says is noise. Networks whose accuracy survives int8
stay below 0.15."""


def output_findings(
    near: Similarity, network: Network, method: str, spreads: Mapping[str, float]
) -> tuple[Finding, ...]:
    """A finding for each output with an error above `MAX_ERROR`; names where it comes from.

    Args:
        near: distances on one sample.
        method: the configured calibration method.
        spreads: standard deviation of the float outputs over all samples, by name: one sample's few
            values may be nearly equal, and say much beside those of the others.
    """
    found = []
    for output in network.outputs:
        metrics = near.outputs.get(output.name)
        if metrics is None:
            continue
        error = metrics.relative_error
        if spread := spreads.get(output.name, 0.0):
            error = min(error, metrics.l2 * math.sqrt(near.floats[output.name].size) / spread)
        if error <= MAX_ERROR:
            continue
        worst = _jump(near.errors, network, output.tensor)
        advice = ["more and more typical samples"]
        if method != "default":
            advice.insert(0, "calibration_type: default")
        where = ""
        if worst is not None:
            where = f"; the error grows most at node {worst.name}"
            advice.append(f"run_on_cpu: {(*worst.sources, worst.name)[0]}")
        found.append(
            Finding(
                f"output '{output.name}'",
                f"on the first sample quantization changes it by {error:.0%} of its spread over "
                f"all samples (cosine {metrics.cosine:.6f}){where}",
                f"try {', '.join(advice)}",
            )
        )
    return tuple(found)


def _jump(errors: Mapping[str, float], network: Network, output: str) -> Operation | None:
    """The operation before an output whose error exceeds most the errors of what it reads."""
    behind: dict[str, float] = {}
    needed = {output}
    for op in reversed(network.ops):
        if needed.intersection(tensors_made(op)):
            needed.update(tensors_read(op))
    worst, most = None, 0.0
    for op in network.ops:
        if not needed.intersection(tensors_made(op)):
            continue
        before = max((behind.get(name, 0.0) for name in tensors_read(op)), default=0.0)
        error = errors.get(op.name, before)
        if not np.isfinite(error):
            error = before
        behind.update(dict.fromkeys(tensors_made(op), error))
        if error - before > most:
            worst, most = op, error - before
    return worst
