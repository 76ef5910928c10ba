"""The YAML schema: every key of the conversion chapter, with type, default and range.

The models only know single keys; what several keys mean together is checked in `load.py`, and
values that this release cannot carry out stand in `refused.py`.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bpu_common.machine import DEFAULT_MACHINE, MACHINES


def _split(value: object) -> object:  # raw YAML
    """`'a; b'` -> ['a', 'b']; single values become lists of one; None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(";")]
        while parts and not parts[-1]:
            parts.pop()
        return parts or None
    if isinstance(value, dict) and value and all(item is None for item in value.values()):
        return [str(key) for key in value]  # the template's form {OP_name}
    if isinstance(value, list):
        return [str(item).strip() for item in value]
    return [str(value)]


def _lower(value: object) -> object:  # raw YAML
    return value.strip().lower() if isinstance(value, str) else value


def _split_lower(value: object) -> object:  # raw YAML
    parts = _split(value)
    return [_lower(part) for part in parts] if isinstance(parts, list) else parts


def _split_upper(value: object) -> object:  # raw YAML
    parts = _split(value)
    return [part.upper() for part in parts] if isinstance(parts, list) else parts


def _text(value: object) -> object:  # raw YAML
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("control characters are not possible in a name or path")
    return text


def _machine(name: str) -> str:
    if name not in MACHINES:
        raise ValueError(f"the chips are {', '.join(MACHINES)}")
    return name


def _flag(value: object) -> object:  # raw YAML
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value


Texts = Annotated[list[str] | None, BeforeValidator(_split)]
Text = Annotated[str | None, BeforeValidator(_text)]
Flag = Annotated[bool, BeforeValidator(_flag), Field(strict=True)]
TrainType = Literal["rgb", "bgr", "yuv444", "gray", "featuremap"]
RtType = Literal["rgb", "bgr", "yuv444", "nv12", "gray", "featuremap"]
LayoutName = Literal["NHWC", "NCHW"]
NormType = Literal["data_mean_and_scale", "data_mean", "data_scale", "no_preprocess"]
RangeName = Literal["regular", "bt601_video"]
Batch = Annotated[int, Field(ge=1, le=128)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelParameters(_Group):
    """Group `model_parameters`."""

    prototxt: Text = None
    caffe_model: Text = None
    onnx_model: Text = None
    march: Annotated[Literal["bernoulli2"], BeforeValidator(_lower)] = "bernoulli2"
    output_model_file_prefix: Annotated[str, BeforeValidator(_text), Field(min_length=1)]
    working_dir: Annotated[str, BeforeValidator(_text), Field(min_length=1)] = "model_output"
    layer_out_dump: Flag = False
    log_level: Annotated[Literal["debug", "info", "warn"], BeforeValidator(_lower)] = "debug"
    output_nodes: Texts = None
    remove_node_type: Texts = None
    remove_node_name: Texts = None
    debug_mode: Texts = None
    set_node_data_type: Any = None
    node_info: Any = None


class InputParameters(_Group):
    """Group `input_parameters`."""

    input_name: Texts = None
    input_type_train: Annotated[list[TrainType], BeforeValidator(_split_lower)]
    input_layout_train: Annotated[list[LayoutName] | None, BeforeValidator(_split_upper)] = None
    input_type_rt: Annotated[list[RtType], BeforeValidator(_split_lower)]
    input_layout_rt: Annotated[list[LayoutName] | None, BeforeValidator(_split_upper)] = None
    input_space_and_range: Annotated[list[RangeName] | None, BeforeValidator(_split_lower)] = None
    input_shape: Texts = None
    input_batch: Annotated[list[Batch] | None, BeforeValidator(_split)] = None
    norm_type: Annotated[list[NormType], BeforeValidator(_split_lower)]
    mean_value: Texts = None
    scale_value: Texts = None


class CalibrationParameters(_Group):
    """Group `calibration_parameters`."""

    cal_data_dir: Annotated[list[str], BeforeValidator(_split), Field(min_length=1)]
    cal_data_type: Annotated[
        list[Literal["float32", "uint8"]] | None, BeforeValidator(_split_lower)
    ] = None
    preprocess_on: Flag = False
    calibration_type: Annotated[
        Literal["default", "kl", "max", "mix", "load", "skip"], BeforeValidator(_lower)
    ]
    max_percentile: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    per_channel: Flag = False
    optimization: Texts = None
    run_on_cpu: Texts = None
    run_on_bpu: Texts = None


class CompilerParameters(_Group):
    """Group `compiler_parameters`. `machine` is ours: the chapter knows the march alone."""

    compile_mode: Annotated[Literal["latency", "bandwidth", "balance"], BeforeValidator(_lower)] = (
        "latency"
    )
    balance_factor: Annotated[int, Field(ge=0, le=100)] | None = None
    debug: Flag = False
    machine: Annotated[str, BeforeValidator(_lower), AfterValidator(_machine)] = (
        DEFAULT_MACHINE.name
    )
    core_num: Literal[1, 2] = 1
    optimize_level: Annotated[
        Literal["O0", "O1", "O2", "O3"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ]
    input_source: Any = None
    max_time_per_fc: Annotated[int, Field(ge=0, le=4294967295)] = 0
    jobs: Annotated[int, Field(ge=0)] = 0
    advice: Annotated[int, Field(ge=0)] = 0


class CustomOp(_Group):
    """Group `custom_op`."""

    custom_op_method: Literal["register"] | None = None
    op_register_files: Texts = None
    custom_op_dir: Text = None


GROUPS: dict[str, type[_Group]] = {
    "model_parameters": ModelParameters,
    "input_parameters": InputParameters,
    "calibration_parameters": CalibrationParameters,
    "compiler_parameters": CompilerParameters,
    "custom_op": CustomOp,
}
REQUIRED_GROUPS = tuple(name for name in GROUPS if name != "custom_op")
