"""Nodes and initializers that no output depends on are removed."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from bpu_host.compiler.passes.context import PassContext


def remove_unused(model: ir.Model, context: PassContext) -> int:
    """Remove what is not used; model inputs stay."""
    del context
    before = (model.graph.num_nodes(), len(model.graph.initializers))
    RemoveUnusedNodesPass()(model)
    after = (model.graph.num_nodes(), len(model.graph.initializers))
    return sum(before) - sum(after)
