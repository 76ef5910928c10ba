"""`default` compares the networks that its candidates lead to, on samples from the whole set."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_host.compiler import export
from bpu_host.compiler.calibrate import calibrate
from bpu_host.compiler.calibrate.collect import KEPT_VALUES, collect, thinned
from bpu_host.compiler.calibrate.ranking import Kept, network_errors, relative_error
from bpu_host.compiler.calibrate.thresholds import RANKED_SAMPLES
from bpu_host.compiler.quantize import lower
from bpu_host.compiler.rules import Placement
from bpu_sim.engines.ort import Plans
from tests.support.nets_quant import (
    Net,
    Thresholds,
    all_tensors,
    feature_input,
    image_input,
    placed,
)

SHAPE = (1, 3, 16, 16)


def two_headed() -> Placement:
    net = Net(*SHAPE)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    near, far = net.conv(x, 8, 4, 1, gain=1e-3, bias=0.0), net.conv(x, 8, 2, 1, gain=100.0)
    return placed(net.model(near, far), feature_input(*SHAPE))


def growing_samples(count: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    return [
        {"data": random.normal(0, 1 + index, SHAPE).astype(np.float32)} for index in range(count)
    ]


def errors_in_onnxruntime(
    placement: Placement, thresholds: dict[str, float], samples: list[dict[str, np.ndarray]]
) -> float:
    """Mean over the outputs of squared error over variance, of `quantized_model.onnx`."""
    network = lower(placement, Thresholds(thresholds), "net").network
    quantized = export.quantized_model(network, Plans.of(network))
    session = ort.InferenceSession(quantized, providers=["CPUExecutionProvider"])
    names = [value.name for value in placement.plan.model.graph.outputs]
    made = [session.run(None, sample) for sample in samples]
    real = [all_tensors(placement.plan.model, sample) for sample in samples]
    found = []
    for index, name in enumerate(names):
        a = np.stack([run[name] for run in real]).astype(np.float64)
        b = np.stack([run[index] for run in made])
        found.append(np.square(a - b).mean() / a.var())
    return float(np.mean(found))


def test_errors_are_those_of_the_quantized_model_on_samples_of_the_whole_set() -> None:
    placement, samples = two_headed(), growing_samples(20)
    found = calibrate(placement, samples, "default")
    ranked = [samples[index * 20 // RANKED_SAMPLES] for index in range(RANKED_SAMPLES)]
    for name, error in found.candidates:
        method = "kl" if name == "kl" else "max"
        if name.startswith("max-"):
            continue  # guarded there, honoured as the user's
        thresholds = calibrate(placement, samples, method).thresholds
        assert error == pytest.approx(errors_in_onnxruntime(placement, thresholds, ranked), 1e-4)


def errors(placement: Placement, thresholds: dict[str, float], kept: Kept) -> dict[str, float]:
    return network_errors(lower(placement, Thresholds(thresholds), "net").network, kept)


def test_outputs_of_different_scales_count_alike() -> None:
    """The same thresholds, once right and once ten times too large in front of one head."""
    placement, samples = two_headed(), growing_samples(4)
    thresholds = calibrate(placement, samples, "max").thresholds
    found = collect(
        placement.plan.model, samples, placement.tensors, histograms=False, keep=len(samples)
    )
    good = errors(placement, thresholds, found.kept)
    assert set(good) == {"t2", "t3"}
    assert all(0 < error < 1e-3 for error in good.values())
    coarse = errors(placement, {**thresholds, "t1": thresholds["t1"] * 10}, found.kept)
    for name, error in coarse.items():  # both read t1; neither is hidden by the other's scale
        assert error > 10 * good[name]


def test_fewer_samples_are_all_kept() -> None:
    placement, samples = two_headed(), growing_samples(3)
    found = collect(placement.plan.model, samples, [], histograms=False, keep=8)
    assert [sample is kept for sample, (kept, _) in zip(samples, found.kept, strict=True)]


def test_large_outputs_are_thinned() -> None:
    array = np.arange(4 * KEPT_VALUES + 17.0).reshape(1, -1)
    assert KEPT_VALUES // 2 < thinned(array).size <= KEPT_VALUES
    assert thinned(array[:, :KEPT_VALUES]).size == KEPT_VALUES


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.floats(-100, 100))
def test_relative_error_has_no_unit(seed: int, scale: float, offset: float) -> None:
    random = np.random.default_rng(seed)
    real, noise = random.normal(0, 1, (2, 50)), random.normal(0, 0.1, (2, 50))
    once = relative_error(list(real), list(real + noise))
    moved = (real + offset) * scale
    assert relative_error(list(moved), list(moved + noise * scale)) == pytest.approx(once, 1e-6)


def test_relative_error_at_its_ends() -> None:
    real = [np.array([1.0, 3.0]), np.array([5.0, 7.0])]
    assert relative_error(real, real) == 0.0
    assert relative_error(real, [np.full(2, 4.0)] * 2) == pytest.approx(1.0)
    assert relative_error([np.full(3, 2.0)], [np.full(3, 1.0)]) == pytest.approx(0.25)
    assert relative_error([np.zeros(3)], [np.zeros(3)]) == 0.0
    assert relative_error([np.zeros(3)], [np.ones(3)]) == float("inf")
    assert relative_error(real, [np.array([1.0, np.nan]), real[1]]) == float("inf")
    assert relative_error([np.array([np.inf, 2.0])], [np.array([0.0, 2.0])]) == 0.0
    assert relative_error([np.zeros((1, 0))], [np.zeros((1, 0))]) == 0.0


def test_image_inputs_are_given_as_codes() -> None:
    """An image network: float pixels minus 128 in NCHW become int8 NHWC."""
    net = Net(1, 3, 8, 12)
    model: ir.Model = net.model(net.conv("data", 3, 4, 1))
    random = np.random.default_rng(0)
    pixels = random.integers(-128, 128, (1, 3, 8, 12)).astype(np.float32)
    found = calibrate(placed(model, image_input(8, 12)), [{"data": pixels}], "default")
    assert max(error for _, error in found.candidates) < 1e-4
