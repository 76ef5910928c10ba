"""Bring a model to the one opset that the compiler works on."""

from __future__ import annotations

import onnx
import onnx.defs
import onnx.version_converter

from bpu_common.errors import ModelUnsupported

TARGET_OPSET = 19


def to_target_opset(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    """Convert upwards with ONNX's converter; take newer models as they are where that is the same.

    Raises:
        ModelUnsupported: an operator (named) cannot be expressed at the target opset.
    """
    version = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if version > TARGET_OPSET:
        _relabel(model, file, version)
        return model
    if version == TARGET_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, TARGET_OPSET)
    except RuntimeError as error:
        text = str(error).strip().splitlines()[-1]
        raise ModelUnsupported(
            f"opset {version} cannot be converted to {TARGET_OPSET}: {text}",
            where=file,
            hint="export the model with opset 11 to 19",
        ) from error


def _relabel(model: onnx.ModelProto, file: str, version: int) -> None:
    """Operators after the target opset mostly gained element types: keep what still fits."""
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
