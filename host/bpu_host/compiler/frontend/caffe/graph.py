"""The ONNX graph that a Caffe network is written as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bpu_common.tensor import F32, AnyArray
from bpu_host.compiler.frontend.inputs import Shape
from bpu_host.compiler.frontend.opset import TARGET_OPSET
from bpu_host.compiler.weights import LEAST_BYTES, refer

IR_VERSION = 10

Attribute: TypeAlias = int | float | str | Sequence[int]
"""Of an ONNX node."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What Caffe calls a blob: a tensor of the graph and its shape by Caffe's rules.

    Attributes:
        of: shape of the blob whose positions of maxima it holds (int64), which only an unpooling
            can read; empty: it holds numbers.
    """

    name: str
    shape: Shape
    of: Shape = ()


class _Names:
    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._counts: Counter[str] = Counter()

    def free(self, base: str) -> str:
        name = base
        while name in self._taken:
            self._counts[base] += 1
            name = f"{base}_{self._counts[base]}"
        self._taken.add(name)
        return name


class Graph:
    """Nodes and constants, every name once.

    Args:
        blobs: names of tensors that are spoken for.
        layers: names of nodes that are.
    """

    def __init__(self, blobs: Iterable[str], layers: Iterable[str]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._tensor_names = _Names(blobs)
        self._node_names = _Names(layers)
        self.weights: list[F32] = []

    def tensor_name(self, base: str) -> str:
        """A name that no tensor has: `base`, or with a number behind it."""
        return self._tensor_names.free(base)

    def node_name(self, base: str) -> str:
        """A name that no node has: `base`, or with a number behind it."""
        return self._node_names.free(base)

    def constant(self, base: str, array: AnyArray) -> str:
        """A constant; large ones lie beside the graph."""
        name = self.tensor_name(base)
        if array.dtype == np.float32 and array.nbytes >= LEAST_BYTES:
            tensor = TensorProto()
            refer(tensor, name, np.ascontiguousarray(array), self.weights)
        else:
            tensor = numpy_helper.from_array(np.asarray(array), name)
        self._constants.append(tensor)
        return name

    def node(
        self,
        name: str,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Attribute],
    ) -> None:
        """One more node."""
        node = helper.make_node(op, inputs, outputs, name)
        node.attribute.extend(helper.make_attribute(key, attributes[key]) for key in attributes)
        self._nodes.append(node)

    def model(self, name: str, inputs: Sequence[Blob], outputs: Sequence[Blob]) -> onnx.ModelProto:
        """The finished model."""
        graph = helper.make_graph(
            self._nodes, name, _declared(inputs), _declared(outputs), self._constants
        )
        imports = [helper.make_opsetid("", TARGET_OPSET)]
        return helper.make_model(
            graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="caffe"
        )


def _declared(blobs: Sequence[Blob]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(blob.name, TensorProto.FLOAT, blob.shape) for blob in blobs
    ]
