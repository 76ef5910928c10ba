"""Verdicts, node table and log are one: also where numbers send a node to the CPU at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bpu_host.compiler.report import cpu_reasons
from tests.support.convert_net import Converted, convert
from tests.support.nets_front import Net, classifier


def check_one_table(done: Converted) -> None:
    """Every node of the graph is placed where the table and the reasons say."""
    verdicts = done.compiled.verdicts
    told = cpu_reasons(done.compiled.causes)
    reasons = {name for each in done.compiled.causes for name in (each.node, *each.followers)}
    for each in done.compiled.causes:
        assert f"Layer {each.node}\n        {verdicts[each.node].reason}" in told
    for node in done.compiled.nodes:
        if node.on == "CPU":
            assert not verdicts[node.name].on_bpu
            assert node.name in reasons
    listed = {node.name for node in done.compiled.nodes if node.on == "CPU"}
    assert {name for name, verdict in verdicts.items() if not verdict.on_bpu} == listed


def test_nodes_whose_numbers_do_not_fit(tmp_path: Path) -> None:
    """A bound of 1e-9 asks for a scale that no requantization reaches."""
    net = Net([1, 3, 8, 8])
    x = net.conv("data", (3, 4), name="a")
    x = net.add("Clip", net.conv(x, (4, 4), name="b"), net.constant(0.0), net.constant(1e-9),
                name="clip")  # fmt: skip
    x = net.add("MaxPool", x, name="pool", kernel_shape=[2, 2])
    done = convert(tmp_path, net.model(net.conv(x, (4, 4), name="c")))
    verdicts = done.compiled.verdicts
    assert {verdicts[name].rule for name in ("b", "clip")} == {"NUMBERS"}
    assert "scale ratio" in verdicts["b"].reason
    assert verdicts["pool"].rule == "FED-BY-BPU"  # its neighbours were asked again
    assert done.on == {"a": "BPU", "b": "CPU", "clip": "CPU", "pool": "CPU", "c": "BPU"}
    check_one_table(done)


def test_a_usual_network(tmp_path: Path) -> None:
    done = convert(tmp_path, classifier())
    check_one_table(done)
    assert done.sqnr_db() > 20


def test_a_channel_of_the_last_convolution_that_is_nearly_nothing(tmp_path: Path) -> None:
    """Weights of 1e-44 alone would give a scale that no file may hold."""
    net = Net([1, 3, 8, 8])
    weights = np.random.default_rng(0).normal(0, 1, (4, 3, 1, 1)).astype(np.float32)
    weights[2] = 1e-44
    y = net.add("Conv", "data", net.constant(weights), name="last")
    done = convert(tmp_path, net.model(y))
    assert done.on == {"last": "BPU"}
    assert done.sqnr_db() > 30
