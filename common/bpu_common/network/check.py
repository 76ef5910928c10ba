"""The rules every network keeps, whoever made it: names resolve, shapes and numbers fit.

They make sure that an engine needs no check of its own before it runs. Work is bounded by the size
of the network: every list is looked at once, and the bytes of weights are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bpu_common.limits import MAX_RANK
from bpu_common.network.check_op import check_op
from bpu_common.network.check_tensor import check_input, check_name, check_tensor
from bpu_common.network.graph import Network, Part, Place, RemovedNode
from bpu_common.network.ops import BPU_OPS, EDGE_OPS, CustomOp, OnnxOp, Operation, QConv, QLut
from bpu_common.network.rules import tensors_made, tensors_read, work_of
from bpu_common.require import BrokenRuleError, placed, require, unique

MAX_TENSORS = 1 << 16
MAX_OPS = 1 << 16
MAX_PARTS = 1 << 12
MAX_EDGES = 1 << 12
"""Inputs, outputs, removed nodes."""
MAX_ARRAY_BYTES = 1 << 30
"""All weights and tables together, each operation's counted even where some share them."""
MAX_WORK = 1 << 40
"""Element operations of one frame: four seconds of a core that is never idle."""


def check_network(network: Network, where: str) -> None:
    """Check a network completely.

    Raises:
        ModelFormatError: `where` is `<where>.part[2].op[7].clamp`, or another part of it.
    """
    with placed(where):
        check_name(network.name, "network", "name")
        _check_counts(network)
        unique("input", [item.tensor.name for item in network.inputs])
        unique("output", [item.name for item in network.outputs])
        unique("part", [part.name for part in network.parts])
    for index, part in enumerate(network.parts):
        with placed(f"{where}.part[{index}]"):
            check_name(part.name, "part", "name")
            require(bool(part.ops), "a part without operations")
    for name, spec in network.tensors.items():
        with placed(f"{where}.tensor {name!r}"):
            require(name == spec.name, f"the tensor calls itself {spec.name!r}")
            require(name not in network.constants, "a constant has the same name")
            check_tensor(spec)
    for name, array in network.constants.items():
        with placed(f"{where}.constant {name!r}"):
            check_name(name, "constant")
            require(array.ndim <= MAX_RANK, f"{array.ndim} axes")
    for item in network.inputs:
        with placed(f"{where}.input {item.tensor.name!r}"):
            check_input(item)
            require(
                network.tensors.get(item.tensor.name) == item.tensor,
                "the tensor is described otherwise, or not at all, among the tensors",
            )
    _check_flow(network, where)
    with placed(where):
        work = sum(work_of(op, network.tensors) for op in network.ops)
        require(work <= MAX_WORK, f"{work} element operations, at most {MAX_WORK} are possible")
    for index, node in enumerate(network.removed):
        with placed(f"{where}.removed[{index}]"):
            _check_removed(node)


def _check_counts(network: Network) -> None:
    ops = [op for part in network.parts for op in part.ops]
    for what, count, most in (
        ("tensors", len(network.tensors), MAX_TENSORS),
        ("operations", len(ops), MAX_OPS),
        ("parts", len(network.parts), MAX_PARTS),
        ("inputs", len(network.inputs), MAX_EDGES),
        ("outputs", len(network.outputs), MAX_EDGES),
        ("removed nodes", len(network.removed), MAX_EDGES),
        ("bytes of weights", sum(map(_array_bytes, ops)), MAX_ARRAY_BYTES),
    ):
        require(count <= most, f"{count} {what}, at most {most} are possible")
    require(
        bool(network.inputs and network.outputs and network.parts),
        "a network needs inputs, outputs and parts",
    )


def _array_bytes(op: Operation) -> int:
    match op:
        case QConv():
            return op.weights.size
        case QLut():
            return op.tables.size
        case _:
            return 0


def _check_flow(network: Network, where: str) -> None:
    """Everything that is read was made before, once, in a part that says so."""
    ready = {item.tensor.name for item in network.inputs}
    made = set(ready)
    returned = {output.tensor for output in network.outputs}
    read_later = _read_by_others(network.parts)
    for index, part in enumerate(network.parts):
        place = f"{where}.part[{index}]"
        inside = _check_ops(part, network, ready, made, place)
        leaving = {name for name in inside if name in returned or name in read_later[index]}
        with placed(place):
            wanted = _part_inputs(part, inside, network)
            require(
                part.inputs == wanted, f"inputs {part.inputs[:4]} are not {wanted[:4]}", "inputs"
            )
            unique("output", part.outputs)
            require(
                set(part.outputs) == leaving,
                f"outputs {part.outputs[:4]} are not what is made here and used elsewhere, "
                f"{tuple(sorted(leaving))[:4]}",
                "outputs",
            )
        ready.update(part.outputs)
    for output in network.outputs:
        with placed(f"{where}.output {output.name!r}"):
            check_name(output.name, "output")
            require(output.tensor in ready, f"no part makes tensor {output.tensor!r}")
            if output.layer:
                check_name(output.layer, "layer", "layer")


def _read_by_others(parts: tuple[Part, ...]) -> list[set[str]]:
    """For each part, what parts behind it read."""
    later: set[str] = set()
    found: list[set[str]] = []
    for part in reversed(parts):
        found.append(set(later))
        later.update(name for op in part.ops for name in tensors_read(op))
    return found[::-1]


def _check_ops(
    part: Part, network: Network, ready: set[str], made: set[str], where: str
) -> set[str]:
    """Check the operations of a part; the tensors they make (added to `made`)."""
    inside: set[str] = set()
    for index, op in enumerate(part.ops):
        with placed(f"{where}.op[{index}]"):
            if part.place is Place.BPU and not isinstance(op, BPU_OPS):
                raise BrokenRuleError(f"{op.op_type} {op.name!r} cannot run on the BPU")
            free = network.constants if isinstance(op, (OnnxOp, CustomOp)) else ()
            for name in tensors_read(op):
                known = name in inside or name in ready or name in free
                require(known, f"reads {name!r}, which nothing before makes")
            for name in tensors_made(op):
                require(name in network.tensors, f"tensor {name!r} is not described")
                require(name not in made, f"tensor {name!r} is made twice")
                made.add(name)
                inside.add(name)
            check_op(op, network.tensors)
    return inside


def _part_inputs(part: Part, inside: Iterable[str], network: Network) -> tuple[str, ...]:
    own = set(inside)
    names = dict.fromkeys(name for op in part.ops for name in tensors_read(op))
    return tuple(name for name in names if name not in own and name not in network.constants)


def _check_removed(node: RemovedNode) -> None:
    op = node.op
    if not isinstance(op, EDGE_OPS):
        raise BrokenRuleError(f"{op.op_type} cannot be taken out of a model", "op")
    check_tensor(node.x)
    check_tensor(node.y)
    require((op.x, op.y) == (node.x.name, node.y.name), "another tensor than its operation's", "op")
    tensors = {node.x.name: node.x, node.y.name: node.y}
    require(len(tensors) == 2, "an operation that reads what it makes", "op")
    check_op(op, tensors)
    most = max(node.x.shape, default=1)
    for field, values in (("mean", node.mean), ("factor", node.factor)):
        require(len(values) <= most, f"{len(values)} values for {node.x.shape}", field)
        require(all(map(math.isfinite, values)), "a value that is not finite", field)
