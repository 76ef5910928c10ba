"""float16 and bfloat16 are computed in float32.

The BPU is fed with float32 values, and onnxruntime computes most operators of these types in
float32 on a CPU anyway. float16 inputs and outputs keep their type; bfloat16 ones, a type that the
board's tensors do not have, become float32.
"""

from __future__ import annotations

import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

from bpu_host.compiler.protos import free_name, graphs, rename_reads

_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "stash_type"})
"""Attributes that hold an element type."""


def widen_halves(model: onnx.ModelProto) -> None:
    """Turn all 16-bit floats inside a graph into float32 (in place); outputs have no types yet."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.output if half_types(model) else ()
    narrow = [
        value.name for value in inferred if value.type.tensor_type.elem_type == TensorProto.FLOAT16
    ]
    for graph in graphs(model):
        for tensor in graph.initializer:
            _widen(tensor)
        for value in () if graph is model.graph else (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in _HALVES:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for attribute in (each for node in graph.node for each in node.attribute):
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in _HALVES:
                attribute.i = TensorProto.FLOAT
            for tensor in [attribute.t] if attribute.HasField("t") else attribute.tensors:
                _widen(tensor)
    _widen_inputs(model)
    _narrow_outputs(model, narrow)


def half_types(model: onnx.ModelProto) -> set[int]:
    """The 16-bit floats that a model computes in, as ONNX numbers them."""
    kinds = {value.type.tensor_type.elem_type for value in model.graph.input}
    for graph in graphs(model):
        kinds.update(tensor.data_type for tensor in graph.initializer)
        for attribute in (each for node in graph.node for each in node.attribute):
            if attribute.name in _TYPE_ATTRIBUTES:
                kinds.add(attribute.i)
            kinds.update(tensor.data_type for tensor in (attribute.t, *attribute.tensors))
    return kinds.intersection(_HALVES)


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in _HALVES:
        array = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _widen_inputs(model: onnx.ModelProto) -> None:
    graph = model.graph
    for value in graph.input:
        kind = value.type.tensor_type
        if kind.elem_type == TensorProto.BFLOAT16:
            kind.elem_type = TensorProto.FLOAT
        if kind.elem_type == TensorProto.FLOAT16:
            wide = free_name(model, f"{value.name}_float")
            rename_reads(graph.node, {value.name: wide})
            cast = helper.make_node("Cast", [value.name], [wide], name=wide, to=TensorProto.FLOAT)
            graph.node.insert(0, cast)


def _narrow_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    """Let these outputs leave as float16."""
    graph = model.graph
    for name in names:
        wide = free_name(model, f"{name}_float")
        for node in graph.node:
            node.output[:] = [wide if made == name else made for made in node.output]
        rename_reads(graph.node, {name: wide})
        graph.node.append(
            helper.make_node("Cast", [wide], [name], name=f"{name}_cast", to=TensorProto.FLOAT16)
        )
