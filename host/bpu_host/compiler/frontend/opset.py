"""Bring a model to the one opset that the compiler works on, and keep what it computes.

ONNX's converter is not trusted: what it gets wrong is written in another way before it comes
(`repair.BEFORE`) or completed after it (`repair.complete_resizes`). Every form of every operator is
held against onnxruntime on the file as it was (tests/frontend/test_opset_forms.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.defs
import onnx.version_converter
from onnx import helper

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler.frontend.repair import (
    complete_resizes,
    rewrite_new_forms,
    rewrite_old_forms,
)

TARGET_OPSET = 19


def to_target_opset(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    """Convert upwards with ONNX's converter; take newer models as they are where that is the same.

    Args:
        model: may be changed.

    Raises:
        ModelUnsupported: an operator (named) cannot be expressed at the target opset.
    """
    version = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if version > TARGET_OPSET:
        _relabel(model, file, version)
        return model
    if version == TARGET_OPSET:
        return model
    rewrite_old_forms(model.graph, version)
    makers = {name: node.name for node in model.graph.node for name in node.output}
    try:
        converted = onnx.version_converter.convert_version(model, TARGET_OPSET)
    except RuntimeError as error:
        text = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(
            f"opset {version} cannot be converted to {TARGET_OPSET}: {text}",
            where=file,
            hint="export the model with opset 11 to 19",
        ) from error
    _name_added(converted.graph, makers)
    complete_resizes(converted.graph, version)
    return converted


def _name_added(graph: onnx.GraphProto, before: Mapping[str, str]) -> None:
    """Name what the converter added after the node for which it did, by what joins them.

    Args:
        before: name of the node that made each tensor.
    """
    named = {node.name for node in graph.node}
    makers = {name: node for node in graph.node for name in node.output if name not in before}
    readers = {name: node for node in graph.node for name in node.input if name in makers}
    added = [node for node in graph.node if not node.name]
    for node in added:
        lost = (before.get(name, "") for name in node.output)
        node.name = next((name for name in lost if name not in named), "")  # a new operator
    for node in [each for each in added if not each.name]:
        near = [makers.get(name) for name in node.input]
        near += [readers.get(name) for name in node.output]
        owner = next((each for each in near if each is not None and each.name), None)
        if owner is not None:
            node.name = f"{owner.name}_{node.op_type}"


def _relabel(model: onnx.ModelProto, file: str, version: int) -> None:
    """Operators after the target opset mostly gained element types: keep what still fits."""
    rewrite_new_forms(model.graph, version)
    for node in model.graph.node:
        place = f"{file}: node {node.name} ({node.op_type})"
        try:
            schema = onnx.defs.get_schema(node.op_type, TARGET_OPSET, "")
        except onnx.defs.SchemaError as error:
            raise ModelUnsupported(
                f"Unsupported op: {node.op_type} came after opset {TARGET_OPSET}",
                where=place,
                hint="export the model with opset 11 to 19",
            ) from error
        _drop_defaults(node, schema, version)
        extra = [item.name for item in node.attribute if item.name not in schema.attributes]
        if extra or len(node.input) > schema.max_input:
            detail = f"attribute {extra[0]}" if extra else f"{len(node.input)} inputs"
            raise ModelUnsupported(
                f"{detail} of opset {version} does not exist at opset {TARGET_OPSET}",
                where=place,
                hint="export the model with opset 11 to 19",
            )
    for item in model.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = TARGET_OPSET


def _drop_defaults(node: onnx.NodeProto, old: onnx.defs.OpSchema, version: int) -> None:
    """Attributes that came later say nothing where they hold their default."""
    known = onnx.defs.get_schema(node.op_type, version, "").attributes
    for index in reversed(range(len(node.attribute))):
        item = node.attribute[index]
        if item.name in old.attributes or item.name not in known:
            continue
        default = known[item.name].default_value
        if default.name and helper.get_attribute_value(item) == helper.get_attribute_value(default):
            del node.attribute[index]
