"""What the BPU is asked to do, still in real numbers: one unit per future operation.

A unit covers one node of the float graph or several that run as one (Conv + Relu, Sigmoid + Mul).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

import onnx_ir as ir

from bpu_common.program import Axis, Pair, Quad, ResizeMode
from bpu_common.tensor import F64
from bpu_host.compiler.quantize.graphview import Shape3, Unary, node_name

Bounds: TypeAlias = tuple[float, float]
UNBOUNDED: Bounds = (-inf, inf)


@dataclass(frozen=True, slots=True, eq=False)
class ConvWork:
    """weights (O, kh, kw, I / groups), bias (O,), real numbers.

    Attributes:
        high_precision: may leave the BPU as int32 (a true convolution, not a pooling).
    """

    weights: F64
    bias: F64
    stride_hw: Pair = (1, 1)
    dilation_hw: Pair = (1, 1)
    pads_tlbr: Quad = (0, 0, 0, 0)
    groups: int = 1
    upsample_hw: Pair = (1, 1)
    op_type: str = "HzSQuantizedConv"
    high_precision: bool = True


@dataclass(frozen=True, slots=True)
class MaxPoolWork:
    kernel_hw: Pair
    stride_hw: Pair
    pads_tlbr: Quad


@dataclass(frozen=True, slots=True)
class AddWork:
    """Sum of two tensors; the second may be (1, 1, C) or (1, 1, 1)."""


@dataclass(frozen=True, slots=True)
class MulWork:
    """Product of two tensors; the second may be (1, 1, C) or (1, 1, 1)."""


@dataclass(frozen=True, slots=True)
class LutWork:
    """One function for all channels, or one per channel."""

    functions: tuple[Unary, ...]
    op_type: str = "HzLut"


@dataclass(frozen=True, slots=True)
class ResizeWork:
    mode: ResizeMode
    rows: Axis
    columns: Axis


@dataclass(frozen=True, slots=True)
class ConcatWork:
    """axis of (H, W, C)."""

    axis: int


@dataclass(frozen=True, slots=True)
class SliceWork:
    start_hwc: Shape3
    step_hwc: Shape3
    op_type: str = "Slice"


@dataclass(frozen=True, slots=True)
class PadWork:
    pads_tlbr: Quad
    value: float


@dataclass(frozen=True, slots=True)
class DepthSpaceWork:
    block: int
    to_space: bool
    dcr: bool
    op_type: str


Work: TypeAlias = (
    ConvWork
    | MaxPoolWork
    | AddWork
    | MulWork
    | LutWork
    | ResizeWork
    | ConcatWork
    | SliceWork
    | PadWork
    | DepthSpaceWork
)
CODE_KEEPING = (MaxPoolWork, ResizeWork, SliceWork, PadWork, DepthSpaceWork)
"""Work whose result has the codes and so the scale of its input."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One future operation.

    Attributes:
        covers: the float nodes it stands for, in order; the first gives the place in the order.
        xs: float tensors it reads.
        bounds: real bounds of the fused activation.
    """

    name: str
    work: Work
    covers: tuple[ir.Node, ...]
    xs: tuple[str, ...]
    y: str
    y_shape: Shape3
    bounds: Bounds = UNBOUNDED

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the float nodes it stands for."""
        return tuple(node_name(node) for node in self.covers)

    @property
    def keeps_codes(self) -> bool:
        return isinstance(self.work, CODE_KEEPING)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All units of a graph.

    Attributes:
        units: by name of the node in whose place they run, in order.
        covered: names of all nodes some unit covers.
        aliases: float tensor -> image input it is a transposed view of.
        stand_ins: tensor without calibration -> tensor whose threshold it takes.
        refused: node name -> reason, for nodes that asked for the BPU in vain.
    """

    units: dict[str, tuple[Unit, ...]] = field(default_factory=dict)
    covered: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def all_units(self) -> tuple[Unit, ...]:
        return tuple(unit for group in self.units.values() for unit in group)
