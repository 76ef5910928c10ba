"""Similarities of the quantized ONNX with the float graph, and the distances themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common.errors import CompilerBug
from bpu_host.compiler import export, quantize
from bpu_host.compiler.quantize import similarity as similarity_module  # the function
from bpu_host.compiler.quantize.metrics import cosine, output_metrics
from tests.support.nets_quant import (
    Net,
    all_tensors,
    feature_input,
    image_input,
    lowered,
    max_thresholds,
    verdicts,
)
from tests.support.network_reference import run_network


def classifier(*, nhwc: bool = False) -> Net:
    net = Net(1, 12, 12, 3) if nhwc else Net(1, 3, 12, 12)
    x = net.node("Transpose", ["data"], perm=[0, 3, 1, 2]) if nhwc else "data"
    x = net.node("Relu", [net.conv(x, 3, 8, pads=[1, 1, 1, 1])])
    y = net.node("Add", [x, net.conv(x, 8, 8, pads=[1, 1, 1, 1])])
    joined = net.node("Concat", [y, x], axis=1)
    net.conv(joined, 16, 6, 1)
    return net


@pytest.mark.parametrize("nhwc", [False, True])
def test_every_node_with_a_float_twin_is_compared(nhwc: bool) -> None:
    net = classifier(nhwc=nhwc)
    model = net.model(net.nodes[-1].output[0])
    pixels = np.random.default_rng(0).integers(-128, 128, net.input_shape).astype(np.float32)
    sample = {"data": pixels}
    thresholds = max_thresholds(model, [sample])
    network = lowered(model, verdicts(model), thresholds, (image_input(12, 12),), "net")
    data = export.quantized_model(network)
    near = quantize.similarity(model, data, sample)
    found = near.cosines
    compared = {op.name for op in network.ops if not op.name.endswith("_TO_FUSE_SCALE")}
    assert compared <= set(found) | {op.name for op in network.ops if op.op_type == "HzQuantize"}
    assert min(found.values()) > 0.995
    # The same cosines as those of the exact interpreter.
    real = all_tensors(model, sample)
    codes = pixels if nhwc else pixels.transpose(0, 2, 3, 1)
    values = run_network(network, {"data": codes})
    for op in network.ops:
        if op.name in found and not network.tensors[op.y].scale.is_per_channel:
            name = op.y.removesuffix("_quantized")
            if op.y in values and name in real and values[op.y].ndim == 3:
                expected = cosine(real[name], values[op.y].transpose(2, 0, 1))
                assert found[op.name] == pytest.approx(expected, abs=1e-9)
    [metrics] = near.outputs.values()
    assert metrics.cosine > 0.995
    assert 0 < metrics.l2 < metrics.l1 < metrics.chebyshev


def test_featuremap_input_and_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    net = classifier()
    model = net.model(net.nodes[-1].output[0])
    sample = {"data": np.random.default_rng(0).normal(size=(1, 3, 12, 12)).astype(np.float32)}
    thresholds = max_thresholds(model, [sample])
    inputs = (feature_input(1, 3, 12, 12),)
    data = export.quantized_model(lowered(model, verdicts(model), thresholds, inputs, "net"))
    whole = quantize.similarity(model, data, sample)
    module = __import__(similarity_module.__module__, fromlist=["x"])
    monkeypatch.setattr(module, "_STAGE_BYTES", 3000)
    parted = quantize.similarity(model, data, sample)
    assert parted.cosines == pytest.approx(whole.cosines)
    assert list(parted.outputs) == list(whole.outputs)


def test_model_that_cannot_run() -> None:
    net = classifier()
    model = net.model(net.nodes[-1].output[0])
    sample = {"data": np.zeros((1, 3, 12, 12), np.float32)}
    thresholds = max_thresholds(model, [sample])
    network = lowered(model, verdicts(model), thresholds, (image_input(12, 12),), "net")
    data = export.quantized_model(network)
    with pytest.raises(CompilerBug, match="cannot be run"):
        quantize.similarity(model, data, {"data": np.zeros((1, 3, 5, 5), np.float32)})


@given(st.integers(0, 1000), st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_distances(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=size), random.normal(size=size)
    found = output_metrics(a, b)
    d = np.abs(a - b)
    assert found.l1 == pytest.approx(d.sum() / size)
    assert found.l2 == pytest.approx(math.sqrt((d**2).sum()) / size)
    assert found.chebyshev == pytest.approx(d.max())
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)


def test_cosine_of_special_arrays() -> None:
    zero, one = np.zeros(4), np.ones(4)
    assert cosine(zero, zero) == 1.0
    assert cosine(zero, one) == 0.0
    assert cosine(one, -one) == -1.0
    assert cosine(one, 1e-30 * one) == pytest.approx(1.0)
    assert math.isnan(cosine(one, np.ones(5)))
    assert math.isnan(cosine(one, np.full(4, np.nan)))
