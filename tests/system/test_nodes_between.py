"""ONNX's node tests of one map, between two convolutions, so that the BPU may compute them.

Oracle: onnxruntime on the same file. Nothing is further off than int8 codes explain, and nothing
is a fault.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bpu_common.errors import BpuError, CompilerBug
from tests.support import node_tests
from tests.support.convert_net import convert
from tests.support.nets_front import Array, run
from tests.support.node_tests import FAULT, REFUSED, RIGHT, WRONG, NodeTest, Outcome

pytestmark = pytest.mark.system

LEAST_RIGHT = 120
_SHARE = 0.03
"""Of the range of a result, as its greatest error."""
_NOT_APPLICABLE = ""


def between(test: NodeTest) -> tuple[onnx.ModelProto, Array] | None:
    """The first output behind a convolution of the map, and before another if it is a map too."""
    arrays = [array for array in test.inputs if array is not None]
    if not arrays or len(arrays) < len(test.inputs) or arrays[0].ndim != 4:
        return None
    sample, random = arrays[0][:1], np.random.default_rng(1)
    if sample.dtype != np.float32:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    graph = model.graph
    for value, array in list(zip(graph.input, arrays, strict=True))[1:]:
        graph.initializer.append(numpy_helper.from_array(array, value.name))

    def conv(x: str, y: str, weights: Array, name: str) -> onnx.NodeProto:
        tensor = numpy_helper.from_array(weights[..., None, None].astype(np.float32), f"{name}_w")
        graph.initializer.append(tensor)
        return helper.make_node("Conv", [x, tensor.name], [y], name, kernel_shape=[1, 1])

    channels = sample.shape[1]
    mixing = np.eye(channels) + random.normal(0, 0.1, (channels, channels))
    nodes = [
        conv("between_x", graph.input[0].name, mixing, "between_first"),
        *test.model.graph.node,
    ]
    wanted, output = test.outputs[0], test.model.graph.output[0]
    outcome = (output.name, output.type.tensor_type.elem_type)
    if wanted is not None and wanted.dtype == np.float32 and wanted.ndim == 4:
        weights = random.normal(0, 0.5, (3, wanted.shape[1]))
        nodes.append(conv(output.name, "between_y", weights, "between_last"))
        outcome = ("between_y", TensorProto.FLOAT)
    for field in (graph.node, graph.input, graph.output):
        del field[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("between_x", TensorProto.FLOAT, sample.shape))
    graph.output.append(helper.make_tensor_value_info(*outcome, None))
    return model, sample


def attempt(name: str) -> Outcome:
    """Convert a test between convolutions and compare; no kind if it is none of one map."""
    found = between(node_tests.load(name))
    if found is None:
        return Outcome(name, _NOT_APPLICABLE)
    model, sample = found
    try:
        (real,) = run(model, {"between_x": sample})
    except Exception:  # noqa: BLE001 - cut to one sample it is no test any more
        return Outcome(name, _NOT_APPLICABLE)
    with tempfile.TemporaryDirectory() as folder:
        try:
            (made,) = convert(Path(folder), model, samples=[{"between_x": sample}]).run()
        except CompilerBug as error:
            return Outcome(name, FAULT, f"{error.where}: {error.message}")
        except BpuError as error:
            return Outcome(name, REFUSED, f"{error.where}: {error.message}")
    if made.shape != real.shape:
        return Outcome(name, WRONG, f"shape {made.shape} instead of {real.shape}")
    finite = real[np.isfinite(real)].astype(np.float64)
    error = np.nanmax(np.abs(made.astype(np.float64) - real)) / (np.ptp(finite) or 1.0)
    return Outcome(name, RIGHT if error < _SHARE else WRONG, f"off by {error:.3f} of its range")


def test_between_convolutions() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        outcomes = list(pool.map(attempt, node_tests.names(), chunksize=8))
    bad = [f"{each.name}: {each.detail}" for each in outcomes if each.kind in (WRONG, FAULT)]
    assert bad == []
    assert sum(each.kind == RIGHT for each in outcomes) >= LEAST_RIGHT
