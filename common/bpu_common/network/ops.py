"""The operations of a quantized network, one frozen class per kind of work.

int8 operations read and write (1, H, W, C) tensors of codes; `bpu_sim.arith` defines what each
computes, on codes alone. A scale's zero point never enters the arithmetic: who makes a network
folds it into biases, pad codes and the `zeros` of a product. Edge operations (quantize, dequantize
and the like) and ONNX or custom operators run on the CPU. `sources` names the float nodes that an
operation came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bpu_common.params import ChannelParams
from bpu_common.program import FULL_RANGE, Axis, EltwiseEntry, EltwiseKind, Pair, Quad, ResizeMode
from bpu_common.tensor import I8, DType


@dataclass(frozen=True, slots=True)
class Addend:
    """A second tensor that a convolution adds to its accumulators (a residual that rides along).

    Attributes:
        x: tensor of the result's shape; int8 codes.
        factors: what its codes are multiplied with: one value, or one per output channel.
    """

    x: str
    factors: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class QConv:
    """Convolution, Gemm, transposed convolution, average pooling, colour preprocessing.

    Attributes:
        weights: int8 (O, kh, kw, I / groups); depthwise: (C, kh, kw, 1).
        params: bias, shifts, multipliers of each output channel.
        upsample_hw: zeros inserted between input pixels (transposed convolution).
        clamp: inclusive bounds of the int8 result (fused activation); ignored for int32 results.
        op_type: horizon operator type shown to users.
        pad_code: what stands around the input: the code of real 0.
    """

    name: str
    x: str
    y: str
    weights: I8
    params: ChannelParams
    stride_hw: Pair
    dilation_hw: Pair
    pads_tlbr: Quad
    groups: int
    upsample_hw: Pair = (1, 1)
    clamp: Pair = FULL_RANGE
    op_type: str = "HzSQuantizedConv"
    pad_code: int = 0
    addend: Addend | None = None
    sources: tuple[str, ...] = ()

    @property
    def kernel_hw(self) -> Pair:
        return self.weights.shape[1], self.weights.shape[2]


@dataclass(frozen=True, slots=True)
class QMaxPool:
    """Maximum of each window; padding never wins."""

    name: str
    x: str
    y: str
    kernel_hw: Pair
    stride_hw: Pair
    pads_tlbr: Quad
    op_type: str = "HzQuantizedMaxPool"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QEltwise:
    """ADD, MUL of two tensors, or SCALE of one (`b` is None): see `program.Eltwise`.

    Attributes:
        entries: factors and requantization: one for all channels, or one each.
        zeros: subtracted from the codes of a and b before anything else.
    """

    name: str
    kind: EltwiseKind
    a: str
    b: str | None
    y: str
    entries: tuple[EltwiseEntry, ...]
    clamp: Pair = FULL_RANGE
    zeros: Pair = (0, 0)
    op_type: str = "HzSElementwiseAdd"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class QLut:
    """Look-up: `tables` is int8 (1, 256) or (channels, 256), index code + 128."""

    name: str
    x: str
    y: str
    tables: I8
    op_type: str = "HzLut"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QResize:
    """Nearest or bilinear; `rows` and `columns` give the source positions of each result."""

    name: str
    x: str
    y: str
    mode: ResizeMode
    rows: Axis
    columns: Axis
    op_type: str = "HzQuantizedResizeUpsample"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QConcat:
    """Join along rows (axis 0), columns (1) or channels (2); all parts have the result's scale."""

    name: str
    xs: tuple[str, ...]
    y: str
    axis: int
    op_type: str = "Concat"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QSlice:
    """The box [start, start + shape of y) of x with a step per axis (Slice, Split)."""

    name: str
    x: str
    y: str
    start_hwc: tuple[int, int, int]
    step_hwc: tuple[int, int, int] = (1, 1, 1)
    op_type: str = "Slice"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QPad:
    """Constant padding of H and W with code `value`."""

    name: str
    x: str
    y: str
    pads_tlbr: Quad
    value: int = 0
    op_type: str = "Pad"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QDepthToSpace:
    """Blocks between channels and space. `to_space`: DepthToSpace, else SpaceToDepth.

    `dcr`: depth order of ONNX mode DCR (else CRD).
    """

    name: str
    x: str
    y: str
    block: int
    to_space: bool
    dcr: bool
    op_type: str = "DepthToSpace"
    sources: tuple[str, ...] = ()


BpuOp: TypeAlias = (
    QConv | QMaxPool | QEltwise | QLut | QResize | QConcat | QSlice | QPad | QDepthToSpace
)
"""What a BPU core can do; in a CPU part the same arithmetic runs on the CPU."""
BPU_OPS = (QConv, QMaxPool, QEltwise, QLut, QResize, QConcat, QSlice, QPad, QDepthToSpace)


@dataclass(frozen=True, slots=True)
class Quantize:
    """float32 (NCHW or any rank) to int8 NHWC: clamp(round_half_even(x / scale) + zero point)."""

    name: str
    x: str
    y: str
    op_type: str = "HzQuantize"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dequantize:
    """int8 or int32 to float32: (code - zero point) * scale. x NHWC, y NCHW or any rank."""

    name: str
    x: str
    y: str
    op_type: str = "HzDequantize"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axis i of y is axis `perm[i]` of x."""

    name: str
    x: str
    y: str
    perm: tuple[int, ...]
    op_type: str = "Transpose"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cast:
    """The same numbers in another element type, as ONNX converts them."""

    name: str
    x: str
    y: str
    to: DType
    op_type: str = "Cast"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in the shape of y."""

    name: str
    x: str
    y: str
    op_type: str = "Reshape"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Softmax:
    """exp(x) divided by its sum along `axis`."""

    name: str
    x: str
    y: str
    axis: int
    op_type: str = "Softmax"
    sources: tuple[str, ...] = ()


EdgeOp: TypeAlias = Quantize | Dequantize | Transpose | Cast | Reshape | Softmax
"""What stands at the edges of a model and may be removed from it (`RemovedNode`)."""
EDGE_OPS = (Quantize, Dequantize, Transpose, Cast, Reshape, Softmax)


@dataclass(frozen=True, slots=True, eq=False)
class OnnxOp:
    """A float operator of the standard ONNX domain (opset 19).

    Attributes:
        xs: its inputs in order, empty where one is left out; constants are those of the network.
        ys: its outputs in order, empty where one is not wanted.
        node: the serialized ONNX NodeProto, with the same names.
    """

    name: str
    op_type: str
    xs: tuple[str, ...]
    ys: tuple[str, ...]
    node: bytes
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomOp:
    """An operator that a user's Python class computes.

    Attributes:
        module: import path of the module that holds the class; never a file path.
        class_name: its class there.
        attributes: what the class is told, as text.
        source_sha256: digest of the module's source it was converted with, 64 hex digits.
    """

    name: str
    op_type: str
    xs: tuple[str, ...]
    ys: tuple[str, ...]
    module: str
    class_name: str
    attributes: dict[str, str]
    source_sha256: str
    sources: tuple[str, ...] = ()


Operation: TypeAlias = BpuOp | EdgeOp | OnnxOp | CustomOp
