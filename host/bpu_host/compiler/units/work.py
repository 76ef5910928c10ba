"""What the BPU could be asked to do, still in real numbers: one unit per future operation.

A unit covers one node of the float graph, or several that run as one (Sigmoid + Mul).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

import onnx_ir as ir

from bpu_common import limits
from bpu_common.program import Axis, Pair, Quad, ResizeMode
from bpu_common.tensor import F32, F64, ModelInput
from bpu_host.compiler.passes import graph as g
from bpu_host.compiler.units.reading import Shape3

Bounds: TypeAlias = tuple[float, float]
UNBOUNDED: Bounds = (-inf, inf)
Unary: TypeAlias = Callable[[F64], F64]


@dataclass(frozen=True, slots=True, eq=False)
class ConvWork:
    """weights (O, kh, kw, I / groups), bias (O,), real numbers.

    Attributes:
        upsample_hw: zeros put between the input's pixels (transposed convolution).
        cut_tlbr: what a transposed convolution cuts off its result (the `pads` of ONNX).
        high_precision: may leave the BPU as int32 (a true convolution, not a pooling).
        affine: factor and offset of each channel, which the float model has as other operators.
    """

    weights: F32 | F64
    bias: F64
    stride_hw: Pair = (1, 1)
    dilation_hw: Pair = (1, 1)
    pads_tlbr: Quad = (0, 0, 0, 0)
    groups: int = 1
    upsample_hw: Pair = (1, 1)
    cut_tlbr: Quad = (0, 0, 0, 0)
    op_type: str = "HzSQuantizedConv"
    high_precision: bool = True
    affine: bool = False

    @property
    def kernel_hw(self) -> Pair:
        return self.weights.shape[1], self.weights.shape[2]


@dataclass(frozen=True, slots=True)
class MaxPoolWork:
    kernel_hw: Pair
    stride_hw: Pair
    pads_tlbr: Quad


@dataclass(frozen=True, slots=True)
class AddWork:
    """Sum of two tensors, each with a sign; the second may be (1, 1, C) or (1, 1, 1)."""

    signs: Pair = (1, 1)
    op_type: str = "HzSElementwiseAdd"


@dataclass(frozen=True, slots=True)
class MulWork:
    """Product of two tensors; the second may be (1, 1, C) or (1, 1, 1)."""


@dataclass(frozen=True, slots=True)
class LutWork:
    """One function for all channels, or one per channel."""

    functions: tuple[Unary, ...]
    op_type: str = "HzLut"


@dataclass(frozen=True, slots=True)
class ClampWork:
    """Values cut off at bounds: fused into the unit before where that is possible."""

    bounds: Bounds
    op_type: str


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
    | ClampWork
    | ResizeWork
    | ConcatWork
    | SliceWork
    | PadWork
    | DepthSpaceWork
)
CODE_KEEPING = (MaxPoolWork, ResizeWork, SliceWork, PadWork, DepthSpaceWork)
"""Work whose result has the codes and so the scale of its input."""
CLAMPING = (ConvWork, AddWork, MulWork)
"""Work that can cut off its result by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One future operation.

    Attributes:
        covers: the float nodes it stands for; the first gives the place in the order.
        xs: float tensors it reads, and their shapes.
        bounds: real bounds of the fused activation.
    """

    name: str
    work: Work
    covers: tuple[ir.Node, ...]
    xs: tuple[str, ...]
    x_shapes: tuple[Shape3, ...]
    y: str
    y_shape: Shape3
    bounds: Bounds = UNBOUNDED

    @property
    def keeps_codes(self) -> bool:
        return isinstance(self.work, CODE_KEEPING)

    @property
    def selects(self) -> bool:
        """Whether each value of the result is one of the input's: those outside its range are lost.

        An interpolation keeps codes as well, but its result needs the whole range of the input.
        """
        mixes = isinstance(self.work, ResizeWork) and self.work.mode is ResizeMode.BILINEAR
        return self.keeps_codes and not mixes

    @property
    def wide(self) -> bool:
        """Whether it may leave the BPU with 32 bits."""
        return isinstance(self.work, ConvWork) and self.work.high_precision

    @property
    def starts(self) -> bool:
        """Whether it begins quantization by itself: a convolution of the float model."""
        return isinstance(self.work, ConvWork) and self.wide and not self.work.affine

    @property
    def passive(self) -> bool:
        """Whether it only moves or pools values."""
        return (
            self.keeps_codes
            or isinstance(self.work, ConcatWork)
            or (isinstance(self.work, ConvWork) and not self.work.high_precision)
        )

    @property
    def covers_map(self) -> bool:
        """Whether it is a fully connected layer that only a kernel beyond ordinary ones covers."""
        work = self.work
        if not isinstance(work, ConvWork) or not work.high_precision or work.groups != 1:
            return False
        whole = work.kernel_hw == self.x_shapes[0][:2] and not any(work.pads_tlbr)
        return whole and any(size not in limits.CONV_KERNEL for size in work.kernel_hw)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the float nodes it stands for."""
        return tuple(g.name_of(node) for node in self.covers)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node is no unit, with the id of the condition it breaks."""

    reason: str
    rule: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The float graph as work that the BPU could do.

    Attributes:
        model: the optimized float graph.
        units: by name of the node in whose place they run, in the order of the graph; no
            activation is fused yet (`fuse`).
        refusals: by node name, for operators of the BPU that it cannot do in this form.
        aliases: float tensor -> image input it is a transposed view of.
        stand_ins: tensor that calibration may not see -> tensor whose threshold it takes.
    """

    model: ir.Model
    inputs: tuple[ModelInput, ...]
    units: dict[str, tuple[Unit, ...]] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    stand_ins: dict[str, str] = field(default_factory=dict)
