"""Transposed convolutions compute what onnxruntime does, however their pads are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.passes import optimize
from tests.support.nets_front import Net, run


@st.composite
def transposed(draw: st.DrawFn) -> tuple[list[int], list[int], dict[str, Any]]:
    """(input shape, weight shape, attributes) of rank 1 to 3."""
    rank = draw(st.sampled_from([1, 2, 2, 3]))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    group = draw(st.sampled_from([1, 1, 2, 4]))
    sizes, kernel, strides, dilations = each(2, 5), each(1, 4), each(1, 3), each(1, 2)
    attributes: dict[str, Any] = {"group": group, "strides": strides, "dilations": dilations}
    attributes["auto_pad"] = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    limits = [max(pair) - 1 for pair in zip(strides, dilations, strict=True)]
    padding = [draw(st.integers(0, limit)) for limit in limits]
    if any(padding) or draw(st.booleans()):
        attributes["output_padding"] = padding
    if draw(st.booleans()):
        full = [
            (n - 1) * s + p + (k - 1) * d + 1
            for n, s, p, k, d in zip(sizes, strides, padding, kernel, dilations, strict=True)
        ]
        attributes["output_shape"] = [max(1, n - draw(st.integers(-1, 3))) for n in full]
    elif attributes["auto_pad"] == "NOTSET":
        attributes["pads"] = [
            min(p, k - 1) for p, k in zip(each(0, 1) * 2, kernel * 2, strict=True)
        ]
    return [1, 4, *sizes], [4, 4 // group, *kernel], attributes


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(transposed())
def test_geometry(case: tuple[list[int], list[int], dict[str, Any]]) -> None:
    shape, weights, attributes = case
    net = Net(shape)
    proto = net.model(net.add("ConvTranspose", "data", net.weights(*weights), **attributes))
    feeds = {"data": net.random.normal(0, 1, shape).astype(np.float32)}
    try:
        (real,) = run(proto, feeds)
    except Exception:  # noqa: BLE001 onnxruntime has many; what it refuses has no meaning
        assume(False)
    model = prepare(proto, "net.onnx", {})
    optimize(model)
    (made,) = run(ir.to_proto(model), feeds)
    np.testing.assert_allclose(made, real, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_output_padding_beside_same_keeps_the_size(auto: str) -> None:
    """ONNX infers 65x65 for the first and so a wrong size for the second."""
    net = Net([1, 4, 32, 32])
    geometry: dict[str, Any] = {"strides": [2, 2], "auto_pad": auto, "output_padding": [1, 1]}
    first = net.add("ConvTranspose", "data", net.weights(4, 4, 3, 3), **geometry)
    second = net.add("ConvTranspose", first, net.weights(4, 4, 3, 3), **geometry)
    model = prepare(net.model(second), "net.onnx", {})
    assert [list(node.outputs[0].shape or ()) for node in model.graph] == [
        [1, 4, 64, 64],
        [1, 4, 128, 128],
    ]
