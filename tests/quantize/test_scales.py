"""Which tensors share a scale, and whose threshold they take."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from bpu_common.network import Network, QEltwise
from bpu_host.compiler.quantize.scales import scale_of
from tests.support.nets_quant import Net, Thresholds, image_input, lowered, verdicts


def lowered_with(model: ir.Model, **thresholds: float) -> Network:
    names = {v.name for node in model.graph for v in node.outputs}
    given = {**dict.fromkeys(names, 50.0), **thresholds}
    return lowered(model, verdicts(model), Thresholds(given), (image_input(16, 16),), "net")


def threshold_of(network: Network, name: str) -> float:
    value = network.tensors[name].scale.value
    assert value == scale_of(round(value * 127, 3))
    return round(value * 127, 3)


def test_producer_of_a_pooling_takes_the_threshold_of_what_is_read() -> None:
    net = Net(1, 3, 16, 16)
    x = net.conv("data", 3, 4)
    pooled = net.node("MaxPool", [x], kernel_shape=[2, 2])
    network = lowered_with(net.model(net.conv(pooled, 4, 4)), t0=90.0, t1=70.0)
    assert threshold_of(network, "t0") == threshold_of(network, "t1") == 70.0


def test_producer_read_elsewhere_keeps_the_larger_threshold() -> None:
    net = Net(1, 3, 16, 16)
    x = net.conv("data", 3, 4)
    pooled = net.node("MaxPool", [x], kernel_shape=[2, 2])
    network = lowered_with(net.model(net.conv(pooled, 4, 4), net.conv(x, 4, 4)), t0=90.0, t1=70.0)
    assert threshold_of(network, "t0") == threshold_of(network, "t1") == 90.0


def test_pooled_pyramid_shares_one_scale_with_its_concat() -> None:
    """SPPF: everything is only read by the concat, so no unit convolution is needed."""
    net = Net(1, 3, 16, 16)
    parts = [net.conv("data", 3, 4)]
    for _ in range(3):
        parts.append(net.node("MaxPool", [parts[-1]], kernel_shape=[5, 5], pads=[2, 2, 2, 2]))
    joined = net.node("Concat", parts, axis=1)
    network = lowered_with(
        net.model(net.conv(joined, 16, 4, 1)), t0=9.0, t1=8.0, t2=7.0, t3=6.0, t4=8.5
    )
    assert not [op for op in network.ops if isinstance(op, QEltwise)]
    assert {threshold_of(network, name) for name in ("t0", "t1", "t2", "t3", "t4")} == {8.5}


def test_dense_connections_rescale_what_is_read_twice() -> None:
    net = Net(1, 3, 16, 16)
    x = net.conv("data", 3, 4)
    y = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    first = net.node("Concat", [x, y], axis=1)
    z = net.conv(first, 8, 4, 1)
    second = net.node("Concat", [first, z], axis=1)
    network = lowered_with(
        net.model(net.conv(second, 12, 4, 1)), t0=10.0, t1=5.0, t2=12.0, t3=4.0, t4=20.0
    )
    names = [op.name for op in network.ops if isinstance(op, QEltwise)]
    assert names == [
        f"UNIT_CONV_FOR_t0_{12 / 127:.5f}_TO_FUSE_SCALE",
        f"UNIT_CONV_FOR_t2_{20 / 127:.5f}_TO_FUSE_SCALE",
    ]
    assert threshold_of(network, "t1") == 12.0  # read by the first concat alone
    assert threshold_of(network, "t3") == 20.0


def test_equal_scales_need_no_unit_convolution() -> None:
    net = Net(1, 3, 16, 16)
    x = net.conv("data", 3, 4)
    y = net.conv("data", 3, 4)
    joined = net.node("Concat", [x, y], axis=1)
    network = lowered_with(net.model(net.conv(joined, 8, 4, 1), net.conv(x, 4, 4)), t0=9.0, t2=9.0)
    assert not [op for op in network.ops if isinstance(op, QEltwise)]


def test_image_keeps_scale_one_everywhere() -> None:
    net = Net(1, 3, 16, 16)
    part = net.node(
        "Slice",
        [
            "data",
            net.constant(np.array([0, 0])),
            net.constant(np.array([8, 8])),
            net.constant(np.array([2, 3])),
        ],
    )
    conv = net.conv(part, 3, 3, pads=[1, 1, 1, 1])
    joined = net.node("Concat", [part, conv], axis=1)
    network = lowered_with(net.model(net.conv(joined, 6, 4, 1)), t0=20.0, t2=30.0)
    assert network.tensors["t0"].scale.values == (1.0,)
    assert [op.a for op in network.ops if isinstance(op, QEltwise)] == ["t0"]


@pytest.mark.parametrize("threshold", [1.0, 127.0, 3.3, 1e-6])
def test_scales_are_float32_values(threshold: float) -> None:
    assert scale_of(threshold) == float(np.float32(scale_of(threshold)))
    assert scale_of(threshold) == pytest.approx(threshold / 127, rel=1e-7)
