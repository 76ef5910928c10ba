"""Small compiled models with every kind of instruction, for tests of files and messages.

They are well-formed (the container accepts them) but their graphs are not real: do not run them.
"""

from __future__ import annotations

import numpy as np

from bpu_common.model import (
    BpuModel,
    BpuSegment,
    CpuNode,
    CpuSegment,
    ExternalConstant,
    NodeInfo,
)
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
from bpu_common.tensor import DType, InputType, Layout, ModelInput, Scale, TensorSpec


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
    """nv12 8x8 in, int32 (1, 3, 7, 8) out."""
    return Program(
        calls=(
            FunctionCall.on_one_core("first", all_instructions(), 12_345),
            FunctionCall.on_one_core("second", (Fill(0, (), sram(0, 1, 1, 1), 5),), 100),
        ),
        inputs=(IoSlot("image", 0, 16 * 12),),
        outputs=(IoSlot("features", 256, 3 * 16 * 8 * 4),),
        sram_bytes=4096,
        scratch_bytes=512,
        io_bytes=2048,
    )


def small_model(name: str = "net", seed: int = 0) -> BpuModel:
    """A BPU segment with every instruction and a CPU segment behind it."""
    image = TensorSpec("image", (1, 8, 8, 3), DType.INT8, Layout.NHWC, (1, 8, 16, 3))
    features = TensorSpec(
        "features",
        (1, 3, 7, 8),
        DType.INT32,
        Layout.NHWC,
        (1, 3, 16, 8),
        Scale(tuple(0.125 * (index + 1) for index in range(8)), tuple(range(-4, 4)), 3),
    )
    scores = TensorSpec("scores", (1, 8), DType.FLOAT32)
    weights = np.random.default_rng(seed).integers(0, 256, 1000, np.uint8).tobytes()
    bpu = BpuSegment(
        name=f"{name}_subgraph_0",
        inputs=("image",),
        outputs=("features",),
        program=every_kind_program(),
        fast_path=b"fast path of " + name.encode(),
        constants=(ExternalConstant("conv/weights", 64, DType.INT8, (8, 3, 3, 3)),),
        weights=weights,
        macs=123_456,
    )
    cpu = CpuSegment(
        name=f"{name}_cpu_0",
        inputs=("features",),
        outputs=("scores",),
        graph=b"graph of " + name.encode(),
        nodes=(CpuNode("deq", "HzDequantize", 168), CpuNode("prob", "Softmax", 8)),
    )
    return BpuModel(
        name=name,
        march="bernoulli2",
        machine="x3m",
        inputs=(ModelInput(image, InputType.NV12, Layout.NHWC),),
        outputs=(scores,),
        segments=(bpu, cpu),
        tensors={spec.name: spec for spec in (image, features, scores)},
        nodes=(
            NodeInfo("conv", "BPU", 0, "HzSQuantizedConv", 0.9987, 2.5, "int8", "int32"),
            NodeInfo("prob", "CPU", -1, "Softmax", float("nan"), float("nan"), "float", "float"),
        ),
        parameters={"calibration_type": "max", "input_type_rt": "nv12"},
    )
