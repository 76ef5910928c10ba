"""`output_nodes` at nodes and tensors of every kind; the oracle is the file cut at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bpu_common.errors import ModelUnsupported
from tests.support.convert_net import convert
from tests.support.graphs_typed import Graph, cast, node
from tests.support.nets_quant import sqnr_db

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
MADE = {
    "labels": {"l": INT64},
    "best": {"v": FLOAT, "i": INT64},
    "above": {"t": BOOL},
    "norm": {"n": FLOAT},
    "limit": {"k": FLOAT},
    "conv_y": {"y": FLOAT},
}
"""Outputs of each node by its name."""


def head(outputs: dict[str, int]) -> tuple[Graph, onnx.ModelProto]:
    """A normalization that is folded, a segmentation with ArgMax, TopK and a comparison."""
    g = Graph()
    for name in ("scale", "bias", "mean", "variance"):
        g.constant(name, g.random.random(4).astype(np.float32) + 0.5)
    g.constant("two", np.array([2]))
    value = helper.make_tensor("v", FLOAT, [1], [0.5])
    nodes = [
        g.first,
        node("BatchNormalization", "a scale bias mean variance", "n", name="norm"),
        node("Relu", "n", "r"),
        g.last,
        node("Constant", "", "k", value=value, name="limit"),
        node("ArgMax", "y", "l", axis=1, name="labels"),
        node("TopK", "y two", "v i", axis=1, name="best"),
        node("Greater", "y k", "t", name="above"),
        cast("l", "f"),
    ]
    return g, g.model(nodes, outputs)


@pytest.mark.parametrize(
    "names",
    [
        ("labels",),
        ("best",),
        ("above",),
        ("norm",),
        ("conv_y", "labels"),
        ("labels", "best", "above", "norm", "limit"),
    ],
)
def test_nodes(names: tuple[str, ...], tmp_path: Path) -> None:
    made = {tensor: kind for name in names for tensor, kind in MADE[name].items()}
    g, model = head({"f": FLOAT})
    _, cut = head(made)
    done = convert(tmp_path, model, samples=[g.sample], reference=cut, output_nodes=names)
    outputs = done.run()
    assert [spec.name for spec in done.compiled.model.outputs] == list(made)
    for (tensor, kind), real, array in zip(made.items(), done.reals, outputs, strict=True):
        assert (array.dtype, array.shape) == (real.dtype, real.shape)
        if kind == FLOAT:
            assert sqnr_db(real, array) > 20, tensor
        else:  # near a tie one int8 step decides otherwise
            assert np.mean(real == array) > 0.85, tensor


def test_tensors_have_names_as_well(tmp_path: Path) -> None:
    g, model = head({"f": FLOAT})
    _, cut = head({"i": INT64})
    done = convert(tmp_path, model, samples=[g.sample], reference=cut, output_nodes=("i",))
    (array,) = done.run()
    assert array.shape == done.reals[0].shape
    assert np.mean(array == done.reals[0]) > 0.85


def test_unknown_names_get_near_ones_and_the_place(tmp_path: Path) -> None:
    g, model = head({"f": FLOAT})
    place = {"model_parameters.output_nodes": "net.yaml:7:17"}
    with pytest.raises(ModelUnsupported, match="output_nodes names 'label'") as caught:
        convert(tmp_path, model, samples=[g.sample], output_nodes=("label",), locations=place)
    assert caught.value.where == "net.yaml:7:17"
    assert "labels" in caught.value.hint


def test_constants_alone_are_no_network(tmp_path: Path) -> None:
    g, model = head({"f": FLOAT})
    with pytest.raises(ModelUnsupported, match="the outputs depend on no input"):
        convert(tmp_path, model, samples=[g.sample], output_nodes=("limit",))
