"""Pools with `ceil_mode` or SAME padding: what is inferred is what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir
import pytest

from bpu_common.errors import ModelUnsupported
from bpu_host.compiler import passes
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.passes import graph as g
from tests.support.nets_front import Net, run


def pool_model(op: str, sizes: list[int], opset: int = 19, **attributes: Any) -> onnx.ModelProto:
    """A pool and, behind it, arithmetic with its shape."""
    net = Net([1, 2, *sizes])
    x = net.add(op, "data", name="pool", **{"ceil_mode": 1, **attributes})
    return net.model(x, net.add("Cast", net.add("Shape", x), to=1), opset=opset)


def normals(sizes: list[int]) -> dict[str, np.ndarray]:
    return {"data": np.random.default_rng(0).normal(size=(1, 2, *sizes)).astype(np.float32)}


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op", ["AveragePool", "LpPool"])
def test_strides_wider_than_the_kernel_leave_out_both_ends(op: str, auto_pad: str) -> None:
    for kernel, sizes in ((1, [7, 8]), (2, [8, 12])):
        assert_kept(op, sizes, {"kernel_shape": [kernel] * 2, "strides": [4, 4], "ceil_mode": 0,
                                "auto_pad": auto_pad})  # fmt: skip


WINDOWS: dict[str, tuple[str, list[int], int, dict[str, Any]]] = {
    "a kernel larger than the data": (
        "AveragePool", [2, 3], 19, {"kernel_shape": [4, 4], "strides": [5, 5], "ceil_mode": 0},
    ),
    "and than the padded data": (
        "AveragePool", [1, 2], 11,
        {"kernel_shape": [4, 4], "strides": [4, 4], "pads": [1, 0, 0, 1], "ceil_mode": 0,
         "count_include_pad": 1},
    ),
    "dilated strides beyond the kernel": (
        "AveragePool", [7, 11], 19,
        {"kernel_shape": [2, 3], "strides": [4, 5], "dilations": [2, 2], "ceil_mode": 0,
         "auto_pad": "SAME_UPPER", "count_include_pad": 1},
    ),
    "no padding, rounded up": (
        "MaxPool", [8, 9], 13, {"kernel_shape": [1, 2], "strides": [3, 5], "auto_pad": "VALID"},
    ),
    "a counted last window": (
        "AveragePool", [8, 9], 11,
        {"kernel_shape": [3, 4], "strides": [3, 4], "count_include_pad": 1},
    ),
    "a counted last window of opset 22": (
        "AveragePool", [8, 9], 22,
        {"kernel_shape": [3, 4], "strides": [3, 4], "count_include_pad": 1},
    ),
    "more padding than a pool may have": (
        "MaxPool", [4, 5], 12,
        {"kernel_shape": [2, 2], "strides": [3, 3], "dilations": [4, 3], "pads": [1, 1, 1, 1]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WINDOWS)
def test_windows(case: str) -> None:
    op, sizes, opset, attributes = WINDOWS[case]
    assert_kept(op, sizes, attributes, opset)


def assert_kept(op: str, sizes: list[int], attributes: dict[str, Any], opset: int = 19) -> None:
    original, feeds = pool_model(op, sizes, opset, **attributes), normals(sizes)
    expected = run(original, feeds)
    prepared = prepare(original, "net.onnx", {})
    assert g.shape_of(prepared.graph.outputs[0]) == expected[0].shape
    passes.optimize(prepared)
    found = run(ir.to_proto(prepared), feeds)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("sizes", "attributes"),
    [
        ([62, 62], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ([62, 63], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 0]}),
        ([3, 3], {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [0, 0, 2, 2]}),
    ],
)
def test_a_last_window_in_the_padding_is_none(sizes: list[int], attributes: dict[str, Any]) -> None:
    model = pool_model("MaxPool", sizes, **attributes)
    expected = run(model, normals(sizes))[0].shape
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
    assert tuple(dim.dim_value for dim in inferred.dim) != expected  # else the rule is not needed
    assert g.shape_of(prepare(model, "net.onnx", {}).graph.outputs[0]) == expected


def test_pools_behind_pools() -> None:
    net = Net([1, 2, 62, 62])
    x = "data"
    for index in range(3):
        x = net.add("MaxPool", x, name=f"p{index}", ceil_mode=1, kernel_shape=[2, 2],
                    strides=[2, 2], pads=[0, 0, 1, 1])  # fmt: skip
    model = net.model(x)
    expected = run(model, normals([62, 62]))[0].shape
    assert g.shape_of(prepare(model, "net.onnx", {}).graph.outputs[0]) == expected


def test_a_pool_behind_a_transposed_convolution_of_open_size() -> None:
    """Each is inferred wrongly by ONNX, and the second rests on the first."""
    net = Net([1, 2, 5, 7])
    x = net.add("ConvTranspose", "data", net.weights(2, 3, 3, 3), strides=[2, 2],
                output_padding=[1, 1], auto_pad="SAME_UPPER")  # fmt: skip
    y = net.add("AveragePool", x, ceil_mode=1, kernel_shape=[2, 3], strides=[2, 3],
                pads=[0, 0, 1, 2])  # fmt: skip
    model = net.model(y, opset=17)
    (expected,) = run(model, normals([5, 7]))
    prepared = prepare(model, "net.onnx", {})
    assert g.shape_of(prepared.graph.outputs[0]) == expected.shape
    (found,) = run(ir.to_proto(prepared), normals([5, 7]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_positions_in_data_that_is_cut_are_refused() -> None:
    net = Net([1, 2, 8, 8])
    net.add("MaxPool", "data", name="pool", kernel_shape=[2, 2], strides=[4, 4],
            auto_pad="SAME_UPPER", out="y")  # fmt: skip
    net.nodes[-1].output.append("positions")
    model = net.model("y", "positions", opset=19)
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    assert run(model, normals([8, 8]))[1].shape == (1, 2, 2, 2)
    with pytest.raises(ModelUnsupported, match="positions of its maxima") as caught:
        prepare(model, "net.onnx", {})
    assert caught.value.where == "node pool (MaxPool)"
