"""Hand-made and random quantized networks for the placer, and a run of their programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bpu_common.container.weights import pack_weights
from bpu_common.machine import X3M, MachineSpec
from bpu_common.model import PartProgram
from bpu_common.network import (
    Addend,
    BpuOp,
    ModelOutput,
    Network,
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
    bpu_tensor,
    tensors_read,
)
from bpu_common.params import ChannelParams
from bpu_common.program import (
    FULL_RANGE,
    Axis,
    EltwiseEntry,
    EltwiseKind,
    Program,
    Requant,
    ResizeMode,
)
from bpu_common.tensor import (
    IMAGE_SCALE,
    AnyArray,
    DType,
    InputType,
    Layout,
    ModelInput,
    Scale,
    TensorSpec,
)
from bpu_host.compiler.partition import split
from bpu_host.compiler.place import EmitOptions, place
from bpu_sim.engines.reference import compute
from bpu_sim.machine import ExactPart, check_hazards

Shape = tuple[int, int, int]


class LoweredNet:
    """A quantized network under construction; methods append an operation and return its result."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.ops: list[BpuOp] = []
        self.tensors: dict[str, TensorSpec] = {}
        self.inputs: list[ModelInput] = []

    def _tensor(self, name: str, shape: Shape, dtype: DType = DType.INT8) -> str:
        scale = Scale.per_channel((0.1,) * (shape[2] if dtype is DType.INT32 else 1))
        self.tensors[name] = bpu_tensor(name, shape, scale, dtype)
        return name

    def _name(self, kind: str) -> tuple[str, str]:
        index = len(self.ops)
        return f"{kind}_{index}", f"t{index}"

    def shape(self, tensor: str) -> Shape:
        return self.tensors[tensor].shape_hwc

    def image(self, shape: Shape, kind: InputType = InputType.YUV444) -> str:
        """A raw picture of the board."""
        return self._input(shape, kind, f"image{len(self.inputs)}")

    def codes(self, shape: Shape) -> str:
        """An int8 tensor that a CPU part would quantize."""
        return self._tensor(f"codes{len(self.tensors)}", shape)

    def _input(self, shape: Shape, kind: InputType, name: str) -> str:
        spec = TensorSpec(name, (1, *shape), DType.INT8, Layout.NHWC, scale=IMAGE_SCALE)
        self.inputs.append(ModelInput(spec, kind, Layout.NHWC))
        return self._tensor(name, shape)

    def params(self, channels: int, taps: int) -> ChannelParams:
        """Parameters that use the whole int8 range and saturate sometimes."""
        integers = self.random.integers
        shift = max(0, int(np.log2(max(taps, 1))) // 2)
        return ChannelParams(
            integers(-2000, 2000, channels).astype(np.int32),
            integers(0, 3, channels).astype(np.int32),
            integers(0, 3 + shift, channels).astype(np.int32),
            integers(1 << 14, 1 << 15, channels).astype(np.int32),
            integers(18, 22, channels).astype(np.int32),
        )

    def conv(
        self,
        x: str,
        channels: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (1, 1, 1, 1),
        groups: int = 1,
        upsample: tuple[int, int] = (1, 1),
        int32: bool = False,
        clamp: tuple[int, int] = FULL_RANGE,
        pad_code: int = 0,
        addend: Addend | None = None,
    ) -> str:
        name, y = self._name("conv")
        h, w, c = self.shape(x)
        size = []
        for axis, extent in enumerate((h, w)):
            spread = (extent - 1) * upsample[axis] + 1 + pads[axis] + pads[axis + 2]
            reach = (kernel[axis] - 1) * dilation[axis] + 1
            size.append((spread - reach) // stride[axis] + 1)
        assert min(size) >= 1
        weights = self.random.integers(-127, 128, (channels, *kernel, c // groups)).astype(np.int8)
        params = self.params(channels, weights[0].size)
        self.ops.append(
            QConv(
                name, x, y, weights, params, stride, dilation, pads, groups, upsample, clamp,
                pad_code=pad_code, addend=addend,
            )
        )  # fmt: skip
        return self._tensor(y, (size[0], size[1], channels), DType.INT32 if int32 else DType.INT8)

    def depthwise(self, x: str, kernel: int = 3, stride: int = 1) -> str:
        pad = kernel // 2
        return self.conv(
            x,
            self.shape(x)[2],
            (kernel, kernel),
            stride=(stride, stride),
            pads=(pad, pad, pad, pad),
            groups=self.shape(x)[2],
        )

    def pool(self, x: str, kernel: int = 3, stride: int = 2, pad: int = 1) -> str:
        name, y = self._name("pool")
        h, w, c = self.shape(x)
        shape = ((h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1, c)
        pads = (pad, pad, pad, pad)
        self.ops.append(QMaxPool(name, x, y, (kernel, kernel), (stride, stride), pads))
        return self._tensor(y, shape)

    def eltwise(self, kind: EltwiseKind, a: str, b: str | None) -> str:
        name, y = self._name(kind.name.lower())
        requant = Requant(
            int(self.random.integers(-500, 500)), 2, int(self.random.integers(1 << 14, 1 << 15)), 19
        )
        ka, kb = (int(k) for k in self.random.integers(-127, 128, 2))
        self.ops.append(QEltwise(name, kind, a, b, y, (EltwiseEntry(ka, kb, requant),)))
        return self._tensor(y, self.shape(a))

    def lut(self, x: str, per_channel: bool = False) -> str:
        name, y = self._name("lut")
        count = self.shape(x)[2] if per_channel else 1
        tables = self.random.integers(-128, 128, (count, 256)).astype(np.int8)
        self.ops.append(QLut(name, x, y, tables))
        return self._tensor(y, self.shape(x))

    def resize(self, x: str, size: tuple[int, int], mode: ResizeMode) -> str:
        name, y = self._name("resize")
        h, w, c = self.shape(x)
        rows, columns = self._axis(h, size[0]), self._axis(w, size[1])
        self.ops.append(QResize(name, x, y, mode, rows, columns))
        return self._tensor(y, (*size, c))

    def _axis(self, source: int, size: int) -> Axis:
        position = np.minimum(np.arange(size) * source * 256 // size, (source - 1) * 256)
        low = position // 256
        high = np.minimum(low + 1, source - 1)
        return Axis(*(tuple(int(v) for v in values) for values in (low, high, position % 256)))

    def concat(self, xs: Sequence[str], axis: int = 2) -> str:
        name, y = self._name("concat")
        shape = list(self.shape(xs[0]))
        shape[axis] = sum(self.shape(x)[axis] for x in xs)
        self.ops.append(QConcat(name, tuple(xs), y, axis))
        return self._tensor(y, (shape[0], shape[1], shape[2]))

    def slice(self, x: str, start: Shape, shape: Shape, step: Shape = (1, 1, 1)) -> str:
        name, y = self._name("slice")
        self.ops.append(QSlice(name, x, y, start, step))
        return self._tensor(y, shape)

    def pad(self, x: str, pads: tuple[int, int, int, int], value: int = 0) -> str:
        name, y = self._name("pad")
        h, w, c = self.shape(x)
        self.ops.append(QPad(name, x, y, pads, value))
        return self._tensor(y, (h + pads[0] + pads[2], w + pads[1] + pads[3], c))

    def blocks(self, x: str, *, to_space: bool, dcr: bool = True, block: int = 2) -> str:
        name, y = self._name("depth_to_space")
        h, w, c = self.shape(x)
        square = block * block
        shape = (h * block, w * block, c // square)
        if not to_space:
            shape = (h // block, w // block, c * square)
        self.ops.append(QDepthToSpace(name, x, y, block, to_space, dcr))
        return self._tensor(y, shape)

    def graph(self, *outputs: str) -> Network:
        return Network(
            "net",
            self.tensors,
            tuple(self.inputs),
            tuple(ModelOutput(name, name) for name in outputs),
            split("net", self.ops, outputs, ()),
        )


def small_machine(sram_bytes: int) -> MachineSpec:
    """The chip with little on-chip memory, so that small networks must be tiled."""
    return replace(X3M, sram_bytes=sram_bytes)


def only_part(network: Network) -> Part:
    """The one BPU part of a graph."""
    (part,) = network.parts
    assert part.place is Place.BPU
    return part


def place_whole(network: Network, spec: MachineSpec, options: EmitOptions) -> PartProgram:
    """The program and the weights of a graph that is one BPU part."""
    part = only_part(network)
    packed = pack_weights(part.ops)
    program = place(part, network, packed.places, spec, options)
    return PartProgram(program, packed.data, packed.places)


def random_feeds(network: Network, seed: int) -> tuple[dict[str, AnyArray], dict[str, AnyArray]]:
    """Inputs of the only part: as the machine takes them, and as codes for the reference."""
    random = np.random.default_rng(seed)
    images = {i.tensor.name: i for i in network.inputs}
    raw: dict[str, AnyArray] = {}
    codes: dict[str, AnyArray] = {}
    for name in only_part(network).inputs:
        shape = network.tensors[name].shape_hwc
        if name not in images:
            codes[name] = random.integers(-128, 128, shape).astype(np.int8)
            raw[name] = codes[name][None]
            continue
        caller = images[name].caller_shape
        raw[name] = random.integers(0, 256, caller).astype(np.uint8)
        codes[name] = _as_codes(raw[name], images[name])
    return raw, codes


def _as_codes(raw: AnyArray, image: ModelInput) -> AnyArray:
    h, w = image.height, image.width
    if image.input_type is not InputType.NV12:
        return (raw[0].astype(np.int16) - 128).astype(np.int8)
    luma = raw[: h * w].reshape(h, w, 1)
    chroma = raw[h * w :].reshape(h // 2, w // 2, 2).repeat(2, axis=0).repeat(2, axis=1)
    return (np.concatenate([luma, chroma], axis=2).astype(np.int16) - 128).astype(np.int8)


def run_machine(made: PartProgram, network: Network, raw: dict[str, AnyArray]) -> dict:
    """The part's outputs, instruction by instruction, as (H, W, C)."""
    found = ExactPart(only_part(network).name, made, network.images).run(raw)
    return {name: value[0] for name, value in found.items()}


def check_program(
    network: Network, spec: MachineSpec, options: EmitOptions, seed: int = 0
) -> Program:
    """Place a graph; prove its order, its bounds and that its bits are the reference's."""
    made = place_whole(network, spec, options)
    check_hazards(made.program)
    assert made.program.sram_bytes <= spec.sram_bytes
    raw, codes = random_feeds(network, seed)
    found = run_machine(made, network, raw)
    expected = {name: array[np.newaxis] for name, array in codes.items()}
    for op in network.ops:
        xs = [expected[name] for name in tensors_read(op)]
        expected[op.y] = compute(op, xs, network.tensors[op.y])
    for name in only_part(network).outputs:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name][0], err_msg=name)
    return made.program
