"""The lowered graph: the quantized network as typed values, one class per kind of work.

It is the single source of everything behind quantization: `quantized_model.onnx` and the fast path
(ONNX bodies, `bpu_host.compiler.onnx_out`) and the instructions (`bpu_host.compiler.place`) are
written from it, so they cannot differ. BPU tensors are (H, W, C), batch 1, int8 or int32.
`bpu_sim.arith` defines what each operation computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseKind, Pair, Quad, Requant, ResizeMode
from bpu_common.tensor import I8, DType, ModelInput

FULL_RANGE: Pair = (-128, 127)


@dataclass(frozen=True, slots=True)
class QTensor:
    """A quantized activation.

    Attributes:
        name: name of the float tensor it stands for (unique).
        shape_hwc: (height, width, channels).
        scale: one value (int8, per tensor) or one per channel (int32 outputs): real = code * scale.
        threshold: calibration threshold it came from (scale * 127 for int8), NaN for int32.
    """

    name: str
    shape_hwc: tuple[int, int, int]
    scale: tuple[float, ...]
    dtype: DType = DType.INT8
    threshold: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class QConv:
    """Convolution, Gemm, transposed convolution, average pooling, colour preprocessing.

    Attributes:
        weights: int8 (O, kh, kw, I / groups); depthwise: (C, kh, kw, 1).
        params: bias, shifts, multipliers of each output channel.
        upsample_hw: zeros inserted between input pixels (transposed convolution).
        clamp: inclusive bounds of the int8 result (fused activation); ignored for int32 results.
        op_type: horizon operator type shown to users.
    """

    name: str
    x: str
    y: str
    weights: I8
    params: ChannelParams
    kernel_hw: Pair
    stride_hw: Pair
    dilation_hw: Pair
    pads_tlbr: Quad
    groups: int
    upsample_hw: Pair = (1, 1)
    clamp: Pair = FULL_RANGE
    op_type: str = "HzSQuantizedConv"


@dataclass(frozen=True, slots=True)
class QMaxPool:
    name: str
    x: str
    y: str
    kernel_hw: Pair
    stride_hw: Pair
    pads_tlbr: Quad
    op_type: str = "HzQuantizedMaxPool"


@dataclass(frozen=True, slots=True)
class QEltwise:
    """ADD, MUL of two tensors, or SCALE of one (`b` is None): see `program.Eltwise`."""

    name: str
    kind: EltwiseKind
    a: str
    b: str | None
    y: str
    ka: int
    kb: int
    requant: Requant
    clamp: Pair = FULL_RANGE
    op_type: str = "HzSElementwiseAdd"


@dataclass(frozen=True, slots=True, eq=False)
class QLut:
    """Look-up: `tables` is int8 (1, 256) or (channels, 256), index code + 128."""

    name: str
    x: str
    y: str
    tables: I8
    op_type: str = "HzLut"


@dataclass(frozen=True, slots=True)
class QResize:
    name: str
    x: str
    y: str
    mode: ResizeMode
    rows: Axis
    columns: Axis
    op_type: str = "HzQuantizedResizeUpsample"


@dataclass(frozen=True, slots=True)
class QConcat:
    """Join along channels (axis 2), rows (0) or columns (1); all parts have the result's scale."""

    name: str
    xs: tuple[str, ...]
    y: str
    axis: int
    op_type: str = "Concat"


@dataclass(frozen=True, slots=True)
class QSlice:
    """The box [start, start + shape of y) of x with a step per axis (Slice, Split)."""

    name: str
    x: str
    y: str
    start_hwc: tuple[int, int, int]
    step_hwc: tuple[int, int, int] = (1, 1, 1)
    op_type: str = "Slice"


@dataclass(frozen=True, slots=True)
class QPad:
    """Constant padding of H and W with code `value`."""

    name: str
    x: str
    y: str
    pads_tlbr: Quad
    value: int = 0
    op_type: str = "Pad"


@dataclass(frozen=True, slots=True)
class QDepthToSpace:
    """Blocks of 2 between channels and space. `to_space`: DepthToSpace, else SpaceToDepth.

    `dcr`: depth order of ONNX mode DCR (else CRD).
    """

    name: str
    x: str
    y: str
    block: int
    to_space: bool
    dcr: bool
    op_type: str = "DepthToSpace"


BpuOp: TypeAlias = (
    QConv | QMaxPool | QEltwise | QLut | QResize | QConcat | QSlice | QPad | QDepthToSpace
)


def op_inputs(op: BpuOp) -> tuple[str, ...]:
    """Names of the tensors an operation reads."""
    match op:
        case QConcat():
            return op.xs
        case QEltwise():
            return (op.a,) if op.b is None else (op.a, op.b)
        case _:
            return (op.x,)


@dataclass(frozen=True, slots=True)
class Quantize:
    """float32 -> int8 on the CPU: clamp(round_half_even(x / scale)). x NCHW, y NHWC."""

    name: str
    x: str
    y: str
    op_type: str = "HzQuantize"


@dataclass(frozen=True, slots=True)
class Dequantize:
    """int8 or int32 -> float32 on the CPU, per-tensor or per-channel scale. x NHWC, y NCHW."""

    name: str
    x: str
    y: str
    op_type: str = "HzDequantize"


@dataclass(frozen=True, slots=True, eq=False)
class CpuOp:
    """A float operator left on the CPU: the node of the optimized graph, and why it stays there."""

    name: str
    node: ir.Node
    reason: str

    @property
    def op_type(self) -> str:
        return self.node.op_type


LoweredOp: TypeAlias = BpuOp | Quantize | Dequantize | CpuOp
BPU_OPS = (QConv, QMaxPool, QEltwise, QLut, QResize, QConcat, QSlice, QPad, QDepthToSpace)


@dataclass(frozen=True, slots=True, eq=False)
class LoweredGraph:
    """The quantized network, operations in topological order.

    Float tensors keep their names from the optimized graph; the quantized twin of float tensor `t`
    is `<t>_quantized` wherever both exist, else it has the float name.

    Attributes:
        tensors: every quantized tensor by name.
        inputs: model inputs; an image input names the QTensor that the first BPU op reads
            (int8, value - 128); a featuremap input names a float tensor.
        outputs: names of the float (or, without dequantize, quantized) output tensors.
        float_shapes: shapes of the float tensors that CPU operations read and write.
        constants: float constants that CPU operations read, by name.
        float_model: the optimized float graph the CPU operations' nodes come from.
    """

    name: str
    ops: tuple[LoweredOp, ...]
    tensors: dict[str, QTensor]
    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    float_shapes: dict[str, tuple[int, ...]]
    constants: dict[str, np.ndarray]
    float_model: ir.Model
