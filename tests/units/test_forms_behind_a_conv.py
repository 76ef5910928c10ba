"""Pools, resizes and Softmax in every form, alone behind a convolution: converted, and run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.convert_net import convert
from tests.support.forms_drawn import behind_a_conv, pools, resizes, softmaxes
from tests.support.nets_front import run

FORMS = {"pools": pools(), "resizes": resizes(), "softmaxes": softmaxes()}


@pytest.mark.parametrize("kind", FORMS)
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=st.data())
def test_alone_behind_a_convolution(kind: str, data: st.DataObject) -> None:
    model, feeds = behind_a_conv(data.draw(FORMS[kind]))
    try:
        (wanted,) = run(model, feeds)
    except Exception:  # noqa: BLE001 whatever onnxruntime does not run is none of ours
        assume(False)
    assume(wanted.size > 0)
    with tempfile.TemporaryDirectory() as folder:
        done = convert(Path(folder) / "net", model, samples=[feeds])
        (made,) = done.run()
    assert made.shape == wanted.shape
    if "Hardmax" not in str(model.graph.node):  # a step
        assert np.sqrt(np.mean((made - wanted) ** 2)) <= 0.1 * np.sqrt(np.mean(wanted**2)) + 1e-6
