"""The inputs of an ONNX graph: which there are, of which shape and type, and how they are fixed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
from onnx import TensorProto

from bpu_common.errors import ModelUnsupported
from bpu_common.tensor import DType
from bpu_host.compiler.config.values import DeclaredShape
from bpu_host.compiler.protos import names_read

Shape = tuple[int, ...]

ELEMENT_TYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.FLOAT32,
    TensorProto.BFLOAT16: DType.FLOAT32,  # the board has no such type: computed in float32
    TensorProto.FLOAT16: DType.FLOAT16,
    TensorProto.DOUBLE: DType.FLOAT64,
    TensorProto.INT8: DType.INT8,
    TensorProto.UINT8: DType.UINT8,
    TensorProto.INT16: DType.INT16,
    TensorProto.UINT16: DType.UINT16,
    TensorProto.INT32: DType.INT32,
    TensorProto.UINT32: DType.UINT32,
    TensorProto.INT64: DType.INT64,
    TensorProto.UINT64: DType.UINT64,
    TensorProto.BOOL: DType.BOOL,
}
"""What a compiled model's inputs and outputs are, by ONNX's element type."""


_KINDS = {
    "sequence_type": "a sequence",
    "optional_type": "an optional",
    "map_type": "a map",
    "sparse_tensor_type": "a sparse tensor",
}


def input_types(graph: onnx.GraphProto, file: str) -> dict[str, DType]:
    """What a caller gives for each input that something reads, if it is no picture; in order.

    Raises:
        ModelUnsupported: one is no tensor, or of a type that a board has not.
    """
    read = _names_read(graph)
    return {item.name: _element_type(item, file) for item in graph.input if item.name in read}


def _names_read(graph: onnx.GraphProto) -> set[str]:
    names = {name for node in graph.node for name in names_read(node)}
    return names | {value.name for value in graph.output}


def declared_shape(value: onnx.ValueInfoProto) -> DeclaredShape:
    """As the file has it."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in kind.shape.dim
    )


def _element_type(value: onnx.ValueInfoProto, file: str) -> DType:
    kind = value.type.tensor_type.elem_type
    if value.type.HasField("tensor_type") and kind in ELEMENT_TYPES:
        return ELEMENT_TYPES[kind]
    what = _KINDS.get(value.type.WhichOneof("value") or "", f"a tensor of {type_name(kind)}")
    raise ModelUnsupported(
        f"input '{value.name}' is {what}; a board takes tensors of numbers and bools",
        where=file,
        hint="export the model with tensors of numbers as inputs",
    )


def type_name(element_type: int) -> str:
    """ONNX's name of an element type, lower case."""
    try:
        return TensorProto.DataType.Name(element_type).lower()
    except ValueError:
        return f"the unknown type {element_type}"


def drop_constant_inputs(graph: onnx.GraphProto) -> None:
    """Older exporters list weights as inputs."""
    constants = {tensor.name for tensor in graph.initializer}
    _keep(graph, {item.name for item in graph.input} - constants)


def drop_unread_inputs(graph: onnx.GraphProto) -> None:
    """Only the inputs stay that a node or an output reads."""
    _keep(graph, _names_read(graph))


def check_has_input(graph: onnx.GraphProto, file: str) -> None:
    """Whether anything is left to be fed.

    Raises:
        ModelUnsupported: nothing is.
    """
    if not graph.input:
        raise ModelUnsupported(
            "the outputs depend on no input of the model",
            where=file,
            hint="name other nodes in output_nodes, or export the model again",
        )


def _keep(graph: onnx.GraphProto, names: Collection[str]) -> None:
    kept = [item for item in graph.input if item.name in names]
    del graph.input[:]
    graph.input.extend(kept)


def check_names(graph: onnx.GraphProto, file: str, names: Collection[str]) -> None:
    """Whether all these are inputs of the graph.

    Raises:
        ModelUnsupported: one is not.
    """
    known = [item.name for item in graph.input]
    for name in names:
        if name not in known:
            raise ModelUnsupported(
                f"the model has no input '{name}'; its inputs are {', '.join(known)}", where=file
            )


def fix_shapes(graph: onnx.GraphProto, file: str, shapes: Mapping[str, Shape]) -> None:
    """Give every input its shape (in place).

    Raises:
        ModelUnsupported: a shape with another number of axes than the model's; or none where the
            model leaves it open.
    """
    for value in graph.input:
        wanted = _wanted_shape(value, file, shapes.get(value.name))
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.SetInParent()
        for size in wanted:
            shape.dim.add().dim_value = size


def _wanted_shape(value: onnx.ValueInfoProto, file: str, given: Shape | None) -> Shape:
    declared = declared_shape(value)
    if given is not None:
        if declared and len(declared) != len(given):
            raise ModelUnsupported(
                f"input '{value.name}' has {len(declared)} dimensions, "
                f"the given shape has {len(given)}",
                where=file,
            )
        return given
    sizes = [size if isinstance(size, int) else 0 for size in declared or ()]
    if sizes and sizes[0] == 0:
        sizes[0] = 1
    if declared is None or 0 in sizes:
        raise ModelUnsupported(
            f"input '{value.name}' has a dynamic shape",
            where=file,
            hint=f"give one with --input-shape {value.name} 1x3x224x224 (input_shape in the YAML)",
        )
    return tuple(sizes)
