"""Writing ONNX graphs and function bodies without the onnx package: nodes, constants, names.

The numbers of the fields are those of onnx.proto. Fields are written in the order of the numbers,
as protobuf's own writer does, so the same graph gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bpu_common.tensor import AnyArray
from bpu_sim.engines.onnx.wire import block, float32, floats32, integer, integers, string

OPSET = 19
IR_VERSION = 10
HORIZON = "horizon"
PRODUCER = "openbpu"

ELEMENT_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}
"""ONNX's number of each element type, by its name in numpy."""
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7
_EXTERNAL = 1


@dataclass(frozen=True, slots=True)
class Ref:
    """An attribute that a function body takes from its call: its name there and its type."""

    name: str
    kind: int


Attr = int | float | str | Sequence[int] | Sequence[float] | Ref


@dataclass(slots=True)
class Emitter:
    """Nodes in the order they are added, with constants as initializers or as Constant nodes.

    Attributes:
        prefix: put before every name this emitter invents.
        inline: this is a function body: shared constants become Constant nodes, constants and
            attributes of one node become inputs and attributes of the call.
        nodes: serialized NodeProtos.
        initializers: serialized TensorProtos.
        externals: the arrays of the initializers whose data the loader must supply, by name.
        params: inputs the call must supply, by name in the body.
        attrs: attributes the call must carry.
    """

    prefix: str = ""
    inline: bool = False
    nodes: list[bytes] = field(default_factory=list)
    initializers: list[bytes] = field(default_factory=list)
    externals: dict[str, AnyArray] = field(default_factory=dict)
    count: int = 0
    params: dict[str, AnyArray] = field(default_factory=dict)
    attrs: dict[str, Attr] = field(default_factory=dict)
    shared: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def fresh(self) -> str:
        """A name nothing else has."""
        self.count += 1
        return f"{self.prefix}v{self.count}"

    def const(self, value: AnyArray | float | Sequence[int], dtype: str = "float32") -> str:
        """A constant; equal ones are stored once."""
        array = np.asarray(value, value.dtype if isinstance(value, np.ndarray) else dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.shared:
            name = self.fresh()
            self.shared[key] = name
            if self.inline:
                value_of = block(5, _attribute("value", _TENSOR, block(5, tensor(name, array))))
                self.nodes.append(block(2, name.encode()) + string(4, "Constant") + value_of)
            else:
                self.initializers.append(tensor(name, array))
        return self.shared[key]

    def param(self, hint: str, array: AnyArray) -> str:
        """A constant of this one node: an initializer; in function bodies an input of the call."""
        if not self.inline:
            return self.const(np.asarray(array))
        name = f"{hint}_{len(self.params)}"
        self.params[name] = np.asarray(array)
        return name

    def attr(self, name: str, value: Attr) -> Attr:
        """An attribute of this one node: its value; in function bodies a reference to the call."""
        if not self.inline:
            return value
        while self.attrs.get(name, value) != value:
            name += "_"
        self.attrs[name] = value
        return Ref(name, _kind(value))

    def initializer(self, name: str, array: AnyArray) -> str:
        """An initializer under a given name."""
        self.initializers.append(tensor(name, np.asarray(array)))
        return name

    def external(self, array: AnyArray, name: str = "") -> str:
        """An initializer whose data stays in `array`; the location only marks it as such."""
        name = name or self.fresh()
        self.externals[name] = array
        marked = block(13, string(1, "location") + string(2, "memory"))
        head = _tensor_head(array)
        self.initializers.append(head + string(8, name) + marked + integer(14, _EXTERNAL))
        return name

    def add(
        self, op_type: str, *inputs: str, out: str = "", domain: str = "", **attributes: Attr
    ) -> str:
        """One node with one output; returns the output's name."""
        name = out or self.fresh()
        self.call(op_type, inputs, name, name=name if out else "", domain=domain, attrs=attributes)
        return name

    def call(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        *,
        name: str = "",
        domain: str = "",
        attrs: Mapping[str, Attr] | None = None,
    ) -> None:
        """One node, with everything about it given."""
        parts = [string(1, each) for each in inputs]
        parts.append(string(2, output))
        if name:
            parts.append(string(3, name))
        parts.append(string(4, op_type))
        for key, value in (attrs or {}).items():
            parts.append(block(5, _encoded_attribute(key, value)))
        if domain:
            parts.append(string(7, domain))
        self.nodes.append(b"".join(parts))


def _encoded_attribute(name: str, value: Attr) -> bytes:
    if isinstance(value, Ref):
        return string(1, name) + integer(20, value.kind) + string(21, value.name)
    kind = _kind(value)
    if kind == _INT:
        return _attribute(name, kind, integer(3, int(value)))  # type: ignore[arg-type]
    if kind == _FLOAT:
        return _attribute(name, kind, float32(2, float(value)))  # type: ignore[arg-type]
    if isinstance(value, str):
        return _attribute(name, kind, string(4, value))
    assert isinstance(value, Sequence)
    if kind == _FLOATS:
        return _attribute(name, kind, floats32(7, [float(each) for each in value]))
    return _attribute(name, kind, integers(8, [int(each) for each in value]))


def _attribute(name: str, kind: int, value: bytes) -> bytes:
    return string(1, name) + value + integer(20, kind)


def _kind(value: Attr) -> int:
    """AttributeProto's type of a value; an empty list is one of integers."""
    if isinstance(value, str):
        return _STRING
    if isinstance(value, Sequence):
        return _FLOATS if any(isinstance(each, float) for each in value) else _INTS
    return _FLOAT if isinstance(value, float) else _INT


def tensor(name: str, array: AnyArray) -> bytes:
    """A serialized TensorProto."""
    return _tensor_head(array) + string(8, name) + block(9, array.tobytes())


def _tensor_head(array: AnyArray) -> bytes:
    dims = b"".join(integer(1, size) for size in array.shape)
    return dims + integer(2, ELEMENT_TYPES[array.dtype.name])


def cast(emitter: Emitter, x: str, dtype: str, out: str = "") -> str:
    """Cast to the element type numpy calls `dtype`."""
    return emitter.add("Cast", x, out=out, to=ELEMENT_TYPES[dtype])


def value_info(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """Serialized ValueInfoProto: type and shape of a graph's input, output or inner tensor."""
    dims = b"".join(block(1, integer(1, size)) for size in shape)
    kind = block(1, integer(1, ELEMENT_TYPES[dtype]) + block(2, dims))
    return string(1, name) + block(2, kind)


def function(domain: str, name: str, inputs: Sequence[str], output: str, body: Emitter) -> bytes:
    """Serialized FunctionProto: the body, as an operator with one output."""
    parts = [string(1, name)]
    parts += [string(4, each) for each in inputs]
    parts.append(string(5, output))
    parts += [string(6, each) for each in body.attrs]
    parts += [block(7, node) for node in body.nodes]
    return b"".join(parts) + block(9, opset("", OPSET)) + string(10, domain)


def opset(domain: str, version: int) -> bytes:
    """Serialized OperatorSetIdProto."""
    return string(1, domain) + integer(2, version)


def model_bytes(
    emitter: Emitter,
    name: str,
    edges: tuple[Sequence[bytes], Sequence[bytes]],
    functions: Sequence[bytes] = (),
    inner: Sequence[bytes] = (),
) -> bytes:
    """The serialized model; the same graph gives the same bytes.

    Args:
        edges: serialized ValueInfoProtos of the inputs and of the outputs.
        functions: serialized FunctionProtos of the domain `HORIZON`.
        inner: serialized ValueInfoProtos of tensors inside.
    """
    parts = [block(1, node) for node in emitter.nodes]
    parts.append(string(2, name))
    for key, items in ((5, emitter.initializers), (11, edges[0]), (12, edges[1]), (13, inner)):
        parts += [block(key, item) for item in items]
    opsets = [opset("", OPSET), *([opset(HORIZON, 1)] if functions else [])]
    model = [integer(1, IR_VERSION), string(2, PRODUCER), block(7, b"".join(parts))]
    model += [block(8, each) for each in opsets]
    model += [block(25, each) for each in functions]
    return b"".join(model)
