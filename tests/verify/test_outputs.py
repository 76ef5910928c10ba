"""Errors relative to the spread, and the warnings that come of them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpu_host.compiler.calibrate.spread import Spread
from bpu_host.compiler.quantize import OutputMetrics, Similarity
from bpu_host.compiler.quantize.metrics import closeness, cosine, relative_error
from bpu_host.compiler.verify import output_findings
from openbpu.model import Model
from tests.support.convert_net import convert
from tests.support.nets_front import Net


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(-100, 100), st.floats(0.2, 100), st.floats(0, 1))
def test_it_is_noise_over_spread(seed: int, offset: float, spread: float, share: float) -> None:
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, 400)
    real = offset + spread * random.normal(0, 1, 400)
    made = real + share * noise
    wanted = math.sqrt(np.mean((made - real) ** 2)) / real.std()
    assert relative_error(real, made) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert closeness(real, made) == (cosine(real, made), relative_error(real, made))


def test_a_constant_scores_one_whatever_its_cosine() -> None:
    real = np.random.default_rng(0).normal(5, 0.5, 1000).astype(np.float32)
    constant = np.full_like(real, real.mean())
    assert cosine(real, constant) > 0.99
    assert relative_error(real, constant) == pytest.approx(1.0, abs=1e-3)


def test_special_arrays() -> None:
    one, codes = np.ones(4, np.float32), np.arange(4)
    assert relative_error(one, one) == 0.0
    assert relative_error(np.array([8.0]), np.array([8.1])) == pytest.approx(0.0125)
    assert relative_error(np.zeros(4), one) == math.inf
    assert relative_error(one, np.ones(5)) == math.inf
    assert relative_error(one, np.full(4, np.nan)) == math.inf
    assert relative_error(np.full(4, np.nan), np.full(4, np.nan)) == 0.0
    assert relative_error(np.array([np.inf, 1, 2]), np.array([np.inf, 1, 2])) == 0.0
    assert relative_error(np.array([np.inf, 1, 2]), np.array([-np.inf, 1, 2])) == math.inf
    assert relative_error(codes, np.array([0, 1, 2, 9])) == 0.25
    assert relative_error(0.1 * codes, codes) == pytest.approx(0.0, abs=1e-7)
    assert relative_error(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0.0


def test_the_node_where_the_error_grows_is_named(tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 4), name="first")
    x = net.conv(net.conv(x, (4, 4), name="second"), (4, 4), name="third")
    network = convert(tmp_path, net.model(x)).compiled.network
    (end,) = (output.name for output in network.outputs)
    metrics = OutputMetrics(0.9, 0.1, 0.1, 0.1, 0.1)
    near = Similarity(errors={"first": 0.05, "second": 0.5, "third": 0.6}, outputs={end: metrics})
    assert output_findings(near, network, "kl", {}) == ()
    bad = replace(near, outputs={end: replace(metrics, relative_error=0.6)})
    (finding,) = output_findings(bad, network, "kl", {})
    assert "node second" in finding.sentence
    assert "60%" in finding.sentence
    assert "calibration_type: default" in finding.hint
    assert "run_on_cpu: second" in finding.hint
    (finding,) = output_findings(bad, network, "default", {})
    assert "calibration_type" not in finding.hint


def test_an_output_of_one_value_may_be_good_and_keeps_its_shape(tmp_path: Path) -> None:
    net = Net([1, 3, 8, 8])
    x = net.add("Exp", net.conv("data", (3, 4)))
    done = convert(tmp_path, net.model(net.add("ReduceMean", x, keepdims=0)), measure=True)
    assert [each for each in done.compiled.findings if each.subject.startswith("output ")] == []
    (binary,) = (file for file in done.compiled.files if file.suffix == ".bin")
    feed = np.ones((1, 3, 8, 8), np.float32)
    assert Model(binary)(feed)[0].shape == ()


def test_an_output_says_what_its_samples_tell_apart(tmp_path: Path) -> None:
    """One sample's values are nearly equal, those of other samples far from them."""
    net = Net([1, 3, 8, 8])
    x = net.add("GlobalAveragePool", net.conv("data", (3, 1), 1, name="first"))
    spans = net.constant(np.array([1.0, 1.002, 0.998]).reshape(1, 3, 1, 1))
    model = net.model(net.add("Mul", net.add("Exp", x), spans))
    random = np.random.default_rng(5)
    levels = np.linspace(-3, 3, 6)
    samples = [{"data": (random.normal(level, 0.1, (1, 3, 8, 8))).astype(np.float32)}
               for level in levels]  # fmt: skip
    done = convert(tmp_path, model, samples=samples, measure=True)
    (metrics,) = done.compiled.outputs.values()
    assert metrics.relative_error > 0.3
    assert [each for each in done.compiled.findings if each.subject.startswith("output ")] == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_the_spread_of_samples_is_that_of_all_their_values(counts: list[int], far: float) -> None:
    random = np.random.default_rng(1)
    samples = [random.normal(far + index, 1, count) for index, count in enumerate(counts)]
    spread = Spread()
    for sample in samples:
        spread.add(np.append(sample, np.inf))
    assert spread.deviation == pytest.approx(np.concatenate(samples).std(), rel=1e-6, abs=1e-9)


def test_outputs_are_known_by_the_same_names(tmp_path: Path) -> None:
    """Between values near 500 and 0 the steps of int8 are wider than all that the output says."""
    net = Net([1, 3, 8, 8])
    x = net.add("Add", net.conv("data", (3, 4), name="first"), net.constant(500.0))
    x = net.add("Add", net.add("Relu", x, name="far"), net.constant(-500.0))
    done = convert(tmp_path, net.model(net.conv(x, (4, 4), 1, name="end")), measure=True)
    (finding,) = (each for each in done.compiled.findings if each.subject.startswith("output"))
    assert finding.subject == f"output '{done.compiled.model.outputs[0].name}'"
    assert "grows most at node first" in finding.sentence
