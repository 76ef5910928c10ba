"""ONNX files -> `onnx_ir` models at opset 19 with static input shapes.

`read_onnx` reads and checks the files, `prepare` brings the model to the form the passes work on.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import onnx
import onnx.inliner
import onnx.shape_inference
import onnx_ir as ir
from google.protobuf.message import DecodeError

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_host.compiler.frontend.branches import fold_branches
from bpu_host.compiler.frontend.canonical import make_canonical, name_nodes
from bpu_host.compiler.frontend.checks import check_graph
from bpu_host.compiler.frontend.contents import check_contents
from bpu_host.compiler.frontend.expansion import check_expansion
from bpu_host.compiler.frontend.external import load_external_data
from bpu_host.compiler.frontend.functions import expand_functions
from bpu_host.compiler.frontend.halves import widen_halves
from bpu_host.compiler.frontend.inputs import (
    Shape,
    check_has_input,
    check_names,
    drop_constant_inputs,
    drop_unread_inputs,
    fix_shapes,
)
from bpu_host.compiler.frontend.model import FloatModel
from bpu_host.compiler.frontend.opset import to_target_opset
from bpu_host.compiler.frontend.outputs import (
    choose_outputs,
    drop_unneeded_nodes,
    forget_shapes,
    plain_outputs,
)
from bpu_host.compiler.frontend.pixels import take_as_float
from bpu_host.compiler.frontend.pools import POOLS, pool_rule
from bpu_host.compiler.frontend.recurrent import put_sequence_first
from bpu_host.compiler.frontend.resizes import resize_rule
from bpu_host.compiler.frontend.sizes import Rule, resolve_sizes
from bpu_host.compiler.frontend.source import MAX_BYTES, damage, read_bytes
from bpu_host.compiler.frontend.structure import check_nodes, check_structure, opset_of
from bpu_host.compiler.frontend.transposed import transposed_rule
from bpu_host.compiler.frontend.types import check_types
from bpu_host.compiler.frontend.vectors import check_vectors
from bpu_host.compiler.protos import inferred_shapes, names_read
from bpu_host.compiler.weights import Weights, from_bare, taken_out

logger = logging.getLogger(__name__)

_OTHER_HINT = (
    "download or export it again; a caffemodel is read with its prototxt (--proto, or in the YAML; "
    "docs/caffe.md), and a .bin is no float model"
)


def read_onnx(path: Path) -> FloatModel:
    """Read a model file with its external data.

    Raises:
        ModelFormatError: not an ONNX model, damaged, or data outside its folder.
        ModelUnsupported: something in it cannot be converted; the message names the node.
    """
    with damage(path.name):
        return _read(path)


def _read(path: Path) -> FloatModel:
    data = read_bytes(path, "ONNX", "an .onnx")
    whole = hashlib.sha256(data)
    files = {path.name: whole.hexdigest()}
    model = _parse(data, path)
    del data
    for name, content in load_external_data(model, path, MAX_BYTES).items():
        whole.update(content)
        files[name] = hashlib.sha256(content).hexdigest()
    check_contents(model, path.name)
    make_canonical(model)
    check_structure(model, path.name)
    check_expansion(model, path.name)
    drop_constant_inputs(model.graph)
    model, weights = taken_out(model)
    return FloatModel.of(path.name, model, files, whole.hexdigest(), weights)


def _parse(data: bytes, path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelFormatError(
            "not an ONNX model, or damaged",
            where=str(path),
            hint=_OTHER_HINT,
        ) from error
    if not model.HasField("graph") or not model.opset_import:
        missing = "graph" if not model.HasField("graph") else "opset version"
        raise ModelFormatError(
            f"not an ONNX model: it holds no {missing}", where=str(path), hint=_OTHER_HINT
        )
    return model


def prepare(
    model: onnx.ModelProto,
    file: str,
    shapes: Mapping[str, Shape],
    output_nodes: Sequence[str] = (),
    *,
    output_nodes_at: str = "",
    pictures: Collection[str] = (),
    weights: Weights = (),
) -> ir.Model:
    """Fix inputs and outputs, name nodes, convert to the target opset, infer shapes.

    Inputs that the outputs do not depend on are dropped. 16-bit floats become float32.

    Args:
        model: stays as it is.
        file: its name, for messages.
        shapes: override the input shapes of the model, by name.
        output_nodes: where the model is to end; none: where the file says.
        output_nodes_at: place of that list, for messages.
        pictures: inputs whose pixels come in float32, whatever the model declares.
        weights: constants that the model refers to.

    Raises:
        ModelFormatError: it breaks a rule of ONNX; names the node.
        ModelUnsupported: names the input or node.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    with damage(file):
        check_names(proto.graph, file, shapes)
        proto = _inlined(proto)
        if output_nodes:
            choose_outputs(proto.graph, output_nodes, output_nodes_at or file)
        plain_outputs(proto)
        forget_shapes(proto.graph)  # stored ones may belong to another input size
        drop_unneeded_nodes(proto.graph)
        drop_unread_inputs(proto.graph)
        fix_shapes(proto.graph, file, shapes)
        for value in proto.graph.input:
            if value.name in pictures:
                take_as_float(proto, value)
        return _prepare(proto, file, weights)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without functions of its own, and with a name for every node."""
    name_nodes(model.graph)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
        name_nodes(model.graph)
    return model


def _prepare(model: onnx.ModelProto, file: str, weights: Weights) -> ir.Model:
    name_nodes(model.graph)
    model.ir_version = max(model.ir_version, 4)
    _fill_empty_roi(model.graph)
    check_vectors(model, file)
    fold_branches(model, file)
    expand_functions(model, file)  # first, as the checker refuses GroupNormalization of opset 18
    check_nodes(model, file)
    check_vectors(model, file)  # again: broken nodes hide sizes
    check_has_input(model.graph, file)
    widen_halves(model)
    put_sequence_first(model)
    version = opset_of(model)
    model = to_target_opset(model, file)
    forget_shapes(model.graph)  # what the conversion left is of before
    name_nodes(model.graph)
    rules: dict[str, Rule] = dict.fromkeys(POOLS, pool_rule(version))
    rules |= {"ConvTranspose": transposed_rule, "Resize": resize_rule(model)}
    resolve_sizes(model, rules)
    expand_functions(model, file)  # those that became functions since the model's opset
    name_nodes(model.graph)
    model = _with_shapes(model, file)
    _drop_unread_constants(model.graph)
    model.ir_version = 10
    prepared = from_bare(model, weights)
    check_types(prepared.graph, prepared.opset_imports[""], file)
    check_graph(prepared.graph, file)
    return prepared


def _with_shapes(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        logger.debug("shape inference says: %s", error)
        found = re.search(r"node name: (.*?)\)", str(error))
        node = next((each for each in model.graph.node if found and each.name == found[1]), None)
        raise ModelUnsupported(
            "the shapes do not fit" + (f": it reads {_operands(model, node)}" if node else ""),
            where=f"{file}: node {node.name} ({node.op_type})" if node else file,
            hint="check input_shape (checker: --input-shape) against the model",
        ) from error


def _operands(model: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """What a node reads, in words."""
    constants = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    shapes = {**inferred_shapes(model), **constants}
    return ", ".join(f"'{name}' of shape {shapes.get(name, '?')}" for name in node.input if name)


def _drop_unread_constants(graph: onnx.GraphProto) -> None:
    """Left-overs of training, such as `num_batches_tracked`."""
    read = {name for node in graph.node for name in names_read(node)}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _fill_empty_roi(graph: onnx.GraphProto) -> None:
    """Resize of opset 11 demands a roi; exporters leave it out because nothing reads it."""
    name = "empty_roi_of_resize"
    used = False
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) > 2 and not node.input[1]:
            node.input[1] = name
            used = True
    if used:
        graph.initializer.append(
            onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[0])
        )
