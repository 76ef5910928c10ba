"""What every ONNX file must be: operators that exist, used as they are defined, each result once.

The sentences are ours; ONNX's own checker runs behind them for what is left.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import cast

import onnx
import onnx.checker
import onnx.defs

from bpu_common.errors import ModelFormatError, ModelUnsupported
from bpu_host.compiler.protos import graphs
from bpu_host.compiler.weights import as_inputs

MIN_OPSET = 7
MAX_NODES = 50_000
_EXPORT_AGAIN = "export the model again"
_EXPORT_OPSET = "export the model with opset 11 to 19"

logger = logging.getLogger(__name__)


def check_structure(model: onnx.ModelProto, file: str) -> None:
    """Look at a model as it was read: not empty, of a known opset, without foreign operators.

    Raises:
        ModelFormatError: no nodes, outputs or inputs, or data that contradict each other.
        ModelUnsupported: too large, or of an opset, domain or form that is not read.
    """
    graph = model.graph
    if not graph.node or not graph.output:
        raise ModelFormatError("the graph has no nodes or no outputs", where=file)
    if len(graph.node) > MAX_NODES:
        raise ModelUnsupported(
            f"{len(graph.node)} nodes; at most {MAX_NODES} are converted", where=file
        )
    version, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if not MIN_OPSET <= version <= newest:
        raise ModelUnsupported(
            f"opset {version} of the ONNX operators; {MIN_OPSET} to {newest} can be read",
            where=file,
            hint=_EXPORT_OPSET,
        )
    known = {(item.domain, item.name) for item in model.functions}
    foreign = [
        f"{node.name or node.output[0]} ({node.domain}::{node.op_type})"
        for node in graph.node
        if node.domain and (node.domain, node.op_type) not in known
    ]
    if foreign:
        raise ModelUnsupported(
            "nodes outside the ONNX operator set: " + ", ".join(foreign[:5]),
            where=file,
            hint="custom operators are not available yet; export with standard operators",
        )
    for tensor in graph.sparse_initializer:
        raise ModelUnsupported(
            f"sparse initializer '{tensor.values.name}'",
            where=file,
            hint="export the model with dense weights",
        )
    constants = {tensor.name for tensor in graph.initializer}
    if not {item.name for item in graph.input} - constants:
        raise ModelUnsupported("the model has no inputs", where=file)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the ONNX operators, 0 if the model says none."""
    return next((item.version for item in model.opset_import if not item.domain), 0)


def check_nodes(model: onnx.ModelProto, file: str) -> None:
    """Look at every node of a model whose functions are inlined.

    Raises:
        ModelFormatError: a node that is not as its operator is defined, a tensor that is made
            twice or by nothing; names the node.
        ModelUnsupported: an operator that the model's opset does not have.
    """
    version = opset_of(model)
    for graph in graphs(model):
        for node in graph.node:
            _check_form(node, version, _place(file, node))
    _check_flow(model.graph, file)
    _check_by_onnx(model, file)


def _place(file: str, node: onnx.NodeProto) -> str:
    return f"{file}: node {node.name} ({node.op_type})"


def _check_form(node: onnx.NodeProto, version: int, place: str) -> None:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError as error:
        raise ModelUnsupported(
            f"Unsupported op: {node.op_type} is no operator of the model's opset {version}",
            where=place,
            hint="export the model with another opset, or without this operator",
        ) from error
    for problem in _problems(node, schema):
        raise ModelFormatError(problem, where=place, hint=_EXPORT_AGAIN)


def _problems(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> Iterator[str]:
    if schema.deprecated:
        yield f"{node.op_type} is no operator of the model's opset any more"
    for what, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            yield f"it has {len(names)} {what}; the operator takes {_range(least, most)}"
    given = {item.name: item for item in node.attribute}
    for name, item in given.items():
        known = schema.attributes.get(name)
        if known is None:
            yield f"it has an attribute '{name}', which the operator does not know"
        elif cast("int", known.type) != item.type:  # the stub does not say that it is one
            yield f"its attribute '{name}' is of another type than the operator's"
    for name, known in schema.attributes.items():
        if known.required and name not in given:
            yield f"it lacks the attribute '{name}'"


def _range(least: int, most: int) -> str:
    if least == most:
        return str(least)
    return f"{least} or more" if most > MAX_NODES else f"{least} to {most}"


def _check_flow(graph: onnx.GraphProto, file: str) -> None:
    """In sorted nodes, everything that is read is made before, once."""
    known = {each.name for each in graph.input} | {each.name for each in graph.initializer}
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                raise ModelFormatError(
                    f"no node before it makes its input '{name}': the graph lacks a node or runs "
                    "in a circle",
                    where=_place(file, node),
                    hint=_EXPORT_AGAIN,
                )
        for name in filter(None, node.output):
            if name in known:
                raise ModelFormatError(
                    f"it makes '{name}', which something before it makes as well",
                    where=_place(file, node),
                    hint=_EXPORT_AGAIN,
                )
            known.add(name)
    for value in graph.output:
        if value.name not in known:
            raise ModelFormatError(
                f"nothing makes the output '{value.name}'", where=file, hint=_EXPORT_AGAIN
            )


def _check_by_onnx(model: onnx.ModelProto, file: str) -> None:
    probe = as_inputs(model)
    for value in probe.graph.output:  # the checker wants types; they come with inference
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(probe)
    except onnx.checker.ValidationError as error:
        text = str(error)
        logger.debug("the ONNX checker says: %s", text)
        node = re.search(r"node.*?[Nn]ame: (\S+) OpType: (\S+)", text, re.DOTALL)
        tensor = re.search(r"tensor.*?name: ([^\s)]+)", text, re.DOTALL)
        if node:
            place, what = f"{file}: node {node[1]} ({node[2]})", "the node"
        else:
            place, what = file, f"tensor '{tensor[1]}'" if tensor else "the file"
        raise ModelFormatError(
            f"{what} is not as the ONNX standard wants it (the log has the details)",
            where=place,
            hint=_EXPORT_AGAIN,
        ) from error
