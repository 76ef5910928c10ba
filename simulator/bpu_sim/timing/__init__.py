"""Costs and predictions from the machine description; knows numbers, not networks."""

from bpu_sim.timing.cost import Cost, conv_cycles, instruction_cost, macs_of, padded_width
from bpu_sim.timing.pipeline import CallTiming, OperationTiming, Span, simulate_call
from bpu_sim.timing.plan import PREPROCESS, cpu_step_ns, cpu_steps, task_plan
from bpu_sim.timing.predict import (
    Bounds,
    ProgramTiming,
    bounds,
    call_bounds,
    cycles_to_ns,
    predict,
)

__all__ = [
    "PREPROCESS",
    "Bounds",
    "CallTiming",
    "Cost",
    "OperationTiming",
    "ProgramTiming",
    "Span",
    "bounds",
    "call_bounds",
    "conv_cycles",
    "cpu_step_ns",
    "cpu_steps",
    "cycles_to_ns",
    "instruction_cost",
    "macs_of",
    "padded_width",
    "predict",
    "simulate_call",
    "task_plan",
]
