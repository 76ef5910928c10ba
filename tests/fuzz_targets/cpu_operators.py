"""CPU parts of one operator with odd shapes, attributes and extreme values, in their own process.

An input is a description in JSON: operator, attributes, and what each of its inputs is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from bpu_common import container
from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import InputError
from bpu_common.limits import MAX_RANK
from bpu_common.model import BpuModel
from bpu_common.stop import Stop
from bpu_common.tensor import AnyArray, DType
from bpu_sim.engines import OrtEngine
from tests.fuzz_targets.target import Harm, Target
from tests.hostile.changes import change_bytes, change_json
from tests.support.hostile_cpu import cpu_model
from tests.support.nets_engines import cpu_network, float_spec, onnx_op

_OPSET = 19
_RUN_S = 5.0
_NAMES = sorted(CPU_OPERATORS)
_DTYPES = ("float32", "int32", "int64", "uint8", "int8", "bool", "float16", "float64")
_ONNX_NAMES = {"float32": "float", "float64": "double"}
_FILLS = ("zero", "one", "minus", "least", "most", "nan", "inf", "small", "ramp", "noise")
_SHAPES = ([], [1], [2], [4], [1, 8], [3, 3], [1, 3, 8, 8], [1, 1, 1, 1], [2, 3, 4, 5], [1] * 8)
_MOST_ELEMENTS = 1 << 16


def values(dtype: str, shape: Sequence[int], fill: str) -> AnyArray:
    """An array of one extreme value, or of many."""
    kind = np.dtype(dtype)
    whole = kind.kind in "iu"
    info: Any = np.iinfo(kind) if whole else np.finfo(kind) if kind.kind == "f" else None
    extreme = {"least": info.min, "most": info.max} if info is not None else {}
    real = {"nan": np.nan, "inf": np.inf, "small": 1e-40} if kind.kind == "f" else {}
    plain = {"zero": 0, "one": 1, "minus": -1 if kind.kind != "u" else 1}
    table = {**plain, **extreme, **real}
    if fill in table:
        with np.errstate(over="ignore"):
            return np.full(shape, table[fill], kind)
    count = int(np.prod(shape))
    ramp = np.arange(count) % 7
    made = ramp if fill == "ramp" else np.random.default_rng(count).integers(-3, 9, count)
    return made.reshape(shape).astype(kind)


def drawn(source: random.Random) -> dict[str, Any]:
    """A description: an operator with inputs and attributes as its definition has them."""
    name = source.choice(_NAMES)
    schema = onnx.defs.get_schema(name, _OPSET)
    least, most = schema.min_input, schema.max_input
    count = source.randint(max(least, 1), max(min(most, least + 2), 1))
    shape = source.choice(_SHAPES)
    types: dict[str, str] = {}
    inputs = []
    for index in range(count):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)] if schema.inputs else None
        dtype = types.setdefault(formal.type_str if formal else "", _dtype(source, formal))
        same = source.random() < 0.7
        inputs.append({
            "shape": shape if same else source.choice(_SHAPES),
            "dtype": dtype,
            "fill": source.choice(_FILLS),
            "constant": index > 0 and source.random() < 0.5,
        })  # fmt: skip
    attributes = {}
    for key, known in schema.attributes.items():
        if known.required or source.random() < 0.3:
            attributes[key] = _attribute(source, int(known.type))  # type: ignore[call-overload]
    return {"op": name, "inputs": inputs, "attributes": attributes}


def _dtype(source: random.Random, formal: onnx.defs.OpSchema.FormalParameter | None) -> str:
    """One that the operator takes there."""
    known = formal.types if formal is not None else ()
    fit = [dtype for dtype in _DTYPES if f"tensor({_ONNX_NAMES.get(dtype, dtype)})" in known]
    return (
        "float32" if "float32" in fit and source.random() < 0.5 else source.choice(fit or _DTYPES)
    )


def _attribute(source: random.Random, kind: int) -> object:
    number = source.choice((0, 1, -1, 2, 3, 7, 255, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1))
    real = source.choice((0.0, 1.0, -1.0, 1e-38, 3e38, 0.5))
    kinds = onnx.AttributeProto
    if kind == kinds.INT:
        return number
    if kind == kinds.FLOAT:
        return real
    if kind == kinds.INTS:
        return [source.choice((number, 1, 2)) for _ in range(source.randint(1, 4))]
    if kind == kinds.FLOATS:
        return [real, 1.0]
    return source.choice(("linear", "NOTSET", "SAME_UPPER", "nearest", "constant", "ij,jk->ik", ""))


@cache
def seeds() -> Sequence[bytes]:
    """Descriptions of which each operator has some."""
    made = [drawn(random.Random(index)) for index in range(300)]
    return [json.dumps(each).encode() for each in made]


def change(source: random.Random, data: bytes) -> bytes:
    """Another description, new or with something changed."""
    if source.random() < 0.4:
        return json.dumps(drawn(source)).encode()
    try:
        loaded = json.loads(data)
    except ValueError:
        return change_bytes(source, data)
    loaded = change_json(source, loaded)
    return json.dumps(loaded).encode()


def model_of(described: Mapping[str, Any]) -> tuple[BpuModel, dict[str, AnyArray]]:
    """The model, and what it is run on.

    Raises:
        InputError: the description says nothing that could be built.
    """
    try:
        arrays = {
            f"x{index}": values(each["dtype"], each["shape"], each["fill"])
            for index, each in enumerate(described["inputs"][:8])
            if len(each["shape"]) <= MAX_RANK and _size(each["shape"]) <= _MOST_ELEMENTS
        }
        op = onnx_op(described["op"], list(arrays), ["y"], **described["attributes"])
        constants = {
            name: array
            for (name, array), each in zip(arrays.items(), described["inputs"], strict=False)
            if each["constant"]
        }
        given = {name: array for name, array in arrays.items() if name not in constants}
        specs = [float_spec(n, a.shape, DType(a.dtype.name)) for n, a in given.items()]
        network = cpu_network([op], [*specs, _result(op.node, arrays)], constants)
        return cpu_model("net", network), given
    except Exception as error:  # noqa: BLE001  whatever nonsense leads to in this file
        raise InputError(f"no description: {error}") from None


def _size(shape: Sequence[int]) -> int:
    return int(np.prod([max(int(size), 0) for size in shape], dtype=np.float64))


def _result(node: bytes, arrays: Mapping[str, AnyArray]) -> Any:
    """What ONNX infers that the operator gives; else something like its first input."""
    graph = helper.make_graph(
        [onnx.NodeProto.FromString(node)], "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
         for n, a in arrays.items()],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    first = next(iter(arrays.values()))
    shape, dtype = first.shape, first.dtype.name
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0]
        kind = inferred.type.tensor_type
        shape = tuple(each.dim_value or 1 for each in kind.shape.dim)
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except Exception:  # noqa: BLE001  what cannot be inferred is refused by the engine
        pass
    return float_spec("y", shape, DType(dtype))


def run(data: bytes, folder: Path) -> None:
    """As a board does: through the file, opened and run contained."""
    try:
        described = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("no description") from None
    model, given = model_of(described)
    [read] = container.loads(container.dump([model]))
    engine = OrtEngine(read.network, contained=True)
    spec = read.network.tensors["y"]
    result = engine.run(given, stop=Stop(_RUN_S))["y"]
    if result.shape != spec.shape or result.dtype != spec.dtype.numpy:
        raise Harm(f"cpu: {result.dtype} {result.shape} is not what the model declares")


TARGET = Target("cpu_operators", seeds, run, change, starts_processes=True, slow=True)
