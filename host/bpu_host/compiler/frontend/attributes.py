"""Attributes of nodes as protobuf holds them."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """What a node carries, by name: text as bytes, tensors and graphs as messages."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}
