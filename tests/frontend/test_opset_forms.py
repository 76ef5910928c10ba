"""Import keeps what a file computes, whatever its opset: onnxruntime on the file is the oracle."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir
import pytest

from bpu_common.cpu_operators import CPU_OPERATORS
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.frontend.structure import MIN_OPSET
from bpu_host.compiler.passes import optimize
from tests.support.forms_opset import NEWEST, forms, model_of
from tests.support.nets_front import Net, run

_WITHOUT_FORM = {"Constant", "ConstantOfShape", "DequantizeLinear", "EyeLike", "OneHot", "Range",
                 "ReverseSequence", "And", "Or", "Not", "Where", "Xor", "BitShift",
                 "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}  # fmt: skip
"""No function of one float tensor."""


def test_every_operator_of_cpu_parts_has_a_form() -> None:
    assert CPU_OPERATORS - {form.op for form in forms()} - _WITHOUT_FORM == set()


@pytest.mark.parametrize("opset", range(MIN_OPSET, NEWEST + 1))
def test_forms(opset: int) -> None:
    model, feeds, outputs = model_of(opset)
    assert len(outputs) > 200
    wanted = run(model, feeds)
    got = run(ir.to_proto(prepare(model, "forms.onnx", {})), feeds)
    for form, real, made in zip(outputs.values(), wanted, got, strict=True):
        assert made.dtype == real.dtype, form
        np.testing.assert_allclose(made, real, rtol=1e-5, atol=1e-5, err_msg=str(form))


@pytest.mark.parametrize("computed", [False, True])
def test_old_resizes_keep_their_size_through_the_passes(computed: bool) -> None:
    """Shapes must be known even where a Resize became two, or its scales are computed."""
    net = Net([1, 3, 8, 10])
    scales = net.constant(np.array([1, 1, 2.5, 0.6]))
    if computed:
        scales = net.add("Mul", scales, net.constant(np.array([1, 1, 1, 1.0])))
    proto = net.model(net.conv(net.add("Resize", "data", scales), (3, 4)), opset=10)
    model = prepare(proto, "net.onnx", {})
    optimize(model)
    assert list(model.graph.outputs[0].shape or ()) == [1, 4, 20, 6]
    feeds = {"data": net.random.normal(0, 1, (1, 3, 8, 10)).astype(np.float32)}
    (real,), (made,) = run(proto, feeds), run(ir.to_proto(model), feeds)
    np.testing.assert_allclose(made, real, rtol=1e-5, atol=1e-5)


def test_newer_attributes_that_say_nothing_are_dropped() -> None:
    net = Net([1, 3, 4, 4])
    whole = net.add("Cast", net.conv("data", (3, 4)), to=onnx.TensorProto.FLOAT, round_mode="up")
    proto = net.model(whole, opset=24, ir_version=11)
    assert "round_mode" in onnx.defs.get_schema("Cast", 24, "").attributes
    model = prepare(proto, "net.onnx", {})
    cast = next(node for node in model.graph if node.op_type == "Cast")
    assert "round_mode" not in cast.attributes
