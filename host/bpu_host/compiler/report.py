"""The tables that `hb_mapper` prints, and the rows behind them (docs/conversion.md "Tables")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bpu_common.model import NodeInfo
from bpu_common.network import (
    Dequantize,
    Network,
    Operation,
    Place,
    Quantize,
    tensors_made,
    tensors_read,
)
from bpu_common.tensor import DType
from bpu_host.compiler.causes import Cause
from bpu_host.compiler.quantize.metrics import OutputMetrics

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
    network: Network, order: Sequence[str], cosines: Mapping[str, float]
) -> tuple[NodeInfo, ...]:
    """One row per operation of the network; quantize and dequantize are not listed.

    Args:
        order: names of the float nodes; the rows come in this order.
    """
    position = {name: index for index, name in enumerate(order)}
    bpu_parts = [part for part in network.parts if part.place is Place.BPU]
    subgraph = {op.name: index for index, part in enumerate(bpu_parts) for op in part.ops}
    listed = [op for op in network.ops if not isinstance(op, (Quantize, Dequantize))]
    listed.sort(key=lambda op: min((position.get(name, -1) for name in op.sources), default=-1))
    return tuple(_info(op, network, subgraph.get(op.name, -1), cosines) for op in listed)


def _info(op: Operation, network: Network, subgraph: int, cosines: Mapping[str, float]) -> NodeInfo:
    cosine = cosines.get(op.name, math.nan)
    result = _type_name(tensors_made(op)[0], network)
    first = next(iter(tensors_read(op)), "")
    source = _type_name(first, network) if first else result  # an operator without inputs
    if subgraph < 0:
        return NodeInfo(op.name, "CPU", -1, op.op_type, cosine, math.nan, source, result)
    threshold = network.tensors[first].scale.threshold
    return NodeInfo(op.name, "BPU", subgraph, op.op_type, cosine, threshold, source, result)


def _type_name(name: str, network: Network) -> str:
    """Element type of a tensor or constant, as the tables call it."""
    found = network.tensors.get(name)
    dtype = DType(network.constants[name].dtype.name) if found is None else found.dtype
    return "float" if dtype is DType.FLOAT32 else dtype.value


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
    """The table of the model outputs: the vendor's columns, then the relative error."""
    rows = [
        (
            name,
            _number(item.cosine),
            _number(item.l1),
            _number(item.l2),
            _number(item.chebyshev),
            _number(item.relative_error),
        )
        for name, item in outputs.items()
    ]
    headers = (
        "Node", "Cosine Similarity", "L1 Distance", "L2 Distance", "Chebyshev Distance",
        "Relative Error",
    )  # fmt: skip
    return format_table(headers, rows)


def cpu_reasons(causes: Sequence[Cause]) -> str:
    """Why nodes are on the CPU, in the chapter's form, with what only follows; may be empty."""
    lines = []
    for cause in causes:
        lines.append(f"Layer {cause.node}\n        {cause.reason}")
        if cause.followers:
            lines.append(f"        so is what follows it: {_some(cause.followers)}")
    return "\n".join(lines)


def cpu_groups(causes: Sequence[Cause]) -> str:
    """A line for each reason that keeps nodes on the CPU; empty when there is none."""
    groups: dict[str, list[str]] = {}
    for cause in causes:
        groups.setdefault(cause.reason, []).extend((cause.node, *cause.followers))
    return "\n".join(f"{_some(names)}: {reason}" for reason, names in groups.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NODES} more" if len(names) > SHOWN_NODES else ""
    return ", ".join(shorten(name) for name in names[:SHOWN_NODES]) + more


def _subgraph(node: NodeInfo) -> str:
    return f"id({node.subgraph})" if node.subgraph >= 0 else NO_VALUE


def _number(value: float) -> str:
    return NO_VALUE if math.isnan(value) else f"{value:.6f}"
