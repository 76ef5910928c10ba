"""A compiled model in memory: what a `.bin` holds once it is read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from bpu_common.program import Program
from bpu_common.tensor import DType, ModelInput, TensorSpec


@dataclass(frozen=True, slots=True)
class ExternalConstant:
    """An initializer of a fast-path graph that lies in the segment's weights, not in its ONNX.

    Attributes:
        name: initializer name in the ONNX graph.
        offset_bytes: start in the segment's weights section.
    """

    name: str
    offset_bytes: int
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConstantPlace:
    """Offsets of an operation's constants in a weights section, -1 where it has none.

    Attributes:
        weights: int8 (O, kh, kw, I / groups), dense.
        params: 8 bytes an output channel (`bpu_common.params`).
        tables: int8 (1, 256) or (channels, 256).
    """

    weights: int = -1
    params: int = -1
    tables: int = -1


@dataclass(frozen=True, slots=True)
class StoredConstant:
    """Where an array that CPU operators read lies in the constants section."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class BpuSegment:
    """A part of the network that runs on the BPU.

    Input and output tensors are int8 (outputs also int32), NHWC with batch 1, given by name; their
    specs stand in `BpuModel.tensors`. An input that is a model image input is fed with raw uint8.

    Attributes:
        name: `<graph>_subgraph_<k>`.
        fast_path: ONNX bytes of the same arithmetic, inputs and outputs NHWC unpadded
            (images: int8, value - 128), run by onnxruntime; equal to `program` bit for bit.
        constants: initializers of `fast_path` to be taken from `weights`.
        weights: read-only bytes of the weights section (may be a view of the mapped file).
        macs: multiply-accumulates per frame, unpadded.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    program: Program
    fast_path: bytes | memoryview
    constants: tuple[ExternalConstant, ...]
    weights: bytes | memoryview
    macs: int = 0


@dataclass(frozen=True, slots=True)
class CpuNode:
    """One operator of a CPU segment, for costs, profiles and reports.

    Attributes:
        op_type: ONNX or horizon operator type (`HzDequantize`, `Softmax`, ...).
        element_count: elements of its output (what the cost model counts).
    """

    name: str
    op_type: str
    element_count: int


@dataclass(frozen=True, slots=True, eq=False)
class CpuSegment:
    """A part of the network that runs on the CPU through onnxruntime.

    Tensors shared with BPU segments are NHWC at this boundary; the graph holds the transposes.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graph: bytes | memoryview
    nodes: tuple[CpuNode, ...]


Segment: TypeAlias = BpuSegment | CpuSegment


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One row of the node table: where an operator of the network runs, and how well.

    Attributes:
        on: "BPU" or "CPU".
        subgraph: index of the BPU segment, -1 on the CPU.
        cosine: similarity of its output to the float model's, NaN if unknown.
        threshold: calibration threshold of the first input, NaN if none.
    """

    name: str
    on: str
    subgraph: int
    op_type: str
    cosine: float
    threshold: float
    in_dtype: str
    out_dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class BpuModel:
    """A compiled model.

    Attributes:
        machine: name of the `MachineSpec` it was compiled for ("x3m", "j3", "x3e").
        segments: in execution order.
        tensors: every tensor that crosses a segment or model boundary, by name.
        parameters: conversion parameters (what `hb_model_info` shows), provenance without times
            or absolute paths.
    """

    name: str
    march: str
    machine: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[TensorSpec, ...]
    segments: tuple[Segment, ...]
    tensors: dict[str, TensorSpec]
    nodes: tuple[NodeInfo, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
