"""`hrt_model_exec model_info`: inputs and outputs of the models in a file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace

from bpu_board.cli.hrt_model_exec.models import RELEASED, choose, load_models, local_device
from bpu_board.cli.hrt_model_exec.options import Options
from bpu_board.device import engine_of
from bpu_common.board import ModelInfo
from bpu_common.engine import EngineInfo, engine_line
from bpu_common.machine import DEFAULT_MACHINE
from bpu_common.tensor import (
    DDR_WIDTH_ALIGN,
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    TensorSpec,
    align_up,
)

_RULE = "-" * 69

_IMAGE_TYPES = {
    InputType.NV12: "NV12",
    InputType.NV12_SEPARATE: "NV12_SEPARATE",
    InputType.YUV444: "YUV444",
    InputType.RGB: "RGB",
    InputType.BGR: "BGR",
    InputType.GRAY: "Y",
}
_TENSOR_TYPES = {
    DType.INT4: "S4",
    DType.UINT4: "U4",
    DType.INT8: "S8",
    DType.UINT8: "U8",
    DType.FLOAT16: "F16",
    DType.INT16: "S16",
    DType.UINT16: "U16",
    DType.FLOAT32: "F32",
    DType.INT32: "S32",
    DType.UINT32: "U32",
    DType.FLOAT64: "F64",
    DType.INT64: "S64",
    DType.UINT64: "U64",
    DType.BOOL: "U8",
}
_SOURCES = {
    InputSource.DDR: "HB_DNN_INPUT_FROM_DDR",
    InputSource.PYRAMID: "HB_DNN_INPUT_FROM_PYRAMID",
    InputSource.RESIZER: "HB_DNN_INPUT_FROM_RESIZER",
}


@dataclass(frozen=True, slots=True)
class TensorProperties:
    """One tensor in the words of the board's C interface (docs/board.md "Tensors and tasks")."""

    name: str
    valid_shape: tuple[int, ...]
    aligned_shape: tuple[int, ...]
    aligned_byte_size: int
    tensor_type: str
    tensor_layout: str
    quanti_type: str
    stride: tuple[int, ...]
    input_source: str = ""
    stage: tuple[int, ...] = ()
    scale_data: tuple[float, ...] = ()
    quantize_axis: int = -1


def run(options: Options) -> int:
    """Print the properties of one model, or of all models if no name is given."""
    models = load_models(options)
    shown = (choose(models, options.model_name),) if options.model_name else models
    engine = engine_of(local_device(options.machine or DEFAULT_MACHINE.name))
    if options.json:
        found = [_as_json(model.info, engine) for model in shown]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    names = "".join(f"[{model.info.name}]\n" for model in models)
    sys.stdout.write(f"This model file has {len(models)} model:\n{names}")
    for model in shown:
        sys.stdout.write(info_text(model.info))
    sys.stdout.write(f"{_RULE}\nEngine: {engine_line(engine)}\n{RELEASED}\n")
    return 0


def info_text(model: ModelInfo) -> str:
    """The block of one model, without the closing rule."""
    lines = [_RULE, f"[model name]: {model.name}", "", "stage count: 1"]
    for index, each in enumerate(model.inputs):
        lines += [f"input[{index}]:", *_lines(input_properties(each)), ""]
    for index, spec in enumerate(model.outputs):
        lines += [f"output[{index}]:", *_lines(output_properties(spec)), ""]
    return "\n".join(lines) + "\n"


def input_properties(source: ModelInput) -> TensorProperties:
    """Properties of an input as the caller fills it."""
    if not source.input_type.is_image:
        return _properties(
            replace(source.tensor, layout=source.layout),
            input_source=_SOURCES[source.source],
        )
    _, height, width, channels = source.tensor.shape
    nchw = source.layout is Layout.NCHW or source.input_type.is_nv12
    valid = (1, channels, height, width) if nchw else (1, height, width, channels)
    aligned, stride, size_bytes = valid, _strides(valid, 1), height * width * channels
    if source.input_type.is_nv12:
        padded = align_up(width, DDR_WIDTH_ALIGN)
        aligned, stride = (1, channels, height, padded), (0, 0, 0, 0)
        size_bytes = height * padded * 3 // 2
    elif source.input_type is InputType.GRAY:
        padded = align_up(width, DDR_WIDTH_ALIGN)
        aligned = (1, channels, height, padded) if nchw else (1, height, padded, channels)
        stride, size_bytes = _strides(aligned, 1), height * padded * channels
    return TensorProperties(
        name=source.tensor.name,
        valid_shape=valid,
        aligned_shape=aligned,
        aligned_byte_size=size_bytes,
        tensor_type=f"HB_DNN_IMG_TYPE_{_IMAGE_TYPES[source.input_type]}",
        tensor_layout=f"HB_DNN_LAYOUT_{'NCHW' if nchw else 'NHWC'}",
        quanti_type="NONE",
        stride=stride,
        input_source=_SOURCES[source.source],
        stage=(0, 0, width - 1, height - 1),
    )


def output_properties(spec: TensorSpec) -> TensorProperties:
    """Properties of an output."""
    return _properties(spec)


def _properties(spec: TensorSpec, input_source: str = "") -> TensorProperties:
    return TensorProperties(
        name=spec.name,
        valid_shape=spec.shape,
        aligned_shape=spec.aligned_shape,
        aligned_byte_size=spec.aligned_size_bytes,
        tensor_type=f"HB_DNN_TENSOR_TYPE_{_TENSOR_TYPES[spec.dtype]}",
        tensor_layout=f"HB_DNN_LAYOUT_{spec.layout.value}",
        quanti_type="SCALE" if spec.scale else "NONE",
        stride=_strides(spec.aligned_shape, spec.dtype.size_bytes),
        input_source=input_source,
        scale_data=spec.scale.values,
        quantize_axis=spec.scale.axis,
    )


def _strides(shape: tuple[int, ...], item_bytes: int) -> tuple[int, ...]:
    """Bytes from one element to the next along each axis."""
    strides: list[int] = []
    step = item_bytes
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _lines(tensor: TensorProperties) -> list[str]:
    lines = [f"name: {tensor.name}"]
    if tensor.input_source:
        lines.append(f"input source: {tensor.input_source}")
    lines += [
        f"valid shape: {_tuple(tensor.valid_shape)}",
        f"aligned shape: {_tuple(tensor.aligned_shape)}",
        f"aligned byte size: {tensor.aligned_byte_size}",
        f"tensor type: {tensor.tensor_type}",
        f"tensor layout: {tensor.tensor_layout}",
        f"quanti type: {tensor.quanti_type}",
        f"stride: {_tuple(tensor.stride)}",
    ]
    if tensor.scale_data:
        lines.append("scale data: " + "".join(f"{value:g}," for value in tensor.scale_data))
        lines.append(f"quantizeAxis: {max(tensor.quantize_axis, 0)}")
    if tensor.stage:
        x1, y1, x2, y2 = tensor.stage
        lines.append(f"stage[0]: ({x1}, {y1}, {x2}, {y2})")
    return lines


def _tuple(values: tuple[int, ...]) -> str:
    return "(" + "".join(f"{value}," for value in values) + ")"


def _as_json(model: ModelInfo, engine: EngineInfo) -> dict[str, object]:
    return {
        "name": model.name,
        "march": model.march,
        "machine": model.machine,
        "inputs": [asdict(input_properties(each)) for each in model.inputs],
        "outputs": [asdict(output_properties(spec)) for spec in model.outputs],
        "parameters": dict(model.parameters),
        "engine": asdict(engine),
    }
