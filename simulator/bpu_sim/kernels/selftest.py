"""A small network with every kind of kernel, and what it must give.

It runs once a process before the kernels are trusted with anything: a wrong compiler, a wrong
machine or a damaged library shows here and not in a user's results.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from bpu_common.network import (
    Addend,
    BpuOp,
    QConcat,
    QConv,
    QDepthToSpace,
    QEltwise,
    QLut,
    QMaxPool,
    QPad,
    QResize,
    QSlice,
    bpu_tensor,
)
from bpu_common.network.rules import window_extent, windows
from bpu_common.params import ChannelParams
from bpu_common.program import Axis, EltwiseEntry, EltwiseKind, Pair, Quad, Requant, ResizeMode
from bpu_common.tensor import I8, I32, DType, Scale, TensorSpec
from bpu_sim.kernels.library import Library
from bpu_sim.kernels.plan import Plan

INPUTS = {"picture": (12, 14, 3), "codes": (12, 14, 37)}
RELU = (0, 127)
ONE = (1, 1)

DIGESTS: dict[str, str] = {
    "mix": "787fd6a5ecafc22b",
    "stem": "8d5bfbb8f5aa341d",
    "signed": "b9d72185a24e1846",
    "relu": "b11b29f89efd2e98",
    "wide": "8b758ec427dce18a",
    "wide_groups": "427d3aa44859b5ad",
    "small_shift": "a40422629d7561dc",
    "groups": "17c35db70856405e",
    "depthwise_3": "c270b56bc8f8a069",
    "depthwise_3_half": "ecf39e2cdf0604b0",
    "depthwise_5": "ffb26bb9206274b4",
    "depthwise_7": "8cc9df28eebd4fd3",
    "depthwise_far": "640453d027f5eec7",
    "up": "0fd649980ae16132",
    "addend": "41ee0565e751a73f",
    "entries": "6fc1197614d11217",
    "sum": "01641835a256b9cb",
    "product": "bdaeec31edc130ea",
    "pool": "cf5fc61c553f9c56",
    "tables": "6f235895048272f9",
    "nearest": "8fa028c7c1b49d60",
    "bilinear": "186cfb8f41a4283c",
    "joined": "837e7007b5b5a381",
    "slice": "b8577858a4fe35d7",
    "pad": "1a8a1084ff0f4b64",
    "space": "fbf5a34cdd9e4747",
    "table": "b35085f2cd9149da",
}
"""First 16 hexadecimal digits of the SHA-256 of what each operation makes."""


class _Numbers:
    """Random whole numbers, the same on every machine: numpy keeps the streams of RandomState."""

    def __init__(self) -> None:
        self._state = np.random.RandomState(1)

    def draw(self, low: int, high: int, *shape: int) -> I32:
        """int32 of the given shape between `low` and `high`, both included."""
        return self._state.randint(low, high + 1, shape, np.int32)


class _Net:
    """The operations and their tensors."""

    def __init__(self) -> None:
        self.numbers = _Numbers()
        self.ops: list[BpuOp] = []
        self.tensors: dict[str, TensorSpec] = {}
        for name, shape in INPUTS.items():
            self.tensors[name] = bpu_tensor(name, shape, Scale.per_tensor(1.0))

    def add(self, op: BpuOp, shape: tuple[int, int, int], dtype: DType = DType.INT8) -> str:
        self.ops.append(op)
        assert op.y == op.name
        self.tensors[op.y] = bpu_tensor(op.y, shape, Scale.per_tensor(1.0), dtype)
        return op.y

    def conv(
        self,
        name: str,
        x: str,
        outputs: int,
        kernel: Pair = ONE,
        *,
        stride: Pair = ONE,
        dilation: Pair = ONE,
        pads: Quad = (0, 0, 0, 0),
        groups: int = 1,
        upsample: Pair = ONE,
        clamp: Pair = (-128, 127),
        wide: bool = False,
        out_shifts: Pair = (22, 25),
        pad_code: int = 0,
        addend: Addend | None = None,
    ) -> str:
        draw = self.numbers.draw
        height, width, channels = self.tensors[x].shape_hwc
        weights = draw(-127, 127, outputs, *kernel, channels // groups).astype(np.int8)
        none = np.zeros(outputs, np.int32)
        params = ChannelParams(
            draw(-9000, 9000, outputs),
            draw(0, 2, outputs),
            none if wide else draw(0, 1, outputs),
            none if wide else draw(1 << 14, (1 << 15) - 1, outputs),
            none if wide else draw(*out_shifts, outputs),
        )
        op = QConv(
            name, x, name, weights, params, stride, dilation, pads, groups, upsample, clamp,
            pad_code=pad_code, addend=addend,
        )  # fmt: skip
        extent = window_extent(kernel, dilation)
        spread = (height - 1) * upsample[0] + 1, (width - 1) * upsample[1] + 1
        made = windows(spread, extent, stride, pads)
        return self.add(op, (made[0], made[1], outputs), DType.INT32 if wide else DType.INT8)


def network() -> tuple[list[BpuOp], dict[str, TensorSpec]]:
    """The operations; each makes a tensor of its own name."""
    net = _Net()
    draw = net.numbers.draw
    same = (1, 1, 1, 1)
    mixed = net.conv("mix", "picture", 3)
    net.conv("stem", mixed, 32, (3, 3), stride=(2, 2), pads=same, clamp=RELU)
    x = net.conv("signed", "codes", 48)
    relu = net.conv("relu", x, 48, (3, 3), pads=same, clamp=(0, 119))
    net.conv("wide", relu, 21, wide=True)
    net.conv("wide_groups", x, 36, (1, 2), groups=3, wide=True)
    net.conv("small_shift", relu, 20, out_shifts=(12, 17))
    net.conv("groups", x, 24, (3, 2), pads=same, groups=3, pad_code=-7)
    net.conv("depthwise_3", relu, 48, (3, 3), pads=same, groups=48)
    net.conv("depthwise_3_half", x, 48, (3, 3), stride=(2, 2), pads=same, groups=48)
    net.conv("depthwise_5", x, 48, (5, 5), pads=(2, 2, 2, 2), groups=48, clamp=RELU)
    net.conv("depthwise_7", relu, 48, (7, 2), pads=(3, 0, 3, 1), groups=48)
    net.conv("depthwise_far", x, 48, (3, 3), dilation=(2, 2), pads=same, groups=48)
    net.conv("up", relu, 17, (3, 4), pads=(2, 2, 1, 2), upsample=(2, 2))
    net.conv("addend", relu, 48, addend=Addend(x, (100,)))
    entries = [
        EltwiseEntry(int(a), int(b), Requant(int(c), 1, 20000 + int(a), 20))
        for a, b, c in draw(-128, 127, 48, 3)
    ]
    one = (EltwiseEntry(90, 61, Requant(128, 0, 24000, 21)),)
    shape = net.tensors[x].shape_hwc
    net.add(
        QEltwise("entries", EltwiseKind.ADD, x, relu, "entries", tuple(entries), zeros=(3, -9)),
        shape,
    )
    net.add(QEltwise("sum", EltwiseKind.ADD, x, relu, "sum", one, RELU), shape)
    net.add(QEltwise("product", EltwiseKind.MUL, x, relu, "product", one), shape)
    net.add(QMaxPool("pool", x, "pool", (3, 2), (2, 2), (1, 0, 1, 0)), (6, 7, 48))
    tables: I8 = draw(-128, 127, 48, 256).astype(np.int8)
    net.add(QLut("tables", relu, "tables", tables), shape)
    rows = Axis((0, 4, 11), (1, 5, 11), (77, 255, 0))
    columns = Axis((13, 2), (13, 3), (0, 128))
    for name, mode in (("nearest", ResizeMode.NEAREST), ("bilinear", ResizeMode.BILINEAR)):
        net.add(QResize(name, x, name, mode, rows, columns), (3, 2, 48))
    net.add(QConcat("joined", (x, relu, "small_shift"), "joined", 2), (12, 14, 116))
    net.add(QSlice("slice", "joined", "slice", (1, 0, 5), (2, 3, 2)), (5, 5, 50))
    net.add(QPad("pad", relu, "pad", (1, 0, 2, 3), -5), (15, 17, 48))
    net.add(QDepthToSpace("space", x, "space", 2, to_space=True, dcr=False), (24, 28, 12))
    table: I8 = draw(-128, 127, 1, 256).astype(np.int8)
    net.add(QLut("table", x, "table", table), shape)
    return net.ops, net.tensors


def frame() -> dict[str, I8]:
    """The inputs."""
    numbers = _Numbers()
    return {
        name: numbers.draw(-128, 127, 1, *shape).astype(np.int8) for name, shape in INPUTS.items()
    }


def digest(array: np.ndarray) -> str:
    """Of what an operation makes, as `DIGESTS` has it."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    return hashlib.sha256(little.tobytes()).hexdigest()[:16]


@functools.cache
def failure(library: Library, set_name: str) -> str:
    """The first kind of operation whose result is wrong, or nothing."""
    ops, tensors = network()
    plan = Plan(library, set_name, ops, tensors, tuple(INPUTS), tuple(op.y for op in ops))
    for threads in (1, 2):
        made = plan.run(frame(), threads=threads)
        for name, array in made.items():
            if digest(array) != DIGESTS[name]:
                return name
    return ""
