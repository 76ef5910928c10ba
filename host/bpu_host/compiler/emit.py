"""The last stage: everything of a compiled model put together as a `BpuModel`."""

from __future__ import annotations

import math
from dataclasses import replace

from bpu_common.errors import CompilerBug
from bpu_common.machine import MachineSpec
from bpu_common.model import BpuModel, BpuSegment, CpuNode, CpuSegment, NodeInfo
from bpu_common.tensor import (
    DDR_WIDTH_ALIGN,
    DType,
    Layout,
    ModelInput,
    TensorSpec,
    align_up,
)
from bpu_host.compiler.emit_weights import pack_weights
from bpu_host.compiler.lowered import (
    BPU_OPS,
    CpuOp,
    Dequantize,
    LoweredGraph,
    LoweredOp,
    QConv,
    QTensor,
    Quantize,
)
from bpu_host.compiler.onnx_out import cpu_graph, fast_path
from bpu_host.compiler.onnx_out.cpu import float_dtype
from bpu_host.compiler.partition import Part, split
from bpu_host.compiler.place import EmitOptions, place

__all__ = ["EmitOptions", "build_model"]


def build_model(
    lowered: LoweredGraph,
    spec: MachineSpec,
    options: EmitOptions,
    nodes: tuple[NodeInfo, ...],
    parameters: dict[str, str],
) -> BpuModel:
    """The compiled model; the same arguments give an equal model.

    Args:
        spec: the chip the program is made for.
        nodes: rows of the node table.
        parameters: conversion parameters; figures of the placement are added with `options.debug`.

    Raises:
        CapacityError: a layer does not fit into the chip's memory or a function call's time.
    """
    parts = split(lowered)
    segments: list[BpuSegment | CpuSegment] = []
    facts = dict(parameters)
    for part in parts:
        if part.on == "CPU":
            segments.append(_cpu_segment(part, lowered))
            continue
        segment = _bpu_segment(part, lowered, spec, options)
        segments.append(segment)
        if options.debug:
            facts[f"placement.{segment.name}"] = _figures(segment)
    tensors = _boundary_tensors(parts, lowered)
    return BpuModel(
        name=lowered.name,
        march=spec.march,
        machine=spec.name,
        inputs=tuple(_aligned_input(item) for item in lowered.inputs),
        outputs=tuple(tensors[name] for name in lowered.outputs),
        segments=tuple(segments),
        tensors=tensors,
        nodes=nodes,
        parameters=facts,
    )


def _bpu_segment(
    part: Part, lowered: LoweredGraph, spec: MachineSpec, options: EmitOptions
) -> BpuSegment:
    packed = pack_weights(part.ops)
    ops = [op for op in part.ops if isinstance(op, BPU_OPS)]
    return BpuSegment(
        name=part.name,
        inputs=part.inputs,
        outputs=part.outputs,
        program=place(part, lowered, packed.places, spec, options),
        fast_path=fast_path(ops, lowered, part.inputs, part.outputs),
        constants=packed.constants,
        weights=packed.data,
        macs=sum(op_macs(op, lowered) for op in part.ops),
    )


def op_macs(op: LoweredOp, lowered: LoweredGraph) -> int:
    """Multiply-accumulates of an operation per frame, without padding.

    A transposed convolution counts the taps that meet a real input pixel.
    """
    if not isinstance(op, QConv):
        return 0
    per_output = int(op.weights[0].size)
    zeros = op.upsample_hw[0] * op.upsample_hw[1]
    return math.prod(lowered.tensors[op.y].shape_hwc) * per_output // zeros


def _cpu_segment(part: Part, lowered: LoweredGraph) -> CpuSegment:
    ops = [op for op in part.ops if isinstance(op, (Quantize, Dequantize, CpuOp))]
    return CpuSegment(
        name=part.name,
        inputs=part.inputs,
        outputs=part.outputs,
        graph=cpu_graph(ops, lowered, part.inputs, part.outputs),
        nodes=tuple(CpuNode(op.name, op.op_type, _elements(op, lowered)) for op in ops),
    )


def _elements(op: Quantize | Dequantize | CpuOp, lowered: LoweredGraph) -> int:
    match op:
        case Quantize():
            return math.prod(lowered.tensors[op.y].shape_hwc)
        case Dequantize():
            return math.prod(lowered.tensors[op.x].shape_hwc)
        case CpuOp():
            names = [v.name for v in op.node.outputs if v.name]
            return sum(math.prod(lowered.float_shapes.get(name, ())) for name in names)


def _boundary_tensors(parts: tuple[Part, ...], lowered: LoweredGraph) -> dict[str, TensorSpec]:
    """Specs of all tensors between segments and at the model's edge, in order of appearance."""
    images = {item.tensor.name: _aligned_input(item).tensor for item in lowered.inputs}
    specs: dict[str, TensorSpec] = {}
    for part in parts:
        for name in (*part.inputs, *part.outputs):
            if name in specs:
                continue
            if name in images:
                specs[name] = images[name]
            elif name in lowered.tensors:
                made_on_bpu = name in part.outputs and part.on == "BPU"
                specs[name] = quantized_spec(lowered.tensors[name], padded=made_on_bpu)
            else:
                specs[name] = _float_spec(name, lowered)
    missing = [name for name in lowered.outputs if name not in specs]
    if missing:
        raise CompilerBug(f"emit: no segment makes the output {missing[0]!r} of {lowered.name}")
    return specs


def quantized_spec(tensor: QTensor, *, padded: bool) -> TensorSpec:
    """An int8 or int32 tensor as the segments pass it on; `padded` if the BPU writes it."""
    height, width, channels = tensor.shape_hwc
    in_ddr = align_up(width, DDR_WIDTH_ALIGN) if padded else width
    return TensorSpec(
        tensor.name,
        (1, height, width, channels),
        tensor.dtype,
        Layout.NHWC,
        (1, height, in_ddr, channels),
        tensor.scale,
        3 if len(tensor.scale) > 1 else -1,
    )


def _float_spec(name: str, lowered: LoweredGraph) -> TensorSpec:
    shape = tuple(lowered.float_shapes[name])
    layout = Layout.NCHW if len(shape) == 4 else Layout.NONE
    return TensorSpec(name, shape, DType(float_dtype(lowered, name)), layout)


def _aligned_input(item: ModelInput) -> ModelInput:
    """An image input with the padded shape of its buffer in DDR."""
    if not item.input_type.is_image:
        return item
    batch, height, width, channels = item.tensor.shape
    aligned = (batch, height, align_up(width, DDR_WIDTH_ALIGN), channels)
    return replace(item, tensor=replace(item.tensor, aligned_shape=aligned))


def _figures(segment: BpuSegment) -> str:
    program = segment.program
    count = sum(len(call.instructions) for call in program.calls)
    cycles = sum(call.predicted_cycles for call in program.calls)
    return (
        f"{len(program.calls)} function calls, {count} instructions, {cycles} cycles, "
        f"{program.sram_bytes} bytes of SRAM, {program.scratch_bytes} bytes of DDR scratch, "
        f"{len(segment.weights)} bytes of weights"
    )
