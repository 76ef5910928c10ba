"""A small network with every kind of operation and everything the format can say of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bpu_common.network import (
    Addend,
    Cast,
    CustomOp,
    Dequantize,
    ModelOutput,
    Network,
    OnnxOp,
    Operation,
    Part,
    Place,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    Quantize,
    RemovedNode,
    Reshape,
    Softmax,
    Transpose,
    bpu_tensor,
)
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseEntry, EltwiseKind, Requant, ResizeMode
from bpu_common.tensor import (
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    Scale,
    TensorSpec,
)

ONE = Scale((0.5,))
EACH = Scale(tuple(0.25 * (k + 1) for k in range(4)), tuple(range(-2, 2)), 3)
SAME = ((1, 1), (1, 1), (0, 0, 0, 0), 1)
"""Stride, dilation, pads and groups of a plain convolution."""


def params(channels: int, *, wide: bool = False) -> ChannelParams:
    """A parameter table; `wide`: for int32 results."""
    each = np.arange(channels, dtype=np.int32)
    zero = np.zeros(channels, np.int32)
    if wide:
        return ChannelParams(each - 2, each % 3, zero, zero, zero)
    return ChannelParams(each - 2, each % 3, each % 5, zero + 20_000, zero + 18)


def entries(count: int) -> tuple[EltwiseEntry, ...]:
    return tuple(EltwiseEntry(64, -3 - k, Requant(k - 7, 3, 20_000, 15)) for k in range(count))


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-127, 128, shape, np.int8)


def bpu_ops(rng: np.random.Generator) -> tuple[Operation, ...]:
    ramp = tuple(range(4))
    up = Axis(
        tuple(k // 2 for k in range(8)), tuple(min(k // 2 + 1, 3) for k in range(8)), (64,) * 8
    )
    conv = QConv(
        "conv", "image", "c", weights(rng, 8, 3, 3, 3), params(8), (2, 2), (1, 1), (1, 1, 1, 1), 1,
        clamp=(0, 127), sources=("conv_float", "relu_float"),
    )  # fmt: skip
    rides = QConv(
        "rides", "l", "r", weights(rng, 8, 3, 3, 1), params(8), (1, 1), (1, 1), (1, 1, 1, 1), 8,
        pad_code=-128, addend=Addend("p", tuple(range(8))),
    )  # fmt: skip
    head = QConv("head", "d", "h", weights(rng, 4, 1, 1, 2), params(4, wide=True), *SAME)
    return (
        conv,
        QMaxPool("pool", "c", "p", (3, 3), (1, 1), (1, 1, 1, 1)),
        QEltwise("add", EltwiseKind.ADD, "c", "p", "a", entries(8), zeros=(-128, 5)),
        QLut("lut", "a", "l", weights(rng, 8, 256)),
        QResize("up", "l", "u", ResizeMode.BILINEAR, up, up),
        QConcat("cat", ("u", "u"), "k", 2),
        QSlice("cut", "k", "s", (0, 0, 4), (2, 2, 1)),
        QPad("pad", "s", "q", (1, 1, 1, 1), -5),
        QDepthToSpace("blocks", "q", "d", 2, to_space=True, dcr=False),
        head,
        rides,
        QEltwise(
            "times", EltwiseKind.MUL, "r", "p", "m", entries(1), (-128, 7), (0, 100), "HzMul"
        ),
        QEltwise("scaled", EltwiseKind.SCALE, "m", None, "e", entries(1), op_type="HzScale"),
        QResize("same", "e", "n", ResizeMode.NEAREST, *(Axis(ramp, ramp, (0,) * 4),) * 2),
        QMaxPool("shrink", "region", "z0", (2, 2), (2, 2), (0, 0, 0, 0)),
    )  # fmt: skip


def cpu_ops(rng: np.random.Generator) -> tuple[Operation, ...]:
    return (
        QLut("silu", "n", "t", weights(rng, 1, 256)),
        Dequantize("deq", "h", "f"),
        OnnxOp("plus", "Add", ("f", "offset"), ("g",), b"\x0a\x01f\x0a\x06offset\x12\x01g"),
        CustomOp(
            "own", "Own", ("g", ""), ("z",), "user.layers", "Own", {"alpha": "2"}, "0f" * 32
        ),
        Quantize("quant", "z", "zq"),
        Reshape("flat", "z", "v"),
        Softmax("prob", "v", "w", 1),
        Transpose("turn", "w", "wt", (1, 0)),
        Cast("whole", "wt", "wi", DType.INT64),
    )  # fmt: skip


def tensors() -> tuple[TensorSpec, ...]:
    floats = {
        "f": (1, 4, 12, 12), "g": (1, 4, 12, 12), "z": (1, 4, 12, 12), "v": (1, 576),
        "w": (1, 576), "wt": (576, 1),
    }  # fmt: skip
    codes = {
        "c": (4, 4, 8), "p": (4, 4, 8), "a": (4, 4, 8), "l": (4, 4, 8), "u": (8, 8, 8),
        "k": (8, 8, 16), "s": (4, 4, 8), "q": (6, 6, 8), "d": (12, 12, 2), "r": (4, 4, 8),
        "n": (4, 4, 8), "m": (4, 4, 8), "e": (4, 4, 8),
    }  # fmt: skip
    shifted = Scale((0.5,), (-128,))
    return (
        TensorSpec("image", (1, 8, 8, 3), DType.INT8, Layout.NHWC, (1, 8, 16, 3), Scale((1.0,))),
        TensorSpec("region", (1, 8, 8, 3), DType.INT8, Layout.NHWC, scale=Scale((1.0,))),
        bpu_tensor("z0", (4, 4, 3), Scale((1.0,))),
        *(bpu_tensor(name, shape, ONE) for name, shape in codes.items()),
        bpu_tensor("t", (4, 4, 8), shifted),
        bpu_tensor("h", (12, 12, 4), EACH, DType.INT32),
        *(TensorSpec(name, shape, DType.FLOAT32) for name, shape in floats.items()),
        bpu_tensor("zq", (12, 12, 4), ONE),
        TensorSpec("wi", (576, 1), DType.INT64, strides_bytes=(64, 8)),
    )


def removed() -> tuple[RemovedNode, ...]:
    """A softmax behind the model, and the 4-bit codes that a quantization before it made."""
    x = TensorSpec("raw", (1, 3, 8, 8), DType.FLOAT32, Layout.NCHW)
    y = TensorSpec("raw_4", (1, 3, 8, 8), DType.UINT4, Layout.NCHW, (1, 3, 8, 16))
    cast = Cast("to_4_bits", "raw", "raw_4", DType.UINT4)
    prob = TensorSpec("last", (1, 576), DType.FLOAT32)
    return (
        RemovedNode(cast, True, x, y, (103.5, 116.0, 123.0), (0.017,)),
        RemovedNode(Softmax("gone", "w2", "last", -1), False, replace(prob, name="w2"), prob),
    )


def every_op_network(name: str = "net", seed: int = 0) -> Network:
    """nv12 8x8 and a region of a picture in; scores, integers, codes and inner tensors out."""
    rng = np.random.default_rng(seed)
    specs = tensors()
    parts = (
        Part(
            f"{name}_subgraph_0",
            Place.BPU,
            bpu_ops(rng),
            ("image", "region"),
            ("a", "h", "n", "z0"),
        ),
        Part(f"{name}_cpu_0", Place.CPU, cpu_ops(rng), ("n", "h"), ("t", "g", "zq", "w", "wi")),
    )
    return Network(
        name=name,
        tensors={spec.name: spec for spec in specs},
        inputs=(
            ModelInput(specs[0], InputType.NV12, Layout.NHWC),
            ModelInput(specs[1], InputType.RGB, Layout.NHWC, InputSource.RESIZER),
        ),
        outputs=(
            ModelOutput("scores", "w"),
            ModelOutput("scores_again", "w"),
            ModelOutput("wi", "wi"),
            ModelOutput("t", "t"),
            ModelOutput("zq", "zq"),
            ModelOutput("shrunk", "z0"),
            ModelOutput("plus_out", "g", "plus_float"),
            ModelOutput("add_out", "a", "add_float"),
        ),
        parts=parts,
        constants={
            "offset": np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4, 1, 1),
            "none": np.zeros((0, 3), np.int64),
        },
        removed=removed(),
    )
