"""Generated networks, and conversions of them by the public API on a chip with little memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from bpu_common import container
from bpu_common.machine import MACHINES, MachineSpec
from bpu_common.model import BpuModel
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config.values import CalibrationMethod, CompileConfig, InputConfig
from bpu_sim.timing import predict
from tests.support.nets_front import Net

SRAM_BYTES = 48 << 10
"""Of the chip in these tests, so that small networks do not fit into it."""
SLOW_CLOCK_HZ = 40_000_000
"""A clock at which a millisecond is a few small layers."""
PICTURE = InputConfig(
    "data", (), InputType.RGB, Layout.NCHW, InputType.NV12, Layout.NHWC, scale=(0.02,)
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a conversion costs on the chip.

    Attributes:
        cycles: of all BPU parts, alone on one core; `duration_ns` is their time.
        ddr_bytes: read and written by them.
        call_cycles: of each function call.
    """

    model: BpuModel
    size_bytes: int
    cycles: int
    ddr_bytes: int
    duration_ns: int
    call_cycles: tuple[int, ...]


Convert = Callable[..., Effect]


def residual() -> onnx.ModelProto:
    """Two blocks with a short cut, 32 x 32 x 24."""
    net = Net([1, 3, 32, 32], seed=1)
    x = net.add("Relu", net.conv("data", (3, 24)))
    for _ in range(2):
        y = net.add("Relu", net.conv(x, (24, 24), group=24))
        x = net.add("Relu", net.add("Add", net.conv(y, (24, 24), 1), x))
    return net.model(net.conv(x, (24, 8), 1))


def chain() -> onnx.ModelProto:
    """Wide 3 x 3 layers one after the other, whose weights are most of the traffic."""
    net = Net([1, 3, 16, 16], seed=2)
    x = net.add("Relu", net.conv("data", (3, 48)))
    for _ in range(3):
        x = net.add("Relu", net.conv(x, (48, 48)))
    return net.model(net.conv(x, (48, 8), 1))


def large_map() -> onnx.ModelProto:
    """Few channels on a large map: bands of rows, and a branch that is read late."""
    net = Net([1, 3, 96, 96], seed=3)
    x = net.add("Relu", net.conv("data", (3, 8)))
    y = net.add("Relu", net.conv(x, (8, 8)))
    y = net.add("MaxPool", net.conv(y, (8, 8)), kernel_shape=[2, 2], strides=[2, 2])
    z = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.model(net.conv(net.add("Concat", y, z, axis=1), (16, 8)))


def tail() -> onnx.ModelProto:
    """A Relu behind the last convolution."""
    net = Net([1, 3, 16, 16], seed=4)
    x = net.conv(net.conv("data", (3, 8)), (8, 8))
    return net.model(net.add("Relu", x, name="last"))


NETWORKS = {each.__name__: each for each in (residual, chain, large_map, tail)}


def measure(model: BpuModel, spec: MachineSpec, size_bytes: int) -> Effect:
    """Cycles and bytes of a model's programs on `spec`."""
    timings = [predict(made.program, spec) for _, made in model.bpu_parts]
    return Effect(
        model,
        size_bytes,
        sum(each.cycles for each in timings),
        sum(each.load_bytes + each.store_bytes for each in timings),
        sum(each.duration_ns for each in timings),
        tuple(call.cycles for each in timings for call in each.calls),
    )


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    """`convert("residual", optimize_level="O1", ...)`: keyword arguments of `CompileConfig`.

    `clock_hz` gives all chips that clock.
    """
    machines = dict(MACHINES)

    def run(network: str, clock_hz: int = 0, **options: Any) -> Effect:
        for name, spec in machines.items():
            small = replace(spec, sram_bytes=SRAM_BYTES, clock_hz=clock_hz or spec.clock_hz)
            monkeypatch.setitem(MACHINES, name, small)
        path = tmp_path / f"{network}.onnx"
        onnx.save(NETWORKS[network](), path)
        max_method = CalibrationMethod.MAX
        given = {"inputs": (PICTURE,), "calibration_method": max_method, **options}
        config = CompileConfig(path, "net", tmp_path / "out", **given)
        compiled = compile_model(config, measure=False)
        (product,) = (file for file in compiled.files if file.suffix == ".bin")
        (model,) = container.load(product)
        return measure(model, MACHINES[config.machine], product.stat().st_size)

    return run
