"""A tiny compiled model that really runs: picture -> 1x1 convolution (BPU) -> softmax (CPU).

Written by hand, so that the board can be tested without the compiler. Its arithmetic is simple
enough to be computed by one matrix product (`expected_codes`).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import helper

from bpu_board.runtime import Runtime
from bpu_common import container
from bpu_common.container.weights import pack_weights
from bpu_common.image import network_input
from bpu_common.model import BpuModel, ConstantPlace, NodeInfo, PartProgram
from bpu_common.network import (
    Dequantize,
    ModelOutput,
    Network,
    OnnxOp,
    Part,
    Place,
    QConv,
    Reshape,
    Softmax,
)
from bpu_common.params import ChannelParams
from bpu_common.program import (
    CHANNEL_PARAM_BYTES,
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
_KERNEL = 27
"""Of the convolution that makes a model slow."""
_WIDE_AT = 32768
"""Its constants on chip."""


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
    network = _network(name, input_type, seed, classify)
    bpu = network.parts[0]
    packed = pack_weights(bpu.ops)
    program = _program(input_type, packed.places[0])
    return BpuModel(
        network=network,
        march="bernoulli2",
        machine="x3m",
        programs={bpu.name: PartProgram(program, packed.data, packed.places)},
        nodes=(NodeInfo("conv", "BPU", 0, "HzSQuantizedConv", 0.99, 1.0, "int8", "int32"),),
        parameters={"input_type_rt": input_type.value},
    )


def feature_model() -> BpuModel:
    """A softmax of 8 values on the CPU, nothing on the BPU."""
    given = TensorSpec("x", (1, 8), DType.FLOAT32)
    made = TensorSpec("y", (1, 8), DType.FLOAT32)
    network = Network(
        name="feature",
        tensors={"x": given, "y": made},
        inputs=(ModelInput(given, InputType.FEATUREMAP, Layout.NONE),),
        outputs=(ModelOutput("y", "y"),),
        parts=(Part("feature_cpu_0", Place.CPU, (Softmax("y", "x", "y", 1),), ("x",), ("y",)),),
    )
    return replace(tiny_model(), network=network, programs={}, nodes=())


def heavy_model(size_bytes: int, name: str = "heavy", seed: int = 1) -> BpuModel:
    """The tiny model with a constant of random bytes that nothing reads."""
    model = tiny_model(name)
    ballast = np.random.default_rng(seed).integers(0, 256, size_bytes, np.uint8)
    return replace(model, network=replace(model.network, constants={"ballast": ballast}))


def with_program(model: BpuModel, program: Program) -> BpuModel:
    """The model with another program of its one BPU part."""
    [(name, made)] = model.programs.items()
    return replace(model, programs={name: replace(made, program=program)})


def with_inputs(model: BpuModel, *inputs: ModelInput) -> BpuModel:
    """The model with other inputs; what follows them stays."""
    tensors = {**model.network.tensors, **{item.tensor.name: item.tensor for item in inputs}}
    return replace(model, network=replace(model.network, inputs=inputs, tensors=tensors))


def slow_model(name: str = "slow", calls: int = 50, work: int = 1) -> BpuModel:
    """The tiny model with work for nobody in many function calls.

    Args:
        work: convolutions in a call, each taking some 6 us on X3.
    """
    model = _with_wide_conv(tiny_model(name))
    [(_, made)] = model.bpu_parts
    heavier = tuple(_heavier(call, work, made.places[1]) for call in made.program.calls)
    repeated = tuple(heavier[index % _CALLS] for index in range(calls))
    program = replace(made.program, calls=repeated, sram_bytes=2 * _WIDE_AT)
    return with_program(model, program)


def _with_wide_conv(model: BpuModel) -> BpuModel:
    """The model with a second operation before its own: a convolution with a large kernel."""
    network = model.network
    [(part, _)] = model.bpu_parts
    [conv] = part.ops
    assert isinstance(conv, QConv)
    kernel = np.ones((CHANNELS, _KERNEL, _KERNEL, 3), np.int8)
    wide = replace(conv, name="wide", y="wide", weights=kernel, pads_tlbr=(_KERNEL // 2,) * 4)
    tensors = {**network.tensors, "wide": replace(network.tensors[conv.y], name="wide")}
    ops = (conv, wide)
    network = replace(network, tensors=tensors, parts=(replace(part, ops=ops), *network.parts[1:]))
    packed, program = pack_weights(ops), model.programs[part.name].program
    return replace(
        model,
        network=network,
        programs={part.name: PartProgram(program, packed.data, packed.places)},
    )


def _heavier(call: FunctionCall, times: int, place: ConstantPlace) -> FunctionCall:
    """Its convolution after `times` of the wide one."""
    image, load, conv, store = call.instructions
    assert isinstance(conv, Conv)
    size_bytes = CHANNELS * _KERNEL * _KERNEL * 3  # it shares the parameters of the other one
    second = LoadConst(1, (), place.weights, _WIDE_AT, size_bytes)
    wide = replace(
        conv,
        operation=1,
        waits=(0, 2),
        weights_offset_bytes=_WIDE_AT,
        kernel_hw=(_KERNEL, _KERNEL),
        pads_tlbr=(_KERNEL // 2,) * 4,
    )
    instructions = (image, load, second, *(wide,) * times, conv, replace(store, waits=(3 + times,)))
    return FunctionCall.on_one_core(call.name, instructions)


def _network(name: str, input_type: InputType, seed: int, classify: bool) -> Network:
    source = image_input(input_type)
    shape = (1, HEIGHT, WIDTH, CHANNELS)
    each = Scale.per_channel(0.001 * (index + 1) for index in range(CHANNELS))
    specs = [source.tensor, TensorSpec("codes", shape, DType.INT32, Layout.NHWC, scale=each)]
    zeros = np.zeros(CHANNELS, np.int32)
    params = ChannelParams(biases(seed), zeros, zeros, zeros, zeros)
    one = (1, 1)
    conv = QConv("conv", "data", "codes", weights(seed), params, one, one, (0, 0, 0, 0), 1)
    parts = [Part(f"{name}_subgraph_0", Place.BPU, (conv,), ("data",), ("codes",))]
    if classify:
        parts.append(_cpu_part(name))
        specs += [
            TensorSpec("values", (1, CHANNELS, HEIGHT, WIDTH), DType.FLOAT32),
            TensorSpec("mean", (1, CHANNELS, 1, 1), DType.FLOAT32),
            TensorSpec("flat", (1, CHANNELS), DType.FLOAT32),
            TensorSpec("prob", (1, CHANNELS), DType.FLOAT32),
        ]
    return Network(
        name=name,
        tensors={spec.name: spec for spec in specs},
        inputs=(source,),
        outputs=(ModelOutput(specs[-1].name, specs[-1].name),),
        parts=tuple(parts),
    )


def _cpu_part(name: str) -> Part:
    pool = helper.make_node("GlobalAveragePool", ["values"], ["mean"])
    ops = (
        Dequantize("codes_HzDequantize", "codes", "values"),
        OnnxOp("mean", pool.op_type, ("values",), ("mean",), pool.SerializeToString()),
        Reshape("flat", "mean", "flat"),
        Softmax("prob", "flat", "prob", 1),
    )
    return Part(f"{name}_cpu_0", Place.CPU, ops, ("codes",), ("prob",))


def _program(input_type: InputType, place: ConstantPlace) -> Program:
    rows = HEIGHT * 3 // 2 if input_type is InputType.NV12 else HEIGHT * 3
    image_bytes = rows * WIDTH
    out_at = -(-image_bytes // 64) * 64
    out_bytes = HEIGHT * WIDTH * CHANNELS * 4
    return Program(
        calls=tuple(_call(index, input_type, out_at, place) for index in range(_CALLS)),
        inputs=(IoSlot("data", 0, image_bytes),),
        outputs=(IoSlot("codes", out_at, out_bytes),),
        sram_bytes=32768,
        scratch_bytes=0,
        io_bytes=out_at + out_bytes,
    )


def _call(index: int, input_type: InputType, out_at: int, place: ConstantPlace) -> FunctionCall:
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
    weights_at, params_at = const_at + place.weights, const_at + place.params
    one = (1, 1)
    conv = Conv(0, (0, 1), x, y, weights_at, params_at, one, one, one, (0, 0, 0, 0), 1, one)
    size_bytes = place.params + CHANNELS * CHANNEL_PARAM_BYTES
    instructions: tuple[Instruction, ...] = (
        LoadImage(0, (), image, row0, x),
        LoadConst(0, (), 0, const_at, size_bytes),
        conv,
        Store(0, (2,), y, out),
    )
    return FunctionCall.on_one_core(f"call_{index}", instructions)


def stored_in(folder: Path, *models: BpuModel) -> Path:
    """A file in `folder` that holds the models."""
    path = folder / f"{'-'.join(model.name for model in models)}.bin"
    path.write_bytes(container.dump(models))
    return path


def install(runtime: Runtime, *models: BpuModel) -> None:
    """Have a runtime run models, through a file that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        runtime.open(stored_in(Path(folder), *models))
