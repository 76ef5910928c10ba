"""What a rule is: an id, the operators it is about, a sentence, and a test of one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from bpu_host.compiler.passes import graph as g


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node of the optimized graph as rules see it; shapes are () where there is no tensor."""

    node: ir.Node

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """Shape of input `index`."""
        inputs = self.node.inputs
        return (g.shape_of(inputs[index]) or ()) if index < len(inputs) else ()

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return g.shape_of(self.node.outputs[0]) or ()

    def pair(self, name: str) -> tuple[int, int]:
        """An attribute of two integers, (1, 1) by default."""
        first, second = (*g.ints(self.node, name, (1, 1)), 1)[:2]
        return first, second

    @property
    def pads(self) -> tuple[int, ...]:
        return g.ints(self.node, "pads", (0, 0, 0, 0))

    def is_constant(self, index: int) -> bool:
        """Whether input `index` is there and constant."""
        inputs = self.node.inputs
        return index < len(inputs) and g.constant(inputs[index]) is not None


Test = Callable[[NodeView], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition for running on the BPU.

    Attributes:
        sentence: the condition, for the documentation.
        test: None when the node keeps it, else what was found, as a sentence for the user.
    """

    id: str
    ops: tuple[str, ...]
    sentence: str
    test: Test
