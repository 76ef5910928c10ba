"""The tables that `hb_mapper` prints, and the rows behind them (vendor_facts 5.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bpu_common.model import NodeInfo
from bpu_common.tensor import DType
from bpu_host.compiler.lowered import (
    CpuOp,
    Dequantize,
    LoweredGraph,
    LoweredOp,
    QTensor,
    Quantize,
    op_inputs,
)
from bpu_host.compiler.partition import Part
from bpu_host.compiler.quantize.metrics import OutputMetrics
from bpu_host.compiler.rules.verdict import Verdict

NAME_WIDTH = 50
SHOWN_NODES = 5
"""Names of nodes in a line that speaks of more."""
_GAP = "  "
NO_VALUE = "--"


def format_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A `=` rule, the header, a `-` rule, rows with left-justified columns two spaces apart."""
    cells = [[shorten(cell) for cell in row] for row in rows]
    widths = [
        max(len(header), *(len(row[i]) for row in cells), 0) if cells else len(header)
        for i, header in enumerate(headers)
    ]
    total = sum(width + len(_GAP) for width in widths)

    def line(parts: Sequence[str]) -> str:
        return _GAP.join(part.ljust(w) for part, w in zip(parts, widths, strict=True)).rstrip()

    return "\n".join(["=" * total, line(headers), "-" * total, *(line(row) for row in cells)])


def shorten(name: str) -> str:
    """Names above 50 characters lose their beginning and start with `...`."""
    return name if len(name) <= NAME_WIDTH else "..." + name[3 - NAME_WIDTH :]


def node_infos(
    lowered: LoweredGraph, parts: Sequence[Part], cosines: Mapping[str, float]
) -> tuple[NodeInfo, ...]:
    """One row per operator of the lowered graph; quantize and dequantize are not listed."""
    subgraph = _subgraphs(parts)
    return tuple(
        _info(op, lowered, subgraph.get(op.name, -1), cosines)
        for op in lowered.ops
        if not isinstance(op, (Quantize, Dequantize))
    )


def _subgraphs(parts: Sequence[Part]) -> dict[str, int]:
    bpu_parts = [part for part in parts if part.on == "BPU"]
    return {op.name: index for index, part in enumerate(bpu_parts) for op in part.ops}


def _info(
    op: LoweredOp, lowered: LoweredGraph, subgraph: int, cosines: Mapping[str, float]
) -> NodeInfo:
    cosine = cosines.get(op.name, math.nan)
    if isinstance(op, CpuOp):
        return NodeInfo(op.name, "CPU", -1, op.op_type, cosine, math.nan, "float", "float")
    assert not isinstance(op, (Quantize, Dequantize))
    source, result = lowered.tensors[op_inputs(op)[0]], lowered.tensors[op.y]
    return NodeInfo(
        op.name,
        "BPU",
        subgraph,
        op.op_type,
        cosine,
        source.threshold,
        _dtype(source),
        _dtype(result),
    )


def _dtype(tensor: QTensor) -> str:
    return "float" if tensor.dtype is DType.FLOAT32 else tensor.dtype.value


def checker_table(nodes: Sequence[NodeInfo]) -> str:
    """The table of `hb_mapper checker`: Node, ON, Subgraph, Type."""
    rows = [(node.name, node.on, _subgraph(node), node.op_type) for node in nodes]
    return format_table(("Node", "ON", "Subgraph", "Type"), rows)


def node_table(nodes: Sequence[NodeInfo]) -> str:
    """The table of `hb_mapper makertbin`, with similarity, threshold and data types."""
    rows = [
        (
            node.name,
            node.on,
            _subgraph(node),
            node.op_type,
            _number(node.cosine),
            _number(node.threshold),
            f"{node.in_dtype}/{node.out_dtype}",
        )
        for node in nodes
    ]
    headers = (
        "Node", "ON", "Subgraph", "Type", "Cosine Similarity", "Threshold", "In/Out DataType",
    )  # fmt: skip
    return format_table(headers, rows)


def output_table(outputs: Mapping[str, OutputMetrics]) -> str:
    """The table of the model outputs: cosine, L1, L2 and Chebyshev distance."""
    rows = [
        (name, *(_number(value) for value in (item.cosine, item.l1, item.l2, item.chebyshev)))
        for name, item in outputs.items()
    ]
    headers = ("Node", "Cosine Similarity", "L1 Distance", "L2 Distance", "Chebyshev Distance")
    return format_table(headers, rows)


def cpu_reasons(verdicts: Mapping[str, Verdict], lowered: LoweredGraph) -> str:
    """Why each node on the CPU is there, in the chapter's form; empty when there is none."""
    pairs = _reasons(verdicts, lowered)
    return "\n".join(f"Layer {name}\n        {reason}" for name, reason in pairs)


def cpu_groups(verdicts: Mapping[str, Verdict], lowered: LoweredGraph) -> str:
    """A line for each reason that keeps nodes on the CPU; empty when there is none."""
    groups: dict[str, list[str]] = {}
    for name, reason in _reasons(verdicts, lowered):
        groups.setdefault(reason, []).append(shorten(name))
    lines = []
    for reason, names in groups.items():
        more = f" and {len(names) - SHOWN_NODES} more" if len(names) > SHOWN_NODES else ""
        lines.append(f"{', '.join(names[:SHOWN_NODES])}{more}: {reason}")
    return "\n".join(lines)


def _reasons(verdicts: Mapping[str, Verdict], lowered: LoweredGraph) -> list[tuple[str, str]]:
    """Name of each node on the CPU, and why it is there."""
    found = []
    for op in lowered.ops:
        if isinstance(op, CpuOp):
            verdict = verdicts.get(op.name)
            reason = op.reason or (verdict.reason if verdict else "")
            found.append((op.name, reason or "runs on the CPU"))
    return found


def _subgraph(node: NodeInfo) -> str:
    return f"id({node.subgraph})" if node.subgraph >= 0 else NO_VALUE


def _number(value: float) -> str:
    return NO_VALUE if math.isnan(value) else f"{value:.6f}"
