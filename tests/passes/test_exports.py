"""Patterns that real exporters write, at the opset they write them, through frontend and passes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bpu_host.compiler import rules, units
from tests.passes.test_pipeline import optimized
from tests.support.convert_net import convert
from tests.support.nets_front import Net


def place(model: ir.Model) -> dict[str, rules.Verdict]:
    return rules.place(units.recognise(model, ())).verdicts


def upsample(opset: int) -> onnx.ModelProto:
    net = Net([1, 4, 8, 8])
    x = net.conv("data", (4, 4))
    factors = [1.0, 1.0, 2.0, 2.0]
    if opset < 9:
        x = net.add("Upsample", x, mode="nearest", scales=factors)
    elif opset == 9:
        x = net.add("Upsample", x, net.constant(factors), mode="nearest")
    elif opset == 10:
        x = net.add("Resize", x, net.constant(factors), mode="nearest")
    else:
        x = net.add(
            "Resize", x, "", net.constant(factors), mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
    return net.model(net.conv(x, (4, 4)), opset=opset)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 13, 18])
def test_resize_of_every_opset(opset: int) -> None:
    counts, model = optimized(upsample(opset))
    assert counts == Counter(Conv=2, Resize=1)
    assert all(verdict.on_bpu for verdict in place(model).values())


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_a_resize_that_keeps_the_size_is_a_copy(
    mode: str, coordinates: str, tmp_path: Path
) -> None:
    """So it is in onnxruntime, whatever scales that are rounded away say."""
    net = Net([1, 3, 16, 16])
    y = net.add(
        "Resize", net.conv("data", (3, 8)), "", net.constant([1, 1, 1.05, 1.01]), mode=mode,
        coordinate_transformation_mode=coordinates,
    )  # fmt: skip
    assert convert(tmp_path, net.model(net.conv(y, (8, 4)))).sqnr_db() > 30


def test_attributes_of_opset_9() -> None:
    net = Net([1, 4, 8, 8])
    x = net.add("Pad", net.conv("data", (4, 4)), mode="constant", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    x = net.add("Clip", net.conv(x, (4, 4), pads=[0] * 4), min=0.0, max=6.0)
    x = net.add("Dropout", net.add("Slice", x, axes=[1], starts=[0], ends=[2]), ratio=0.5)
    x = net.add("Squeeze", net.add("GlobalAveragePool", net.conv(x, (2, 4))), axes=[2, 3])
    counts, _ = optimized(net.model(net.add("Softmax", x, axis=1), opset=9))
    assert counts == Counter(Conv=3, Clip=1, Slice=1, GlobalAveragePool=1, Reshape=1, Softmax=1)


def test_squeeze_and_excitation() -> None:
    net = Net([1, 8, 8, 8])
    x = net.add("Relu", net.conv("data", (8, 8)))
    s = net.add("Relu", net.conv(net.add("GlobalAveragePool", x), (8, 4), 1))
    s = net.add("Sigmoid", net.conv(s, (4, 8), 1))
    counts, model = optimized(net.model(net.conv(net.add("Mul", x, s), (8, 8))))
    assert counts == Counter(Conv=4, Relu=2, GlobalAveragePool=1, Sigmoid=1, Mul=1)
    assert all(verdict.on_bpu for verdict in place(model).values())


def test_focus_layer_runs_on_the_bpu_behind_a_convolution() -> None:
    net = Net([1, 4, 8, 8])
    x = net.conv("data", (4, 4))
    ends, axes, steps = (
        net.constant(np.array(values, np.int64)) for values in ([2**40] * 2, [2, 3], [2, 2])
    )
    parts = [
        net.add("Slice", x, net.constant(np.array([row, column], np.int64)), ends, axes, steps)
        for row in (0, 1)
        for column in (0, 1)
    ]
    y = net.conv(net.add("Concat", *parts, axis=1), (16, 4))
    counts, model = optimized(net.model(y, opset=11))
    assert counts == Counter(Conv=2, Slice=4, Concat=1)
    assert all(verdict.on_bpu for verdict in place(model).values())


def test_split_without_sizes() -> None:
    net = Net([1, 8, 8, 8])
    x = net.conv("data", (8, 8))
    net.nodes.append(onnx.helper.make_node("Split", [x], ["a", "b"], name="split", axis=1))
    y = net.conv(net.add("Concat", net.conv("a", (4, 4)), "b", axis=1), (8, 8))
    counts, model = optimized(net.model(y, opset=11))
    assert counts == Counter(Conv=3, Split=1, Concat=1)
    assert all(verdict.on_bpu for verdict in place(model).values())


def test_what_has_no_four_dimensions_stays_on_the_cpu() -> None:
    net = Net([1, 8, 16])
    _, model = optimized(net.model(net.add("Conv", "data", net.weights(4, 8, 3), name="c")))
    assert place(model)["c"].rule == "RANK"
