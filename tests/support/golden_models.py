"""One small model for each feature of the format, with a program written by hand.

The programs hold everything in on-chip memory and do one thing after the other; they do not depend
on how the compiler places, so the files that are made of them stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bpu_common.container.features import features_of
from bpu_common.container.weights import pack_weights, spans
from bpu_common.model import BpuModel, ConstantPlace, PartProgram
from bpu_common.network import (
    Addend,
    BpuOp,
    CustomOp,
    Dequantize,
    ModelOutput,
    Network,
    Operation,
    Part,
    Place,
    QConv,
    QEltwise,
    QLut,
    RemovedNode,
    Softmax,
    Transpose,
    bpu_tensor,
    tensors_read,
)
from bpu_common.params import ChannelParams
from bpu_common.program import (
    AwaitStream,
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Engine,
    FunctionCall,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    Program,
    Requant,
    RoiInput,
    Space,
    Store,
    Stream,
    Tile,
)
from bpu_common.tensor import (
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    Scale,
    TensorSpec,
    align_up,
)

H, W = 4, 6
"""Size of every feature map."""
STEP = 256
"""On-chip memory of a tensor, and DDR memory of a tensor of 1 to 2 channels."""
CONSTANTS = 8 * STEP
IMAGE_SCALE = Scale((1.0,))
ONE = Scale((0.5,))
GRAY = ModelInput(
    TensorSpec("x", (1, H, W, 1), DType.INT8, Layout.NHWC, scale=IMAGE_SCALE),
    InputType.GRAY,
    Layout.NHWC,
)


def table(channels: int) -> ChannelParams:
    """(acc + bias) >> 1, times 20000, >> 17."""
    each = np.arange(channels, dtype=np.int32)
    return ChannelParams(each * 10 - 3, each * 0, each * 0 + 1, each * 0 + 20_000, each * 0 + 17)


def conv(x: str, y: str, channels: tuple[int, int], **more: object) -> QConv:
    """3x3 with padding, weights -7 to 7; `channels` in and out."""
    depth, outputs = channels
    count = outputs * 9 * depth
    weights = (np.arange(count) * 5 % 15 - 7).astype(np.int8).reshape(outputs, 3, 3, depth)
    one = (1, 1)
    made = QConv(f"{y}_conv", x, y, weights, table(outputs), one, one, (1, 1, 1, 1), 1)
    return replace(made, **more)  # type: ignore[arg-type]


def codes(name: str, channels: int, scale: Scale = ONE) -> TensorSpec:
    return bpu_tensor(name, (H, W, channels), scale)


def model(
    ops: Sequence[BpuOp],
    tensors: Sequence[TensorSpec],
    outputs: Sequence[str],
    *,
    cpu: Sequence[Operation] = (),
    item: ModelInput = GRAY,
) -> BpuModel:
    """A BPU part that makes `outputs`, and a CPU part behind it that reads the first of them."""
    parts = [Part("net_subgraph_0", Place.BPU, tuple(ops), ("x",), tuple(outputs))]
    returned = list(outputs)
    if cpu:
        last = tensors[-1].name
        parts.append(Part("net_cpu_0", Place.CPU, tuple(cpu), (outputs[0],), (last,)))
        returned[0] = last
    specs = {spec.name: spec for spec in (item.tensor, *tensors)}
    network = Network(
        name="net",
        tensors=specs,
        inputs=(item,),
        outputs=tuple(ModelOutput(name, name) for name in returned),
        parts=tuple(parts),
    )
    packed = pack_weights(ops)
    program = whole_program(network, packed.places)
    made = PartProgram(program, packed.data, packed.places)
    return with_features(BpuModel(network, "bernoulli2", "x3m", {"net_subgraph_0": made}))


def with_features(found: BpuModel) -> BpuModel:
    return replace(found, features=features_of(found))


def on_chip(network: Network, name: str) -> Tile:
    """Where a tensor lies in SRAM, densely."""
    spec = network.tensors[name]
    index = [tensor for tensor in network.tensors if tensor in _bpu_names(network)].index(name)
    _, height, width, channels = spec.shape
    return Tile(Space.SRAM, index * STEP, (height, width, channels), width * channels, channels)


def _bpu_names(network: Network) -> set[str]:
    names = {"x"}
    return names | {op.y for op in network.parts[0].ops if isinstance(op, (QConv, QEltwise, QLut))}


def in_ddr(tile: Tile, offset: int) -> Tile:
    """The tensor in the IO space, rows padded to 16 pixels."""
    channels = tile.shape_hwc[2]
    row = align_up(tile.shape_hwc[1], 16) * channels
    return Tile(Space.IO, offset, tile.shape_hwc, row, channels)


def whole_program(network: Network, places: tuple[ConstantPlace, ...], frames: int = 1) -> Program:
    """Load, compute and store, each instruction behind the one before; constants only once."""
    part, (item,) = network.parts[0], network.inputs
    scaled = item.source is InputSource.RESIZER
    pitch = STEP * (len(part.outputs) + 1)
    gap = pitch if frames > 1 else 0
    body: list[Instruction] = list(constants(part, places))
    for frame in range(frames):
        body.append(load(network, frame, frame * pitch))
        body += [compute(network, k) for k in range(len(part.ops))]
        for number, name in enumerate(part.outputs):
            chip = on_chip(network, name)
            where = frame * pitch + (number + 1) * STEP
            body.append(Store(len(part.ops) - 1, (), chip, in_ddr(chip, where)))
    slots = [IoSlot(name, (k + 1) * STEP, STEP, gap) for k, name in enumerate(part.outputs)]
    size = (item.height, item.width)
    return Program(
        (FunctionCall.on_one_core("net_subgraph_0_fc_0", chained(body)),),
        inputs=() if scaled else (IoSlot("x", 0, STEP, gap),),
        outputs=tuple(slots),
        sram_bytes=CONSTANTS + 4 * STEP,
        scratch_bytes=0,
        io_bytes=frames * pitch,
        frames=frames,
        rois=(RoiInput("x", item.input_type, *size),) if scaled else (),
    )


def chained(body: Sequence[Instruction]) -> tuple[Instruction, ...]:
    return tuple(replace(each, waits=(k - 1,) if k else ()) for k, each in enumerate(body))


def load(network: Network, frame: int, offset: int) -> Instruction:
    (item,) = network.inputs
    chip = on_chip(network, "x")
    if item.source is InputSource.RESIZER:
        return LoadRoi(0, (), 0, 0, chip, frame)
    image = Image(offset, item.height, item.width, 16 * item.tensor.shape[3], item.input_type)
    return LoadImage(0, (), image, 0, chip)


def constants(part: Part, places: tuple[ConstantPlace, ...]) -> list[LoadConst]:
    """Each array to where it lies in the weights section, behind the tensors."""
    return [
        LoadConst(k, (), start, CONSTANTS + start, end - start)
        for k, (op, place) in enumerate(zip(part.ops, places, strict=True))
        for start, end in spans(op, place)
    ]


def compute(network: Network, index: int) -> Instruction:
    """The one instruction of an operation."""
    part = network.parts[0]
    op, place = part.ops[index], pack_weights(part.ops).places[index]
    assert isinstance(op, (QConv, QEltwise, QLut))
    xs = [on_chip(network, name) for name in tensors_read(op)]
    y = on_chip(network, op.y)
    match op:
        case QConv():
            return Conv(
                index, (), xs[0], y, CONSTANTS + place.weights, CONSTANTS + place.params,
                op.kernel_hw, op.stride_hw, op.dilation_hw, op.pads_tlbr, op.groups,
                clamp=op.clamp, pad_code=op.pad_code, addend=xs[1] if op.addend else None,
                factors=op.addend.factors if op.addend else (),
            )  # fmt: skip
        case QEltwise():
            b = xs[1] if op.b is not None else None
            return Eltwise(index, (), op.kind, xs[0], b, y, op.entries, op.clamp, op.zeros)
        case QLut():
            return Lut(index, (), xs[0], y, CONSTANTS + place.tables, len(op.tables))


def plain_model() -> BpuModel:
    """One convolution, nothing that needs a feature."""
    return model([conv("x", "y", (1, 2))], [codes("y", 2)], ["y"])


def addend() -> BpuModel:
    ops = [conv("x", "a", (1, 2)), conv("a", "y", (2, 2), addend=Addend("a", (60, -9)))]
    return model(ops, [codes("a", 2), codes("y", 2)], ["y"])


def channel_scales() -> BpuModel:
    each = Scale((0.5, 0.125), (), 3)
    return model([conv("x", "y", (1, 2))], [codes("y", 2, each)], ["y"])


def cpu_int8() -> BpuModel:
    entries = (np.arange(256) * 7 % 251 - 125).astype(np.int8).reshape(1, 256)
    cpu = [QLut("look_up", "y", "z", entries)]
    return model([conv("x", "y", (1, 2))], [codes("y", 2), codes("z", 2)], ["y"], cpu=cpu)


def custom_operators() -> BpuModel:
    own = CustomOp(
        "own", "Own", ("f",), ("z",), "user.layers", "Doubled", {"by": "2"}, "0f" * 32
    )  # fmt: skip
    reals = [TensorSpec(name, (1, 2, H, W), DType.FLOAT32, Layout.NCHW) for name in ("f", "z")]
    cpu = [Dequantize("real", "y", "f"), own]
    return model([conv("x", "y", (1, 2))], [codes("y", 2), *reals], ["y"], cpu=cpu)


def dump_outputs() -> BpuModel:
    ops = [conv("x", "a", (1, 2)), conv("a", "y", (2, 1))]
    found = model(ops, [codes("a", 2), codes("y", 1)], ["a", "y"])
    shown = ModelOutput("a_dump", "a", "first_layer")
    return changed(found, outputs=(*found.network.outputs[1:], shown))


def eltwise_tables() -> BpuModel:
    rows = (EltwiseEntry(64, 3, Requant(5, 2, 20_000, 15)),)
    rows += (EltwiseEntry(-100, 0, Requant(-9, 3, 17_000, 14)),)
    scaled = QEltwise("each", EltwiseKind.SCALE, "a", None, "y", rows, op_type="HzScale")
    ops = [conv("x", "a", (1, 2)), scaled]
    return model(ops, [codes("a", 2), codes("y", 2)], ["y"])


def frames() -> BpuModel:
    found = plain_model()
    [(name, made)] = found.programs.items()
    program = whole_program(found.network, made.places, frames=3)
    return with_features(replace(found, programs={name: replace(made, program=program)}))


def int4() -> BpuModel:
    """A 4-bit feature map that the model hands through."""
    found = plain_model()
    spec = TensorSpec("nibbles", (1, 5), DType.INT4, scale=Scale((0.25,)))
    given = ModelInput(spec, InputType.FEATUREMAP, Layout.NONE)
    tensors = {**found.network.tensors, "nibbles": spec}
    outputs = (*found.network.outputs, ModelOutput("nibbles", "nibbles"))
    return changed(found, tensors=tensors, inputs=(GRAY, given), outputs=outputs)


def pad_code() -> BpuModel:
    return model([conv("x", "y", (1, 2), pad_code=-128)], [codes("y", 2)], ["y"])


def removed_nodes() -> BpuModel:
    """A softmax and a preprocessing that the caller does himself."""
    found = plain_model()
    real, prob = (TensorSpec(name, (1, 2, H, W), DType.FLOAT32) for name in ("real", "prob"))
    picture = TensorSpec("picture", (1, 1, H, W), DType.FLOAT32, Layout.NCHW)
    fed = replace(picture, name="fed", shape=(1, H, W, 1), layout=Layout.NHWC, aligned_shape=())
    nodes = (
        RemovedNode(Transpose("t", "picture", "fed", (0, 2, 3, 1)), True, picture, fed, (128.0,)),
        RemovedNode(Softmax("soft", "real", "prob", 1), False, real, prob),
    )
    return changed(found, removed=nodes)


def roi() -> BpuModel:
    item = replace(GRAY, source=InputSource.RESIZER)
    return model([conv("x", "y", (1, 2))], [codes("y", 2)], ["y"], item=item)


def strides() -> BpuModel:
    found = plain_model()
    spec = replace(found.network.tensors["y"], strides_bytes=(512, 128, 8, 1))
    return changed(found, tensors={**found.network.tensors, "y": spec})


def two_cores() -> BpuModel:
    """One core makes `a`, the other reads it from DDR and makes `y`."""
    ops = [conv("x", "a", (1, 2)), conv("a", "y", (2, 1))]
    found = model(ops, [codes("a", 2), codes("y", 1)], ["y"])
    network = found.network
    [(name, made)] = found.programs.items()
    part = network.parts[0]
    first, second = ([c for c in constants(part, made.places) if c.operation == k] for k in (0, 1))
    a, y = on_chip(network, "a"), on_chip(network, "y")
    scratch = replace(in_ddr(a, 0), space=Space.SCRATCH)
    one = chained([*first, load(network, 0, 0), compute(network, 0), Store(0, (), a, scratch)])
    wait = AwaitStream(1, (), Engine.LOAD, 0, len(one) - 1)
    other = chained(
        [
            *second,
            wait,
            Load(1, (), scratch, a),
            compute(network, 1),
            Store(1, (), y, in_ddr(y, STEP)),
        ]
    )
    call = FunctionCall("net_subgraph_0_fc_0", (Stream(one), Stream(other)))
    program = replace(made.program, calls=(call,), scratch_bytes=STEP)
    return with_features(replace(found, programs={name: replace(made, program=program)}))


def zero_points() -> BpuModel:
    """A result stored minus 100 steps, and its real numbers."""
    shifted = codes("y", 2, Scale((0.5,), (-100,)))
    real = TensorSpec("f", (1, 2, H, W), DType.FLOAT32, Layout.NCHW)
    cpu = [Dequantize("real", "y", "f")]
    return model([conv("x", "y", (1, 2))], [shifted, real], ["y"], cpu=cpu)


def changed(found: BpuModel, **network: object) -> BpuModel:
    """The model with other fields of its network."""
    return with_features(replace(found, network=replace(found.network, **network)))  # type: ignore[arg-type]


GOLDEN: dict[str, Callable[[], BpuModel]] = {
    made.__name__: made
    for made in (
        addend, channel_scales, cpu_int8, custom_operators, dump_outputs, eltwise_tables, frames,
        int4, pad_code, removed_nodes, roi, strides, two_cores, zero_points,
    )
}  # fmt: skip
"""Feature -> the model that needs it and no other."""
