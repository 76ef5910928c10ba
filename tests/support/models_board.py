"""A tiny compiled model that really runs: picture -> 1x1 convolution (BPU) -> softmax (CPU).

Written by hand, so that the board can be tested without the compiler. Its arithmetic is simple
enough to be computed by one matrix product (`expected_codes`).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.image import network_input
from bpu_common.model import BpuModel, BpuSegment, CpuNode, CpuSegment, NodeInfo
from bpu_common.params import ChannelParams
from bpu_common.program import (
    Conv,
    FunctionCall,
    Image,
    Instruction,
    IoSlot,
    LoadConst,
    LoadImage,
    Program,
    Space,
    Store,
    Tile,
)
from bpu_common.tensor import DType, InputType, Layout, ModelInput, Scale, TensorSpec

HEIGHT, WIDTH, CHANNELS = 8, 16, 8
_CALLS = 2
_PARAMS_AT = 64


def weights(seed: int = 0) -> np.ndarray:
    """int8 (O, 1, 1, 3)."""
    return np.random.default_rng(seed).integers(-127, 128, (CHANNELS, 1, 1, 3)).astype(np.int8)


def biases(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 1).integers(-2000, 2000, CHANNELS).astype(np.int32)


def expected_codes(raw: np.ndarray, source: ModelInput, seed: int = 0) -> np.ndarray:
    """int32 (1, H, W, 8): what the convolution gives for the caller's bytes."""
    pixels = network_input(raw, source).astype(np.int64)
    return (pixels @ weights(seed)[:, 0, 0, :].T.astype(np.int64) + biases(seed)).astype(np.int32)


def image_input(input_type: InputType = InputType.RGB, name: str = "data") -> ModelInput:
    spec = TensorSpec(name, (1, HEIGHT, WIDTH, 3), DType.INT8, Layout.NHWC)
    return ModelInput(spec, input_type, Layout.NHWC)


def tiny_model(
    name: str = "tiny", input_type: InputType = InputType.RGB, seed: int = 0, classify: bool = False
) -> BpuModel:
    """The model; with `classify` it ends in a softmax over 8 classes, else it gives int32 codes."""
    source = image_input(input_type)
    codes = TensorSpec(
        "codes",
        (1, HEIGHT, WIDTH, CHANNELS),
        DType.INT32,
        Layout.NHWC,
        (1, HEIGHT, WIDTH, CHANNELS),
        Scale.per_channel(0.001 * (index + 1) for index in range(CHANNELS)),
    )
    segments: list[BpuSegment | CpuSegment] = [_bpu_segment(name, input_type, seed)]
    outputs = (codes,)
    if classify:
        segments.append(_cpu_segment(name))
        outputs = (TensorSpec("prob", (1, CHANNELS), DType.FLOAT32),)
    return BpuModel(
        name=name,
        march="bernoulli2",
        machine="x3m",
        inputs=(source,),
        outputs=outputs,
        segments=tuple(segments),
        tensors={spec.name: spec for spec in (source.tensor, codes, *outputs)},
        nodes=(NodeInfo("conv", "BPU", 0, "HzSQuantizedConv", 0.99, 1.0, "int8", "int32"),),
        parameters={"input_type_rt": input_type.value},
    )


def feature_model() -> BpuModel:
    """A softmax of 8 values on the CPU, nothing on the BPU."""
    given = TensorSpec("x", (1, 8), DType.FLOAT32)
    made = TensorSpec("y", (1, 8), DType.FLOAT32)
    graph = _onnx(
        [helper.make_node("Softmax", ["x"], ["y"], axis=1)],
        [("x", TensorProto.FLOAT, given.shape)],
        [("y", TensorProto.FLOAT, made.shape)],
        {},
    )
    return replace(
        tiny_model("feature"),
        inputs=(ModelInput(given, InputType.FEATUREMAP, Layout.NONE),),
        outputs=(made,),
        segments=(CpuSegment("feature_cpu_0", ("x",), ("y",), graph, ()),),
        tensors={"x": given, "y": made},
        nodes=(),
    )


def slow_model(name: str = "slow", calls: int = 50, work: int = 1) -> BpuModel:
    """The tiny model with its work repeated in many function calls.

    Args:
        work: convolutions in a call, each taking some 6 us on X3.
    """
    model = tiny_model(name)
    segment = model.segments[0]
    assert isinstance(segment, BpuSegment)
    heavier = tuple(_heavier(call, work) for call in segment.program.calls)
    repeated = tuple(heavier[index % _CALLS] for index in range(calls))
    program = replace(segment.program, calls=repeated, layers=("conv", "again"))
    return replace(model, segments=(replace(segment, program=program),))


def _heavier(call: FunctionCall, times: int) -> FunctionCall:
    """The convolution repeated, for two layers in turn: the engine is set up again each time."""
    *loads, conv, store = call.instructions
    convs = tuple(replace(conv, layer=index % 2) for index in range(times))
    waits = (len(loads) + times - 1,)
    return replace(call, instructions=(*loads, *convs, replace(store, waits=waits)))


def _bpu_segment(name: str, input_type: InputType, seed: int) -> BpuSegment:
    zeros = np.zeros(CHANNELS, np.int32)
    shifts = np.zeros(CHANNELS, np.int32)
    params = ChannelParams(biases(seed), shifts, zeros, zeros, zeros)
    rows = HEIGHT * 3 // 2 if input_type is InputType.NV12 else HEIGHT * 3
    image_bytes = rows * WIDTH
    out_at = -(-image_bytes // 64) * 64
    out_bytes = HEIGHT * WIDTH * CHANNELS * 4
    const = weights(seed).tobytes().ljust(_PARAMS_AT, b"\0") + params.to_bytes()
    program = Program(
        calls=tuple(_call(index, input_type, out_at) for index in range(_CALLS)),
        layers=("conv",),
        inputs=(IoSlot("data", 0, image_bytes),),
        outputs=(IoSlot("codes", out_at, out_bytes),),
        sram_bytes=32768,
        scratch_bytes=0,
        io_bytes=out_at + out_bytes,
    )
    return BpuSegment(
        name=f"{name}_subgraph_0",
        inputs=("data",),
        outputs=("codes",),
        program=program,
        fast_path=_fast_path(seed),
        constants=(),
        weights=const,
        macs=HEIGHT * WIDTH * CHANNELS * 3,
    )


def _call(index: int, input_type: InputType, out_at: int) -> FunctionCall:
    """Half of the rows."""
    height = HEIGHT // _CALLS
    row0 = index * height
    stride = WIDTH if input_type is InputType.NV12 else WIDTH * 3
    image = Image(0, HEIGHT, WIDTH, stride, input_type)
    x = Tile(Space.SRAM, 0, (height, WIDTH, 3), WIDTH * 3, 3)
    pitch = WIDTH * CHANNELS * 4
    y = Tile(Space.SRAM, 4096, (height, WIDTH, CHANNELS), pitch, CHANNELS * 4, DType.INT32)
    out = Tile(
        Space.IO,
        out_at + row0 * pitch,
        (height, WIDTH, CHANNELS),
        pitch,
        CHANNELS * 4,
        DType.INT32,
    )
    const_at = 2048
    one = (1, 1)
    conv = Conv(
        0, (0, 1), x, y, const_at, const_at + _PARAMS_AT, one, one, one, (0, 0, 0, 0), 1, one
    )
    size_bytes = _PARAMS_AT + CHANNELS * 8
    instructions: tuple[Instruction, ...] = (
        LoadImage(0, (), image, row0, x),
        LoadConst(0, (), 0, const_at, size_bytes),
        conv,
        Store(0, (2,), y, out),
    )
    return FunctionCall(f"call_{index}", instructions)


def _fast_path(seed: int) -> bytes:
    kernel = weights(seed).transpose(0, 3, 1, 2).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["data"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w", "b"], ["y"]),
        helper.make_node("Transpose", ["y"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["t"], ["codes"], to=TensorProto.INT32),
    ]
    return _onnx(
        nodes,
        [("data", TensorProto.INT8, (1, HEIGHT, WIDTH, 3))],
        [("codes", TensorProto.INT32, (1, HEIGHT, WIDTH, CHANNELS))],
        {"w": kernel, "b": biases(seed).astype(np.float32)},
    )


def _cpu_segment(name: str) -> CpuSegment:
    scale = np.array([0.001 * (index + 1) for index in range(CHANNELS)], np.float32)
    nodes = [
        helper.make_node("Cast", ["codes"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["values"]),
        helper.make_node("Transpose", ["values"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["planes"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Softmax", ["flat"], ["prob"], axis=1),
    ]
    graph = _onnx(
        nodes,
        [("codes", TensorProto.INT32, (1, HEIGHT, WIDTH, CHANNELS))],
        [("prob", TensorProto.FLOAT, (1, CHANNELS))],
        {"scale": scale},
    )
    return CpuSegment(
        name=f"{name}_cpu_0",
        inputs=("codes",),
        outputs=("prob",),
        graph=graph,
        nodes=(
            CpuNode("codes_HzDequantize", "HzDequantize", HEIGHT * WIDTH * CHANNELS),
            CpuNode("prob", "Softmax", CHANNELS),
        ),
    )


def _onnx(nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def stored_in(folder: Path, *models: BpuModel) -> Path:
    """A file in `folder` that holds the models."""
    path = folder / f"{'-'.join(model.name for model in models)}.bin"
    path.write_bytes(container.dump(models))
    return path


def install(runtime: Runtime, *models: BpuModel) -> None:
    """Have a runtime run models, through a file that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        runtime.open(stored_in(Path(folder), *models))
