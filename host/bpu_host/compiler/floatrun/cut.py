"""Cutting a graph at the nodes that are Python functions, and where it gives much.

Every node belongs to a level, and the work of a level is one session, then its Python nodes one by
one. A node stands on the highest level of what it reads; it stands one higher if it is no Python
node and reads the output of a Python node of that level. So there are as few sessions as Python
nodes that depend on each other through other nodes, plus one. Sessions whose outputs would fill the
memory are cut further, into stretches of nodes in their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from onnx import helper

from bpu_common.errors import ModelUnsupported
from bpu_common.tensor import AnyArray
from bpu_host.compiler.protos import bodies, names_read
from bpu_host.compiler.weights import Weights, array_of

PythonOp: TypeAlias = Callable[
    [Sequence["AnyArray | None"], Mapping[str, object]], Sequence["AnyArray"]
]
"""From a node's inputs (None where one is left out) and attributes to its outputs, all in order."""

PythonOps: TypeAlias = Mapping[tuple[str, str], PythonOp]
"""By domain and operator type."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionStage:
    """Nodes for one session.

    Attributes:
        model: without the inputs whose types only a run shows.
        reads: names of all its inputs.
        gives: names of all its outputs.
    """

    model: onnx.ModelProto
    reads: tuple[str, ...]
    gives: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PythonStage:
    """One node that a Python function computes.

    Attributes:
        constants: those of its inputs that the graph holds, by name.
    """

    name: str
    op: PythonOp
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, object]
    constants: dict[str, AnyArray]


Stage: TypeAlias = SessionStage | PythonStage


def cut(
    model: onnx.ModelProto,
    keep: Sequence[str],
    ops: PythonOps,
    limit_bytes: int | None = None,
    weights: Weights = (),
) -> list[Stage]:
    """The stages of a model, in the order of work; `keep` names inner tensors to be given as well.

    Args:
        limit_bytes: of the wanted tensors that one session gives, as far as the model says how
            large they are; a single tensor may be larger.
        weights: constants that the model refers to.

    Raises:
        ModelUnsupported: a Python node inside the body of a loop or branch.
    """
    levels: dict[str, int] = {}
    by_python: set[str] = set()
    sessions: dict[int, list[onnx.NodeProto]] = {}
    calls: dict[int, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        python = (node.domain, node.op_type) in ops
        _refuse_inside(node, ops)
        read = [name for name in names_read(node) if name in levels]
        level = max((levels[name] + (name in by_python and not python) for name in read), default=0)
        (calls if python else sessions).setdefault(level, []).append(node)
        for name in node.output:
            levels[name] = level
            if python:
                by_python.add(name)
    wanted = {*(value.name for value in model.graph.output), *keep}
    constants = {item.name: item for item in model.graph.initializer}
    typed = {
        value.name: value
        for value in (*model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type and value.name not in by_python
    }
    sizes = {name: _size_bytes(value) for name, value in typed.items() if name in wanted}
    stages: list[Stage] = []
    for level in range(max(levels.values(), default=0) + 1):
        for nodes in _stretches(sessions.get(level, ()), sizes, limit_bytes):
            inside = {name for node in nodes for name in node.output}
            elsewhere = {
                name
                for node in model.graph.node
                if inside.isdisjoint(node.output)
                for name in names_read(node)
            }
            stages.append(_session(model, nodes, (wanted | elsewhere) & inside, typed))
        stages += [_call(node, ops, constants, weights) for node in calls.get(level, ())]
    return stages


def _stretches(
    nodes: Sequence[onnx.NodeProto], sizes: Mapping[str, int], limit_bytes: int | None
) -> Iterator[Sequence[onnx.NodeProto]]:
    """The nodes, cut behind the last tensor of `sizes` that is within the limit.

    There the graph is open anyway: a cut keeps onnxruntime from joining nodes no more than the
    fetching of the tensor does.
    """
    start = end = filled = 0
    for index, node in enumerate(nodes):
        size = sum(sizes.get(name, 0) for name in node.output)
        if not size:
            continue
        if limit_bytes is not None and filled and filled + size > limit_bytes:
            yield nodes[start:end]
            start, filled = end, 0
        end, filled = index + 1, filled + size
    if nodes[start:]:
        yield nodes[start:]


def _size_bytes(value: onnx.ValueInfoProto) -> int:
    kind = value.type.tensor_type
    item_bytes = helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
    return item_bytes * math.prod(dim.dim_value for dim in kind.shape.dim)


def _refuse_inside(node: onnx.NodeProto, ops: PythonOps) -> None:
    for inner in (each for body in bodies(node) for each in body.node):
        if (inner.domain, inner.op_type) in ops:
            raise ModelUnsupported(
                f"{inner.op_type} inside the body of a {node.op_type} cannot be run by Python",
                where=f"node {node.name} ({node.op_type})",
            )


def _session(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    given: Collection[str],
    typed: Mapping[str, onnx.ValueInfoProto],
) -> SessionStage:
    """A stage of these nodes, which gives these tensors; `typed` are inner ones of known type."""
    inside = {name for node in nodes for name in node.output}
    read = {name for node in nodes for name in names_read(node)} - inside
    made = {name for node in model.graph.node for name in node.output}
    constants = [item for item in model.graph.initializer if item.name in read]
    own = [
        value
        for value in model.graph.input
        if value.name in read and value.name not in {item.name for item in constants}
    ]
    own += [typed[name] for name in sorted(read & made) if name in typed]
    outside = [name for name in sorted(read & made) if name not in typed]
    gives = sorted(given)
    known = {value.name: value for value in model.graph.output}
    part = onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        functions=model.functions,
        graph=helper.make_graph(
            nodes,
            model.graph.name or "part",
            own,
            [known.get(name, onnx.ValueInfoProto(name=name)) for name in gives],
            constants,
        ),
    )
    return SessionStage(part, (*(value.name for value in own), *outside), tuple(gives))


def _call(
    node: onnx.NodeProto,
    ops: PythonOps,
    constants: Mapping[str, onnx.TensorProto],
    weights: Weights,
) -> PythonStage:
    return PythonStage(
        node.name,
        ops[node.domain, node.op_type],
        tuple(node.input),
        tuple(node.output),
        {item.name: helper.get_attribute_value(item) for item in node.attribute},
        {name: array_of(constants[name], weights) for name in node.input if name in constants},
    )
