"""Degenerate but legal graphs: the `.bin` gives what onnxruntime gives on the file as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bpu_common.errors import ModelUnsupported
from tests.support.convert_net import convert
from tests.support.graphs_typed import Graph, cast, node

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Form = Callable[[Graph], onnx.ModelProto]


def through(g: Graph, *nodes: onnx.NodeProto, **more: int) -> onnx.ModelProto:
    """The nodes lead from a to r."""
    return g.model([g.first, *nodes, g.last], {"y": FLOAT, **more})


def beside(g: Graph, *nodes: onnx.NodeProto, **outputs: int) -> onnx.ModelProto:
    return g.model([g.first, *nodes], outputs)


def empty_slice(g: Graph) -> onnx.NodeProto:
    for name, value in (("from", 0), ("to", 0), ("axis", 1)):
        g.constant(name, np.array([value]))
    return node("Slice", "a from to axis", "none")


def clip(low: float, high: float) -> Form:
    def form(g: Graph) -> onnx.ModelProto:
        for name, value in (("low", low), ("high", high)):
            g.constant(name, np.asarray(value, np.float32))
        return through(g, node("Clip", "a low high", "r"))

    return form


def split_with_nothing(g: Graph) -> onnx.ModelProto:
    g.constant("sizes", np.array([0, 4]))
    nodes = [node("Split", "a sizes", "none all", axis=1), node("Concat", "none all", "r", axis=1)]
    return through(g, *nodes)


def training_without_ratio(g: Graph) -> onnx.ModelProto:
    g.constant("ratio", np.asarray(0, np.float32))
    g.constant("training", np.asarray(True))
    return through(g, node("Dropout", "a ratio training", "r mask"), mask=BOOL)


def mask_is_used(g: Graph) -> onnx.ModelProto:
    nodes = [node("Dropout", "a", "b mask"), cast("mask", "f"), node("Mul", "b f", "r")]
    return through(g, *nodes)


def recurrent_states(g: Graph) -> onnx.ModelProto:
    g.feed("h", g.normal(2, 1, 6))
    g.feed("c", g.normal(2, 1, 6))
    g.constant("rows", np.array([100, 1, 4]))
    g.constant("w", g.normal(2, 24, 4))
    g.constant("v", g.normal(2, 24, 6))
    lstm = node("LSTM", "q w v - - h c", "o hn cn", hidden_size=6, direction="bidirectional")
    return beside(g, node("Reshape", "a rows", "q"), lstm, o=FLOAT, hn=FLOAT, cn=FLOAT)


def list_of_indices(g: Graph) -> onnx.ModelProto:
    g.feed("i", np.array([3, 0, 2]))
    return beside(g, node("Gather", "a i", "b", axis=1), b=FLOAT)


def one_index(g: Graph) -> onnx.ModelProto:
    g.feed("i", np.array(2))
    return beside(g, node("Gather", "a i", "b", axis=1), b=FLOAT)


def mask_input(g: Graph) -> onnx.ModelProto:
    g.feed("m", g.random.random((1, 1, 10, 10)) > 0.5)
    g.constant("zero", np.asarray(0, np.float32))
    return through(g, node("Where", "m a zero", "r"))


def text_constant(g: Graph) -> onnx.ModelProto:
    g.constant("t", np.array(["1.5"], dtype=object))
    return through(g, cast("t", "f"), node("Add", "a f", "r"))


def two_names(g: Graph) -> onnx.ModelProto:
    nodes = [node("Identity", "a", "b"), node("Identity", "a", "c")]
    return beside(g, *nodes, b=FLOAT, c=FLOAT, a=FLOAT)


def output_twice(g: Graph) -> onnx.ModelProto:
    model = beside(g, node("Relu", "a", "b"), b=FLOAT)
    model.graph.output.append(model.graph.output[0])
    return model


def constant_node(g: Graph) -> onnx.ModelProto:
    value = helper.make_tensor("v", FLOAT, [2], [1.0, 2.0])
    return beside(g, node("Constant", "", "k", value=value), k=FLOAT, a=FLOAT)


def folded_output(g: Graph) -> onnx.ModelProto:
    return beside(g, node("Add", "a_w a_w", "k"), k=FLOAT, a=FLOAT)


def out_of_order(g: Graph) -> onnx.ModelProto:
    return g.model([g.last, node("Relu", "b", "r"), node("Neg", "a", "b"), g.first], {"y": FLOAT})


def written_domain(g: Graph) -> onnx.ModelProto:
    model = through(g, node("Relu", "a", "r", domain="ai.onnx"))
    model.opset_import[0].domain = "ai.onnx"
    return model


def nameless(g: Graph) -> onnx.ModelProto:
    model = through(g, node("Relu", "a", "r"))
    model.graph.name = ""
    for each in model.graph.node:
        each.name = ""
    return model


def wrong_shapes(g: Graph) -> onnx.ModelProto:
    """What is stored about inner tensors and outputs belongs to another size of the input."""
    model = through(g, node("Relu", "a", "r"))
    for value, where in (("y", model.graph.output), ("r", model.graph.value_info)):
        found = [each for each in where if each.name == value]
        target = found[0] if found else where.add()
        target.CopyFrom(helper.make_tensor_value_info(value, FLOAT, [1, 4, 5, 5]))
    return model


def dead_nodes(g: Graph) -> onnx.ModelProto:
    nodes = [node("Relu", "a", "r"), node("Exp", "a", "unseen"), node("Neg", "unseen", "unseen2")]
    return through(g, *nodes)


def double_sum(g: Graph) -> onnx.ModelProto:
    nodes = [cast("a", "d", TensorProto.DOUBLE), node("Sum", "d d", "s"), cast("s", "r")]
    return through(g, *nodes)


def double_rows(g: Graph) -> onnx.ModelProto:
    """Gemm and BatchNormalization in double stay on the CPU."""
    g.constant("row", np.array([1, 400]))
    g.constant("w", g.random.random((400, 4)))
    for name in ("scale", "bias", "mean", "variance"):
        g.constant(name, g.random.random(4) + 0.5)
    nodes = [
        cast("a", "d", TensorProto.DOUBLE),
        node("BatchNormalization", "d scale bias mean variance", "n"),
        node("ReduceMean", "n", "m", axes=[2, 3]),
        node("Reshape", "n row", "f"),
        node("Gemm", "f w", "z"),
    ]
    return beside(g, *nodes, z=TensorProto.DOUBLE, m=TensorProto.DOUBLE)


def half_network(g: Graph) -> onnx.ModelProto:
    """All of it in float16, as converters of float16 leave it."""
    for name in ("a_w", "y_w"):
        g.constant(name, g.constants[name].astype(np.float16))
    nodes = [cast("x", "h", TensorProto.FLOAT16), g.first, node("Relu", "a", "r"), g.last]
    g.first.input[0] = "h"
    return g.model(nodes, {"y": TensorProto.FLOAT16})


def resized(scale: float, mode: str) -> Form:
    """Of 10 pixels, of which float32 and float64 make different numbers."""

    def form(g: Graph) -> onnx.ModelProto:
        g.constant("scales", np.array([1, 1, scale, scale], np.float32))
        return through(g, node("Resize", "a - scales", "r", mode=mode))

    return form


FORMS: dict[str, Form] = {
    "equal bounds": clip(2, 2),
    "bounds of zero": clip(0, 0),
    "reversed bounds": clip(3, 1),
    "reversed negative bounds": clip(-1, -2),
    "bounds without a number": clip(float("nan"), 1),
    "empty slice joined": lambda g: through(
        g, empty_slice(g), node("Concat", "none a", "r", axis=1)
    ),
    "empty slice summed": lambda g: through(
        g, empty_slice(g), node("ReduceSum", "none", "s"), node("Add", "a s", "r")
    ),
    "empty constant joined": lambda g: through(
        g,
        node(
            "Concat", f"{g.constant('none', np.zeros((1, 0, 10, 10), np.float32))} a", "r", axis=1
        ),
    ),
    "split with nothing": split_with_nothing,
    "dropout's mask as output": lambda g: through(g, node("Dropout", "a", "r mask"), mask=BOOL),
    "dropout's mask used": mask_is_used,
    "dropout in training": training_without_ratio,
    "states of an LSTM": recurrent_states,
    "a list of indices": list_of_indices,
    "an index": one_index,
    "a mask": mask_input,
    "text that becomes a number": text_constant,
    "one result under three names": two_names,
    "a Constant as output": constant_node,
    "a folded output": folded_output,
    "a shape as output": lambda g: beside(g, node("Shape", "a", "s"), s=INT64, a=FLOAT),
    "nodes out of order": out_of_order,
    "domain ai.onnx": written_domain,
    "without names": nameless,
    "wrong stored shapes": wrong_shapes,
    "dead nodes": dead_nodes,
    "a sum in double": double_sum,
    "rows in double": double_rows,
    "float16 throughout": half_network,
    "resized by 2.3": resized(2.3, "linear"),
    "resized by 0.7": resized(0.7, "nearest"),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(name: str, tmp_path: Path) -> None:
    g = Graph()
    model = FORMS[name](g)
    done = convert(tmp_path, model, samples=[g.sample], measure=True)
    for real, array in zip(done.reals, done.run(), strict=True):
        assert (array.dtype, array.shape) == (real.dtype, real.shape)
    assert done.sqnr_db() > 20


def test_an_output_that_is_listed_twice_is_there_once(tmp_path: Path) -> None:
    g = Graph()
    done = convert(tmp_path, output_twice(g), samples=[g.sample])
    (array,) = done.run()
    assert array.shape == done.reals[0].shape == done.reals[1].shape


def test_an_output_that_is_an_input_has_a_name_of_its_own(tmp_path: Path) -> None:
    g = Graph()
    done = convert(tmp_path, beside(g, a=FLOAT, x=FLOAT), samples=[g.sample])
    assert [spec.name for spec in done.compiled.model.outputs] == ["a", "x_output"]


def test_random_dropout_is_refused(tmp_path: Path) -> None:
    """A ratio in training mode is no inference."""
    g = Graph()
    g.constant("ratio", np.asarray(0.5, np.float32))
    g.constant("training", np.asarray(True))
    model = through(g, node("Dropout", "a ratio training", "r"))
    with pytest.raises(ModelUnsupported, match="drops values at random"):
        convert(tmp_path, model, samples=[g.sample])


@pytest.mark.parametrize("listed", [True, False])
def test_an_input_that_no_node_reads(listed: bool, tmp_path: Path) -> None:
    g = Graph()
    g.feed("unread", np.zeros((2, 3), np.int64))
    model = beside(g, a=FLOAT)
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "n"
    sample = {name: array for name, array in g.sample.items() if listed or name == "x"}
    done = convert(tmp_path, model, samples=[sample], reference=beside(Graph(), a=FLOAT))
    assert [item.tensor.name for item in done.compiled.model.inputs] == ["x"]
