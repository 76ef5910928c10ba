"""What a network costs as counts: how many units of each fitted constant, and the rest.

A count is found by asking the cost model itself: the busy time of a lone frame is computed again
with one constant a tenth larger. So no formula stands here a second time. What does not depend on a
fitted constant (stalls, pooling, submit, the least time of an operator) is the rest.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.fidelity.published import DATA
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel
from bpu_common.network import Place
from bpu_common.program import Engine, engine_of
from bpu_common.task import BpuStep, CpuStep, TaskPlan
from bpu_sim.timing import PREPROCESS, cpu_step_ns, cpu_steps, instruction_cost

BPU_CONSTANTS = ("array_overhead", "depthwise_row_cycles", "mul_cycles", "lut_cycles")
CPU_CONSTANTS = ("lut_ns",)
RECORDED = DATA / "features.json"
_STEP = 0.1


@dataclass(frozen=True, slots=True)
class Features:
    """A lone frame of one network at the machine's clocks.

    Attributes:
        counts: ns per unit of each fitted constant.
        bpu_rest_ns, cpu_rest_ns: what the fitted constants do not explain.
        stall_share: part of the BPU time in which the compute engine waits.
    """

    network: str
    counts: dict[str, float]
    bpu_rest_ns: float
    cpu_rest_ns: float
    stall_share: float

    def latency_ns(self, constants: dict[str, float], cpu_scale: float) -> float:
        """A frame with other constants, the CPU `cpu_scale` times as slow."""
        bpu = sum(self.counts[name] * constants[name] for name in BPU_CONSTANTS)
        cpu = sum(self.counts[name] * constants[name] for name in CPU_CONSTANTS)
        return self.bpu_rest_ns + bpu + (self.cpu_rest_ns + cpu) * cpu_scale


def constants_of(spec: MachineSpec) -> dict[str, float]:
    """The fitted constants that stand in the code."""
    bpu = {name: float(getattr(spec, name)) for name in BPU_CONSTANTS}
    return bpu | {name: float(getattr(spec.cpu, name)) for name in CPU_CONSTANTS}


def features(name: str, model: BpuModel, plan: TaskPlan, spec: MachineSpec) -> Features:
    """Counts of one network.

    Args:
        plan: its steps; those of the CPU that are missing are not counted.
    """
    constants = constants_of(spec)
    compute_ns = _compute_ns(model, spec)
    cpu_ns = _cpu_ns(plan)
    kept = {step.name for step in plan.steps if isinstance(step, CpuStep)}
    preprocess_ns = cpu_step_ns(PREPROCESS, 0, spec.cpu)
    counts = {}
    for key in BPU_CONSTANTS:
        more = replace(spec, **_larger(key, constants))
        counts[key] = (_compute_ns(model, more) - compute_ns) / (_STEP * constants[key])
    for key in CPU_CONSTANTS:
        more = replace(spec, cpu=replace(spec.cpu, **_larger(key, constants)))
        parts = (part for part in model.network.parts if part.place is Place.CPU)
        steps = (s for part in parts for s in cpu_steps(part, model.network.tensors, more.cpu))
        more_ns = sum(step.duration_ns for step in steps if step.name in kept)
        counts[key] = (more_ns + preprocess_ns - cpu_ns) / (_STEP * constants[key])
    segments = [step for step in plan.steps if isinstance(step, BpuStep)]
    core_ns = sum(c.cycles for step in segments for c in step.calls) * 1e9 / spec.clock_hz
    frame_ns = core_ns + len(segments) * spec.cpu.submit_ns
    explained = sum(counts[key] * constants[key] for key in BPU_CONSTANTS)
    on_cpu = sum(counts[key] * constants[key] for key in CPU_CONSTANTS)
    share = max(0.0, 1 - compute_ns / core_ns)
    return Features(name, counts, frame_ns - explained, cpu_ns - on_cpu, share)


def _larger(key: str, constants: dict[str, float]) -> dict[str, Any]:
    return {key: constants[key] * (1 + _STEP)}


def _compute_ns(model: BpuModel, spec: MachineSpec) -> float:
    cycles = sum(
        instruction_cost(instruction, spec).cycles
        for _, made in model.bpu_parts
        for call in made.program.calls
        for instruction in call.instructions
        if engine_of(instruction) is Engine.COMPUTE
    )
    return cycles * 1e9 / spec.clock_hz


def _cpu_ns(plan: TaskPlan) -> float:
    return float(sum(step.duration_ns for step in plan.steps if isinstance(step, CpuStep)))


def record(found: list[Features]) -> None:
    """Write the counts that the fit's test reads."""
    RECORDED.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")


def recorded() -> dict[str, Features]:
    """The recorded counts, by network."""
    found = [Features(**each) for each in json.loads(RECORDED.read_text())]
    return {each.network: each for each in found}
