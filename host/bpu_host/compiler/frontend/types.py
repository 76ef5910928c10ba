"""Whether every node of a graph with known types reads what its operator takes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx.defs
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported

_SHOWN_TYPES = 6
_HINT = "export the model again, or put a Cast before the node"


def check_types(graph: ir.Graph, version: int, file: str) -> None:
    """Check the element types of all operands by the operators of one opset.

    Raises:
        ModelUnsupported: a node reads a type that its operator has not, or two that differ where
            they must be one.
    """
    for node in graph:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
        bound: dict[str, tuple[str, str]] = {}
        for value, formal in _operands(node, schema):
            if not isinstance(value.type, ir.TensorType):
                continue
            found = f"tensor({value.type.dtype.name.lower()})"
            place = f"{file}: node {node.name} ({node.op_type})"
            if found not in formal.types:
                raise ModelUnsupported(
                    f"its input '{value.name}' is {_plain(found)}; {node.op_type} takes "
                    f"{_choice(formal)}",
                    where=place,
                    hint=_HINT,
                )
            name, kind = bound.setdefault(formal.type_str, (value.name or "", found))
            if formal.is_homogeneous and kind != found:
                raise ModelUnsupported(
                    f"its input '{value.name}' is {_plain(found)}, '{name}' is {_plain(kind)}; "
                    "both must be the same",
                    where=place,
                    hint=_HINT,
                )


def _operands(
    node: ir.Node, schema: onnx.defs.OpSchema
) -> Iterator[tuple[ir.Value, onnx.defs.OpSchema.FormalParameter]]:
    """The inputs that are given, each with what the operator says about it."""
    for index, value in enumerate(node.inputs):
        if value is not None:
            yield value, schema.inputs[min(index, len(schema.inputs) - 1)]


def _plain(kind: str) -> str:
    return kind.removeprefix("tensor(").removesuffix(")")


def _choice(formal: onnx.defs.OpSchema.FormalParameter) -> str:
    names = sorted(_plain(kind) for kind in formal.types if kind.startswith("tensor("))
    more = ", ..." if len(names) > _SHOWN_TYPES else ""
    return ", ".join(names[:_SHOWN_TYPES]) + more
