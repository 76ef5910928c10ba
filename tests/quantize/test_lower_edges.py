"""Between BPU and CPU: quantize, dequantize, high precision, layers that do not fit the chip."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from bpu_common.errors import ModelUnsupported
from bpu_common.network import Dequantize, Network, OnnxOp, QConv, Quantize
from bpu_common.tensor import DType, Scale
from bpu_host.compiler import quantize
from bpu_host.compiler.quantize.lower import Lowering
from bpu_host.compiler.quantize.scales import scale_of
from tests.support.nets_quant import (
    Net,
    Thresholds,
    all_tensors,
    feature_input,
    image_input,
    lowered,
    max_thresholds,
    placed,
    sqnr_db,
    verdicts,
)
from tests.support.network_reference import run_network


def features(*shape: int, count: int = 2) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(2)
    return [{"data": random.normal(0, 1, shape).astype(np.float32)} for _ in range(count)]


def lowering_of_features(model: ir.Model, *, cpu: tuple[str, ...] = ()) -> Lowering:
    shape = tuple(model.graph.inputs[0].shape.numpy())
    thresholds = max_thresholds(model, features(*shape))
    return quantize.lower(placed(model, feature_input(*shape), cpu=cpu), thresholds, "net")


def lower_features(model: ir.Model, *, cpu: tuple[str, ...] = ()) -> Network:
    return lowering_of_features(model, cpu=cpu).network


def run_features(model: ir.Model, network: Network) -> list[float]:
    """SQNR of each output."""
    sample = features(*tuple(model.graph.inputs[0].shape.numpy()))[0]
    real, values = all_tensors(model, sample), run_network(network, sample)
    return [sqnr_db(real[v.name], values[v.name]) for v in model.graph.outputs]


def kinds(network: Network) -> list[str]:
    return [type(op).__name__ for op in network.ops]


def test_featuremap_is_quantized_first() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv("data", 4, 4))
    network = lower_features(model)
    assert kinds(network) == ["Quantize", "QConv", "Dequantize"]
    assert network.ops[0] == Quantize("data_HzQuantize", "data", "data_quantized")
    assert network.ops[2] == Dequantize(
        "t0_HzDequantize", "t0_quantized", "t0", sources=("Conv_0",)
    )
    assert network.tensors["data"].shape == (1, 4, 8, 8)
    assert run_features(model, network)[0] > 30


def test_last_convolution_is_int32_with_a_scale_per_channel() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv("data", 4, 5))
    network = lower_features(model)
    tensor = network.tensors["t0_quantized"]
    assert tensor.dtype is DType.INT32
    weights = numpy_helper.to_array(net.constants[0])
    s_in = network.tensors["data_quantized"].scale.value
    expected = s_in * np.abs(weights).reshape(5, -1).max(1) / 127
    np.testing.assert_allclose(tensor.scale.values, expected, rtol=1e-6)


def test_convolution_read_on_both_sides_stays_int8() -> None:
    net = Net(1, 4, 8, 8)
    x = net.conv("data", 4, 4)
    model = net.model(net.conv(x, 4, 4), net.node("Softmax", [x], axis=1))
    network = lower_features(model, cpu=("Softmax_2",))
    assert network.tensors["t0_quantized"].dtype is DType.INT8
    assert network.tensors["t1_quantized"].dtype is DType.INT32
    assert min(run_features(model, network)) > 20


def test_relu_on_the_cpu_behind_the_last_convolution() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.node("Relu", [net.conv("data", 4, 4)]))
    network = lower_features(model, cpu=("Relu_1",))
    assert kinds(network) == ["Quantize", "QConv", "Dequantize", "OnnxOp"]
    assert network.tensors["t0_quantized"].dtype is DType.INT32
    forced = lower_features(model)
    assert kinds(forced) == ["Quantize", "QConv", "Dequantize"]
    assert forced.tensors["t1_quantized"].dtype is DType.INT8


def test_cpu_operator_between_bpu_operators() -> None:
    net = Net(1, 4, 8, 8)
    x = net.node("Softmax", [net.conv("data", 4, 4)], axis=1)
    model = net.model(net.conv(x, 4, 4))
    network = lower_features(model, cpu=("Softmax_1",))
    assert kinds(network) == [
        "Quantize",
        "QConv",
        "Dequantize",
        "OnnxOp",
        "Quantize",
        "QConv",
        "Dequantize",
    ]
    assert {"t0", "t1", "data"} <= {n for n, spec in network.tensors.items() if not spec.scale}
    assert run_features(model, network)[0] > 20


def test_convolution_on_the_cpu_keeps_its_constants() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv(net.node("Relu", [net.conv("data", 4, 4)]), 4, 4))
    network = lower_features(model, cpu=("Conv_0",))
    cpu = next(op for op in network.ops if isinstance(op, OnnxOp))
    assert set(cpu.xs[1:]) <= set(network.constants)
    assert run_features(model, network)[0] > 30


def test_missing_threshold_before_a_relu_is_that_of_its_result() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv(net.node("Relu", [net.conv("data", 4, 4)]), 4, 4))
    thresholds = max_thresholds(model, features(1, 4, 8, 8)).thresholds
    del thresholds["t0"]
    network = lowered(
        model,
        verdicts(model, cpu=("Conv_0",)),
        Thresholds(thresholds),
        (feature_input(1, 4, 8, 8),),
        "net",
    )
    assert network.tensors["t0_quantized"].scale == Scale.per_tensor(scale_of(thresholds["t1"]))


def test_layer_with_a_ratio_out_of_range_goes_to_the_cpu() -> None:
    net = Net(1, 4, 8, 8)
    x = net.conv("data", 4, 4)
    model = net.model(net.conv(net.conv(x, 4, 4), 4, 4))
    thresholds = dict(max_thresholds(model, features(1, 4, 8, 8)).thresholds)
    thresholds["t1"] = 1e-8
    placement = placed(model, feature_input(1, 4, 8, 8))
    lowering = quantize.lower(placement, Thresholds(thresholds), "net")
    network = lowering.network
    cpu = [op for op in network.ops if isinstance(op, OnnxOp)]
    assert [op.name for op in cpu] == ["Conv_1"]
    assert "ratio" in lowering.placement.verdicts["Conv_1"].reason
    assert [op.name for op in network.ops if isinstance(op, QConv)] == ["Conv_0", "Conv_2"]


def test_channel_that_is_nearly_dead_stays_on_the_bpu() -> None:
    """Tiny weights beside a usual bias (a folded batch norm): coarser weights, not the CPU."""
    net = Net(1, 4, 8, 8)
    x = net.conv("data", 4, 4)
    weights = numpy_helper.to_array(net.constants[0]).copy()
    weights[1] *= 1e-12
    weights[2] = 0
    net.constants[0].CopyFrom(numpy_helper.from_array(weights, net.constants[0].name))
    bias = np.array([0.1, 2.0, -1.5, 0.0], np.float32)
    net.constants[1].CopyFrom(numpy_helper.from_array(bias, net.constants[1].name))
    model = net.model(net.conv(x, 4, 4))
    network = lower_features(model)
    assert kinds(network) == ["Quantize", "QConv", "QConv", "Dequantize"]
    sample = features(1, 4, 8, 8)[0]
    codes = run_network(network, sample)["t0"]
    scale = network.tensors["t0"].scale.value
    for channel in (1, 2):
        np.testing.assert_allclose(codes[..., channel] * scale, bias[channel], atol=scale)
    assert run_features(model, network)[0] > 25


@pytest.mark.parametrize(
    ("op", "attributes", "reason"),
    [
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, "count_include_pad"),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, "dilations"),
        ("Softmax", {"axis": 1}, "OpenBPU runs Softmax on the CPU"),
        ("GlobalLpPool", {}, "the BPU has no operator GlobalLpPool"),
    ],
)
def test_what_cannot_be_expressed_goes_to_the_cpu_with_the_reason(
    op: str, attributes: dict[str, object], reason: str
) -> None:
    net = Net(1, 3, 8, 8)
    x = net.node(op, [net.conv("data", 3, 16)], **attributes)
    model = net.model(net.conv(x, 16, 4, 1))
    lowering = lowering_of_features(model)
    network = lowering.network
    cpu = [operation for operation in network.ops if isinstance(operation, OnnxOp)]
    assert [operation.op_type for operation in cpu] == [op]
    assert reason in lowering.placement.verdicts[cpu[0].name].reason
    assert run_features(model, network)[0] > 20


def image_net(*, nhwc: bool) -> ir.Model:
    net = Net(1, 8, 8, 3) if nhwc else Net(1, 3, 8, 8)
    x = net.node("Transpose", ["data"], perm=[0, 3, 1, 2]) if nhwc else "data"
    return net.model(net.conv(x, 3, 4))


@pytest.mark.parametrize("nhwc", [False, True])
def test_image_input_is_the_first_tensor(nhwc: bool) -> None:
    model = image_net(nhwc=nhwc)
    network = lowered(
        model, verdicts(model), Thresholds({"data": 55.0}), (image_input(8, 8),), "net"
    )
    assert kinds(network) == ["QConv", "Dequantize"]
    assert network.ops[0].x == "data"
    tensor = network.tensors["data"]
    assert (tensor.scale.values, tensor.scale.threshold) == ((1.0,), 127.0)
    assert tensor.shape_hwc == (8, 8, 3)


@pytest.mark.parametrize("nhwc", [False, True])
def test_image_input_read_on_the_cpu_is_dequantized(nhwc: bool) -> None:
    model = image_net(nhwc=nhwc)
    name = "Conv_1" if nhwc else "Conv_0"
    network = lowered(
        model, verdicts(model, cpu=(name,)), Thresholds({}), (image_input(8, 8),), "net"
    )
    assert kinds(network) == ["Dequantize", "OnnxOp"]
    pixels = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 3)).astype(np.int8)
    fed = pixels if nhwc else pixels.transpose(0, 3, 1, 2)
    real = all_tensors(model, {"data": fed.astype(np.float32)})
    out = network.outputs[0].tensor
    np.testing.assert_allclose(
        run_network(network, {"data": pixels})[out], real[out], rtol=1e-4, atol=1e-3
    )


def test_image_input_read_in_nhwc_form_is_refused() -> None:
    net = Net(1, 8, 8, 3)
    x = net.node("Transpose", ["data"], perm=[0, 3, 1, 2])
    model = net.model(net.conv(x, 3, 4), net.node("Softmax", ["data"]))
    with pytest.raises(ModelUnsupported, match="read in NHWC form"):
        lowered(
            model,
            verdicts(model, cpu=("Softmax_2",)),
            Thresholds({}),
            (image_input(8, 8),),
            "net",
        )


def test_tensor_without_signal_is_reported() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv(net.conv("data", 4, 4), 4, 4))
    placement = placed(model, feature_input(1, 4, 8, 8))
    thresholds = Thresholds({"data": 1.0, "t0": 0.0})
    lowering = quantize.lower(placement, thresholds, "net")
    assert [finding.subject for finding in lowering.findings()] == ["tensor t0"]
    scale = lowering.network.tensors["t0"].scale
    assert scale.threshold == pytest.approx(1.0)


def test_lowering_twice_gives_the_same() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.conv(net.conv("data", 4, 4), 4, 4))
    first, second = lower_features(model), lower_features(model)
    assert first.tensors == second.tensors
    for one, other in zip(first.ops, second.ops, strict=True):
        if isinstance(one, QConv):
            assert one.weights.tobytes() == other.weights.tobytes()
            assert one.params.to_bytes() == other.params.to_bytes()


def test_model_is_not_changed() -> None:
    net = Net(1, 4, 8, 8)
    model = net.model(net.node("Relu", [net.conv("data", 4, 4)]))
    before: onnx.ModelProto = ir.to_proto(model)
    lower_features(model, cpu=("Relu_1",))
    assert ir.to_proto(model).SerializeToString() == before.SerializeToString()
