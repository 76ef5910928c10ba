"""No method codes a tensor worse than the greatest magnitude does, whatever its values are."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from benchmarks.networks import mobilenet_v2
from bpu_host.compiler import passes, rules, units
from bpu_host.compiler.calibrate import calibrate
from bpu_host.compiler.calibrate.collect import Statistics
from bpu_host.compiler.calibrate.histogram import MagnitudeHistogram
from bpu_host.compiler.calibrate.methods import by_divergence, by_quantile, guarded
from bpu_host.compiler.frontend import prepare
from tests.support.nets_quant import Net, all_tensors, feature_input, placed

Random = np.random.Generator
Array = np.ndarray


def gelu(x: Array) -> Array:
    return x * (1 + erf(x / sqrt(2))) / 2


DISTRIBUTIONS: dict[str, Callable[[Random, int], Array]] = {
    "normal": lambda r, n: r.normal(0, 2, n),
    "laplace": lambda r, n: r.laplace(0, 1, n),
    "uniform": lambda r, n: r.uniform(-3, 3, n),
    "relu": lambda r, n: np.maximum(r.normal(0, 1, n), 0),
    "relu6": lambda r, n: np.clip(r.normal(1, 4, n), 0, 6),
    "offset 5 +- 0.5": lambda r, n: r.normal(5, 0.5, n),
    "offset 1 +- 0.1": lambda r, n: r.normal(1, 0.1, n),
    "offset -40 +- 1": lambda r, n: r.normal(-40, 1, n),
    "hard-swish": lambda r, n: (x := r.normal(-1, 2, n)) * np.clip(x + 3, 0, 6) / 6,
    "gelu": lambda r, n: gelu(r.normal(-0.5, 1.5, n)),
    "sigmoid": lambda r, n: 1 / (1 + np.exp(-r.normal(-2, 3, n))),
    "student": lambda r, n: r.standard_t(2, n),
    "cauchy": lambda r, n: r.standard_cauchy(n),
    "sparse": lambda r, n: r.normal(0, 5, n) * (r.random(n) < 1e-4),
    "bimodal": lambda r, n: r.choice([-1.0, 8.0], n) + r.normal(0, 0.05, n),
    "few values": lambda r, n: r.choice([0.0, 0.25, 3.0], n, p=[0.9, 0.0999, 0.0001]),
    "one value": lambda r, n: np.full(n, 3.0),
    "depthwise": lambda r, n: r.normal(0, 1, n) * np.exp(r.normal(0, 2, 64))[np.arange(n) % 64],
}


def error(values: Array, threshold: float) -> float:
    """Root mean square error of int8 codes with this threshold, the simple way."""
    step = threshold / 127
    codes = np.clip(np.rint(values / step), -128, 127)
    return float(np.sqrt(np.square(codes * step - values).mean()))


def statistics_of(values: Array) -> Statistics:
    histogram = MagnitudeHistogram()
    for part in np.array_split(values, min(3, values.size)):
        histogram.add(part, float(np.abs(part).max()))
    return Statistics({"x": histogram.highest}, {"x": histogram})


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-20, 20))
def test_no_method_is_worse_than_the_maximum(name: str, seed: int, exponent: int) -> None:
    values = DISTRIBUTIONS[name](np.random.default_rng(seed), 40_000).astype(np.float32)
    values *= np.float32(2.0**exponent)
    if not values.any():
        return
    found = statistics_of(values)
    real = values.astype(np.float64)
    allowed = error(real, found.highest["x"]) * (1 + 1e-4) + 1e-6 * found.highest["x"]
    for thresholds in (by_divergence(found), by_quantile(found, 0.99995), by_quantile(found, 0.9)):
        assert error(real, guarded(found, thresholds)["x"]) <= allowed


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(DISTRIBUTIONS)), st.integers(0, 2**32 - 1), st.floats(0.01, 1.0))
def test_error_bounds_hold_the_error(name: str, seed: int, share: float) -> None:
    values = DISTRIBUTIONS[name](np.random.default_rng(seed), 5_000).astype(np.float32)
    values = np.abs(values)
    values = values[values * 1024 > values.max()]  # none in bin 0
    if not values.size:
        return
    histogram = statistics_of(values).histograms["x"]
    threshold = histogram.highest * share
    least, most = histogram.error_bounds(threshold)
    exact = error(values.astype(np.float64), threshold) * np.sqrt(values.size)
    assert least * (1 - 1e-9) <= exact <= most * (1 + 1e-9)


def test_kl_still_cuts_where_that_helps() -> None:
    """Ten thousand values of a bell and a tail that hardly counts."""
    random = np.random.default_rng(1)
    values = np.append(random.normal(0, 1, 2_000_000), [30.0, -25.0]).astype(np.float32)
    found = statistics_of(values)
    threshold = guarded(found, by_divergence(found))["x"]
    assert threshold < 10.0
    assert error(values, threshold) < error(values, 30.0) / 2


def test_kl_of_values_far_from_zero_keeps_the_layer() -> None:
    """A bias of 5: the divergence alone takes 2.5 and leaves a constant."""
    net = Net(1, 3, 32, 32)
    placement = placed(net.model(net.conv("data", 3, 3, 1)), feature_input(1, 3, 32, 32))
    random = np.random.default_rng(0)
    samples = [{"data": random.normal(5, 0.5, (1, 3, 32, 32)).astype(np.float32)} for _ in range(4)]
    threshold = calibrate(placement, samples, "kl").thresholds["data"]
    assert threshold == max(float(sample["data"].max()) for sample in samples)


def test_a_percentile_that_ruins_tensors_is_said() -> None:
    net = Net(1, 3, 32, 32)
    placement = placed(net.model(net.conv("data", 3, 3, 1)), feature_input(1, 3, 32, 32))
    random = np.random.default_rng(0)
    samples = [{"data": random.normal(0, 1, (1, 3, 32, 32)).astype(np.float32)}]
    (finding,) = calibrate(placement, samples, "max", 0.9).findings
    assert finding.subject == "max_percentile"
    assert "0.9 cuts off too much of 2 of 2 tensors: " in finding.sentence
    assert calibrate(placement, samples, "max", 0.9999).findings == ()


def test_no_tensor_of_a_network_is_worse_than_with_the_maximum() -> None:
    """MobileNetV2: depthwise layers behind ReLU, linear bottlenecks, residual sums."""
    model = prepare(mobilenet_v2(64), "net.onnx", {})
    passes.optimize(model)
    placement = rules.place(units.recognise(model, (feature_input(1, 3, 64, 64),)))
    random = np.random.default_rng(0)
    samples = [{"data": random.normal(0, 1, (1, 3, 64, 64)).astype(np.float32)} for _ in range(3)]
    runs = [all_tensors(model, sample) for sample in samples]
    found = calibrate(placement, samples, "kl").thresholds
    assert len(found) > 40
    for name, threshold in found.items():
        values = np.concatenate([run[name].reshape(-1) for run in runs]).astype(np.float64)
        assert error(values, threshold) <= error(values, np.abs(values).max()) * 1.001, name
