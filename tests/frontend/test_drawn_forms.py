"""Pools, resizes and Softmax in every form: import and passes keep what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bpu_host.compiler import passes
from bpu_host.compiler.frontend import prepare
from bpu_host.compiler.passes import graph as g
from tests.support.forms_drawn import Drawn, behind_a_conv, pools, resizes, softmaxes
from tests.support.nets_front import run

FORMS = {"pools": pools(), "resizes": resizes(), "softmaxes": softmaxes()}
_MANY = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def computed(drawn: Drawn) -> np.ndarray:
    """What onnxruntime gives for the file as it is."""
    model, feeds = behind_a_conv(drawn)
    try:
        (wanted,) = run(model, feeds)
    except Exception:  # noqa: BLE001 whatever onnxruntime does not run is none of ours
        assume(False)
    assume(wanted.size > 0)
    return wanted


@pytest.mark.parametrize("kind", FORMS)
@_MANY
@given(data=st.data())
def test_what_is_computed_is_kept(kind: str, data: st.DataObject) -> None:
    drawn = data.draw(FORMS[kind])
    wanted = computed(drawn)
    model, feeds = behind_a_conv(drawn)
    prepared = prepare(model, "net.onnx", {})
    assert g.shape_of(prepared.graph.outputs[0]) == wanted.shape
    np.testing.assert_allclose(run(ir.to_proto(prepared), feeds)[0], wanted, rtol=1e-4, atol=1e-5)
    passes.optimize(prepared)
    np.testing.assert_allclose(run(ir.to_proto(prepared), feeds)[0], wanted, rtol=1e-4, atol=1e-5)
