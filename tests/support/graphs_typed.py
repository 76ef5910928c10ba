"""ONNX files whose inputs, constants and outputs are of any element type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray
SHAPE = (1, 4, 10, 10)
"""Of the maps between the two convolutions."""

ELEMENT_TYPES = {
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint16": TensorProto.UINT16,
    "int16": TensorProto.INT16,
    "uint32": TensorProto.UINT32,
    "int32": TensorProto.INT32,
    "uint64": TensorProto.UINT64,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
"""Those of a board besides float32, by their names in numpy."""


class Graph:
    """`first` (x -> a) and `last` (r -> y) are convolutions; a test puts nodes between or beside.

    Attributes:
        sample: arrays for the inputs.
    """

    def __init__(self, seed: int = 0, x: Array | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.sample: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self.feed("x", self.normal(1, 3, 10, 10) * 10 if x is None else x)
        self.first, self.last = self._conv("x", "a", 3), self._conv("r", "y", 4)

    def normal(self, *shape: int) -> Array:
        return np.asarray(self.random.normal(0, 0.3, shape), np.float32)

    def small(self, dtype: str, *shape: int) -> Array:
        """Values of 0 to 5 that every type has."""
        return (self.random.random(shape) * 6).astype(dtype)

    def feed(self, name: str, array: Array) -> str:
        """An input with its first sample."""
        self.sample[name] = array
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self._inputs.append(helper.make_tensor_value_info(name, kind, array.shape))
        return name

    def constant(self, name: str, array: Array | Sequence[int] | float) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def model(
        self, nodes: Sequence[onnx.NodeProto], outputs: Mapping[str, int], opset: int = 14
    ) -> onnx.ModelProto:
        """The nodes in this order; `outputs` has the element type of each."""
        for index, node in enumerate(nodes):
            node.name = node.name or f"n{index}"
        graph = helper.make_graph(
            nodes,
            "graph",
            self._inputs,
            [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs.items()],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
        )

    def _conv(self, x: str, y: str, channels: int) -> onnx.NodeProto:
        weight = self.constant(f"{y}_w", self.normal(4, channels, 3, 3))
        return helper.make_node("Conv", [x, weight], [y], name=f"conv_{y}", pads=[1, 1, 1, 1])


def node(op_type: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """Names separated by blanks; `-` is an input left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), **attributes)


def cast(x: str, y: str, kind: int = TensorProto.FLOAT) -> onnx.NodeProto:
    return node("Cast", x, y, to=kind)
