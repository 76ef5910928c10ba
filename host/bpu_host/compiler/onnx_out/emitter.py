"""Building ONNX graphs and function bodies: nodes, constants, names. No arithmetic here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bpu_common.tensor import AnyArray

OPSET = 19
IR_VERSION = 10
HORIZON = "horizon"
PRODUCER = "openbpu"


@dataclass(frozen=True, slots=True)
class Ref:
    """An attribute that a function body takes from its call: name and onnx AttributeProto type."""

    name: str
    kind: int


INTS = onnx.AttributeProto.INTS
INT = onnx.AttributeProto.INT
FLOAT = onnx.AttributeProto.FLOAT
_REF_KINDS: dict[type, int] = {int: INT, float: FLOAT, list: INTS, tuple: INTS}
Attr = int | float | str | Sequence[int] | Sequence[float] | Ref


@dataclass(slots=True)
class Emitter:
    """Nodes in the order they are added, with constants as initializers or as Constant nodes.

    Attributes:
        prefix: put before every name this emitter invents.
        inline: this is a function body: shared constants become Constant nodes, constants and
            attributes of one node become inputs and attributes of the call.
        params: inputs the call must supply, by name in the body.
        attrs: attributes the call must carry.
    """

    prefix: str = ""
    inline: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
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
                tensor = numpy_helper.from_array(array, name)
                self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
            else:
                self.initializers.append(numpy_helper.from_array(array, name))
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
        return Ref(name, _REF_KINDS[type(value)])

    def initializer(self, name: str, array: AnyArray) -> str:
        """An initializer under a given name."""
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def external(self, name: str, dtype: int, shape: Sequence[int]) -> str:
        """An initializer whose data the loader supplies; the location only marks it."""
        tensor = onnx.TensorProto(
            name=name, data_type=dtype, dims=shape, data_location=onnx.TensorProto.EXTERNAL
        )
        tensor.external_data.add(key="location", value="weights")
        self.initializers.append(tensor)
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
        node = helper.make_node(op_type, inputs, [output], name=name, domain=domain)
        for key, value in (attrs or {}).items():
            if isinstance(value, Ref):
                reference = onnx.AttributeProto(name=key, ref_attr_name=value.name)
                reference.type = value.kind  # type: ignore[assignment]
                node.attribute.append(reference)
            else:
                node.attribute.append(helper.make_attribute(key, value, attr_type=_kind(value)))
        self.nodes.append(node)


def _kind(value: Attr) -> int | None:
    """Attribute type of values whose own does not tell it (an empty list)."""
    return (
        INTS if isinstance(value, Sequence) and not isinstance(value, str) and not value else None
    )


def cast(emitter: Emitter, x: str, dtype: str, out: str = "") -> str:
    """Cast to the element type numpy calls `dtype`."""
    to = int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    return emitter.add("Cast", x, out=out, to=to)


def value_info(name: str, dtype: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """Type and shape of a graph input or output."""
    elem = int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    return helper.make_tensor_value_info(name, elem, list(shape))


def model_bytes(
    emitter: Emitter,
    name: str,
    edges: tuple[Sequence[onnx.ValueInfoProto], Sequence[onnx.ValueInfoProto]],
    functions: Sequence[onnx.FunctionProto] = (),
    inner: Sequence[onnx.ValueInfoProto] = (),
) -> bytes:
    """The serialized model; the same graph gives the same bytes."""
    graph = helper.make_graph(
        emitter.nodes, name, edges[0], edges[1], emitter.initializers, value_info=inner
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if functions:
        opsets.append(helper.make_opsetid(HORIZON, 1))
    model = helper.make_model(
        graph,
        functions=functions,
        opset_imports=opsets,
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )
    return bytes(model.SerializeToString(deterministic=True))
