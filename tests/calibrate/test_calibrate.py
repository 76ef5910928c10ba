"""Thresholds of small nets against statistics taken the simple way."""

from __future__ import annotations

import logging

import numpy as np
import onnx_ir as ir
import pytest

from bpu_common.errors import CalibrationError, UsageError
from bpu_host.compiler.calibrate import calibrate
from bpu_host.compiler.calibrate import collect as collect_module
from bpu_host.compiler.calibrate.thresholds import PERCENTILES
from bpu_host.compiler.rules import Placement
from tests.support.nets_quant import Net, all_tensors, feature_input, placed


def small_net(size: int = 12) -> ir.Model:
    net = Net(1, 3, size, size)
    x = net.node("Relu", [net.conv("data", 3, 8, pads=[1, 1, 1, 1])])
    y = net.conv(x, 8, 8, pads=[1, 1, 1, 1])
    z = net.node("Relu", [net.node("Add", [x, y])])
    return net.model(net.conv(z, 8, 4, 1))


def placement_of(model: ir.Model) -> Placement:
    return placed(model, feature_input(*model.graph.inputs[0].shape))


def some_samples(count: int = 5, size: int = 12) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(3)
    shape = (1, 3, size, size)
    return [{"data": random.normal(0, 3, shape).astype(np.float32)} for _ in range(count)]


def magnitudes(model: ir.Model, samples: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    runs = [all_tensors(model, sample) for sample in samples]
    return {
        name: np.abs(np.concatenate([run[name].reshape(-1) for run in runs])) for name in runs[0]
    }


def test_max_is_exact() -> None:
    model, samples = small_net(), some_samples()
    expected = magnitudes(model, samples)
    calibration = calibrate(placement_of(model), samples, "max")
    assert calibration.method == "max"
    assert calibration.samples == len(samples)
    for name, value in calibration.thresholds.items():
        assert value == pytest.approx(float(expected[name].max()), rel=1e-6)


def test_tensors_that_nothing_holds_are_left_out() -> None:
    model = small_net()
    assert placement_of(model).tensors == ("data", "t1", "t2", "t4", "t5")
    on_cpu = placed(model, cpu=["Relu_1"]).tensors
    assert "t0" in on_cpu  # the conv and its activation are on different sides


def test_percentile_is_the_quantile_of_the_magnitudes() -> None:
    model, samples = small_net(), some_samples()
    expected = magnitudes(model, samples)
    calibration = calibrate(placement_of(model), samples, "max", 0.98)
    assert calibration.method == "max-percentile:percentile=0.98"
    for name, value in calibration.thresholds.items():
        exact = float(np.quantile(expected[name], 0.98, method="inverted_cdf"))
        assert exact * (1 - 1e-6) <= value <= exact * 1.001


def test_kl_never_exceeds_the_maximum() -> None:
    model, samples = small_net(), some_samples()
    top = calibrate(placement_of(model), samples, "max").thresholds
    found = calibrate(placement_of(model), samples, "kl")
    assert found.method == "kl"
    for name, value in found.thresholds.items():
        assert 0 < value <= top[name]


def test_default_takes_the_candidate_with_the_best_output() -> None:
    model, samples = small_net(), some_samples()
    found = calibrate(placement_of(model), samples, "default")
    scores = dict(found.candidates)
    percentiles = {f"max-percentile:percentile={value:g}" for value in PERCENTILES}
    assert set(scores) == {"max", "kl", *percentiles}
    assert scores[found.method] == min(scores.values())
    assert 0 < max(scores.values()) < 0.05


def test_default_avoids_a_maximum_spoilt_by_one_outlier() -> None:
    """One far value among 663,552: the plain maximum wastes most of the codes."""
    model, samples = small_net(96), some_samples(24, 96)
    samples[-1]["data"][0, 0, 0, 0] = 40.0
    assert calibrate(placement_of(model), samples, "default").method != "max"


def test_pieces_of_a_large_network_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, samples = small_net(), some_samples()
    expected = calibrate(placement_of(model), samples, "kl").thresholds
    monkeypatch.setattr(collect_module, "STAGE_BYTES", 5000)
    seen: list[tuple[int, int]] = []
    found = calibrate(
        placement_of(model),
        samples,
        "kl",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.thresholds == expected
    assert seen[-1] == (len(samples), len(samples))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_tensor_that_is_always_zero() -> None:
    model = small_net()
    samples = [{"data": np.zeros((1, 3, 12, 12), np.float32)}]
    for method in ("max", "kl", "default"):
        assert calibrate(placement_of(model), samples, method).thresholds["data"] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    samples = some_samples(2)
    samples[1]["data"][0, 0, 3, 3] = bad
    with pytest.raises(CalibrationError, match="not finite for sample 2"):
        calibrate(placement_of(small_net()), samples, "max")


def test_misuse() -> None:
    model = small_net()
    with pytest.raises(CalibrationError, match="no calibration samples"):
        calibrate(placement_of(model), [], "max")
    with pytest.raises(UsageError, match="unknown calibration method"):
        calibrate(placement_of(model), some_samples(1), "mix")
    with pytest.raises(UsageError, match="max_percentile"):
        calibrate(placement_of(model), some_samples(1), "max", 0.0)
    with pytest.raises(CalibrationError, match="refuses sample 1"):
        calibrate(placement_of(model), [{"data": np.zeros((1, 3, 5, 5), np.float32)}], "max")


def test_nothing_is_logged_as_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        calibrate(placement_of(small_net()), some_samples(2), "default")
    assert not caplog.records
