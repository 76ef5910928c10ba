"""What ONNX's checker and shape inference let through, and no later stage could name as well."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from bpu_common.errors import ModelUnsupported
from bpu_common.network.check_tensor import MAX_DIMENSION, MAX_TENSOR_BYTES
from bpu_host.compiler.frontend.inputs import ELEMENT_TYPES

MAX_ALIVE_BYTES = 1 << 30
"""Of the tensors that a frame has at once, as the float model computes them: the memory of the
smallest boards. Calibration and comparison hold up to three times as much."""

_LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_WITH_WEIGHTS = _LINEAR | {"BatchNormalization", "PRelu"}
_VARIANCE = 4  # input of BatchNormalization
_SHAPE_HINT = "check input_shape (checker: --input-shape) against the model"


def check_graph(graph: ir.Graph, file: str) -> None:
    """Refuse a prepared graph with values that are too large, of other types or not finite.

    Raises:
        ModelUnsupported: `where` is the node, or the input or output by name.
    """
    for value in graph.inputs:
        place = f"{file}: input '{value.name}'"
        _check_size(value, place)
        _check_content(value, place)
    for node in graph:
        place = f"{file}: node {node.name} ({node.op_type})"
        for value in node.outputs:
            _check_kind(value, place)
            _check_size(value, place)
        if node.domain:
            continue
        if node.op_type in _LINEAR:
            _check_content(node.outputs[0], place)
        if node.op_type in ("Conv", "ConvTranspose"):
            _check_precision(node, place)
            _check_channels(node, place)
        if node.op_type in _WITH_WEIGHTS:
            _check_weights(node, place)
    for value in graph.outputs:
        _check_content(value, file, "leave this output out: name the others in output_nodes")
    _check_alive(graph, file)


def _check_kind(value: ir.Value, place: str) -> None:
    """Only what a `.bin` can describe: tensors of the types that a board has."""
    if not value.name or value.type is None:
        return
    tensor = isinstance(value.type, ir.TensorType)
    if not tensor or value.dtype not in ELEMENT_TYPES:
        kind = value.dtype.name.lower() if value.dtype is not None else "unknown"
        what = f"a tensor of {kind}" if tensor else "no tensor but a sequence or an optional"
        raise ModelUnsupported(
            f"its output '{value.name}' is {what}; a board has tensors of numbers and bools",
            where=place,
            hint="cut the model before this node with output_nodes, or export it without",
        )


def _check_size(value: ir.Value, place: str) -> None:
    """The limits are those of the `.bin`, so that no long conversion ends at them."""
    shape = _known(value)
    if _size_bytes(value) > MAX_TENSOR_BYTES or any(size > MAX_DIMENSION for size in shape):
        raise ModelUnsupported(
            f"'{value.name}' of shape {shape} is too large: at most {MAX_TENSOR_BYTES >> 20} MiB "
            f"and {MAX_DIMENSION} in each dimension can be converted",
            where=place,
            hint=_SHAPE_HINT,
        )


def _check_alive(graph: ir.Graph, file: str) -> None:
    """Together, the tensors of a frame; those that come of constants alone stay, once computed.

    Constants of the file are not counted: their bytes are there.
    """
    places = {node: place for place, node in enumerate(graph)}
    ends = [0] * len(places)
    moving = set(graph.inputs)
    for node in graph:
        if any(value in moving for value in node.inputs):
            moving.update(node.outputs)
    for value in moving:
        readers = [places[user] for user, _ in value.uses() if user in places]
        if readers and not value.is_graph_output():
            ends[max(readers)] += _size_bytes(value)
    alive_bytes = sum(map(_size_bytes, graph.inputs))
    for node, place in places.items():
        alive_bytes += sum(map(_size_bytes, node.outputs))
        if alive_bytes > MAX_ALIVE_BYTES:
            raise ModelUnsupported(
                f"at this node a frame has tensors of {alive_bytes >> 20} MiB at once, at most "
                f"{MAX_ALIVE_BYTES >> 20} can be converted",
                where=f"{file}: node {node.name} ({node.op_type})",
                hint=_SHAPE_HINT,
            )
        alive_bytes -= ends[place]


def _size_bytes(value: ir.Value) -> int:
    return int(math.prod(_known(value)) * (value.dtype.itemsize if value.dtype else 4))


def _check_content(value: ir.Value, place: str, hint: str = _SHAPE_HINT) -> None:
    """Empty tensors are legal among shapes and indices, not here."""
    shape = _known(value)
    if any(size < 1 for size in shape):
        raise ModelUnsupported(f"'{value.name}' of shape {shape} is empty", where=place, hint=hint)


def _known(value: ir.Value) -> list[int]:
    return [size for size in value.shape or () if isinstance(size, int)]


def _check_precision(node: ir.Node, place: str) -> None:
    for value in node.outputs:
        if value.dtype is ir.DataType.DOUBLE:
            raise ModelUnsupported(
                f"'{value.name}' is double; convolutions are computed in float (32 bit)",
                where=place,
                hint="export the model in single precision",
            )


def _check_channels(node: ir.Node, place: str) -> None:
    """ONNX's shape inference does not look at a convolution's channels."""
    x, weight = (value.shape if value is not None else None for value in node.inputs[:2])
    if x is None or weight is None or len(x) < 2 or len(weight) < 2:
        return
    wanted = weight[1] if node.op_type == "Conv" else weight[0]
    if isinstance(wanted, int) and node.op_type == "Conv":
        wanted *= node.attributes.get_int("group", 1)
    if isinstance(wanted, int) and isinstance(x[1], int) and x[1] != wanted:
        raise ModelUnsupported(
            f"the shapes do not fit: its input has {x[1]} channels, its weights are for {wanted}",
            where=place,
            hint=_SHAPE_HINT,
        )


def _check_weights(node: ir.Node, place: str) -> None:
    for index, value in enumerate(node.inputs):
        tensor = value.const_value if value is not None else None
        if value is None or tensor is None:
            continue
        array = tensor.numpy()
        reason = "" if np.isfinite(array).all() else "holds values that are not finite"
        if node.op_type == "BatchNormalization" and index == _VARIANCE:
            epsilon = node.attributes.get_float("epsilon", 1e-5)
            if array.size and not float(array.min()) + epsilon > 0:
                reason = "holds variances below 0"
        if reason:
            raise ModelUnsupported(
                f"its constant '{value.name}' {reason}",
                where=place,
                hint="the training or the export went wrong; export the model again",
            )
