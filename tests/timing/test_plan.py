"""CPU costs and task plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpu_common.errors import ModelUnsupported
from bpu_common.machine import MACHINES, X3E, X3M
from bpu_common.model import BpuModel, PartProgram
from bpu_common.network import Dequantize, Network, Part, Place, Softmax
from bpu_common.program import FunctionCall
from bpu_common.task import BpuStep, CpuStep
from bpu_common.tensor import DType, TensorSpec
from bpu_sim.timing import PREPROCESS, cpu_step_ns, cycles_to_ns, predict, simulate_call, task_plan
from tests.support.golden_models import GOLDEN
from tests.support.timing_calls import conv, program


def test_published_cpu_costs() -> None:
    cpu = X3M.cpu
    assert cpu_step_ns("HzDequantize", 1000, cpu) == 35_000
    assert cpu_step_ns("HzDequantize", 880_000, cpu) == 3_960_000
    assert cpu_step_ns("Softmax", 1000, cpu) == 46_000
    assert cpu_step_ns("HzLut", 1_000_000, cpu) == 7_900_000
    assert cpu_step_ns(PREPROCESS, 150_528, cpu) == 9_000
    assert cpu_step_ns("Reshape", 1000, cpu) == 0


@given(
    st.sampled_from(["HzDequantize", "HzQuantize", "Softmax", "HzLut", "Add", "Reshape"]),
    st.integers(0, 10_000_000),
)
def test_cpu_costs_grow_with_elements_and_shrink_with_clock(op_type: str, count: int) -> None:
    cost = cpu_step_ns(op_type, count, X3M.cpu)
    assert 0 <= cost <= cpu_step_ns(op_type, count + 1000, X3M.cpu)
    faster = replace(X3M.cpu, clock_hz=2 * X3M.cpu.clock_hz)
    assert cpu_step_ns(op_type, count, faster) == pytest.approx(cost / 2, abs=1)


def test_plan_lists_preprocess_calls_and_operators() -> None:
    code = program(
        FunctionCall.on_one_core("first", (conv((8, 8, 8), 8),)),
        FunctionCall.on_one_core("second", (conv((9, 8, 8), 8),)),
    )
    tail = (Dequantize("fc", "codes", "real"), Softmax("prob", "real", "y", 1))
    parts = (
        Part("net_subgraph_0", Place.BPU, (), (), ("codes",)),
        Part("net_cpu_0", Place.CPU, tail, ("codes",), ("y",)),
    )
    tensors = {
        name: TensorSpec(name, (1, 1000), dtype)
        for name, dtype in (("codes", DType.INT8), ("real", DType.FLOAT32), ("y", DType.FLOAT32))
    }
    network = Network("net", tensors, (), (), parts)
    model = BpuModel(network, "bernoulli2", "x3m", {"net_subgraph_0": PartProgram(code, b"")})
    plan = task_plan(model, X3M)
    assert [step.name for step in plan.steps] == [
        PREPROCESS,
        "net_subgraph_0",
        "fc",
        "prob",
    ]
    bpu = plan.steps[1]
    assert isinstance(bpu, BpuStep)
    assert [c.cycles for c in bpu.calls] == [simulate_call(c, X3M).cycles for c in code.calls]
    assert all(c.ddr_cycles <= c.cycles for c in bpu.calls)
    softmax = plan.steps[-1]
    assert isinstance(softmax, CpuStep)
    assert softmax.duration_ns == 46_000


def test_slower_chips_take_the_same_cycles_and_more_time() -> None:
    code = program(FunctionCall.on_one_core("call", (conv((8, 8, 8), 8),)))
    assert predict(code, X3E).cycles == predict(code, X3M).cycles
    assert predict(code, X3E).duration_ns == cycles_to_ns(predict(code, X3M).cycles, 600_000_000)
    assert all(name == spec.name for name, spec in MACHINES.items())


@pytest.mark.parametrize("name", ["two_cores", "frames"])
def test_what_the_driver_cannot_run_is_said(name: str) -> None:
    with pytest.raises(ModelUnsupported, match="calls of one core and one frame"):
        task_plan(GOLDEN[name](), X3M)
