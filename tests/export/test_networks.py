"""Whole small networks: three ways, the same bits; and the artifacts around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from bpu_common.network import Dequantize, ModelOutput, Network, OnnxOp, QConv, Quantize
from bpu_common.tensor import DType, InputType, TensorSpec
from bpu_host.compiler.export import calibrated_model, quantized_model
from bpu_host.compiler.partition import split
from bpu_sim import arith
from bpu_sim.engines import OrtEngine
from bpu_sim.engines.onnx import check_graph
from bpu_sim.engines.ort import Plans, part
from bpu_sim.engines.ort.caches import CacheSizes, machine_sizes
from bpu_sim.engines.ort.graph import write_graph
from tests.support.nets_codes import NetBuilder, mobilenet_v2, reference


@pytest.mark.parametrize("seed", [0, 1])
def test_mobilenet(seed: int) -> None:
    net, y = mobilenet_v2(seed, size=64, width=0.5)
    network = net.network(y)
    codes = np.random.default_rng(seed).integers(-128, 128, (1, 64, 64, 3)).astype(np.int8)
    wanted = reference(network, {"image": codes})[y]
    assert len(np.unique(wanted)) > 50
    session = ort.InferenceSession(quantized_model(network), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"image": codes})[0][0], wanted)
    for threads in (1, 2):
        got = OrtEngine(network, threads=threads).run({"image": codes})
        np.testing.assert_array_equal(got[y][0], wanted)


@pytest.mark.parametrize("strip_bytes", [1 << 12, 1 << 14])
def test_strips_change_no_bit(monkeypatch: pytest.MonkeyPatch, strip_bytes: int) -> None:
    sizes = CacheSizes(strip_bytes, 4 * strip_bytes)
    monkeypatch.setattr(part, "machine_sizes", lambda: sizes)
    net = NetBuilder(4)
    x = net.conv(net.input("image", (37, 21, 3)), 16, (3, 3), (2, 2), (1, 0, 0, 1))
    y = net.conv(x, 32, (5, 3), (1, 1), (4, 1, 0, 1), dilation=(2, 1), clamp=(0, 127))
    y = net.conv(y, 32, (3, 3), (2, 1), (2, 1, 2, 1), groups=32)
    y = net.conv(y, 20, (1, 1))
    out = net.conv(y, 8, (7, 7), (1, 1), (3, 3, 3, 3))
    network = net.network([x, out])
    codes = np.random.default_rng(1).integers(-128, 128, (1, 37, 21, 3)).astype(np.int8)
    data = write_graph(network.ops, network, Plans.of(network), ["image"], [x, out], sizes).data
    slices = [node for node in onnx.load_from_string(data).graph.node if node.op_type == "Slice"]
    assert len(slices) >= 3
    wanted = reference(network, {"image": codes})
    got = OrtEngine(network).run({"image": codes})
    for name in (x, out):
        np.testing.assert_array_equal(got[name][0], wanted[name])


def test_same_graph_same_bytes() -> None:
    first, second = (mobilenet_v2(3, size=32, width=0.25) for _ in range(2))

    def engine_graph(network: Network) -> bytes:
        outputs = [each.tensor for each in network.outputs]
        plans, sizes = Plans.of(network), CacheSizes(1 << 14, 1 << 16)
        return write_graph(network.ops, network, plans, ["image"], outputs, sizes).data

    for make in (quantized_model, engine_graph):
        assert make(first[0].network(first[1])) == make(second[0].network(second[1]))


def test_the_quantized_model_shows_its_operators() -> None:
    net = NetBuilder(1)
    x = net.conv(net.input("image", (8, 8, 3)), 16, (3, 3), clamp=(0, 127))
    y = net.conv(net.sum(x, net.conv(x, 16)), 5, int32=True)
    model = onnx.load_from_string(quantized_model(net.network(y)))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 10
    assert {each.domain: each.version for each in model.opset_import} == {"": 19, "horizon": 1}
    assert not any(function.overload for function in model.functions)
    nodes = [node for node in model.graph.node if node.domain == "horizon"]
    assert [node.op_type.split("_")[0] for node in nodes] == [
        "HzSQuantizedConv", "HzSQuantizedConv", "HzSElementwiseAdd", "HzSQuantizedConv",
    ]  # fmt: skip
    first, last = nodes[0], nodes[-1]
    attributes = {each.name: helper.get_attribute_value(each) for each in first.attribute}
    assert attributes["activation"] == b"relu"
    conv = net.ops[0]
    assert isinstance(conv, QConv)
    assert attributes["right_shift"] == conv.params.right_shift.tolist()
    assert attributes["scale"] == conv.params.multiplier.tolist()
    assert {"kernel_shape", "pads", "strides", "dilations", "group"} <= attributes.keys()
    tensors = {each.name: each for each in model.graph.initializer}
    assert first.input[1] == "conv0_weight_quantized"
    weights = numpy_helper.to_array(tensors[first.input[1]])
    assert weights.dtype == np.int8
    np.testing.assert_array_equal(weights, conv.weights.transpose(0, 3, 1, 2))
    wide = {each.name: helper.get_attribute_value(each) for each in last.attribute}
    assert (wide["output_bit"], wide["high_precision_output"]) == (32, 1)


def _cpu_network():
    """featuremap -> Quantize -> conv int32 -> Dequantize -> Softmax -> Reshape."""
    net = NetBuilder(2)
    net.input("f", (6, 4, 3), InputType.FEATUREMAP)
    del net.tensors["f"]
    net.tensor("f_quantized", (6, 4, 3), 0.02)
    net.ops.append(Quantize("q", "f", "f_quantized"))
    y = net.conv("f_quantized", 5, (3, 3), int32=True)
    net.tensor(y, (6, 4, 5), 1e-4, DType.INT32)
    net.ops.append(Dequantize("d", y, "real"))
    for kind, given, made, attributes in (
        ("Softmax", ("real",), ("p",), {"axis": 1}),
        ("Reshape", ("p", "shape"), ("flat",), {}),
    ):
        node = helper.make_node(kind, given, made, **attributes)
        net.ops.append(OnnxOp(kind, kind, given, made, node.SerializeToString()))
    shapes = {"f": (1, 3, 6, 4), "real": (1, 5, 6, 4), "p": (1, 5, 6, 4), "flat": (1, 120)}
    for name, shape in shapes.items():
        net.tensors[name] = TensorSpec(name, shape, DType.FLOAT32)
    net.inputs[0] = replace(net.inputs[0], tensor=net.tensors["f"])
    constants = {"shape": np.array([1, -1], np.int64)}
    parts = split(net.name, net.ops, ("flat",), constants)
    outputs = (ModelOutput("flat", "flat"),)
    return Network(net.name, net.tensors, tuple(net.inputs), outputs, parts, constants), y


def test_cpu_segments() -> None:
    network, y = _cpu_network()
    f = np.random.default_rng(0).normal(0, 1, (1, 3, 6, 4)).astype(np.float32)
    before, after = (
        write_graph(
            part.ops, network, Plans.of(network), part.inputs, part.outputs, machine_sizes()
        ).data
        for part in (network.parts[0], network.parts[2])
    )
    for data in (before, after):
        check_graph(data)
        onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    codes = ort.InferenceSession(before).run(None, {"f": f})[0]
    np.testing.assert_array_equal(codes[0], arith.quantize(f[0].transpose(1, 2, 0), 0.02))
    acc = reference_conv(network, codes[0])
    flat = ort.InferenceSession(after).run(None, {y: acc[None]})[0]
    real = arith.dequantize(acc, np.array(network.tensors[y].scale.values)).transpose(2, 0, 1)
    wide = np.exp(real.astype(np.float64))
    np.testing.assert_allclose(flat[0], (wide / wide.sum(axis=0)).reshape(-1), rtol=1e-5)
    session = ort.InferenceSession(quantized_model(network), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"f": f})[0], flat)


def reference_conv(network, codes):
    op = network.ops[1]
    return arith.conv(codes, op.weights, op.params, pads=op.pads_tlbr,
                      out=network.tensors[op.y].dtype)  # fmt: skip


def test_calibrated_model() -> None:
    rng = np.random.default_rng(0)
    x = helper.make_tensor_value_info("x", 1, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", 1, [1, 4, 8, 8])
    weights = rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
         helper.make_node("Relu", ["c"], ["y"], name="relu")],
        "g", [x], [y], [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)

    class Found:
        thresholds = {"x": 2.0, "c": 5.0, "y": 0.0}  # noqa: RUF012
        method = "max"

    data = calibrated_model(ir.from_proto(proto), Found())
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node if node.domain == "horizon"]
    assert names == ["x_HzCalibration", "w_HzCalibration", "c_HzCalibration"]
    sample = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    got = ort.InferenceSession(data, options).run(None, {"x": sample})[0]

    def fake(v: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
        scale = np.float32(1) * np.asarray(threshold, np.float32) / np.float32(127)
        return np.clip(np.rint(v / scale), -128, 127) * scale

    flat = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    conv = np.einsum("oi,nihw->nohw", fake(weights, flat)[:, :, 0, 0], fake(sample, 2.0))
    np.testing.assert_allclose(got, np.maximum(fake(conv, 5.0), 0), atol=0.05)
    assert np.isfinite(ort.InferenceSession(data).run(None, {"x": sample})[0]).all()
