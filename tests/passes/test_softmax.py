"""Softmax of opset 12 and before flattens: in the table it is one node where that says nothing."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bpu_host.compiler import passes
from bpu_host.compiler.frontend import prepare
from tests.support.nets_front import Net, run


def named(op: str, shape: list[int], opset: int, **given: int) -> dict[str, str]:
    """Operators by node name after the passes; the result must not have changed."""
    net = Net(shape)
    model = net.model(net.add("Neg", net.add(op, "data", name="sm", **given)), opset=opset)
    feeds = {"data": np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)}
    wanted = run(model, feeds)
    prepared = prepare(model, "net.onnx", {})
    passes.optimize(prepared)
    made = run(ir.to_proto(prepared), feeds)
    np.testing.assert_allclose(made[0], wanted[0], rtol=1e-5, atol=1e-6)
    return {node.name or "": node.op_type for node in prepared.graph if node.op_type != "Neg"}


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [7, 11, 12])
def test_one_flattened_axis_is_meant(op: str, opset: int) -> None:
    assert named(op, [1, 10], opset) == {"sm": op}
    assert named(op, [1, 10, 1, 1], opset) == {"sm": op}
    assert named(op, [1, 6, 1, 7], opset, axis=2) == {"sm": op}
    assert named(op, [2, 3, 4, 5], opset, axis=3) == {"sm": op}


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
def test_several_flattened_axes_are_called_after_it(op: str) -> None:
    found = named(op, [1, 4, 3, 2], 11)
    assert found.pop("sm") == op
    assert set(found.values()) == {"Reshape"}
    assert all(name.startswith("sm_") for name in found)
