"""Look-ups that only their size keeps off the BPU: int8 on the CPU between BPU operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from bpu_common.machine import X3M
from bpu_common.network import Dequantize, Place, QLut, Quantize
from bpu_sim.timing import task_plan
from tests.support.convert_net import convert
from tests.support.nets_front import Net

LARGE = (1, 3, 64, 64)  # 8 channels of it are 32,768 values, above the limit of look-ups


def _silu(net: Net, x: str) -> str:
    return net.add("Mul", x, net.add("Sigmoid", x))


def _model(shape: tuple[int, ...], *, last: bool) -> onnx.ModelProto:
    net = Net(list(shape))
    x = _silu(net, net.conv("data", (3, 8)))
    return net.model(net.conv(x, (8, 6), 1, name="last") if last else x, opset=18)


@pytest.mark.parametrize("place", [Place.BPU, Place.CPU])
def test_silu_is_one_look_up_wherever_it_runs(tmp_path: Path, place: Place) -> None:
    shape = LARGE if place is Place.CPU else (1, 3, 16, 16)
    done = convert(tmp_path, _model(shape, last=True))
    found = [
        (part, op)
        for part in done.compiled.network.parts
        for op in part.ops
        if isinstance(op, QLut)
    ]
    assert [part.place for part, _ in found] == [place]
    edges = [op for op in done.compiled.network.ops if isinstance(op, (Quantize, Dequantize))]
    assert len(edges) == 2  # the model's input and its output
    assert done.sqnr_db() > 25  # of every form of the model: they give the same bits


def test_at_the_end_of_a_model_it_stays_in_float(tmp_path: Path) -> None:
    done = convert(tmp_path, _model(LARGE, last=False))
    assert not any(isinstance(op, QLut) for op in done.compiled.network.ops)


def test_its_time_is_that_of_a_look_up(tmp_path: Path) -> None:
    model = convert(tmp_path, _model(LARGE, last=True)).compiled.model
    lut = next(op for op in model.network.ops if isinstance(op, QLut))
    steps = {step.name: step for step in task_plan(model, X3M).steps}
    elements = int(np.prod(model.network.tensors[lut.y].shape))
    assert steps[lut.name].duration_ns == round(elements * X3M.cpu.lut_ns)
