"""Small compiled models with every kind of operation and instruction, for tests of files.

They are well-formed (the container accepts them) but their programs are not those of their
networks: do not run them.
"""

from __future__ import annotations

from bpu_common.container.weights import pack_weights
from bpu_common.model import BpuModel, NodeInfo, PartProgram
from bpu_common.program import (
    Axis,
    Conv,
    Eltwise,
    EltwiseEntry,
    EltwiseKind,
    Fill,
    FunctionCall,
    Image,
    Instruction,
    IoSlot,
    Load,
    LoadConst,
    LoadImage,
    Lut,
    MaxPool,
    Move,
    Program,
    Requant,
    Resize,
    ResizeMode,
    Space,
    Store,
    Tile,
)
from bpu_common.provenance import Provenance
from bpu_common.tensor import DType, InputType
from tests.support.networks_format import every_op_network

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
    x, y = sram(0, 4, 8, 3), sram(256, 4, 8, 3)
    requant = Requant(-7, 3, 20_000, 12)
    identity = (tuple(range(4)), tuple(range(8)))
    return (
        LoadImage(0, (), Image(0, 8, 8, 16, InputType.NV12), 2, x),
        LoadConst(0, (), 0, 1024, 512),
        Fill(1, (0,), y, -128),
        Conv(1, (0, 1), x, sram(512, 2, 4, 8), 1024, 1280, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1), 1),
        Conv(
            1,
            (1, 3),
            sram(512, 2, 4, 8),
            sram(2048, 3, 7, 8, dtype=DType.INT32),
            1024,
            1280,
            (1, 1),
            (1, 1),
            (1, 1),
            (0, 0, 0, 0),
            8,
            (2, 2),
            (0, 127),
        ),
        MaxPool(2, (0,), x, sram(512, 2, 4, 3), (3, 3), (2, 2), (1, 1, 1, 1)),
        Eltwise(2, (5, 2), EltwiseKind.ADD, x, y, y, (EltwiseEntry(64, -3, requant),)),
        Eltwise(
            2,
            (6,),
            EltwiseKind.MUL,
            x,
            sram(512, 1, 1, 3),
            y,
            (EltwiseEntry(0, 0, requant),) * 3,
            (0, 100),
            (-128, 7),
        ),
        Eltwise(2, (7,), EltwiseKind.SCALE, x, None, y, (EltwiseEntry(127, 0, requant),)),
        Lut(2, (8,), x, y, 1024, 1),
        Resize(
            3,
            (9,),
            ResizeMode.BILINEAR,
            x,
            y,
            Axis(identity[0], identity[0], (0, 64, 128, 255)),
            Axis(identity[1], identity[1], (0,) * 8),
        ),
        Move(3, (10,), y, x),
        Store(3, (4,), sram(2048, 3, 7, 8, dtype=DType.INT32), _output_tile()),
        Store(3, (11,), x, tile(Space.SCRATCH, 64, (4, 8, 3))),
        Load(3, (13,), tile(Space.SCRATCH, 64, (4, 8, 3)), y),
    )


def _output_tile() -> Tile:
    return Tile(Space.IO, 256, (3, 7, 8), 16 * 8 * 4, 8 * 4, DType.INT32)


def every_kind_program() -> Program:
    """The inputs and outputs are those of `every_op_network`."""
    return Program(
        calls=(
            FunctionCall.on_one_core("first", all_instructions(), 12_345),
            FunctionCall.on_one_core("second", (Fill(0, (), sram(0, 1, 1, 1), 5),), 100),
        ),
        inputs=(IoSlot("image", 0, 16 * 12),),
        outputs=(IoSlot("a", 2624, 128), IoSlot("h", 256, 2304), IoSlot("n", 2752, 128)),
        sram_bytes=4096,
        scratch_bytes=512,
        io_bytes=4096,
    )


def small_model(name: str = "net", seed: int = 0) -> BpuModel:
    """A BPU part with every instruction and a CPU part behind it."""
    network = every_op_network(name, seed)
    bpu = network.parts[0]
    made = PartProgram(every_kind_program(), pack_weights(bpu.ops).data)
    return BpuModel(
        network=network,
        march="bernoulli2",
        machine="x3m",
        programs={bpu.name: made},
        nodes=(
            NodeInfo("conv", "BPU", 0, "HzSQuantizedConv", 0.9987, 2.5, "int8", "int32"),
            NodeInfo("prob", "CPU", -1, "Softmax", float("nan"), float("nan"), "float", "float"),
        ),
        parameters={"calibration_type": "max", "input_type_rt": "nv12"},
        provenance=PROVENANCE,
        hints={"ort": b"hints of " + name.encode()},
    )
