"""Small compiled models with every kind of operation and instruction, for tests of files.

They are well-formed (the container accepts them) but their programs are not those of their
networks: do not run them.
"""

from __future__ import annotations

from dataclasses import replace

from bpu_common.container.features import features_of
from bpu_common.container.weights import pack_weights
from bpu_common.model import BpuModel, NodeInfo, PartProgram
from bpu_common.program import (
    AwaitStream,
    Axis,
    Conv,
    Eltwise,
    EltwiseKind,
    Engine,
    Fill,
    FunctionCall,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    LoadRoi,
    Lut,
    MaxPool,
    Move,
    Program,
    Resize,
    ResizeMode,
    RoiInput,
    Space,
    Store,
    Stream,
    Tile,
)
from bpu_common.provenance import Provenance
from bpu_common.tensor import DType, InputType
from tests.support.networks_format import entries, every_op_network

PROVENANCE = Provenance(
    "0a" * 32, {"net.onnx": "0b" * 32}, "0c" * 32, {"calibration.type": "max"}, {"openbpu": "1"}
)


def tile(space: Space, offset: int, shape: tuple[int, int, int], dtype: DType = DType.INT8) -> Tile:
    """A densely packed tile."""
    _, width, channels = shape
    pixel = channels * dtype.size_bytes
    return Tile(space, offset, shape, width * pixel, pixel, dtype)


def sram(offset: int, *shape: int, dtype: DType = DType.INT8) -> Tile:
    height, width, channels = shape
    return tile(Space.SRAM, offset, (height, width, channels), dtype)


def all_instructions() -> tuple[Instruction, ...]:
    """One of each kind, legal in a program of `every_kind_program`."""
    operations = {op.name: k for k, op in enumerate(every_op_network().parts[0].ops)}
    picture, x, y = sram(0, 4, 8, 3), sram(256, 4, 4, 8), sram(768, 4, 4, 8)
    ramp = tuple(range(4))
    return (
        LoadImage(0, (), Image(0, 8, 8, 16, InputType.NV12), 2, picture),
        LoadConst(0, (), 0, 1024, 216),
        Fill(operations["pad"], (0,), x, -5),
        Conv(
            0, (0, 1), picture, sram(512, 2, 4, 8), 1024, 1280,
            (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 1, clamp=(0, 127),
        ),
        Conv(
            operations["head"], (1, 3), sram(640, 3, 7, 2), sram(2048, 3, 7, 4, dtype=DType.INT32),
            1024, 1280, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1,
        ),
        Conv(
            operations["rides"], (), x, y, 1024, 1280, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 8,
            pad_code=-128, addend=sram(512, 4, 4, 8), factors=tuple(range(8)),
        ),
        MaxPool(operations["pool"], (0,), x, y, (3, 3), (1, 1), (1, 1, 1, 1)),
        Eltwise(operations["add"], (5, 2), EltwiseKind.ADD, x, y, y, entries(8), zeros=(-128, 5)),
        Eltwise(
            operations["times"], (6,), EltwiseKind.MUL, x, sram(512, 1, 1, 8), y, entries(1),
            (-128, 7), (0, 100),
        ),
        Eltwise(operations["scaled"], (7,), EltwiseKind.SCALE, x, None, y, entries(1)),
        Lut(operations["lut"], (8,), x, y, 1024, 8),
        Resize(
            operations["up"], (9,), ResizeMode.BILINEAR, x, y,
            Axis(ramp, ramp, (0, 64, 128, 255)), Axis(ramp, ramp, (0,) * 4),
        ),
        Move(operations["cat"], (10,), y, x),
        Store(operations["head"], (4,), sram(2048, 3, 7, 4, dtype=DType.INT32), _output_tile()),
        Store(3, (11,), x, tile(Space.SCRATCH, 64, (4, 4, 8))),
        Load(3, (14,), tile(Space.SCRATCH, 64, (4, 4, 8)), y),
        LoadRoi(operations["shrink"], (), 0, 2, picture),
    )  # fmt: skip


def _output_tile() -> Tile:
    return Tile(Space.IO, 256, (3, 7, 4), 16 * 4 * 4, 4 * 4, DType.INT32)


def every_kind_program() -> Program:
    """The inputs and outputs are those of `every_op_network`; the second call takes two cores."""
    fill = Fill(0, (), sram(0, 1, 1, 1), 5)
    wait = AwaitStream(1, (), Engine.STORE, 0, 0)
    return Program(
        calls=(
            FunctionCall.on_one_core("first", all_instructions(), 12_345),
            FunctionCall("second", (Stream((fill,)), Stream((fill, wait))), 100),
        ),
        inputs=(IoSlot("image", 0, 16 * 12),),
        outputs=(
            IoSlot("a", 2624, 128),
            IoSlot("h", 256, 2304),
            IoSlot("n", 2752, 128),
            IoSlot("z0", 2880, 64),
        ),
        sram_bytes=4096,
        scratch_bytes=512,
        io_bytes=4096,
        rois=(RoiInput("region", InputType.RGB, 8, 8),),
    )


def small_model(name: str = "net", seed: int = 0) -> BpuModel:
    """A BPU part with every instruction and a CPU part behind it."""
    network = every_op_network(name, seed)
    bpu = network.parts[0]
    packed = pack_weights(bpu.ops)
    model = BpuModel(
        network=network,
        march="bernoulli2",
        machine="x3m",
        programs={bpu.name: PartProgram(every_kind_program(), packed.data, packed.places)},
        nodes=(
            NodeInfo("conv", "BPU", 0, "HzSQuantizedConv", 0.9987, 2.5, "int8", "int32"),
            NodeInfo("prob", "CPU", -1, "Softmax", float("nan"), float("nan"), "float", "float"),
        ),
        parameters={"calibration_type": "max", "input_type_rt": "nv12"},
        provenance=PROVENANCE,
        hints={"ort": b"hints of " + name.encode()},
    )
    return replace(model, features=features_of(model))
