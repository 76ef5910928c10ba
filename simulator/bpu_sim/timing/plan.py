"""From a compiled model to what one frame asks of the chip: CPU steps and function calls."""

from __future__ import annotations

from collections.abc import Mapping

from bpu_common.errors import ModelUnsupported
from bpu_common.machine import CpuSpec, MachineSpec
from bpu_common.model import BpuModel
from bpu_common.network import (
    Dequantize,
    Operation,
    Part,
    Place,
    QLut,
    tensors_made,
    tensors_read,
)
from bpu_common.network.rules import result_elements
from bpu_common.program import Program
from bpu_common.task import BpuStep, CallCost, CpuStep, Step, TaskPlan
from bpu_common.tensor import TensorSpec
from bpu_sim.timing.pipeline import simulate_call
from bpu_sim.timing.predict import cycles_to_ns

PREPROCESS = "Preprocess"
"""Name and type of the step that every frame starts with (layout of the model's inputs)."""

MAX_FRAME_NS = 60_000_000_000
"""Time that the steps of one frame may take together."""

_DEQUANTIZE = {"HzDequantize", "Dequantize", "DequantizeLinear"}
_LOOK_UP = {"HzLut", "Sigmoid", "Tanh", "Exp", "Log", "Erf", "Gelu", "HardSwish", "Mish", "Elu"}
_SOFTMAX = {"Softmax", "LogSoftmax", "HzSoftmax"}
_FREE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}


def cpu_step_ns(op_type: str, element_count: int, cpu: CpuSpec) -> int:
    """Modelled duration of one operator on one CPU core, integer ns.

    Args:
        op_type: ONNX or horizon operator type.
        element_count: elements of its output.
        cpu: costs at `reference_clock_hz`, scaled to `clock_hz` here.
    """
    floor = float(cpu.operator_floor_ns)
    if op_type in _FREE:
        duration = 0.0
    elif op_type == PREPROCESS:
        duration = floor
    elif op_type in _DEQUANTIZE:
        duration = max(cpu.dequantize_ns * element_count, float(cpu.dequantize_floor_ns))
    elif op_type in _SOFTMAX:
        duration = max(cpu.softmax_ns * element_count, floor)
    elif op_type in _LOOK_UP:
        duration = max(cpu.lut_ns * element_count, floor)
    else:
        duration = max(cpu.elementwise_ns * element_count, floor)
    return round(duration * cpu.reference_clock_hz / cpu.clock_hz)


def task_plan(model: BpuModel, spec: MachineSpec) -> TaskPlan:
    """The steps of one frame of `model` on `spec`, with all costs.

    Raises:
        ModelUnsupported: a program that the driver of the chip cannot run: it gives a call one core
            and counts one frame; or one that would keep a core for too long.
    """
    steps: list[Step] = [CpuStep(PREPROCESS, PREPROCESS, cpu_step_ns(PREPROCESS, 0, spec.cpu))]
    for part in model.network.parts:
        if part.place is Place.CPU:
            steps.extend(cpu_steps(part, model.network.tensors, spec.cpu))
            continue
        program = model.programs[part.name].program
        _require_one_core_and_frame(program, part.name)
        steps.append(BpuStep(part.name, _calls(program, spec)))
    plan = TaskPlan(model.name, tuple(steps))
    _require_an_end(plan, spec)
    return plan


def cpu_steps(part: Part, tensors: Mapping[str, TensorSpec], cpu: CpuSpec) -> tuple[CpuStep, ...]:
    """The operators of a CPU part with what each costs."""
    return tuple(
        CpuStep(
            op.name,
            op.op_type,
            cpu_step_ns(_cost_type(op, part, tensors), result_elements(op, tensors), cpu),
        )
        for op in part.ops
    )


def _cost_type(op: Operation, part: Part, tensors: Mapping[str, TensorSpec]) -> str:
    """The operator type that prices `op`.

    Int8 look-ups cost alike whatever they compute. A Transpose to NHWC behind a Dequantize is
    free: NHWC is the chip's own order, in which the values lie already (YOLOv3's and CenterNet's
    published CPU parts are those of the Dequantize alone).
    """
    if isinstance(op, QLut):
        return "HzLut"
    if op.op_type == "Transpose":
        (read, *_), (made, *_) = tensors_read(op), tensors_made(op)
        shape = tensors[read].shape
        makers = (each for each in part.ops if read in tensors_made(each))
        to_nhwc = len(shape) == 4 and tensors[made].shape == (shape[0], *shape[2:], shape[1])
        if to_nhwc and any(isinstance(each, Dequantize) for each in makers):
            return "Identity"
    return op.op_type


def _require_one_core_and_frame(program: Program, part: str) -> None:
    cores = max(len(call.streams) for call in program.calls)
    if cores > 1 or program.frames > 1:
        raise ModelUnsupported(
            f"a function call takes {cores} cores and computes {program.frames} frames; this "
            "device runs calls of one core and one frame",
            where=part,
            hint="convert the model for one core and one frame",
        )


def _require_an_end(plan: TaskPlan, spec: MachineSpec) -> None:
    """A call is over before the watchdog would reset its core, and a frame some time."""
    total_ns = 0
    for step in plan.steps:
        if isinstance(step, CpuStep):
            total_ns += step.duration_ns
            continue
        for index, call in enumerate(step.calls):
            call_ns = cycles_to_ns(call.cycles, spec.clock_hz)
            total_ns += call_ns
            if call_ns > spec.watchdog_ns:
                raise ModelUnsupported(
                    f"function call {index} takes {call_ns / 1e9:.1f} s; a core is reset after "
                    f"{spec.watchdog_ns / 1e9:g} s",
                    where=f"{plan.model}, {step.name}",
                    hint="convert the model with max_time_per_fc, or a smaller one",
                )
    if total_ns > MAX_FRAME_NS:
        raise ModelUnsupported(
            f"a frame takes {total_ns / 1e9:.1f} s, at most {MAX_FRAME_NS / 1e9:g} s are possible",
            where=plan.model,
            hint="convert a smaller model",
        )


def _calls(program: Program, spec: MachineSpec) -> tuple[CallCost, ...]:
    timings = (simulate_call(call, spec) for call in program.calls)
    return tuple(
        CallCost(t.name, t.cycles, t.ddr_cycles, t.load_bytes + t.store_bytes) for t in timings
    )
