"""Operators that arrive on the BPU: converted, and the file run in every form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.convert_net import convert
from tests.support.nets_front import Net

Body = Callable[[Net, str], str]

BODIES: dict[str, Body] = {
    "HardSwish": lambda n, x: n.add("HardSwish", x, name="n"),
    "HardSwish written out": lambda n, x: n.add(
        "Mul", x, n.add("HardSigmoid", x, alpha=1 / 6, beta=0.5), name="n"
    ),
    "HardSigmoid": lambda n, x: n.add("HardSigmoid", x, name="n", alpha=0.3, beta=0.4),
    "Mish": lambda n, x: n.add("Mish", x, name="n"),
    "Mish written out": lambda n, x: n.add("Mul", x, n.add("Tanh", n.add("Softplus", x)), name="n"),
    "Sub": lambda n, x: n.add("Sub", x, n.conv(x, (8, 8), 1), name="n"),
    "Sub and Relu": lambda n, x: n.add("Relu", n.add("Sub", x, n.conv(x, (8, 8), 1), name="n")),
    "Sub of one per channel": lambda n, x: n.add("Sub", n.add("GlobalMaxPool", x), x, name="n"),
    "Sub of a constant": lambda n, x: n.add(
        "Sub", n.add("MaxPool", x, kernel_shape=[2, 2]), n.constant(0.5), name="n"
    ),
    "Sub from a constant": lambda n, x: n.add(
        "Sub", n.constant(0.5), n.add("MaxPool", x, kernel_shape=[2, 2]), name="n"
    ),
    "Div by a constant": lambda n, x: n.add(
        "Div",
        n.add("MaxPool", x, kernel_shape=[2, 2]),
        n.constant(np.linspace(1, 3, 8).reshape(8, 1, 1)),
        name="n",
    ),
    "GlobalMaxPool": lambda n, x: n.add("GlobalMaxPool", x, name="n"),
}


@pytest.mark.parametrize("case", BODIES)
def test_it_runs_on_the_bpu_and_is_close(case: str, tmp_path: Path) -> None:
    net = Net([1, 3, 12, 10])
    x = net.conv("data", (3, 8))
    y = net.conv(BODIES[case](net, x), (8, 6), 1, name="last")
    done = convert(tmp_path, net.model(y, opset=18))
    assert done.on["n"] == "BPU"
    assert set(done.on.values()) == {"BPU"}
    assert done.sqnr_db() > 22


@pytest.mark.parametrize("sizes", [(65, 3), (67, 131), (1, 1024), (1023, 2), (64, 64)])
def test_a_large_maximum_is_exact(sizes: tuple[int, int], tmp_path: Path) -> None:
    """The codes of a chain of windows are those of the one maximum."""
    net = Net([1, 2, *sizes])
    x = net.conv("data", (2, 4), 1)
    y = net.conv(net.add("GlobalMaxPool", x, name="n"), (4, 4), 1, name="last")
    done = convert(tmp_path, net.model(y))
    assert set(done.on.values()) == {"BPU"}
    assert done.sqnr_db() > 22


def test_an_operator_beyond_its_limit_stays_whole_on_the_cpu(tmp_path: Path) -> None:
    net = Net([1, 3, 40, 40])
    x = net.conv("data", (3, 8))
    y = net.conv(net.add("HardSwish", x, name="n"), (8, 6), 1, name="last")
    done = convert(tmp_path, net.model(y, opset=14))
    assert done.on["n"] == "CPU"
    assert done.compiled.verdicts["n"].rule == "LUT"
    assert done.sqnr_db() > 22
