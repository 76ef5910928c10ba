"""The rules every model in a `.bin` keeps: names resolve, shapes hold, values are in range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bpu_common.container.check_program import check_program
from bpu_common.errors import ModelFormatError
from bpu_common.machine import MACHINES
from bpu_common.model import BpuModel, BpuSegment, ExternalConstant
from bpu_common.network.check_tensor import check_input, check_tensor
from bpu_common.require import placed
from bpu_common.tensor import DType, Layout, TensorSpec

MAX_MODELS = 1024
MAX_OPERATIONS = 1 << 16
MAX_NAME = 4096
MAX_RANK = 8
MAX_DIMENSION = 1 << 24


def check_models(models: Sequence[BpuModel]) -> None:
    """Check each model and that their names differ.

    Raises:
        ModelFormatError: `where` is `model[i].segment[k].call[m].instruction[n]` or a part of it.
    """
    if not 1 <= len(models) <= MAX_MODELS:
        raise ModelFormatError(f"{len(models)} models in one file; 1 to {MAX_MODELS} are allowed")
    _unique("model", [model.name for model in models], "")
    for index, model in enumerate(models):
        check_model(model, f"model[{index}]")


def check_model(model: BpuModel, where: str) -> None:
    """Check one model completely."""
    _name(model.name, "model", where)
    if model.machine not in MACHINES:
        raise ModelFormatError(
            f"machine {model.machine!r} is not known; known are {', '.join(sorted(MACHINES))}",
            where=where,
        )
    if model.march != MACHINES[model.machine].march:
        raise ModelFormatError(
            f"march {model.march!r} is not that of machine {model.machine!r}", where=where
        )
    for name, spec in model.tensors.items():
        place = f"{where}.tensor {name!r}"
        if name != spec.name:
            raise ModelFormatError(f"the tensor calls itself {spec.name!r}", where=place)
        with placed(place):
            check_tensor(spec)
    _unique("input", [value.tensor.name for value in model.inputs], where)
    _unique("output", [spec.name for spec in model.outputs], where)
    if not model.inputs or not model.outputs or not model.segments:
        raise ModelFormatError("a model needs inputs, outputs and segments", where=where)
    for value in model.inputs:
        with placed(f"{where}.input {value.tensor.name!r}"):
            check_input(value)
        _same_spec(model, value.tensor, where)
    for spec in model.outputs:
        with placed(f"{where}.output {spec.name!r}"):
            check_tensor(spec)
        _same_spec(model, spec, where)
    _check_flow(model, where)
    for index, segment in enumerate(model.segments):
        if isinstance(segment, BpuSegment):
            _check_bpu_segment(model, segment, f"{where}.segment[{index}]")
    for node in model.nodes:
        if node.on not in {"BPU", "CPU"}:
            raise ModelFormatError(f"node {node.name!r} runs on {node.on!r}", where=where)


def _check_flow(model: BpuModel, where: str) -> None:
    """Every name a segment or the model reads was made before, once."""
    _unique("segment", [segment.name for segment in model.segments], where)
    made = {value.tensor.name for value in model.inputs}
    for index, segment in enumerate(model.segments):
        place = f"{where}.segment[{index}]"
        _name(segment.name, "segment", place)
        _unique("input", segment.inputs, place)
        _unique("output", segment.outputs, place)
        if not segment.outputs:
            raise ModelFormatError("a segment without outputs", where=place)
        for name in segment.inputs:
            if name not in made:
                raise ModelFormatError(
                    f"reads tensor {name!r}, which no segment before it makes", where=place
                )
        for name in (*segment.inputs, *segment.outputs):
            if name not in model.tensors:
                raise ModelFormatError(f"tensor {name!r} is not described", where=place)
        for name in segment.outputs:
            if name in made:
                raise ModelFormatError(f"tensor {name!r} is made twice", where=place)
            made.add(name)
    for spec in model.outputs:
        if spec.name not in made:
            raise ModelFormatError(f"output {spec.name!r} is made by no segment", where=where)


def _check_bpu_segment(model: BpuModel, segment: BpuSegment, where: str) -> None:
    images = {value.tensor.name: value for value in model.inputs if value.input_type.is_image}
    for name in segment.inputs:
        if name not in images:
            _bpu_tensor(model.tensors[name], {DType.INT8}, where)
    for name in segment.outputs:
        _bpu_tensor(model.tensors[name], {DType.INT8, DType.INT32}, where)
    _unique("constant", [constant.name for constant in segment.constants], where)
    for constant in segment.constants:
        _check_constant(constant, len(segment.weights), f"{where}.constant {constant.name!r}")
    check_program(segment.program, len(segment.weights), MAX_OPERATIONS, f"{where}.program")
    program = segment.program
    for names, slots, what in (
        (segment.inputs, program.inputs, "inputs"),
        (segment.outputs, program.outputs, "outputs"),
    ):
        rois = [roi.tensor for roi in program.rois if what == "inputs"]
        if sorted(names) != sorted([slot.tensor for slot in slots] + rois):
            raise ModelFormatError(
                f"the program's {what} are not those of the segment", where=f"{where}.program"
            )
    for slot in (*program.inputs, *program.outputs):
        image = images.get(slot.tensor)
        needed = model.tensors[slot.tensor].size_bytes if image is None else image.caller_size_bytes
        if slot.size_bytes < needed:
            raise ModelFormatError(
                f"the slot of {slot.tensor!r} has {slot.size_bytes} bytes, {needed} are needed",
                where=f"{where}.program",
            )


def _check_constant(constant: ExternalConstant, weights_bytes: int, where: str) -> None:
    _check_shape(constant.shape, where)
    size = math.prod(constant.shape) * constant.dtype.size_bytes
    if constant.offset_bytes + size > weights_bytes:
        raise ModelFormatError(
            f"bytes {constant.offset_bytes} to {constant.offset_bytes + size} of weights that "
            f"have {weights_bytes}",
            where=where,
        )
    if constant.offset_bytes % constant.dtype.size_bytes:
        raise ModelFormatError(f"offset {constant.offset_bytes} is not aligned", where=where)


def _bpu_tensor(spec: TensorSpec, dtypes: set[DType], where: str) -> None:
    if spec.dtype not in dtypes or len(spec.shape) != 4 or spec.layout is not Layout.NHWC:
        raise ModelFormatError(
            f"tensor {spec.name!r} ({spec.dtype.value} {spec.shape} {spec.layout.value}) is not "
            "one that a BPU segment reads or writes",
            where=where,
        )


def _same_spec(model: BpuModel, spec: TensorSpec, where: str) -> None:
    if model.tensors.get(spec.name) != spec:
        raise ModelFormatError(
            f"tensor {spec.name!r} of the model's inputs or outputs is described otherwise, or not "
            "at all, among its tensors",
            where=where,
        )


def _check_shape(shape: tuple[int, ...], where: str) -> None:
    if len(shape) > MAX_RANK or any(not 1 <= size <= MAX_DIMENSION for size in shape):
        raise ModelFormatError(f"shape {shape} is not possible", where=where)


def _name(name: str, what: str, where: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or "\0" in name:
        raise ModelFormatError(f"a {what} needs a name of 1 to {MAX_NAME} characters", where=where)


def _unique(what: str, names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelFormatError(f"two {what}s are called {name!r}", where=where)
        seen.add(name)
