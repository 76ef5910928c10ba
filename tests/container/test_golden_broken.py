"""What each feature brings is checked: a broken variant of its stored file is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bpu_common import container
from bpu_common.errors import ModelFormatError
from bpu_common.model import BpuModel
from bpu_common.network import Addend, Operation
from bpu_common.program import AwaitStream, Instruction, Program
from bpu_common.tensor import Scale, TensorSpec
from tests.support.golden_models import GOLDEN

OP = "model[0].part[0].op[{}]"
PROGRAM = "model[0].program 'net_subgraph_0'"


def with_op(
    model: BpuModel, part: int, index: int, change: Callable[[Operation], Operation]
) -> BpuModel:
    parts = list(model.network.parts)
    ops = list(parts[part].ops)
    ops[index] = change(ops[index])
    parts[part] = replace(parts[part], ops=tuple(ops))
    return replace(model, network=replace(model.network, parts=tuple(parts)))


def with_tensor(model: BpuModel, name: str, **changes: object) -> BpuModel:
    spec: TensorSpec = replace(model.network.tensors[name], **changes)  # type: ignore[arg-type]
    inputs = tuple(
        replace(item, tensor=spec) if item.tensor.name == name else item for item in model.inputs
    )
    tensors = {**model.network.tensors, name: spec}
    return replace(model, network=replace(model.network, tensors=tensors, inputs=inputs))


def with_program(model: BpuModel, change: Callable[[Program], Program]) -> BpuModel:
    [(name, made)] = model.programs.items()
    return replace(model, programs={name: replace(made, program=change(made.program))})


def with_await(program: Program, change: Callable[[AwaitStream], Instruction]) -> Program:
    call = program.calls[0]
    body = tuple(
        change(each) if isinstance(each, AwaitStream) else each
        for each in call.streams[1].instructions
    )
    streams = (call.streams[0], replace(call.streams[1], instructions=body))
    return replace(program, calls=(replace(call, streams=streams),))


def outputs_with(model: BpuModel, **changes: object) -> BpuModel:
    outputs = list(model.network.outputs)
    outputs[-1] = replace(outputs[-1], **changes)  # type: ignore[arg-type]
    return replace(model, network=replace(model.network, outputs=tuple(outputs)))


def removed_with(model: BpuModel, **changes: object) -> BpuModel:
    first, *others = model.network.removed
    removed = (replace(first, **changes), *others)  # type: ignore[arg-type]
    return replace(model, network=replace(model.network, removed=removed))


def slots_with(program: Program, **changes: int) -> Program:
    return replace(program, outputs=(replace(program.outputs[0], **changes),))


BROKEN: dict[str, tuple[Callable[[BpuModel], BpuModel], str, str]] = {
    "addend": (
        lambda m: with_op(m, 0, 1, lambda op: replace(op, addend=Addend("a", (60, 128)))),
        f"{OP.format(1)}.addend",
        "factor 128",
    ),
    "channel_scales": (
        lambda m: with_tensor(m, "y", scale=Scale((0.5, 0.125, 1.0), (), 3)),
        "model[0].tensor 'y'.scale",
        "3 scales do not fit axis 3",
    ),
    "cpu_int8": (
        lambda m: with_op(m, 1, 0, lambda op: replace(op, tables=np.zeros((3, 256), np.int8))),
        "model[0].part[1].op[0].tables",
        "tables of shape (3, 256)",
    ),
    "custom_operators": (
        lambda m: with_op(m, 1, 1, lambda op: replace(op, module="/srv/layers.py")),
        "model[0].part[1].op[1].module",
        "no import path",
    ),
    "dump_outputs": (
        lambda m: outputs_with(m, layer="first\0"),
        "model[0].output 'a_dump'.layer",
        "layer needs a name",
    ),
    "eltwise_tables": (
        lambda m: with_op(m, 0, 1, lambda op: replace(op, entries=op.entries + op.entries[:1])),
        f"{OP.format(1)}.entries",
        "3 entries for 2 channels",
    ),
    "frames": (
        lambda m: with_program(m, lambda p: slots_with(p, frame_pitch_bytes=64)),
        PROGRAM,
        "overlaps another",
    ),
    "int4": (
        lambda m: with_tensor(m, "nibbles", scale=Scale((0.25, 0.5))),
        "model[0].tensor 'nibbles'.scale",
        "2 scales without an axis",
    ),
    "pad_code": (
        lambda m: with_op(m, 0, 0, lambda op: replace(op, pad_code=-129)),
        f"{OP.format(0)}.pad_code",
        "pad code -129",
    ),
    "removed_nodes": (
        lambda m: removed_with(m, mean=(float("inf"),)),
        "model[0].removed[0].mean",
        "not finite",
    ),
    "roi": (
        lambda m: with_program(m, lambda p: replace(p, rois=(replace(p.rois[0], height=5),))),
        f"{PROGRAM}.rois",
        "not made as the input is",
    ),
    "strides": (
        lambda m: with_tensor(m, "y", strides_bytes=(512, 128, 8)),
        "model[0].tensor 'y'.strides_bytes",
        "strides",
    ),
    "two_cores": (
        lambda m: with_program(m, lambda p: with_await(p, lambda i: replace(i, stream=2))),
        f"{PROGRAM}.call[0].stream[1].instruction[2]",
        "stream 2 is outside 0 to 1",
    ),
    "zero_points": (
        lambda m: with_tensor(m, "y", scale=Scale((0.5,), (128,))),
        "model[0].tensor 'y'.scale",
        "zero point 128",
    ),
}


def test_every_feature_has_a_broken_variant() -> None:
    assert set(BROKEN) == set(GOLDEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_variant_is_refused(name: str) -> None:
    change, where, says = BROKEN[name]
    with pytest.raises(ModelFormatError) as caught:
        container.dump([change(GOLDEN[name]())])
    assert says in caught.value.message
    assert caught.value.where == where
