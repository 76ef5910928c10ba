"""A mean over a large map is taken in steps; each step has a range of its own."""

from __future__ import annotations

import numpy as np
import pytest

from bpu_host.compiler.calibrate import calibrate
from bpu_host.compiler.calibrate.inner import with_inner_means
from bpu_host.compiler.export import calibrated_model
from bpu_host.compiler.quantize import lower
from bpu_host.compiler.rules import Placement
from bpu_sim.engines import open_engine
from tests.support.nets_quant import Net, all_tensors, feature_input, placed, sqnr_db

SIZE = 112


def mean_net() -> Placement:
    """The map as it is, its mean over 112 x 112 in steps, and a convolution behind."""
    net = Net(1, 4, SIZE, SIZE)
    x = net.conv("data", 4, 4, 1, bias=0.0)
    y = net.node("GlobalAveragePool", [x])
    return placed(net.model(net.conv(y, 4, 4, 1)), feature_input(1, 4, SIZE, SIZE))


def test_thresholds_of_the_steps_are_those_of_block_means() -> None:
    placement = mean_net()
    model, inner = with_inner_means(placement.plan.model, placement.all_units)
    assert len(inner) == 2
    assert len(model.graph) == len(placement.plan.model.graph) + 2
    random = np.random.default_rng(0)
    sample = {"data": random.normal(0, 1, (1, 4, SIZE, SIZE)).astype(np.float32)}
    found = calibrate(placement, [sample], "max").thresholds
    real = all_tensors(placement.plan.model, sample)["t0"]
    for step in (unit for unit in placement.all_units if unit.y in inner):
        rows, columns, _ = step.y_shape
        blocks = real.reshape(4, rows, SIZE // rows, columns, SIZE // columns)
        greatest = np.abs(blocks.mean(axis=(2, 4))).max()
        assert found[step.y] == pytest.approx(greatest, rel=1e-4)


@pytest.mark.parametrize("centre", [0.0, 0.05, 3.0])
def test_a_mean_in_steps_is_precise_whatever_it_averages(centre: float) -> None:
    """On zero-mean data the steps hold values a hundred times smaller than the map's."""
    placement = mean_net()
    random = np.random.default_rng(1)
    samples = [
        {
            "data": (
                random.normal(centre, 1, (1, 4, SIZE, SIZE)) + random.normal(0, 0.03, (1, 4, 1, 1))
            ).astype(np.float32)
        }
        for _ in range(12)
    ]
    network = lower(placement, calibrate(placement, samples, "max"), "net").network
    engine, _ = open_engine(network)
    name = placement.plan.model.graph.outputs[0].name
    reals = [all_tensors(placement.plan.model, sample)[name] for sample in samples]
    (output,) = network.outputs
    made = [engine.run(sample)[output.tensor] for sample in samples]
    assert sqnr_db(np.stack(reals), np.stack(made)) > 40.0


def test_models_without_such_means_are_left_alone() -> None:
    net = Net(1, 4, 7, 7)
    x = net.node("GlobalAveragePool", [net.conv("data", 4, 4, 1)])
    placement = placed(net.model(net.conv(x, 4, 4, 1)), feature_input(1, 4, 7, 7))
    model, inner = with_inner_means(placement.plan.model, placement.all_units)
    assert model is placement.plan.model
    assert inner == ()


def test_the_calibrated_model_shows_only_tensors_that_it_holds() -> None:
    placement = mean_net()
    random = np.random.default_rng(0)
    sample = {"data": random.normal(0, 1, (1, 4, SIZE, SIZE)).astype(np.float32)}
    calibration = calibrate(placement, [sample], "max")
    data = calibrated_model(placement.plan.model, calibration)
    assert b"SPLIT_WITH_DEPTHWISE_CONV" not in data
