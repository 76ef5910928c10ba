"""Each operator class: the quantized network, run exactly, is close to the float network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from bpu_common.network import (
    Network,
    OnnxOp,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    tensors_read,
)
from bpu_common.program import EltwiseKind
from bpu_common.tensor import DType
from bpu_host.compiler import passes
from tests.support.nets_quant import (
    Net,
    all_tensors,
    image_input,
    lowered,
    max_thresholds,
    sqnr_db,
    verdicts,
)
from tests.support.network_reference import run_network

SIZE = 14
Body = Callable[[Net, str], str]


def samples_of(model: ir.Model, count: int = 3) -> list[dict[str, np.ndarray]]:
    shape = tuple(model.graph.inputs[0].shape.numpy())
    random = np.random.default_rng(1)
    # Smooth pictures: noise alone would be averaged away by poolings.
    base = random.integers(-100, 100, (count, *shape[1:2], 1, 1))
    noise = random.integers(-60, 60, (count, *shape[1:]))
    pixels = np.clip(base + noise, -128, 127).astype(np.float32)
    return [{"data": pixels[i : i + 1]} for i in range(count)]


def lowered_of(model: ir.Model, *, cpu: tuple[str, ...] = ()) -> Network:
    thresholds = max_thresholds(model, samples_of(model))
    _, channels, height, width = model.graph.inputs[0].shape.numpy()
    inputs = (image_input(height, width, channels),)
    return lowered(model, verdicts(model, cpu=cpu), thresholds, inputs, "net")


def check(model: ir.Model, network: Network, least_db: float) -> dict[str, np.ndarray]:
    """Every output of the first sample is within the bound; returns all values."""
    sample = samples_of(model)[0]
    real = all_tensors(model, sample)
    values = run_network(network, {"data": sample["data"].transpose(0, 2, 3, 1)})
    for value in model.graph.outputs:
        assert sqnr_db(real[value.name], values[value.name]) > least_db, value.name
    assert_consistent(network)
    return values


def assert_consistent(network: Network) -> None:
    """Names are unique and made before they are read."""
    known = {item.tensor.name for item in network.inputs}
    names: set[str] = set()
    for op in network.ops:
        assert op.name not in names
        names.add(op.name)
        if isinstance(op, OnnxOp):
            read = {name for name in op.xs if name}
            assert read <= known | set(network.constants)
            known.update(op.ys)
            continue
        assert set(tensors_read(op)) <= known
        known.add(op.y)
    assert {output.tensor for output in network.outputs} <= known


def around(body: Body, channels: int = 8) -> ir.Model:
    """conv -> body -> conv, so that the body lies between BPU operators."""
    net = Net(1, 3, SIZE, SIZE)
    x = net.conv("data", 3, channels, pads=[1, 1, 1, 1])
    y = body(net, x)
    shapes = net.model(y).graph.outputs[0].shape.numpy()
    return net.model(net.conv(y, shapes[1], 6, 1))


def upsample(net: Net, x: str, mode: str, coordinates: str) -> str:
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    return net.node(
        "Resize", [x, "", scales], mode=mode, coordinate_transformation_mode=coordinates
    )


BODIES: dict[str, Body] = {
    "relu": lambda n, x: n.node("Relu", [x]),
    "relu6": lambda n, x: n.node("Clip", [x, n.constant(np.float32(0)), n.constant(np.float32(6))]),
    "clip": lambda n, x: n.node(
        "Clip", [x, n.constant(np.float32(-20)), n.constant(np.float32(50))]
    ),
    "sigmoid": lambda n, x: n.node("Sigmoid", [n.conv(x, 8, 8, 1, gain=0.02)]),
    "tanh": lambda n, x: n.node("Tanh", [n.conv(x, 8, 8, 1, gain=0.02)]),
    "leaky": lambda n, x: n.node("LeakyRelu", [x], alpha=0.2),
    "hardswish": lambda n, x: n.node("HardSwish", [x]),
    "hardswish-written-out": lambda n, x: n.node(
        "Mul", [x, n.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)]
    ),
    "hardsigmoid": lambda n, x: n.node("HardSigmoid", [x], alpha=0.01, beta=0.4),
    "mish-operator": lambda n, x: n.node("Mish", [x]),
    "sub": lambda n, x: n.node("Sub", [x, n.conv(x, 8, 8, 1)]),
    "sub-turned": lambda n, x: n.node("Sub", [n.node("GlobalMaxPool", [x]), x]),
    "prelu": lambda n, x: n.node(
        "PRelu", [x, n.constant(np.linspace(-0.5, 0.9, 8, dtype=np.float32)[:, None, None])]
    ),
    "prelu-one": lambda n, x: n.node("PRelu", [x, n.constant(np.array([0.3], np.float32))]),
    "silu": lambda n, x: n.node("Mul", [x, n.node("Sigmoid", [x])]),
    "mish": lambda n, x: n.node("Mul", [x, n.node("Tanh", [n.node("Softplus", [x])])]),
    "add": lambda n, x: n.node("Add", [x, n.conv(x, 8, 8, pads=[1, 1, 1, 1])]),
    "add-relu": lambda n, x: n.node(
        "Relu", [n.node("Add", [x, n.conv(x, 8, 8, pads=[1, 1, 1, 1])])]
    ),
    "mul": lambda n, x: n.node("Mul", [x, n.conv(x, 8, 8, 1)]),
    "squeeze-excite": lambda n, x: n.node(
        "Mul",
        [n.node("Sigmoid", [n.conv(n.node("GlobalAveragePool", [x]), 8, 8, 1, gain=0.05)]), x],
    ),
    "maxpool": lambda n, x: n.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2]),
    "maxpool-ceil": lambda n, x: n.node(
        "MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[0, 1, 0, 1]
    ),
    "avgpool": lambda n, x: n.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2]),
    "avgpool-padded": lambda n, x: n.node(
        "AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "global-average": lambda n, x: n.node("GlobalAveragePool", [x]),
    "reduce-mean": lambda n, x: n.node("ReduceMean", [x, n.constant(np.array([2, 3]))], keepdims=1),
    "global-max": lambda n, x: n.node("GlobalMaxPool", [x]),
    "nearest": lambda n, x: upsample(n, x, "nearest", "asymmetric"),
    "bilinear": lambda n, x: upsample(n, x, "linear", "half_pixel"),
    "bilinear-corners": lambda n, x: upsample(n, x, "linear", "align_corners"),
    "slice": lambda n, x: n.node(
        "Slice",
        [
            x,
            n.constant(np.array([2, -12])),
            n.constant(np.array([8, 100])),
            n.constant(np.array([1, -1])),
            n.constant(np.array([3, 2])),
        ],
    ),
    "pad": lambda n, x: n.node(
        "Pad", [x, n.constant(np.array([0, 0, 1, 2, 0, 0, 3, 0])), n.constant(np.float32(-7))]
    ),
    "pad-axes": lambda n, x: n.node(
        "Pad", [x, n.constant(np.array([1, 2])), "", n.constant(np.array([2]))]
    ),
    "depth-to-space": lambda n, x: n.node("DepthToSpace", [x], blocksize=2, mode="DCR"),
    "depth-to-space-crd": lambda n, x: n.node("DepthToSpace", [x], blocksize=2, mode="CRD"),
    "space-to-depth": lambda n, x: n.node("SpaceToDepth", [x], blocksize=2),
    "depthwise": lambda n, x: n.conv(x, 8, 8, group=8, pads=[0, 1, 2, 1], strides=[2, 1]),
    "grouped": lambda n, x: n.conv(x, 8, 12, group=2, dilations=[2, 2]),
    "same-upper": lambda n, x: n.conv(x, 8, 8, auto_pad="SAME_UPPER", strides=[2, 2]),
    "deconv": lambda n, x: n.conv(
        x, 8, 6, 4, op="ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "deconv-asymmetric": lambda n, x: n.conv(
        x,
        8,
        8,
        3,
        op="ConvTranspose",
        strides=[2, 2],
        pads=[1, 0, 0, 1],
        output_padding=[1, 0],
        group=2,
    ),
    "add-constant": lambda n, x: n.node(
        "Add", [x, n.constant(np.linspace(-30, 30, 8, dtype=np.float32)[None, :, None, None])]
    ),
    "mul-constant": lambda n, x: n.node(
        "Mul", [n.constant(np.linspace(0.1, 2, 8, dtype=np.float32)[:, None, None]), x]
    ),
    "sub-from": lambda n, x: n.node("Sub", [n.constant(np.float32(5)), x]),
    "div": lambda n, x: n.node("Div", [x, n.constant(np.float32(3))]),
}


@pytest.mark.parametrize("name", BODIES)
def test_operator_runs_on_the_bpu_and_is_close(name: str) -> None:
    model = around(BODIES[name])
    passes.optimize(model)
    network = lowered_of(model)
    assert not [op for op in network.ops if isinstance(op, OnnxOp)]
    check(model, network, 20.0 if name == "global-average" else 26.0)


def test_split_into_three() -> None:
    net = Net(1, 3, SIZE, SIZE)
    x = net.conv("data", 3, 9, pads=[1, 1, 1, 1])
    net.node("Split", [x], 3, axis=1, num_outputs=3)
    parts = [net.conv(f"t1{end}", 3, 4, 1) for end in ("", "_1", "_2")]
    model = net.model(*parts)
    check(model, lowered_of(model), 28.0)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat(axis: int) -> None:
    """One branch is also read elsewhere, so it keeps its own scale and gets a unit convolution."""
    net = Net(1, 3, SIZE, SIZE)
    x = net.conv("data", 3, 8, pads=[1, 1, 1, 1])
    y = net.conv(x, 8, 8, 1, gain=0.2)
    z = net.node("Concat", [x, y], axis=axis)
    channels = 16 if axis == 1 else 8
    model = net.model(net.conv(z, channels, 4, 1), net.conv(y, 8, 4, 1))
    network = lowered_of(model)
    check(model, network, 28.0)
    joins = [op for op in network.ops if isinstance(op, QEltwise)]
    scale = network.tensors["t2"].scale.value
    assert {op.name for op in joins} == {
        f"UNIT_CONV_FOR_{name}_{scale:.5f}_TO_FUSE_SCALE"
        for name in ("t0", "t1")
        if network.tensors[name].scale.value != scale
    }
    assert all(op.kind is EltwiseKind.SCALE for op in joins)
    assert "t1" in {op.a for op in joins}


def test_big_global_average_is_split() -> None:
    net = Net(1, 3, 112, 84)
    x = net.conv("data", 3, 4, 1)
    model = net.model(net.conv(net.node("GlobalAveragePool", [x]), 4, 3, 1))
    network = lowered_of(model)
    pools = [op for op in network.ops if isinstance(op, QConv) and "Average" in op.name]
    assert [op.kernel_hw for op in pools] == [(7, 7), (4, 6), (4, 2)]
    assert [op.name for op in pools] == [
        "GlobalAveragePool_1_SPLIT_WITH_DEPTHWISE_CONV_0",
        "GlobalAveragePool_1_SPLIT_WITH_DEPTHWISE_CONV_1",
        "GlobalAveragePool_1",
    ]
    check(model, network, 15.0)


def test_residual_network_end_to_end() -> None:
    """Names, fusions and precision of a small network with everything of a classifier."""
    net = Net(1, 3, 24, 24)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1], strides=[2, 2])])
    y = net.conv(x, 8, 8, pads=[1, 1, 1, 1])
    y = net.node("Relu", [net.node("Add", [y, x])])
    y = net.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = net.conv(net.node("GlobalAveragePool", [y]), 8, 10, 1)
    model = net.model(net.node("Softmax", [y], axis=1))
    network = lowered_of(model, cpu=("Softmax_8",))
    assert [(type(op).__name__, op.name) for op in network.ops] == [
        ("QConv", "Conv_0"),
        ("QConv", "Conv_2"),
        ("QEltwise", "UNIT_CONV_FOR_Add_3"),
        ("QMaxPool", "MaxPool_5"),
        ("QConv", "GlobalAveragePool_6"),
        ("QConv", "Conv_7"),
        ("Dequantize", "t7_HzDequantize"),
        ("OnnxOp", "Softmax_8"),
    ]
    check(model, network, 25.0)
    tail = network.tensors["t7_quantized"]
    assert tail.dtype is DType.INT32
    assert len(tail.scale.values) == 10


def test_gate_becomes_one_look_up_named_after_the_product() -> None:
    network = lowered_of(around(BODIES["silu"]))
    assert [op.name for op in network.ops if isinstance(op, QLut)] == ["Mul_2"]
    tables = next(op for op in network.ops if isinstance(op, QLut)).tables
    assert tables.shape == (1, 256)


def test_activation_is_fused_as_a_clamp() -> None:
    for name, expected in (("relu", (0, 127)), ("relu6", (0, 127))):
        network = lowered_of(around(BODIES[name]))
        first = network.ops[0]
        assert isinstance(first, QConv)
        assert first.clamp == expected
        assert first.y == "t1"


def test_pooling_keeps_the_scale() -> None:
    network = lowered_of(around(BODIES["maxpool"]))
    pool = next(op for op in network.ops if isinstance(op, QMaxPool))
    assert network.tensors[pool.x].scale == network.tensors[pool.y].scale
