"""Each rule of the format, broken one at a time: refused with the place and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bpu_common import container
from bpu_common.errors import ModelFormatError
from bpu_common.model import BpuModel
from bpu_common.program import (
    AwaitStream,
    Axis,
    Conv,
    Eltwise,
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
    Program,
    Requant,
    Resize,
    Space,
    Store,
    Stream,
)
from bpu_common.tensor import DType, InputType, Layout, Scale
from tests.support.models_wire import all_instructions, small_model, sram, tile


def refused(model: BpuModel) -> ModelFormatError:
    with pytest.raises(ModelFormatError) as caught:
        container.dump([model])
    return caught.value


def with_program(change: Callable[[Program], Program]) -> BpuModel:
    model = small_model()
    [(name, made)] = model.programs.items()
    return replace(model, programs={name: replace(made, program=change(made.program))})


def with_instruction(kind: type[Instruction], change: Callable[..., Instruction]) -> BpuModel:
    """The model with the first instruction of a kind changed."""
    listed = list(all_instructions())
    index = next(i for i, each in enumerate(listed) if isinstance(each, kind))
    listed[index] = change(listed[index])

    def swap(program: Program) -> Program:
        first = FunctionCall.on_one_core(program.calls[0].name, listed)
        return replace(program, calls=(first, *program.calls[1:]))

    return with_program(swap)


SRAM_END = 4096
WEIGHTS_END = len(small_model().programs["net_subgraph_0"].weights)


def entry(instruction: Eltwise, **changed: object) -> Eltwise:
    return replace(instruction, entries=(replace(instruction.entries[0], **changed),))


BROKEN_INSTRUCTIONS = [
    (Fill, lambda i: replace(i, operation=1 << 16), "operation 65536"),
    (Fill, lambda i: replace(i, waits=(2,)), "waits"),
    (Fill, lambda i: replace(i, waits=(0, 0)), "waits"),
    (Fill, lambda i: replace(i, value=128), "value 128"),
    (Fill, lambda i: replace(i, y=sram(SRAM_END - 95, 4, 8, 3)), "ends at byte 4097"),
    (Fill, lambda i: replace(i, y=tile(Space.IO, 0, (4, 8, 3))), "not in SRAM"),
    (Fill, lambda i: replace(i, y=replace(i.y, pixel_pitch_bytes=2)), "overlaps itself"),
    (Fill, lambda i: replace(i, y=replace(i.y, row_pitch_bytes=23)), "overlaps itself"),
    (Fill, lambda i: replace(i, y=sram(0, 1, 70_000, 1)), "extent"),
    (Fill, lambda i: replace(i, y=replace(i.y, shape_hwc=(0, 8, 3))), "extent"),
    (Fill, lambda i: replace(i, y=sram(0, 1, 1, 1, dtype=DType.INT32)), "not int8"),
    (Load, lambda i: replace(i, src=sram(0, 4, 8, 3)), "not in DDR"),
    (Load, lambda i: replace(i, dst=sram(256, 4, 8, 4)), "becomes"),
    (Load, lambda i: replace(i, src=tile(Space.SCRATCH, 500, (4, 8, 3))), "SCRATCH"),
    (Load, lambda i: replace(i, src=tile(Space.WEIGHTS, WEIGHTS_END - 95, (4, 8, 3))), "WEIGHTS"),
    (Store, lambda i: replace(i, dst=tile(Space.WEIGHTS, 0, (3, 7, 8), DType.INT32)), "written"),
    (Store, lambda i: replace(i, dst=tile(Space.IO, 4088, (3, 7, 8), DType.INT32)), "IO"),
    (Store, lambda i: replace(i, dst=tile(Space.IO, 258, (3, 7, 8), DType.INT32)), "aligned"),
    (LoadConst, lambda i: replace(i, src_offset_bytes=WEIGHTS_END - 215), "source"),
    (LoadConst, lambda i: replace(i, dst_offset_bytes=4000), "destination"),
    (LoadConst, lambda i: replace(i, operation=3), "not those of 'lut'"),
    (LoadImage, lambda i: replace(i, row0=5), "rows 5 to 9"),
    (LoadImage, lambda i: replace(i, image=replace(i.image, stride_bytes=7)), "stride"),
    (LoadImage, lambda i: replace(i, image=replace(i.image, offset_bytes=4000)), "picture"),
    (LoadImage, lambda i: replace(i, image=replace(i.image, height=7)), "odd"),
    (LoadImage, lambda i: replace(i, image=Image(0, 8, 8, 8, InputType.GRAY)), "rows"),
    (LoadImage, lambda i: replace(i, image=Image(0, 8, 8, 8, InputType.FEATUREMAP)), "picture"),
    (Conv, lambda i: replace(i, groups=2), "groups"),
    (Conv, lambda i: replace(i, groups=0), "groups"),
    (Conv, lambda i: replace(i, stride_hw=(0, 1)), "stride"),
    (Conv, lambda i: replace(i, kernel_hw=(5, 3)), "height of y"),
    (Conv, lambda i: replace(i, weights_offset_bytes=4000), "weights"),
    (Conv, lambda i: replace(i, params_offset_bytes=4040), "parameters"),
    (Conv, lambda i: replace(i, clamp=(0, 128)), "clamp"),
    (Conv, lambda i: replace(i, clamp=(5, 4)), "clamp"),
    (Conv, lambda i: replace(i, clamp=(0, 126)), "that of 'conv' is (0, 127)"),
    (Conv, lambda i: replace(i, pad_code=1), "pad_code 1, that of 'conv' is 0"),
    (Conv, lambda i: replace(i, pad_code=128), "pad code 128"),
    (Conv, lambda i: replace(i, addend=i.x, factors=(1,)), "an addend of (4, 8, 3)"),
    (Conv, lambda i: replace(i, addend=i.y, factors=(1, 2)), "2 factors"),
    (Conv, lambda i: replace(i, addend=i.y, factors=(128,)), "factor 128"),
    (Conv, lambda i: replace(i, factors=(1,)), "factors without an addend"),
    (Conv, lambda i: replace(i, operation=1), "works for 'pool', which is none"),
    (LoadRoi, lambda i: replace(i, roi=1), "region 1"),
    (LoadRoi, lambda i: replace(i, frame=1), "frame 1"),
    (LoadRoi, lambda i: replace(i, row0=5), "rows 5 to 9"),
    (LoadRoi, lambda i: replace(i, dst=sram(0, 4, 8, 1)), "rows 2 to 6 of 8 x 1"),
    (MaxPool, lambda i: replace(i, pads_tlbr=(3, 1, 1, 1)), "padding"),
    (MaxPool, lambda i: replace(i, stride_hw=(1, 2)), "width of y"),
    (Eltwise, lambda i: replace(i, b=None), "operand b"),
    (Eltwise, lambda i: replace(i, b=sram(0, 2, 8, 3)), "broadcast"),
    (Eltwise, lambda i: entry(i, ka=200), "ka"),
    (Eltwise, lambda i: entry(i, requant=Requant(0, 17, 1, 1)), "right shift"),
    (Eltwise, lambda i: entry(i, requant=Requant(0, 1, 1 << 15, 1)), "multiplier"),
    (Eltwise, lambda i: entry(i, requant=Requant(0, 1, 1, 32)), "out shift"),
    (Lut, lambda i: replace(i, table_count=2), "tables"),
    (Lut, lambda i: replace(i, table_offset_bytes=4000), "tables"),
    (Resize, lambda i: replace(i, rows=Axis((0,) * 4, (4,) * 4, (0,) * 4)), "position outside"),
    (Resize, lambda i: replace(i, rows=Axis((0,) * 4, (0,) * 4, (256,) * 4)), "position outside"),
    (Resize, lambda i: replace(i, rows=Axis((0,) * 3, (0,) * 4, (0,) * 4)), "positions for"),
]


@pytest.mark.parametrize(("kind", "change", "says"), BROKEN_INSTRUCTIONS)
def test_broken_instruction(kind: type, change: Callable[..., Instruction], says: str) -> None:
    error = refused(with_instruction(kind, change))
    assert says in error.message
    index = next(i for i, each in enumerate(all_instructions()) if isinstance(each, kind))
    place = "model[0].program 'net_subgraph_0'.call[0].stream[0]"
    assert error.where == f"{place}.instruction[{index}]"
    assert kind.__name__ in error.message


FILL = Fill(0, (), sram(0, 1, 1, 1), 5)
AWAIT = AwaitStream(1, (), Engine.LOAD, 0, 0)


def with_streams(program: Program, *streams: list[Instruction]) -> Program:
    """The program with these streams in its second call."""
    call = replace(program.calls[1], streams=tuple(Stream(tuple(body)) for body in streams))
    return replace(program, calls=(program.calls[0], call))


BROKEN_PROGRAMS = [
    (lambda p: replace(p, calls=()), "without function calls"),
    (lambda p: replace(p, calls=(FunctionCall.on_one_core("c", ()),)), "without instructions"),
    (lambda p: replace(p, sram_bytes=1 << 40), "on-chip memory"),
    (lambda p: replace(p, io_bytes=1 << 40), "input and output memory"),
    (lambda p: replace(p, inputs=(IoSlot("image", 32, 192),)), "not aligned"),
    (lambda p: replace(p, inputs=(IoSlot("image", 4032, 192),)), "of 4096"),
    (lambda p: replace(p, inputs=(IoSlot("image", 256, 192),)), "overlaps another"),
    (lambda p: replace(p, inputs=(IoSlot("image", 0, 95),)), "96 are needed"),
    (lambda p: replace(p, inputs=(IoSlot("picture", 0, 192),)), "not those of the part"),
    (lambda p: replace(p, outputs=()), "not those of the part"),
    (lambda p: replace(p, rois=()), "region 0"),
    (lambda p: replace(p, rois=(replace(p.rois[0], height=9),)), "not made as the input is"),
    (
        lambda p: replace(p, rois=p.rois * 2),
        "two places are called 'region'",
    ),
    (lambda p: replace(p, frames=2), "frames of 'image' lie 0 bytes apart"),
    (lambda p: replace(p, frames=129), "number of frames 129"),
    (lambda p: with_streams(p), "number of streams 0"),
    (lambda p: with_streams(p, [FILL], []), "a stream without instructions"),
    (lambda p: with_streams(p, *[[FILL]] * 9), "number of streams 9"),
    (lambda p: with_streams(p, [FILL], [AWAIT]), ""),
    (lambda p: with_streams(p, [FILL], [replace(AWAIT, stream=1)]), "awaits itself"),
    (lambda p: with_streams(p, [FILL], [replace(AWAIT, stream=2)]), "stream 2"),
    (lambda p: with_streams(p, [FILL], [replace(AWAIT, instruction=1)]), "instruction 1"),
    (
        lambda p: with_streams(p, [replace(AWAIT, stream=1)], [AWAIT]),
        "the streams wait for each other",
    ),
]


@pytest.mark.parametrize(("change", "says"), BROKEN_PROGRAMS)
def test_broken_program(change: Callable[[Program], Program], says: str) -> None:
    if not says:
        assert container.dump([with_program(change)])
        return
    error = refused(with_program(change))
    assert says in error.message
    assert error.where.startswith("model[0].program 'net_subgraph_0'")


def with_network(**changes: object) -> BpuModel:
    model = small_model()
    return replace(model, network=replace(model.network, **changes))  # type: ignore[arg-type]


def with_tensor(name: str, /, **changes: object) -> BpuModel:
    tensors = small_model().network.tensors
    return with_network(tensors={**tensors, name: replace(tensors[name], **changes)})  # type: ignore[arg-type]


def with_part(index: int, **changes: object) -> BpuModel:
    parts = list(small_model().network.parts)
    parts[index] = replace(parts[index], **changes)  # type: ignore[arg-type]
    return with_network(parts=tuple(parts))


def image_as(**changes: object) -> BpuModel:
    network = small_model().network
    spec = replace(network.tensors["image"], **changes)  # type: ignore[arg-type]
    value = replace(network.inputs[0], tensor=spec)
    return with_network(inputs=(value,), tensors={**network.tensors, "image": spec})


def with_programs(**changes: object) -> BpuModel:
    return replace(small_model(), programs={**small_model().programs, **changes})  # type: ignore[arg-type]


MADE = small_model().programs["net_subgraph_0"]
CPU_OPS = small_model().network.parts[1].ops
BROKEN_MODELS = [
    (lambda: with_network(name=""), "needs a name"),
    (lambda: with_network(name="a\0b"), "needs a name"),
    (lambda: replace(small_model(), march="bayes"), "march"),
    (lambda: with_network(parts=()), "needs inputs"),
    (lambda: with_network(outputs=()), "needs inputs"),
    (lambda: with_part(1, inputs=("nowhere",)), "are not ('n', 'h')"),
    (lambda: with_part(0, inputs=("image", "h")), "are not ('image', 'region')"),
    (lambda: with_part(1, outputs=("elsewhere",)), "are not what is made here"),
    (
        lambda: with_part(1, ops=(CPU_OPS[0], replace(CPU_OPS[1], y="t"), *CPU_OPS[2:])),
        "made twice",
    ),
    (lambda: with_part(1, outputs=()), "are not what is made here"),
    (lambda: with_part(1, name="net_subgraph_0"), "called"),
    (lambda: replace(small_model(), programs={}), "program of a BPU part is missing"),
    (lambda: with_programs(net_cpu_0=MADE), "no BPU part"),
    (lambda: with_programs(net_subgraph_1=MADE), "no BPU part"),
    (
        lambda: with_programs(net_subgraph_0=replace(MADE, weights=bytes(MADE.weights)[:-1])),
        "the weights section holds other values",
    ),
    (lambda: with_programs(net_subgraph_0=replace(MADE, places=MADE.places[:-1])), "places of 14"),
    (
        lambda: with_programs(net_subgraph_0=replace(MADE, places=MADE.places[::-1])),
        "the weights section holds other values",
    ),
    (lambda: replace(small_model(), features=("addend",)), "are needed and not listed"),
    (
        lambda: replace(small_model(), features=(*small_model().features, "warp")),
        "are needed",
    ),
    (lambda: with_tensor("image", name="other"), "calls itself"),
    (lambda: with_tensor("image", dtype=DType.INT32), "otherwise"),
    (lambda: with_tensor("h", dtype=DType.FLOAT32), "none that"),
    (lambda: with_tensor("h", shape=(1, 0, 7, 8)), "possible"),
    (lambda: with_tensor("h", shape=(9,) * 9), "possible"),
    (lambda: with_tensor("h", aligned_shape=(1, 12, 11, 4)), "does not hold"),
    (lambda: with_tensor("h", scale=Scale((1.0, 2.0), (), 3)), "do not fit"),
    (lambda: with_tensor("h", scale=Scale((-1.0,))), "positive"),
    (lambda: with_tensor("h", scale=Scale((float("nan"),))), "positive"),
    (lambda: image_as(shape=(1, 7, 8, 3), aligned_shape=(1, 7, 16, 3)), "odd"),
    (lambda: image_as(shape=(1, 8, 8, 1), aligned_shape=(1, 8, 16, 1)), "channels"),
    (lambda: image_as(dtype=DType.UINT8), "int8 NHWC"),
    (lambda: image_as(layout=Layout.NCHW), "int8 NHWC"),
    (
        lambda: with_network(inputs=(replace(small_model().inputs[0], layout=Layout.NONE),)),
        "layout",
    ),
    (
        lambda: replace(small_model(), nodes=(replace(small_model().nodes[0], on="DSP"),)),
        "DSP",
    ),
]


@pytest.mark.parametrize(("make", "says"), BROKEN_MODELS)
def test_broken_model(make: Callable[[], BpuModel], says: str) -> None:
    error = refused(make())
    assert says in error.message
    assert error.where.startswith("model[0]")
