"""A random float network under construction: nodes, constants, and the shape of every tensor."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSETS = (13, 18)
IR_VERSION = 8
Shape = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a network may become.

    Attributes:
        elements: of one tensor.
        macs: multiply-accumulates of all convolutions together.
        channels: of one tensor.
    """

    elements: int
    macs: int
    channels: int


class Net:
    """Appends nodes to an ONNX graph with batch 1; tensors are known by name."""

    def __init__(self, seed: int, bounds: Bounds) -> None:
        self.choose = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.bounds = bounds
        self.opset = self.choose.choice(OPSETS)
        self.macs = 0
        self.shapes: dict[str, Shape] = {}
        self.read: set[str] = set()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def chance(self, probability: float) -> bool:
        return self.choose.random() < probability

    def small(self, low: int, high: int) -> int:
        """A number of [low, high], small ones more often (log-uniform)."""
        drawn = math.exp(self.choose.uniform(math.log(low), math.log(high + 1)))
        return min(max(int(drawn), low), high)

    def input(self, name: str, shape: Sequence[int]) -> str:
        """A graph input, in the layout of the float model."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def constant(self, array: np.ndarray | float | Sequence[int]) -> str:
        """An initializer: int64 stays, everything else becomes float32."""
        values = np.asarray(array)
        values = values if values.dtype == np.int64 else values.astype(np.float32)
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        """A node with one output of this shape."""
        (name,) = self.nodes(op, inputs, (shape,), **attributes)
        return name

    def nodes(
        self, op: str, inputs: Sequence[str], shapes: Sequence[Shape], **attributes: Any
    ) -> tuple[str, ...]:
        """A node with one output for each shape; the outputs' names."""
        index = len(self._nodes)
        names = tuple(f"t{index}" if i == 0 else f"t{index}_{i}" for i in range(len(shapes)))
        made = helper.make_node(op, list(inputs), list(names), f"{op}{index}", **attributes)
        self._nodes.append(made)
        self.read.update(inputs)
        self.shapes.update(zip(names, shapes, strict=True))
        return names

    def fits(self, shape: Shape, macs: int = 0) -> bool:
        """Whether a tensor of this shape, made with these multiply-accumulates, may be added."""
        return (
            min(shape) >= 1
            and shape[0] <= self.bounds.channels
            and math.prod(shape) <= self.bounds.elements
            and self.macs + macs <= self.bounds.macs
        )

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self._nodes)

    @property
    def leaves(self) -> list[str]:
        """Tensors that no node reads."""
        return [name for name in self.shapes if name not in self.read]

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        """The finished model."""
        graph = helper.make_graph(
            self._nodes,
            "fuzz",
            self._inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
