"""Operators that are functions, and branches: what is read computes what the file computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_common.errors import ModelUnsupported
from bpu_host.compiler import passes
from bpu_host.compiler.frontend import functions, prepare
from tests.support.nets_front import Net, run

OPERATORS: list[tuple[str, int, list[int], list[list[int]], dict[str, Any]]] = [
    ("LayerNormalization", 17, [1, 4, 8], [[8], [8]], {}),
    ("LayerNormalization", 17, [1, 4, 8], [[4, 8]], {"axis": 1, "epsilon": 0.1}),
    ("LayerNormalization", 21, [1, 3, 4, 8], [[8], [8]], {"axis": -1}),
    ("GroupNormalization", 21, [1, 6, 5, 4], [[6], [6]], {"num_groups": 2}),
    ("GroupNormalization", 21, [1, 6, 5, 4], [[6], [6]], {"num_groups": 6}),
    ("GroupNormalization", 21, [1, 6, 9], [[6], [6]], {"num_groups": 1, "epsilon": 0.1}),
    ("GroupNormalization", 18, [1, 6, 5, 4], [[2], [2]], {"num_groups": 2}),
    ("RMSNormalization", 23, [1, 4, 8], [[8]], {}),
    ("MeanVarianceNormalization", 9, [1, 4, 8, 3], [], {}),
    ("MeanVarianceNormalization", 13, [1, 4, 8, 3], [], {"axes": [1, 2]}),
    ("Gelu", 20, [1, 4, 8], [], {}),
    ("Gelu", 20, [1, 4, 8], [], {"approximate": "tanh"}),
    ("Celu", 12, [1, 4, 8], [], {"alpha": 0.7}),
    ("Shrink", 9, [1, 4, 8], [], {"bias": 0.2, "lambd": 0.4}),
    ("Swish", 24, [1, 4, 8], [], {"alpha": 1.3}),
    ("Attention", 23, [1, 2, 5, 8], [[1, 2, 6, 8], [1, 2, 6, 8]], {}),
    ("RotaryEmbedding", 23, [1, 2, 5, 8], [[1, 5, 4], [1, 5, 4]], {}),
    ("CenterCropPad", 18, [1, 4, 8], [], {"axes": [2]}),
    ("CastLike", 15, [1, 4, 8], [[1]], {}),
]
KERNELS = {"LayerNormalization", "MeanVarianceNormalization"}


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    return ir.to_proto(prepare(model, "net.onnx", {}))


@pytest.mark.parametrize("mean", [0.0, 30.0])
@pytest.mark.parametrize(
    ("op", "opset", "shape", "more", "attributes"),
    OPERATORS,
    ids=[f"{op}-{opset}-{index}" for index, (op, opset, *_) in enumerate(OPERATORS)],
)
def test_the_parts_compute_the_operator(
    op: str, opset: int, shape: list[int], more: list[list[int]], attributes: dict, mean: float
) -> None:
    net = Net(shape)
    constants = [net.constant(net.random.normal(0.5, 0.3, each)) for each in more]
    if op == "CenterCropPad":
        constants = [net.constant(np.array([5]))]
    model = net.model(net.add(op, "data", *constants, name="n", **attributes), opset=opset)
    model.ir_version = 10
    feeds = {"data": net.random.normal(mean, 1, shape).astype(np.float32)}
    made = expanded(model)
    names = [node.name for node in made.graph.node]
    assert {node.op_type for node in made.graph.node} <= CPU_OPERATORS
    assert "n" in names
    own = ("n_", "Constant_")  # constants of the conversion of opsets among them
    assert all(name == "n" or name.startswith(own) for name in names)
    wanted = reference(model, feeds)
    np.testing.assert_allclose(run(made, feeds)[0], wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("op", "opset", "shape", "axes"),
    [
        ("LayerNormalization", 17, [1, 3, 64], (2,)),
        ("LayerNormalization", 20, [1, 3, 64], (2,)),
        ("MeanVarianceNormalization", 9, [1, 3, 8, 8], (0, 2, 3)),
        ("MeanVarianceNormalization", 13, [1, 3, 8, 8], (0, 2, 3)),
        ("MeanVarianceNormalization", 18, [1, 3, 8, 8], (0, 2, 3)),
        ("GroupNormalization", 18, [1, 6, 8, 8], (1, 2, 3)),
        ("GroupNormalization", 21, [1, 6, 8, 8], (1, 2, 3)),
    ],
)
def test_a_variance_is_no_difference_of_means(
    op: str, opset: int, shape: list[int], axes: tuple[int, ...]
) -> None:
    """With a mean of 3,000 times the deviation such a difference has no digit left, or a sign."""
    net = Net(shape)
    ones, more = np.ones(shape[-1], np.float32), {}
    if op == "GroupNormalization":
        ones, more = np.ones(1 if opset < 21 else 6, np.float32), {"num_groups": 1}
    constants = [] if op.startswith("Mean") else [net.constant(ones), net.constant(0 * ones)]
    model = net.model(net.add(op, "data", *constants, name="n", **more), opset=opset)
    model.ir_version = 10
    data = net.random.normal(3000, 1, shape).astype(np.float32)
    exact = data.astype(np.float64)
    exact = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    (made,) = run(expanded(model), {"data": data})
    np.testing.assert_allclose(made, exact, atol=5e-3)


def test_mean_and_deviation_are_outputs_of_a_layer_normalization() -> None:
    net = Net([1, 4, 8])
    scale = net.constant(np.ones(8, np.float32))
    names = ["y", "mean", "inverse"]
    net.nodes.append(helper.make_node("LayerNormalization", ["data", scale], names, name="n"))
    model = net.model(*names, opset=17)
    feeds = {"data": net.random.normal(3, 1, [1, 4, 8]).astype(np.float32)}
    for made, wanted in zip(run(expanded(model), feeds), run(model, feeds), strict=True):
        np.testing.assert_allclose(made, wanted, rtol=2e-4, atol=2e-4)


def reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The file as given: by onnxruntime's kernel where it has one of the right precision."""
    if model.graph.node[0].op_type in KERNELS:
        return run(model, feeds)[0]
    return ReferenceEvaluator(model).run(None, feeds)[0]


def test_a_graph_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "MAX_NODES", 5)
    net = Net([1, 4, 8])
    model = net.model(net.add("Gelu", "data", name="g"), opset=20, ir_version=10)
    with pytest.raises(ModelUnsupported, match="more than 5 nodes when") as caught:
        prepare(model, "net.onnx", {})
    assert "node g (Gelu)" in str(caught.value)


def decided_by_shape(size: int, *, computed: bool = False) -> onnx.ModelProto:
    """What PyTorch exports for a squeeze: an If on the size of axis 2, or on the data."""
    net = Net([1, 3, size, 4])
    if computed:
        mean = net.add("ReduceMean", "data", keepdims=0)
        condition = net.add("Greater", mean, net.constant(np.float32(0)))
    else:
        axis = net.add("Gather", net.add("Shape", "data"), net.constant(np.array([2])))
        condition = net.add("Equal", axis, net.constant(np.array([1])))
    branches = {}
    for name, op in (("then_branch", "Flatten"), ("else_branch", "Identity")):
        more = {"axis": 2} if op == "Flatten" else {}
        nodes = [
            helper.make_node("Neg", ["data"], ["inner"], name="inside"),
            helper.make_node(op, ["inner"], ["chosen"], **more),
        ]
        output = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph(nodes, name, [], [output])
    x = net.add("If", condition, name="branch", **branches)
    return net.model(net.add("Abs", x), x, opset=11)


@pytest.mark.parametrize("size", [1, 2])
def test_an_if_that_a_shape_decides_becomes_its_branch(size: int) -> None:
    model = decided_by_shape(size)
    feeds = {"data": np.random.default_rng(0).normal(size=(1, 3, size, 4)).astype(np.float32)}
    prepared = prepare(model, "net.onnx", {})
    passes.optimize(prepared)
    made = ir.to_proto(prepared)
    assert "If" not in {node.op_type for node in made.graph.node}
    for a, b in zip(run(made, feeds), run(model, feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def test_branches_within_branches_are_folded_from_the_outside() -> None:
    inner = decided_by_shape(1).graph
    del inner.output[1:]
    inner.name = "inner"
    net = Net([1, 3, 1, 4])
    branches = dict.fromkeys(("then_branch", "else_branch"), onnx.GraphProto())
    for name in branches:
        branches[name].CopyFrom(inner)
        del branches[name].input[:]
    x = net.add("If", net.constant(np.array(True)), name="outer", **branches)
    model = net.model(x, opset=11)
    feeds = {"data": np.random.default_rng(0).normal(size=(1, 3, 1, 4)).astype(np.float32)}
    np.testing.assert_array_equal(run(expanded(model), feeds)[0], run(model, feeds)[0])


def test_an_if_that_the_data_decide_is_refused_by_name() -> None:
    with pytest.raises(ModelUnsupported, match="condition depends on the data") as caught:
        prepare(decided_by_shape(1, computed=True), "net.onnx", {})
    assert "node branch (If)" in str(caught.value)


def test_a_loop_is_refused_by_name() -> None:
    net = Net([1, 4])
    values = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4]),
    ]
    nodes = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Add", ["x", "x"], ["twice"]),
    ]
    outputs = [
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("twice", TensorProto.FLOAT, [1, 4]),
    ]
    body = helper.make_graph(nodes, "body", values, outputs)
    y = net.add(
        "Loop", net.constant(np.array(3)), net.constant(np.array(True)), "data", name="l", body=body
    )
    with pytest.raises(ModelUnsupported, match="repeats a part of the graph") as caught:
        prepare(net.model(y), "net.onnx", {})
    assert "node l (Loop)" in str(caught.value)
