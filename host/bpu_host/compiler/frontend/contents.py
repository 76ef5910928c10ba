"""The parts of an ONNX file that every later step relies on: names are text, tensors are whole.

Neither protobuf nor ONNX's own checker looks at all of them, and what they let through ends in the
libraries behind, in words that name nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from bpu_common.errors import ModelFormatError
from bpu_common.plain import has_controls
from bpu_host.compiler.frontend.external import tensors_of

_KNOWN_TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}
"""Of those types that share bytes."""

_MAX_AXES = 64


def check_contents(model: onnx.ModelProto, file: str) -> None:
    """Look at names, element types and tensors of a model whose external data has been read.

    Raises:
        ModelFormatError: names that are no text or that a terminal obeys, tensors that are not what
            they say; names the tensor.
    """
    check_texts(model, file)
    for value in _values(model):
        kind = value.type.tensor_type
        if value.type.HasField("tensor_type") and kind.elem_type not in _KNOWN_TYPES | {0}:
            raise ModelFormatError(
                f"'{value.name}' is of the unknown element type {kind.elem_type}", where=file
            )
    for tensor in tensors_of(model):
        if problem := _problem(tensor):
            raise ModelFormatError(
                f"tensor '{tensor.name}' {problem}",
                where=file,
                hint="the file may be damaged; download or export it again",
            )


def check_texts(message: Message, file: str) -> None:
    """Look at all texts of a message.

    Raises:
        ModelFormatError: one is no text, or a terminal obeys it.
    """
    for name in _names(message):
        if isinstance(name, bytes) or has_controls(name):
            what = "is no text (not UTF-8)" if isinstance(name, bytes) else "has control characters"
            raise ModelFormatError(
                f"the name {name!r:.80} {what}",
                where=file,
                hint="export the model with other names",
            )


def _names(message: Message) -> Iterator[str | bytes]:
    """All texts of a model, documentation left out; protobuf gives what is no text as bytes."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            continue
        if field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _names(item)
        elif field.type == field.TYPE_STRING:
            yield from value if field.is_repeated else (value,)


def _values(model: onnx.ModelProto) -> Iterable[onnx.ValueInfoProto]:
    graph = model.graph
    return (*graph.input, *graph.output, *graph.value_info)


def _problem(tensor: TensorProto) -> str:
    """What is wrong with a tensor; empty if nothing is."""
    if tensor.data_type not in _KNOWN_TYPES:
        return f"is of the unknown element type {tensor.data_type}"
    if tensor.HasField("segment"):
        return "comes in segments, which nothing reads"
    if len(tensor.dims) > _MAX_AXES or any(size < 0 for size in tensor.dims):
        return f"has the impossible shape {list(tensor.dims)[:8]}"
    count = math.prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        held, wanted = len(tensor.string_data), count
    elif tensor.HasField("raw_data"):
        held, wanted = len(tensor.raw_data), _size_bytes(tensor.data_type, count)
    else:
        field = helper.tensor_dtype_to_field(tensor.data_type)
        held = len(getattr(tensor, field))
        wanted = count
        try:
            numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError):
            return f"of shape {list(tensor.dims)} has {held} values that do not make it"
        return ""
    return "" if held == wanted else f"of shape {list(tensor.dims)} needs {wanted} and has {held}"


def _size_bytes(data_type: int, count: int) -> int:
    bits = _BITS.get(data_type)
    if bits is None:
        bits = 8 * int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)
    return (count * bits + 7) // 8
