"""Pools with `ceil_mode` or SAME padding: what is inferred is what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bpu_host.compiler import passes
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.passes import graph as g
from tests.support.nets_front import Net, run


def pool_model(op: str, sizes: list[int], **attributes: Any) -> onnx.ModelProto:
    """A pool and, behind it, arithmetic with its shape."""
    net = Net([1, 2, *sizes])
    x = net.add(op, "data", name="pool", **{"ceil_mode": 1, **attributes})
    return net.model(x, net.add("Cast", net.add("Shape", x), to=1), opset=19)


@st.composite
def pools(draw: st.DrawFn) -> tuple[str, list[int], dict[str, Any]]:
    rank = draw(st.sampled_from([1, 2, 2]))
    op = draw(st.sampled_from(["MaxPool", "MaxPool", "AveragePool", "LpPool"]))
    axes = []
    for _ in range(rank):
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 5))
        dilation = draw(st.integers(1, 3))
        before, after = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
        size = draw(st.integers(1, 14))
        assume(size + before + after >= (kernel - 1) * dilation + 1)
        axes.append((size, kernel, stride, dilation, before, after))
    sizes, kernels, strides, dilations, before, after = (list(v) for v in zip(*axes, strict=True))
    attributes = {
        "kernel_shape": kernels,
        "strides": strides,
        "dilations": dilations,
        "pads": [*before, *after],
    }
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    return op, sizes, attributes


def normals(sizes: list[int]) -> dict[str, np.ndarray]:
    return {"data": np.random.default_rng(0).normal(size=(1, 2, *sizes)).astype(np.float32)}


@settings(deadline=None, max_examples=200)
@given(pools())
def test_inferred_sizes_are_the_computed_ones(pool: tuple[str, list[int], dict[str, Any]]) -> None:
    assert_kept(*pool)


@st.composite
def padded_pools(draw: st.DrawFn) -> tuple[str, list[int], dict[str, Any]]:
    rank = draw(st.sampled_from([1, 2, 2]))
    kernels = [draw(st.integers(1, 4)) for _ in range(rank)]
    attributes = {
        "kernel_shape": kernels,
        "strides": [draw(st.integers(1, kernel)) for kernel in kernels],
        "dilations": [draw(st.integers(1, 3)) for _ in kernels],
        "ceil_mode": 0,
        "auto_pad": draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"])),
    }
    sizes = [draw(st.integers(9, 14)) for _ in kernels]
    return draw(st.sampled_from(["MaxPool", "AveragePool", "LpPool"])), sizes, attributes


@settings(deadline=None, max_examples=60)
@given(padded_pools())
def test_same_padding_is_that_of_onnxruntime(pool: tuple[str, list[int], dict[str, Any]]) -> None:
    assert_kept(*pool)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op", ["AveragePool", "LpPool"])
def test_strides_wider_than_the_kernel_leave_out_both_ends(op: str, auto_pad: str) -> None:
    for kernel, sizes in ((1, [7, 8]), (2, [8, 12])):
        assert_kept(op, sizes, {"kernel_shape": [kernel] * 2, "strides": [4, 4], "ceil_mode": 0,
                                "auto_pad": auto_pad})  # fmt: skip


def assert_kept(op: str, sizes: list[int], attributes: dict[str, Any]) -> None:
    original, feeds = pool_model(op, sizes, **attributes), normals(sizes)
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
