"""Factors and offsets that are no convolution in the float model do not pull a float part apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.convert_net import convert
from tests.support.nets_front import Net


def normalization(op: str, opset: int):
    """A Conv, a normalization over channels of a map in which they lie last, a Conv."""
    net = Net([1, 6, 8, 8])
    loud = net.constant(np.geomspace(0.02, 3, 64).reshape(1, 1, 8, 8))
    x = net.add("Mul", net.conv("data", (6, 16), name="first"), loud)
    x = net.add("Transpose", x, perm=[0, 2, 3, 1])
    scale, bias = net.constant(np.linspace(0.5, 1.5, 16)), net.constant(np.linspace(-1, 1, 16))
    if op == "written out":
        distance = net.add("Sub", x, net.add("ReduceMean", x, axes=[-1]))
        square = net.add("Pow", distance, net.constant(np.float32(2)))
        variance = net.add("ReduceMean", square, axes=[-1])
        positive = net.add("Add", variance, net.constant(np.float32(1e-5)), name="epsilon")
        x = net.add("Div", distance, net.add("Sqrt", positive, name="root"))
        x = net.add("Add", net.add("Mul", x, scale), bias)
    else:
        x = net.add(op, x, scale, bias, name="norm")
    x = net.add("Transpose", x, perm=[0, 3, 1, 2])
    return net.model(net.conv(x, (16, 4), 1, name="last"), opset=opset)


@pytest.mark.parametrize(("op", "opset"), [("written out", 13), ("LayerNormalization", 17)])
def test_a_normalization_keeps_its_small_variances(op: str, opset: int, tmp_path: Path) -> None:
    found = convert(tmp_path, normalization(op, opset))
    assert found.sqnr_db() > 25
    if op == "written out":
        assert found.on["epsilon"] == found.on["root"] == "CPU"
    assert found.on["first"] == found.on["last"] == "BPU"


def test_a_factor_runs_beside_the_convolution_that_reads_it(tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8])
    x = net.add("Mul", "data", net.constant(np.linspace(0.5, 2, 3).reshape(3, 1, 1)), name="scale")
    y = net.conv(x, (3, 4), name="c")
    found = convert(tmp_path, net.model(y, net.add("Softsign", x)))
    assert found.on["scale"] == "BPU"
