"""Checking ONNX bytes out of a `.bin` before onnxruntime sees them (docs/bin-format.md).

Only known operators of the standard domain, no functions, no strings, no data outside the file
(except the weights the caller names), no graphs inside nodes, sizes bounded. Whatever the bytes,
the outcome is a `GraphInfo` or a `ModelFormatError`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelFormatError
from bpu_common.limits import MAX_RANK
from bpu_sim.engines.onnx.wire import Bytes, fields, message, number, text, varints

MAX_GRAPH_BYTES = 1 << 30
MAX_NODES = 100_000
MAX_TENSOR_BYTES = 1 << 30
MAX_ATTRIBUTES = 64
_OPSETS = range(13, 22)
_IR_VERSIONS = range(7, 12)
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes of an element by ONNX data type; strings (8), complex and packed types are not allowed."""


@dataclass(slots=True)
class GraphInfo:
    """What a checked graph consists of.

    Attributes:
        external: initializers whose data the loader must supply.
    """

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    node_count: int = 0
    tensor_bytes: int = 0


def check_graph(data: bytes | memoryview, external: Collection[str] = ()) -> GraphInfo:
    """Check an ONNX model.

    Args:
        external: names of initializers that may be marked external; the caller supplies them.

    Raises:
        ModelFormatError: the bytes are damaged, or ask for something that is not allowed.
    """
    if len(data) > MAX_GRAPH_BYTES:
        raise _refused("model", f"it has {len(data)} bytes, at most {MAX_GRAPH_BYTES} are allowed")
    info = GraphInfo()
    graphs: list[Bytes] = []
    for key, value in fields(memoryview(data).cast("B"), "model"):
        if key == 1 and number(value, "model") not in _IR_VERSIONS:
            raise _refused("model", f"IR version {number(value, 'model')}")
        if key == 7:
            graphs.append(message(value, "model"))
        elif key == 8:
            _check_opset(message(value, "model.opset_import"))
        elif key in (20, 25):
            raise _refused("model", "functions and training graphs are not allowed")
    if len(graphs) != 1:
        raise _refused("model", f"it holds {len(graphs)} graphs instead of one")
    _check_graph(graphs[0], info, frozenset(external))
    missing = set(external) - set(info.external)
    if missing:
        raise _refused("graph", f"initializer {min(missing)!r} is missing")
    return info


def _check_opset(data: Bytes) -> None:
    where = "model.opset_import"
    domain, version = "", 0
    for key, value in fields(data, where):
        if key == 1:
            domain = text(value, where)
        elif key == 2:
            version = number(value, where)
    if domain not in ("", "ai.onnx"):
        raise _refused(where, f"operator domain {domain!r}")
    if version not in _OPSETS:
        raise _refused(where, f"opset {version}")


def _check_graph(data: Bytes, info: GraphInfo, external: frozenset[str]) -> None:
    where = "graph"
    for key, value in fields(data, where):
        if key == 1:
            info.node_count += 1
            if info.node_count > MAX_NODES:
                raise _refused(where, f"more than {MAX_NODES} nodes")
            _check_node(message(value, where), info)
        elif key == 5:
            _check_tensor(message(value, where), info, external)
        elif key in (11, 12):
            names = info.inputs if key == 11 else info.outputs
            names.append(_value_name(message(value, where)))
        elif key == 15:
            raise _refused(where, "sparse initializers are not allowed")


def _value_name(data: Bytes) -> str:
    for key, value in fields(data, "graph.input"):
        if key == 1:
            return text(value, "graph.input")
    return ""


def _check_node(data: Bytes, info: GraphInfo) -> None:
    op_type, domain, name = "", "", ""
    attributes: list[Bytes] = []
    where = f"node {info.node_count - 1}"
    for key, value in fields(data, where):
        if key == 3:
            name = text(value, where)
        elif key == 4:
            op_type = text(value, where)
        elif key == 5:
            attributes.append(message(value, where))
        elif key == 7:
            domain = text(value, where)
        elif key == 8 and len(message(value, where)):
            raise _refused(where, "operator overloads are not allowed")
    where = f"node {info.node_count - 1} {name!r}"
    if domain not in ("", "ai.onnx") or op_type not in CPU_OPERATORS:
        shown = f"{domain}.{op_type}" if domain else op_type
        raise _refused(where, f"operator {shown!r} is not one that a board runs")
    if len(attributes) > MAX_ATTRIBUTES:
        raise _refused(where, f"more than {MAX_ATTRIBUTES} attributes")
    for attribute in attributes:
        _check_attribute(attribute, info, where)


def _check_attribute(data: Bytes, info: GraphInfo, where: str) -> None:
    for key, value in fields(data, where):
        if key in (5, 10):
            _check_tensor(message(value, where), info, frozenset())
        elif key in (6, 11):
            raise _refused(where, "graphs inside a node are not allowed")
        elif key == 21 and len(message(value, where)):
            raise _refused(where, "references to attributes of a function are not allowed")
        elif key in (22, 23):
            raise _refused(where, "sparse tensors are not allowed")


def _check_tensor(data: Bytes, info: GraphInfo, external: frozenset[str]) -> None:
    dims: list[int] = []
    kind, name, outside, held = 0, "", False, 0
    for key, value in fields(data, "tensor"):
        if key == 1:
            dims += varints(value, "tensor.dims")
        elif key == 2:
            kind = number(value, "tensor.data_type")
        elif key == 8:
            name = text(value, "tensor.name")
        elif key == 9:
            held += len(message(value, "tensor.raw_data"))
        elif key in (13, 14):
            outside = outside or key == 13 or number(value, "tensor.data_location") != 0
        elif key == 6:
            raise _refused("tensor", "strings are not allowed")
    where = f"tensor {name!r}"
    if kind not in _ELEMENT_BYTES:
        raise _refused(where, f"data type {kind}")
    if any(dim >= 1 << 31 for dim in dims) or len(dims) > MAX_RANK:
        raise _refused(where, f"shape {dims[:MAX_RANK]}")
    size = math.prod(dims) * _ELEMENT_BYTES[kind]
    info.tensor_bytes += size
    if info.tensor_bytes > MAX_TENSOR_BYTES:
        raise _refused(where, f"constants of more than {MAX_TENSOR_BYTES} bytes")
    if outside:
        if name not in external:
            raise _refused(where, "data outside the file")
        info.external.append(name)
    elif held and held != size:
        raise _refused(where, f"{held} bytes of data where its shape needs {size}")


def _refused(where: str, what: str) -> ModelFormatError:
    return ModelFormatError(
        f"the ONNX graph in the model may not be run: {what}",
        where=where,
        hint="convert the model again with this version",
    )
