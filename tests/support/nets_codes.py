"""Quantized networks built directly, with random weights: what the engines are tested on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bpu_common.network import (
    BpuOp,
    ModelOutput,
    Network,
    Operation,
    QConcat,
    QConv,
    QEltwise,
    QLut,
    QMaxPool,
    QResize,
    bpu_tensor,
    tensors_read,
)
from bpu_common.params import ChannelParams
from bpu_common.program import EltwiseKind, Pair, Quad, ResizeMode
from bpu_common.tensor import DType, InputType, Layout, ModelInput, Scale, TensorSpec
from bpu_host.compiler.partition import split
from bpu_sim import arith
from bpu_sim.engines.reference import compute


@dataclass
class NetBuilder:
    """Adds quantized operations one after the other; scales are chosen so that codes spread."""

    seed: int = 0
    name: str = "net"
    ops: list[Operation] = field(default_factory=list)
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    inputs: list[ModelInput] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def tensor(self, name: str, shape_hwc, scale: float = 0.05, dtype=DType.INT8) -> str:
        scales = (scale,) if dtype is DType.INT8 else (scale,) * shape_hwc[2]
        shape = tuple(int(v) for v in shape_hwc)
        self.tensors[name] = bpu_tensor(name, shape, Scale.per_channel(scales), dtype)
        return name

    def input(self, name: str, shape_hwc, input_type=InputType.RGB) -> str:
        spec = TensorSpec(name, (1, *shape_hwc), DType.INT8, Layout.NHWC)
        self.inputs.append(ModelInput(spec, input_type, Layout.NHWC))
        return self.tensor(name, shape_hwc)

    def random_params(self, weights: np.ndarray) -> ChannelParams:
        """Parameters with which random codes of deviation ~40 fill the output range."""
        norm = np.sqrt((weights.reshape(len(weights), -1).astype(float) ** 2).sum(axis=1) + 1)
        ratio = 50.0 / (norm * 40.0) * np.exp(self.rng.normal(0, 0.3, len(weights)))
        bias = self.rng.normal(0, 0.3, len(weights)) / ratio * 20
        return arith.channel_params(bias, ratio, np.ones(len(weights)))

    def conv(
        self,
        x: str,
        out: int,
        kernel: Pair = (1, 1),
        stride: Pair = (1, 1),
        pads: Quad | None = None,
        groups: int = 1,
        clamp: Pair = (-128, 127),
        dilation: Pair = (1, 1),
        upsample: Pair = (1, 1),
        int32: bool = False,
        params: ChannelParams | None = None,
        weights: np.ndarray | None = None,
        pad_code: int = 0,
    ) -> str:
        h, w, c = self.tensors[x].shape_hwc
        name = f"conv{len(self.ops)}"
        if pads is None:
            pads = tuple((kernel[i % 2] - 1) * dilation[i % 2] // 2 for i in range(4))
        if weights is None:
            sigma = self.rng.uniform(15, 60)
            draw = self.rng.normal(0, sigma, (out, *kernel, c // groups))
            weights = np.clip(np.rint(draw), -127, 127).astype(np.int8)
        if params is None:
            params = self.random_params(weights)
            if int32:
                zero = np.zeros(out, np.int32)
                params = replace(params, right_shift=zero, multiplier=zero, out_shift=zero)
        size = [
            ((n - 1) * up + 1 + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation[i] - 1)
            // stride[i]
            + 1
            for i, (n, up) in enumerate(zip((h, w), upsample, strict=True))
        ]
        y = self.tensor(
            f"t{len(self.ops)}", (*size, out), dtype=DType.INT32 if int32 else DType.INT8
        )
        self.ops.append(
            QConv(
                name, x, y, weights, params, stride, dilation, pads, groups, upsample, clamp,
                pad_code=pad_code,
            )
        )  # fmt: skip
        return y

    def add(self, op: BpuOp, shape_hwc) -> str:
        self.ops.append(op)
        return self.tensor(op.y, shape_hwc)

    def names(self) -> tuple[str, str]:
        return f"op{len(self.ops)}", f"t{len(self.ops)}"

    def sum(self, a: str, b: str, clamp: Pair = (-128, 127), ratios=(0.05, 0.04, 0.06)) -> str:
        entry = arith.eltwise_add_constants(*ratios)
        name, y = self.names()
        op = QEltwise(name, EltwiseKind.ADD, a, b, y, (entry,), clamp)
        return self.add(op, self.tensors[a].shape_hwc)

    def mul(self, a: str, b: str, clamp: Pair = (-128, 127)) -> str:
        entry = arith.eltwise_mul_constants(0.05, 0.02, 0.08)
        name, y = self.names()
        op = QEltwise(name, EltwiseKind.MUL, a, b, y, (entry,), clamp)
        return self.add(op, self.tensors[a].shape_hwc)

    def scale(self, a: str, s_x: float = 0.05, s_y: float = 0.03) -> str:
        entry = arith.scale_constants(s_x, s_y)
        name, y = self.names()
        op = QEltwise(name, EltwiseKind.SCALE, a, None, y, (entry,))
        return self.add(op, self.tensors[a].shape_hwc)

    def network(self, outputs) -> Network:
        outs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        return Network(
            self.name,
            self.tensors,
            tuple(self.inputs),
            tuple(ModelOutput(out, out) for out in outs),
            split(self.name, self.ops, outs, ()),
        )


def reference(network: Network, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the network by `bpu_sim.arith`, (H, W, C); feeds int8 (1, H, W, C)."""
    values = dict(feeds)
    for op in network.ops:
        xs = [values[name] for name in tensors_read(op)]
        values[op.y] = compute(op, xs, network.tensors[op.y])
    return {name: array[0] for name, array in values.items()}


def mobilenet_v2(seed: int = 0, size: int = 224, classes: int = 1000, width: float = 1.0):
    """A network of MobileNetV2's shape with random weights: (builder, output)."""
    net = NetBuilder(seed, "mobilenet_v2")
    relu = (0, 127)
    x = net.conv(
        net.input("image", (size, size, 3)),
        int(32 * width),
        (3, 3),
        (2, 2),
        (1, 1, 1, 1),
        clamp=relu,
    )
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expand, out, count, stride in plan:
        out = int(out * width)
        for i in range(count):
            c = net.tensors[x].shape_hwc[2]
            hidden = c * expand
            y = net.conv(x, hidden, clamp=relu) if expand > 1 else x
            step = (stride, stride) if i == 0 else (1, 1)
            y = net.conv(y, hidden, (3, 3), step, (1, 1, 1, 1), groups=hidden, clamp=relu)
            y = net.conv(y, out)
            x = net.sum(x, y) if i and c == out else y
    return net, x


def mixed_network() -> Network:
    """A small network with every kind of operation and every form of requantization."""
    net = NetBuilder(11, "mixed")
    relu = (0, 127)
    x = net.conv(net.input("image", (20, 24, 3)), 3)
    x = net.conv(x, 16, (3, 3), (2, 2), (1, 1, 1, 1), clamp=relu)
    y = net.conv(net.conv(x, 48, clamp=relu), 48, (3, 3), groups=48, clamp=(0, 90))
    y = net.sum(x, net.conv(y, 16))
    name, out = net.names()
    y = net.add(QMaxPool(name, y, out, (3, 3), (2, 2), (1, 1, 1, 1)), (5, 6, 16))
    name, out = net.names()
    table = net.rng.integers(-128, 128, (1, 256)).astype(np.int8)
    z = net.add(QLut(name, y, out, table), (5, 6, 16))
    z = net.mul(z, y)
    for mode in (ResizeMode.NEAREST, ResizeMode.BILINEAR):
        axes = [arith.resize_axis(size, 2 * size, mode) for size in (5, 6)]
        name, out = net.names()
        up = net.add(QResize(name, z, out, mode, *axes), (10, 12, 16))
        x = net.sum(x, up)
    up = net.conv(y, 24, (2, 2), (1, 1), (1, 1, 1, 1), upsample=(2, 2))
    name, out = net.names()
    both = net.add(QConcat(name, (x, up), out, 2), (10, 12, 40))
    wide = net.conv(both, 10, (3, 3), int32=True)
    weights = net.rng.choice(np.array([-127, 127], np.int8), (16, 3, 3, 40))
    deep = net.conv(both, 16, (3, 3), weights=np.tile(weights, (1, 1, 1, 1)))
    return net.network([wide, deep, net.scale(both)])
