"""The optimized graph computes what the original computes, in the promised form."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bpu_common.errors import CompilerBug, ModelUnsupported
from bpu_host.compiler import passes
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.passes.context import PassContext
from bpu_host.compiler.passes.pipeline import run_passes
from tests.support.nets_front import Net, classifier, run


def optimized(model: onnx.ModelProto) -> tuple[Counter[str], ir.Model]:
    """Operators after optimization; the outputs must not have changed."""
    before = prepare(model, "net.onnx", {})
    feeds = {
        value.name or "": np.random.default_rng(1)
        .normal(0, 2, tuple(int(size) for size in value.shape or ()))
        .astype(np.float32)
        for value in before.graph.inputs
    }
    expected = run(ir.to_proto(before), feeds)
    names = [value.name for value in before.graph.outputs]
    passes.optimize(before)
    found = run(ir.to_proto(before), feeds)
    assert [value.name for value in before.graph.outputs] == names
    for a, b in zip(expected, found, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for node in before.graph:
        if node.op_type in ("Conv", "ConvTranspose"):
            assert len(node.inputs) == 3, f"{node.name} has no bias"
    return Counter(node.op_type for node in before.graph), before


def test_classifier() -> None:
    counts, model = optimized(classifier())
    assert counts == Counter(Conv=4, Relu=2, Add=1, MaxPool=1, GlobalAveragePool=1, Reshape=1)
    names = [node.name for node in model.graph]
    assert "fc" in names
    assert names[-1] == "fc_reshape_output"


def test_padding_chain_of_torch_folds_into_the_conv() -> None:
    """ConstantOfShape, Concat, Reshape, Slice, Transpose, Cast, Pad: static 'same' padding."""
    net = Net([1, 3, 9, 9])
    pads = net.constant(np.array([0, 1, 0, 1], np.int64))
    value = onnx.helper.make_tensor("v", onnx.TensorProto.INT64, [1], [0])
    zeros = net.add("ConstantOfShape", net.constant(np.array([4], np.int64)), value=value)
    rows = net.add("Concat", pads, zeros, axis=0)
    pairs = net.add("Reshape", rows, net.constant(np.array([-1, 2], np.int64)))
    turned = net.add(
        "Slice",
        pairs,
        net.constant(np.array([-1], np.int64)),
        net.constant(np.array([-(2**62)], np.int64)),
        net.constant(np.array([0], np.int64)),
        net.constant(np.array([-1], np.int64)),
    )
    flat = net.add(
        "Reshape", net.add("Transpose", turned, perm=[1, 0]), net.constant(np.array([-1], np.int64))
    )
    x = net.add("Pad", "data", net.add("Cast", flat, to=7), net.constant(np.float32(0)))
    y = net.conv(x, (3, 4), name="conv", pads=[0, 0, 0, 0], strides=[2, 2])
    counts, model = optimized(net.model(y))
    assert counts == Counter(Conv=1)
    conv = next(iter(model.graph))
    assert list(conv.attributes["pads"].value) == [0, 0, 1, 1]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_batchnorm_folds(transposed: bool, groups: int) -> None:
    net = Net([1, 4, 6, 6])
    if transposed:
        weight = net.weights(4, 6 // groups, 4, 4)
        x = net.add("ConvTranspose", "data", weight, strides=[2, 2], pads=[1] * 4, group=groups)
    else:
        x = net.conv("data", (4, 6), group=groups)
    x = net.add(
        "BatchNormalization",
        x,
        *(net.constant(net.random.uniform(0.5, 2, 6)) for _ in range(4)),
        name="norm",
    )
    counts, _ = optimized(net.model(net.add("Relu", x)))
    assert counts == Counter({"ConvTranspose" if transposed else "Conv": 1, "Relu": 1})


def test_batchnorm_without_conv_becomes_a_conv_of_its_name() -> None:
    net = Net([1, 4, 6, 6])
    y = net.add(
        "BatchNormalization",
        net.add("Relu", "data"),
        *(net.constant(net.random.uniform(0.5, 2, 4)) for _ in range(4)),
        name="norm",
    )
    counts, model = optimized(net.model(y))
    assert counts == Counter(Conv=1, Relu=1)
    assert [node.name for node in model.graph][-1] == "norm"


@settings(max_examples=25, deadline=None)
@given(
    op=st.sampled_from(["Add", "Sub", "Mul", "Div"]),
    form=st.sampled_from([(), (1,), (4, 1, 1), (1, 4, 1, 1), (1, 1, 1, 1)]),
    constant_first=st.booleans(),
    after_conv=st.booleans(),
)
def test_arithmetic_with_constants(
    op: str, form: tuple[int, ...], constant_first: bool, after_conv: bool
) -> None:
    net = Net([1, 4, 5, 5])
    x = net.conv("data", (4, 4)) if after_conv else net.add("Abs", "data")
    if op == "Div" and constant_first:
        x = net.add("Add", net.add("Abs", x), net.constant(np.float32(1.0)))
    value = net.constant(net.random.uniform(0.5, 2, form).astype(np.float32))
    y = net.add(op, *((value, x) if constant_first else (x, value)))
    counts, _ = optimized(net.model(y))
    if not (op == "Div" and constant_first):
        assert counts[op] == 0


@settings(max_examples=20, deadline=None)
@given(
    op=st.sampled_from(["Conv", "MaxPool", "AveragePool"]),
    auto=st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
    size=st.integers(5, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    ceil=st.booleans(),
)
def test_windows(op: str, auto: str, size: int, kernel: int, stride: int, ceil: bool) -> None:
    assume(kernel >= stride or not auto.startswith("SAME"))  # onnxruntime computes negative pads
    net = Net([1, 2, size, size])
    attributes: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2}
    if auto != "NOTSET":
        attributes["auto_pad"] = auto
    elif op != "Conv" and ceil:
        attributes["ceil_mode"] = 1
    inputs = ["data"]
    if op == "Conv":
        inputs.append(net.weights(3, 2, kernel, kernel))
    _, model = optimized(net.model(net.add(op, *inputs, **attributes)))
    for node in model.graph:
        assert "auto_pad" not in node.attributes


@pytest.mark.parametrize("value", [0.0, float("-inf"), 1.0])
@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool"])
@pytest.mark.parametrize("positive", [False, True])
def test_pads(value: float, op: str, positive: bool) -> None:
    net = Net([1, 2, 8, 8])
    x = net.add("Relu", "data") if positive else net.add("Neg", "data")
    pads = net.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    if op == "Conv" and value == float("-inf"):
        value = 0.5
    x = net.add("Pad", x, pads, net.constant(np.float32(value)))
    if op == "Conv":
        y = net.conv(x, (2, 3), pads=[0] * 4)
    else:
        y = net.add(op, x, kernel_shape=[3, 3], strides=[2, 2])
    counts, _ = optimized(net.model(y))
    folds = {
        "Conv": value == 0.0,
        "AveragePool": value == 0.0,
        "MaxPool": value == float("-inf") or (value == 0.0 and positive),
    }
    assert counts["Pad"] == (0 if folds[op] else 1)


@pytest.mark.parametrize("kind", ["plain", "flatten", "matmul", "matmul_add", "chain", "too_big"])
def test_fully_connected(kind: str) -> None:
    shape = [1, 24] if kind == "plain" else [1, 6, 2, 2]
    net = Net([1, 2, 12, 12] if kind == "too_big" else shape)
    bias = net.weights(5)
    if kind == "plain":
        y = net.add("Gemm", "data", net.weights(24, 5), bias, name="fc", alpha=0.5, beta=2.0)
    elif kind == "too_big":
        x = net.add("Flatten", net.add("Relu", "data"))
        y = net.add("Gemm", x, net.weights(5, 288), bias, name="fc", transB=1)
    else:
        x = net.add("Flatten", net.add("Relu", "data"))
        if kind.startswith("matmul"):
            y = net.add("MatMul", x, net.weights(24, 5), name="fc")
            y = net.add("Add", y, bias) if kind == "matmul_add" else y
        else:
            y = net.add("Gemm", x, net.weights(5, 24), bias, name="fc", transB=1)
        if kind == "chain":
            y = net.add("Gemm", net.add("Relu", y), net.weights(3, 5), name="fc2", transB=1)
    counts, model = optimized(net.model(y))
    convs = [node.name for node in model.graph if node.op_type == "Conv"]
    assert counts["Gemm"] == counts["MatMul"] == counts["Add"] == 0
    assert convs[0] == ("fc_gemm" if kind.startswith("matmul") else "fc")
    assert counts["Reshape"] == (2 if kind in ("plain", "too_big") else 1)


def test_pools_over_everything_have_one_form() -> None:
    for build in (
        lambda net: net.add("AveragePool", "data", kernel_shape=[4, 4]),
        lambda net: net.add("ReduceMean", "data", axes=[2, 3]),
        lambda net: net.add("ReduceMean", "data", axes=[-2, -1], keepdims=0),
        lambda net: net.add("GlobalAveragePool", "data"),
    ):
        net = Net([1, 3, 4, 4])
        counts, _ = optimized(net.model(build(net)))
        assert counts["GlobalAveragePool"] == 1


def test_transposes_cancel_across_activations() -> None:
    net = Net([1, 3, 4, 5])
    x = net.add("Transpose", net.conv("data", (3, 4)), perm=[0, 2, 3, 1])
    x = net.add("HardSwish", net.add("Relu", x))
    x = net.add("Transpose", x, perm=[0, 3, 1, 2])
    counts, _ = optimized(net.model(net.conv(x, (4, 2)), opset=14))
    assert counts == Counter(Conv=2, Relu=1, HardSwish=1)


def test_decompositions() -> None:
    net = Net([1, 2, 3, 3])
    y = net.add("Sum", "data", net.add("Neg", "data"), net.add("Abs", "data"))
    counts, _ = optimized(net.model(y, opset=14))
    assert counts["Sum"] == 0
    assert counts["Add"] == 2


def test_shape_arithmetic_of_exporters_folds() -> None:
    net = Net([1, 6, 4, 4])
    size = net.add("Shape", "data")
    batch = net.add("Gather", size, net.constant(np.array(0, np.int64)), axis=0)
    parts = [
        net.add("Unsqueeze", batch, net.constant(np.array([0], np.int64))),
        net.constant(np.array([-1], np.int64)),
    ]
    y = net.add("Reshape", net.add("Dropout", "data"), net.add("Concat", *parts, axis=0))
    counts, _ = optimized(net.model(y))
    assert counts == Counter(Reshape=1)


def test_a_graph_of_constants_and_identities_keeps_its_output_name() -> None:
    net = Net([1, 2, 3, 3])
    x = net.add("Identity", net.add("Relu", "data"), out="result")
    counts, model = optimized(net.model(x))
    assert counts == Counter(Relu=1)
    assert model.graph.outputs[0].name == "result"


def test_data_dependent_shapes_are_refused() -> None:
    net = Net([1, 2, 3, 3])
    found = net.add("Cast", net.add("NonZero", "data"), to=1)
    model = prepare(net.model(found), "net.onnx", {})
    with pytest.raises(ModelUnsupported, match="depends on the data"):
        passes.optimize(model)


def test_the_runner_names_the_pass_that_broke_the_graph() -> None:
    def rename_all(model: ir.Model, context: PassContext) -> int:
        for node in model.graph:
            node.name = "same"
        return 1

    model = prepare(classifier(), "net.onnx", {})
    with pytest.raises(CompilerBug, match="rename_all"):
        run_passes(model, (rename_all,), PassContext(), [])


def test_optimizing_twice_gives_the_same_bytes() -> None:
    both = []
    for _ in range(2):
        model = prepare(classifier(), "net.onnx", {})
        passes.optimize(model)
        both.append(ir.to_proto(model).SerializeToString(deterministic=True))
    assert both[0] == both[1]


def test_average_pools_between_quantizers_run_in_onnxruntime() -> None:
    """Its fusion into QLinearAveragePool fails on a `dilations` attribute, even on (1, 1)."""
    net = Net([1, 3, 8, 8])
    pool = net.add("AveragePool", "data", kernel_shape=[2, 2], strides=[2, 2])
    _, model = optimized(net.model(pool))
    (node,) = model.graph
    assert "dilations" not in node.attributes
