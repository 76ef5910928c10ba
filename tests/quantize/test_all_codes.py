"""Tensors that are never negative, stored minus 128 steps."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_common import container
from bpu_common.machine import MACHINES
from bpu_common.network import Network, Place, QConv, QEltwise, QLut, QPad
from bpu_common.params import ChannelParams
from bpu_host.compiler import emit, export, quantize, rules, units
from bpu_host.compiler.calibrate import calibrate
from bpu_host.compiler.place import EmitOptions
from bpu_host.compiler.quantize import similarity
from bpu_host.compiler.quantize.all_codes import bias_is_coarse
from bpu_sim.engines import open_engine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.reference import ReferenceEngine
from bpu_sim.machine import ExactPart
from tests.support.nets_quant import (
    Net,
    all_tensors,
    feature_input,
    max_thresholds,
    placed,
    sqnr_db,
)

SHAPE = (1, 3, 16, 16)


def samples(count: int = 4) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(11)
    return [{"data": random.normal(0, 1, SHAPE).astype(np.float32)} for _ in range(count)]


def all_kinds() -> ir.Model:
    """Every operation behind a ReLU: convolutions with pads and without, sums, pools, copies."""
    net = Net(*SHAPE)
    x = net.node("Relu", [net.conv("data", 3, 16, pads=[1, 1, 1, 1])])
    six = net.constant(np.float32(6)), net.constant(np.float32(0))
    y = net.node("Clip", [net.conv(x, 16, 16, group=16, pads=[1, 1, 1, 1]), six[1], six[0]])
    s = net.node("Sigmoid", [net.conv(x, 16, 16, 1)])
    z = net.node("Relu", [net.node("Add", [net.node("Mul", [y, s]), x])])
    z = net.node("MaxPool", [z], kernel_shape=[2, 2], strides=[2, 2])
    a = net.node("AveragePool", [z], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    joined = net.node("Concat", [z, a], axis=1)
    up = net.conv(joined, 32, 8, 2, op="ConvTranspose", strides=[2, 2])
    last = net.node("Relu", [up])
    pads = net.constant(np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int64))
    return net.model(net.conv(net.node("Pad", [last, pads]), 8, 4, 3), net.conv(joined, 32, 2, 1))


def lowered(model: ir.Model, *, use: bool) -> Network:
    placement = placed(model, feature_input(*SHAPE))
    return quantize.lower(placement, max_thresholds(model, samples()), "net", all_codes=use).network


def offsets(network: Network) -> set[str]:
    return {name for name, spec in network.tensors.items() if spec.scale.zero_points}


def test_what_a_relu_made_uses_all_codes() -> None:
    network = lowered(all_kinds(), use=True)
    used = offsets(network)
    assert len(used) >= 8
    assert not offsets(lowered(all_kinds(), use=False))
    values = ReferenceEngine(network).run(samples()[0], keep=used)
    for name in used:
        assert network.tensors[name].scale.zero_point == -128
        assert values[name].min() < 0
    convs = [op for op in network.ops if isinstance(op, QConv)]
    for op in convs:
        assert op.pad_code == network.tensors[op.x].scale.zero_point
    assert any(any(op.pads_tlbr) and op.pad_code for op in convs)
    assert {type(op) for op in network.ops if getattr(op, "x", "") in used} >= {QConv, QPad}
    assert any(isinstance(op, QEltwise) and any(op.zeros) for op in network.ops)


def test_outputs_come_nearer() -> None:
    model = all_kinds()
    gained = []
    for sample in samples():
        real = all_tensors(model, sample)
        for value in model.graph.outputs:
            before, after = (
                sqnr_db(real[value.name], _run(lowered(model, use=use), sample)[value.name])
                for use in (False, True)
            )
            gained.append(after - before)
    assert np.mean(gained) > 1.5


def _run(network: Network, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    made = ReferenceEngine(network).run(sample)
    return {output.name: made[output.tensor] for output in network.outputs}


def test_every_way_to_run_it_gives_the_same_bits() -> None:
    network, sample = lowered(all_kinds(), use=True), samples()[1]
    inner = sorted(offsets(network))
    expected = ReferenceEngine(network).run(sample, keep=inner)
    for prefer in ("auto", "onnxruntime"):
        engine, _ = open_engine(network, prefer=prefer)
        for name, array in engine.run(sample, keep=inner).items():
            assert np.array_equal(array, expected[name]), (prefer, name)
    exported = export.quantized_model(network, Plans.of(network))
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    for output, array in zip(network.outputs, session.run(None, sample), strict=True):
        assert np.array_equal(array, expected[output.tensor])


def test_the_file_and_the_machine_agree() -> None:
    network, sample = lowered(all_kinds(), use=True), samples()[2]
    spec = MACHINES["x3m"]
    model = emit.build_model(network, spec, EmitOptions())
    (loaded,) = container.loads(container.dump((model,)))
    assert offsets(loaded.network) == offsets(network)
    for part in network.parts:
        if part.name in model.programs:
            values = ReferenceEngine(network).run(sample, keep=[*part.inputs, *part.outputs])
            exact = ExactPart(part.name, model.programs[part.name], network.images).run(values)
            for name in part.outputs:
                assert np.array_equal(exact[name], values[name])


def test_what_leaves_the_bpu_stays_symmetric() -> None:
    net = Net(*SHAPE)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    pooled = net.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    y = net.node("Relu", [net.conv(x, 8, 8, 1)])
    model = net.model(pooled, net.conv(y, 8, 4, 1))
    used = offsets(lowered(model, use=True))
    assert used == {"t4"}  # the pooling's input shares the codes of an output


def test_around_a_look_up_on_the_cpu_codes_stay_symmetric() -> None:
    """Only its size keeps it off the BPU: sigmoid of 8 x 64 x 64, between convolutions."""
    net = Net(1, 3, 64, 64)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    looked_up = net.node("Sigmoid", [x])
    last = net.node("Relu", [net.conv(looked_up, 8, 8, 1)])
    model = net.model(net.conv(last, 8, 4, 1))
    sample = {"data": np.random.default_rng(3).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)}
    placement = rules.place(units.recognise(model, (feature_input(1, 3, 64, 64),)))
    thresholds = max_thresholds(model, [sample])
    network = quantize.lower(placement, thresholds, "net", all_codes=True).network
    [look_up] = [op for part in network.parts for op in part.ops if isinstance(op, QLut)]
    [place] = [part.place for part in network.parts if look_up in part.ops]
    assert place is Place.CPU
    used = offsets(network)
    assert used
    assert used.isdisjoint({look_up.x, look_up.y})
    real = all_tensors(model, sample)
    for name, array in _run(network, sample).items():
        assert sqnr_db(real[name], array) > 25


def test_what_may_be_negative_stays_symmetric() -> None:
    net = Net(*SHAPE)
    x = net.conv("data", 3, 8, pads=[1, 1, 1, 1])
    y = net.node("Tanh", [x])
    z = net.node("Relu", [net.conv(y, 8, 8, 1)])
    w = net.node("Sub", [z, x])
    model = net.model(net.conv(w, 8, 4, 1))
    assert offsets(lowered(model, use=True)) == {"t3"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_results_are_within_two_steps_of_the_same_in_real_numbers(seed: int) -> None:
    """A convolution with pads over an offset tensor, on what its codes stand for."""
    net = Net(*SHAPE, seed=seed)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    y = net.node("Relu", [net.conv(x, 8, 8, pads=[1, 0, 2, 1])])
    model = net.model(net.conv(y, 8, 2, 1))
    network = lowered(model, use=True)
    values = ReferenceEngine(network).run(samples()[0], keep=["t1", "t3"])
    specs = network.tensors
    real = {
        name: (values[name].astype(np.float64) - specs[name].scale.zero_point)
        * specs[name].scale.value
        for name in ("t1", "t3")
    }
    second = next(op for op in network.ops if isinstance(op, QConv) and op.x == "t1")
    weights = second.weights.astype(np.float64)
    proto = next(node for node in model.graph if node.name.startswith("Conv_2"))
    bias = proto.inputs[2].const_value.numpy().astype(np.float64)
    scales = np.abs(proto.inputs[1].const_value.numpy()).max(axis=(1, 2, 3)) / 127.0
    padded = np.pad(real["t1"][0], ((1, 2), (0, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    sums = np.einsum("hwcij,oijc->hwo", windows, weights) * scales + bias
    expected = np.maximum(sums, 0).clip(0, specs["t3"].scale.threshold)
    assert np.abs(real["t3"][0] - expected).max() <= 1.5 * specs["t3"].scale.value


def test_similarity_counts_from_zero() -> None:
    model = all_kinds()
    network = lowered(model, use=True)
    quantized = export.quantized_model(network, Plans.of(network))
    near = similarity(model, quantized, samples()[0], network=network)
    assert min(near.cosines.values()) > 0.99


def test_coarse_biases_are_seen() -> None:
    one = np.ones(1, np.int32)
    params = ChannelParams(one, 0 * one, 0 * one, one << 14, 24 * one)
    weights = np.full((1, 3, 3, 1), 100, np.int8)
    assert not bias_is_coarse(weights, params, int32=False)
    coarse = ChannelParams(one, 8 * one, 0 * one, one << 14, 24 * one)  # 128 steps of 2^-10
    assert bias_is_coarse(weights, coarse, int32=False)
    assert bias_is_coarse(weights, coarse, int32=True)
    assert not bias_is_coarse(weights, params, int32=True)


def test_a_coarse_bias_leaves_its_tensors_symmetric(monkeypatch: pytest.MonkeyPatch) -> None:
    from bpu_host.compiler.quantize import writer

    monkeypatch.setattr(writer, "bias_is_coarse", lambda *_, **__: True)
    network = lowered(all_kinds(), use=True)
    around = {t for op in network.ops if isinstance(op, QConv) for t in (op.x, op.y)}
    assert not offsets(network) & around


def test_default_takes_them_where_they_pay_and_may() -> None:
    model = all_kinds()
    placement = placed(model, feature_input(*SHAPE))
    asked: list[tuple[int, int]] = []

    def affordable(before: Network, after: Network) -> bool:
        asked.append((len(offsets(before)), len(offsets(after))))
        return len(asked) == 1

    assert calibrate(placement, samples(), "default", affordable=affordable).all_codes
    assert not calibrate(placement, samples(), "default", affordable=affordable).all_codes
    assert len(asked) == 2
    assert asked[0][0] == 0 < asked[0][1]
    assert not calibrate(placement, samples(), "default").all_codes
    assert calibrate(placement, samples(), "max", all_codes=True).all_codes
    assert not calibrate(placement, samples(), "max", affordable=affordable).all_codes


def test_networks_without_such_tensors_are_not_timed() -> None:
    net = Net(*SHAPE)
    model = net.model(net.conv(net.conv("data", 3, 8, 1), 8, 4, 1))
    calibrate(placed(model, feature_input(*SHAPE)), samples(), "default", affordable=pytest.fail)
