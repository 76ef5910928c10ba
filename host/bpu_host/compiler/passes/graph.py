"""Small verbs on `onnx_ir` graphs: the one vocabulary to read and change the float graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bpu_common.tensor import AnyArray


def constant(value: ir.Value | None) -> AnyArray | None:
    """The array of an initializer, or None for anything computed."""
    if value is None or not value.is_initializer() or value.is_graph_input():
        return None
    tensor = value.const_value
    return None if tensor is None else tensor.numpy()


def name_of(item: ir.Value | ir.Node | None) -> str:
    """Its name, empty for an input left out."""
    return "" if item is None or item.name is None else item.name


def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """The static shape, or None when a dimension is unknown."""
    if value is None or value.shape is None:
        return None
    dims = tuple(value.shape)
    if not all(isinstance(size, int) for size in dims):
        return None
    return tuple(int(size) for size in dims if isinstance(size, int))


# An ONNX attribute may hold anything, hence Any.
def attribute(node: ir.Node, name: str, default: Any = None) -> Any:  # noqa: ANN401
    """The Python value of an attribute."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def ints(node: ir.Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    return tuple(int(item) for item in attribute(node, name, default))


def text(node: ir.Node, name: str, default: str) -> str:
    """An attribute that is a string."""
    return str(attribute(node, name, default))


def is_float(value: ir.Value | None) -> bool:
    """Whether it is a tensor of float32, the one type that the BPU computes with."""
    return value is not None and value.dtype is ir.DataType.FLOAT


def sole_user(value: ir.Value) -> ir.Node | None:
    """The only node that reads `value`, if it is read once and is no graph output."""
    uses = tuple(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return None
    return uses[0][0]


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes `value` if it is one of `op_types` (default domain)."""
    node = None if value is None else value.producer()
    if node is None or node.domain != "" or (op_types and node.op_type not in op_types):
        return None
    return node


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """A new initializer; the name is made unique."""
    unique, count = name, 1
    while unique in graph.initializers:
        unique, count = f"{name}_{count}", count + 1
    value = ir.Value(
        name=unique,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        const_value=ir.tensor(np.array(array), name=unique),  # copies: keeps 0-d arrays 0-d
    )
    graph.register_initializer(value)
    return value


def new_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    output: str,
    shape: Sequence[int] | None,
    attributes: Mapping[str, Any] | None = None,
) -> ir.Node:
    """A node with one output `output` of the type of its first input, not yet in a graph."""
    value = ir.Value(
        name=output,
        shape=None if shape is None else ir.Shape(shape),
        type=next((each.type for each in inputs if each is not None and each.type), None),
    )
    return ir.node(op_type, inputs, attributes or {}, outputs=[value], name=name)


def bypass(graph: ir.Graph, node: ir.Node, source: ir.Value) -> bool:
    """Remove a node whose only output equals `source`. False when it must stay.

    A graph output keeps its name: then the producer of `source` takes the name over. That is not
    possible when `source` is a graph input, a constant or a graph output itself.
    """
    output = node.outputs[0]
    if output.is_graph_output():
        maker = source.producer()
        if maker is None or source.is_graph_output() or source.is_initializer():
            return False
        name = output.name
        ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
        graph.remove(node, safe=True)
        source.name = name
        return True
    ir.convenience.replace_all_uses_with(output, source)
    graph.remove(node, safe=True)
    return True


def replace(graph: ir.Graph, old: ir.Node, new_nodes: Sequence[ir.Node]) -> None:
    """Put `new_nodes` in the place of `old`; the last one's output takes over name and uses."""
    before, after = old.outputs[0], new_nodes[-1].outputs[0]
    name = before.name
    if after.shape is None:
        after.shape = before.shape
    graph.insert_before(old, new_nodes)
    ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
    graph.remove(old, safe=True)
    after.name = name
