"""ONNX's own node tests: a model of one operator each, with inputs and the outputs it must give.

They are tried as they are, and beside a Conv, so that something of each runs on the BPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container
from bpu_common.errors import BpuError, CompilerBug
from bpu_common.frame import as_frame_inputs
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_host.compiler.frontend import read
from tests.support.nets_front import Array, run

FOLDER = Path("/usr/share/libonnx-testdata/data/node")
RIGHT, REFUSED, WRONG, FAULT = "right", "refused", "wrong", "fault"
_PREFIX = "beside_"
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
_BFLOAT16 = 2**-7
"""Relative difference between cutting digits off, as the tests do, and rounding."""


@dataclass(frozen=True)
class NodeTest:
    """A test: tensors are arrays, anything else (sequences, optionals, text) is None."""

    name: str
    model: onnx.ModelProto
    inputs: tuple[Array | None, ...]
    outputs: tuple[Array | None, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a model: RIGHT, REFUSED (a sentence of ours), WRONG or FAULT."""

    name: str
    kind: str
    detail: str = ""


def names() -> list[str]:
    """The tests, sorted."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "model.onnx").exists())


def load(name: str) -> NodeTest:
    """A test from its folder."""
    folder = FOLDER / name
    model = onnx.load(folder / "model.onnx")
    data = folder / "test_data_set_0"
    inputs = _arrays(data, "input", list(model.graph.input))
    return NodeTest(name, model, inputs, _arrays(data, "output", list(model.graph.output)))


def _arrays(
    folder: Path, kind: str, values: Sequence[onnx.ValueInfoProto]
) -> tuple[Array | None, ...]:
    found: list[Array | None] = []
    for index, value in enumerate(values):
        tensor = TensorProto()
        path = folder / f"{kind}_{index}.pb"
        if not value.type.HasField("tensor_type") or not path.exists():
            found.append(None)
            continue
        tensor.ParseFromString(path.read_bytes())
        if tensor.data_type == TensorProto.STRING:
            found.append(None)
            continue
        array = numpy_helper.to_array(tensor)
        halves = value.type.tensor_type.elem_type == TensorProto.BFLOAT16
        found.append(_widened(array) if halves and array.dtype == np.uint16 else array)
    return tuple(found)


def _widened(halves: Array) -> Array:
    """bfloat16 as ml_dtypes has it, from its bits."""
    return halves.view(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))


def beside_a_conv(test: NodeTest, alone: bool = False) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model with a Conv of its own input beside it, and its feeds.

    Float inputs (with `alone` only the first) get a batch of 1 in front of their shape; the others
    become constants. Where none is float the first input is cast from one. What is no tensor stays
    as it is.
    """
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    graph = model.graph
    arriving = _arriving(test.inputs, alone)
    feeds: dict[str, Array] = {}
    front: list[onnx.NodeProto] = []
    kept: list[onnx.ValueInfoProto] = []
    for index, (value, array) in enumerate(zip(test.model.graph.input, test.inputs, strict=True)):
        if array is None:
            kept.append(value)
        elif index not in arriving:
            graph.initializer.append(numpy_helper.from_array(array, value.name))
        else:
            name = _PREFIX + value.name
            feeds[name] = array.astype(np.float32).reshape(1, *array.shape)
            front += _arrival(graph, name, value, array)
            kept.append(_tensor(name, feeds[name].shape))
    del graph.input[:]
    graph.input.extend([*kept, _tensor(f"{_PREFIX}map", (1, 3, 8, 8))])
    feeds[f"{_PREFIX}map"] = np.random.default_rng(0).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    nodes = [*front, *graph.node, _side_branch(graph)]
    held = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(held)
    graph.output.append(_tensor(f"{_PREFIX}out", (1, 4, 8, 8)))
    return model, feeds


def _arriving(inputs: Sequence[Array | None], alone: bool) -> list[int]:
    """Which inputs are computed from inputs of the new model."""
    tensors = [index for index, array in enumerate(inputs) if array is not None]
    floats = [index for index in tensors if _is_float(inputs[index])]
    return floats[:1] if alone else (floats or tensors[:1])


def _is_float(array: Array | None) -> bool:
    return array is not None and array.dtype == np.float32


def _tensor(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _arrival(
    graph: onnx.GraphProto, name: str, value: onnx.ValueInfoProto, array: Array
) -> list[onnx.NodeProto]:
    """The input without its batch, in the type the test wants."""
    shape = numpy_helper.from_array(np.array(array.shape, np.int64), f"{name}_shape")
    graph.initializer.append(shape)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    nodes = [helper.make_node("Reshape", [name, f"{name}_shape"], [f"{name}_flat"])]
    nodes.append(helper.make_node("Cast", [f"{name}_flat"], [value.name], to=kind))
    if _is_float(array):
        nodes[0].output[0] = value.name
        return nodes[:1]
    return nodes


def _side_branch(graph: onnx.GraphProto) -> onnx.NodeProto:
    weights = np.random.default_rng(1).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, f"{_PREFIX}weights"))
    names = [f"{_PREFIX}map", f"{_PREFIX}weights"]
    return helper.make_node(
        "Conv", names, [f"{_PREFIX}out"], f"{_PREFIX}conv", pads=[1] * 4, kernel_shape=[3, 3]
    )


def try_alone(name: str) -> Outcome:
    """Convert a test as it is."""
    test = load(name)
    inputs = [value.name for value in test.model.graph.input]
    feeds = {n: a for n, a in zip(inputs, test.inputs, strict=True) if a is not None}
    return _attempt(test, test.model, feeds)


def try_beside(name: str) -> Outcome:
    """Convert a test beside a Conv; what says the shapes must be constant in a second attempt."""
    test = load(name)
    outcome = _attempt(test, *beside_a_conv(test))
    return _attempt(test, *beside_a_conv(test, alone=True)) if outcome.kind == REFUSED else outcome


def _attempt(test: NodeTest, model: onnx.ModelProto, feeds: dict[str, Array]) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = _convert_and_run(Path(folder), model, feeds)
        except CompilerBug as error:
            return Outcome(test.name, FAULT, f"{error.where}: {error.message}")
        except BpuError as error:
            return Outcome(test.name, REFUSED, f"{error.where}: {error.message} [{error.hint}]")
        except Exception as error:  # noqa: BLE001 whatever it is, it is the fault of the compiler
            return Outcome(test.name, FAULT, f"{type(error).__name__}: {error}")
    problem = _compare(test, model, feeds, made)
    return Outcome(test.name, WRONG if problem else RIGHT, problem)


def _convert_and_run(
    folder: Path, model: onnx.ModelProto, feeds: dict[str, Array]
) -> dict[str, Array]:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    config = CompileConfig(
        path,
        "net",
        folder / "out",
        (),
        calibration_method=CalibrationMethod.MAX,
        optimize_level="O0",
    )
    source = read(config)
    kind, layout = InputType.FEATUREMAP, Layout.NCHW
    inputs = tuple(InputConfig(name, (), kind, layout, kind, layout) for name, *_ in source.inputs)
    config = replace(config, inputs=inputs)
    compile_model(config, source=source, measure=False)
    (board,) = container.loads((folder / "out" / "net.bin").read_bytes())
    read_by_board = {item.tensor.name for item in board.inputs}
    arrays = {key: array for key, array in feeds.items() if key in read_by_board}
    made = ModelNumbers(board, 1, cache=folder).outputs(as_frame_inputs(arrays))
    return {key: np.asarray(array) for key, array in made.items()}


def _compare(
    test: NodeTest, model: onnx.ModelProto, feeds: dict[str, Array], made: dict[str, Array]
) -> str:
    """What is wrong with the outputs; empty if they are those of the test or of onnxruntime."""
    wanted = {
        value.name: array
        for value, array in zip(test.model.graph.output, test.outputs, strict=True)
        if array is not None
    }
    problem = _difference(wanted, made)
    if not problem:
        return ""
    try:
        other = dict(zip([v.name for v in model.graph.output], run(model, feeds), strict=True))
    except Exception:  # noqa: BLE001 then the expected outputs alone decide
        return problem
    return _difference({key: other[key] for key in wanted}, made)


def _difference(wanted: dict[str, Array], made: dict[str, Array]) -> str:
    """The first difference, as a sentence; a board gives a scalar as an array of one element."""
    for name, array in wanted.items():
        if name not in made:
            return f"output {name} is missing"
        if made[name].shape != array.shape and (array.shape or made[name].shape != (1,)):
            return f"output {name} has shape {made[name].shape} instead of {array.shape}"
        a, b = np.asarray(made[name], np.float64), np.asarray(array, np.float64)
        relative = _BFLOAT16 if array.dtype.name == "bfloat16" else _RELATIVE
        if not np.allclose(a, b, rtol=relative, atol=_ABSOLUTE, equal_nan=True):
            return f"output {name} is off by {np.nanmax(np.abs(a - b))}"
    return ""
