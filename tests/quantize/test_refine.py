"""Networks with other codes for the same weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from bpu_common.errors import ModelFormatError
from bpu_common.network import Network, QConv
from bpu_host.compiler import export, quantize
from bpu_host.compiler.calibrate import rounded as rounded_module
from bpu_host.compiler.calibrate import with_rounded_weights
from bpu_host.compiler.events import Event, Note
from bpu_host.compiler.quantize import refine
from bpu_host.compiler.quantize.refine import WIDEST
from bpu_host.compiler.rules import Placement
from bpu_sim.engines import open_engine
from bpu_sim.engines.ort import Plans
from bpu_sim.engines.reference import ReferenceEngine
from tests.support.nets_quant import (
    Net,
    all_tensors,
    feature_input,
    max_thresholds,
    placed,
)

SHAPE = (1, 3, 20, 20)


def some_net() -> ir.Model:
    """A dense layer, a depthwise one, one of 1x1, a transposed one; the last in int32."""
    net = Net(*SHAPE)
    x = net.node("Relu", [net.conv("data", 3, 16, pads=[1, 1, 1, 1], strides=[2, 2])])
    x = net.node("Relu", [net.conv(x, 16, 16, group=16, pads=[1, 1, 1, 1])])
    x = net.node("Relu", [net.conv(x, 16, 40, 1)])
    x = net.conv(x, 40, 8, 2, op="ConvTranspose", strides=[2, 2])
    return net.model(net.conv(net.node("Relu", [x]), 8, 4, 3))


def smooth_samples(count: int, seed: int = 5) -> list[dict[str, np.ndarray]]:
    """Pictures whose neighbouring pixels are alike."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        coarse = random.normal(0, 1, (*SHAPE[:2], 5, 5))
        fine = coarse.repeat(4, 2).repeat(4, 3) + 0.2 * random.normal(0, 1, SHAPE)
        found.append({"data": fine.astype(np.float32)})
    return found


def prepared(model: ir.Model, samples: list[dict[str, np.ndarray]]) -> tuple[Network, Placement]:
    shape = tuple(model.graph.inputs[0].shape.numpy())
    lowering = quantize.lower(
        placed(model, feature_input(*shape)), max_thresholds(model, samples), "net"
    )
    return lowering.network, lowering.placement


def kept_of(
    model: ir.Model, samples: list[dict[str, np.ndarray]]
) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    names = [value.name for value in model.graph.outputs]
    runs = [all_tensors(model, sample) for sample in samples]
    return [
        ({**s}, {name: run[name] for name in names}) for s, run in zip(samples, runs, strict=True)
    ]


def convs(network: Network) -> dict[str, QConv]:
    return {op.name: op for op in network.ops if isinstance(op, QConv)}


def test_only_codes_and_biases_change() -> None:
    model, samples = some_net(), smooth_samples(6)
    network, placement = prepared(model, samples)
    before, after = convs(network), convs(refine(network, placement, samples, len(samples)))
    assert before.keys() == after.keys()
    for name, op in before.items():
        other = after[name]
        assert not np.array_equal(op.weights, other.weights)
        assert np.abs(other.weights.astype(int)).max() <= 127
        assert np.array_equal(op.params.multiplier, other.params.multiplier)
        assert np.array_equal(op.params.right_shift, other.params.right_shift)
        assert np.array_equal(op.params.out_shift, other.params.out_shift)


def test_outputs_come_nearer_on_samples_that_were_not_looked_at() -> None:
    model, samples = some_net(), smooth_samples(20)
    network, placement = prepared(model, samples)
    refined = refine(network, placement, samples[:12], 12)
    kept = kept_of(model, samples[12:])
    before, after = (rounded_module.network_errors(each, kept) for each in (network, refined))
    assert sum(after.values()) < 0.95 * sum(before.values())


def test_the_bias_takes_up_the_mean_of_what_the_codes_shift() -> None:
    net = Net(*SHAPE)
    model = net.model(net.conv("data", 3, 6, pads=[1, 1, 1, 1]))
    samples = [{"data": sample["data"] + 2} for sample in smooth_samples(1)]
    network, placement = prepared(model, samples)
    refined = refine(network, placement, samples, 1)
    (op,) = convs(refined).values()
    codes = open_engine(refined)[0].run(samples[0], keep=[op.x, op.y])
    scale = network.tensors[op.x].scale.value
    real = codes[op.x].transpose(0, 3, 1, 2).astype(np.float32) * np.float32(scale)
    wanted = all_tensors(model, {"data": real})[model.graph.outputs[0].name]
    made = open_engine(refined)[0].run(samples[0])[refined.outputs[0].tensor]
    step = np.array(refined.tensors[op.y].scale.values) * 2.0**op.params.bias_shift
    assert (np.abs((made - wanted).mean(axis=(0, 2, 3))) <= step).all()


def test_engines_and_the_quantized_model_agree_on_refined_networks() -> None:
    model, samples = some_net(), smooth_samples(4)
    network, placement = prepared(model, samples)
    refined = refine(network, placement, samples, 4)
    output = refined.outputs[0].tensor
    expected = ReferenceEngine(refined).run(samples[0])[output]
    assert np.array_equal(open_engine(refined)[0].run(samples[0])[output], expected)
    exported = export.quantized_model(refined, Plans.of(refined))
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, samples[0])[0], expected)


def test_the_same_samples_give_the_same_codes() -> None:
    model, samples = some_net(), smooth_samples(5)
    network, placement = prepared(model, samples)
    first, second = (convs(refine(network, placement, samples, 5)) for _ in range(2))
    for name, op in first.items():
        assert np.array_equal(op.weights, second[name].weights)
        assert np.array_equal(op.params.bias, second[name].params.bias)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_samples_of_one_value_and_dead_channels(value: float) -> None:
    net = Net(*SHAPE)
    weights = np.random.default_rng(0).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    weights[1] = 0.0
    x = net.node("Conv", ["data", net.constant(weights)], pads=[0, 0, 0, 0])
    model = net.model(net.conv(net.node("Relu", [x]), 4, 4, group=4))
    samples = [{"data": np.full(SHAPE, value, np.float32)}]
    network, placement = prepared(model, samples)
    refined = refine(network, placement, samples, 1)
    for name, op in convs(network).items():
        assert np.array_equal(convs(refined)[name].weights, op.weights)


def test_filters_that_are_too_wide_stay_as_they_are() -> None:
    channels = WIDEST // 4 + 1
    net = Net(1, channels, 2, 2)
    model = net.model(net.conv("data", channels, 2, 2))
    samples = [{"data": np.random.default_rng(0).normal(0, 1, (1, channels, 2, 2)).astype("f")}]
    network, placement = prepared(model, samples)
    assert convs(refine(network, placement, samples, 1)) == convs(network)


def told(network: Network, placement: Placement, samples: list, kept: list) -> tuple[Network, str]:
    events: list[Event] = []
    made = with_rounded_weights(network, placement, samples, kept, events.append)
    (note,) = events
    assert isinstance(note, Note)
    return made, note.sentence


def test_what_was_gained_is_told() -> None:
    model, samples = some_net(), smooth_samples(20)
    network, placement = prepared(model, samples)
    made, sentence = told(network, placement, samples, kept_of(model, samples[::3][:7]))
    assert made is not network
    assert "rounded together: error of the outputs" in sentence
    assert "dB less (on 7 samples)" in sentence


def test_a_network_that_gains_nothing_keeps_its_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, samples = some_net(), smooth_samples(4)
    network, placement = prepared(model, samples)
    monkeypatch.setattr(rounded_module, "refine", lambda network, *_: network)
    made, sentence = told(network, placement, samples, kept_of(model, samples[:1]))
    assert made is network
    assert sentence.startswith("Weights are rounded to nearest")


def test_a_network_that_no_engine_runs_is_left_to_the_check_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise ModelFormatError("may not be run")

    model, samples = some_net(), smooth_samples(2)
    network, placement = prepared(model, samples)
    monkeypatch.setattr(rounded_module, "refine", refuses)
    assert with_rounded_weights(network, placement, samples, kept_of(model, samples)) is network


def test_samples_that_judge_are_not_looked_at() -> None:
    for total, judging in ((100, 8), (9, 8), (40, 8)):
        chosen = rounded_module._chosen(total, judging)
        assert not set(chosen) & rounded_module.spread(total, judging)
        assert len(chosen) == min(rounded_module.REFINING_SAMPLES, total - judging)
    assert rounded_module._chosen(3, 3) == [0, 1, 2]
