"""The YAML schema: every key with its meaning, type, default and range.

The models only know single keys. What several keys mean together is checked in `conditions.py`,
values that this release cannot carry out stand in `refused.py`. docs/yaml.md is written from here.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bpu_common.machine import DEFAULT_MACHINE, MACHINES
from bpu_host.compiler.config import writing
from bpu_host.compiler.config.sources import read_sources


@dataclass(frozen=True, slots=True)
class Info:
    """What a key says beyond its type and default.

    Attributes:
        when: in which files it has an effect, or must be given.
        example: a value for the reference; for required keys also what stands in for one that is
            wrong, so that the rest of the file is checked in the same run.
    """

    meaning: str
    when: str = ""
    example: object = None


def _machine(name: str) -> str:
    if name not in MACHINES:
        raise ValueError(f"the chips are {', '.join(MACHINES)}")
    return name


def _march(value: object) -> object:  # raw YAML
    name = str(value).strip().lower()
    if name in OTHER_MARCHES:
        raise ValueError(
            f"'{name}' is the architecture of {OTHER_MARCHES[name]}, which is another board; "
            "OpenBPU converts for 'bernoulli2' (X3, J3, RDK X3)"
        )
    return name


OTHER_MARCHES = {
    "bernoulli": "the X2 and J2",
    "bayes": "the J5 and RDK Ultra",
    "bayes-e": "the X5 and RDK X5",
    "nash-e": "the S100 and RDK S100",
    "nash-m": "the S100P and RDK S100P",
}
"""Architectures of the same vendor's other chips, for those who bring a file of one."""

Texts = Annotated[list[str] | None, BeforeValidator(writing.texts)]
Norms = Annotated[list[str] | None, BeforeValidator(writing.each(str, " "))]
Shapes = Annotated[list[str] | None, BeforeValidator(writing.each(str, "x"))]
Text = Annotated[str | None, BeforeValidator(writing.name)]
Name = Annotated[str, BeforeValidator(writing.name), Field(min_length=1)]
Flag = Annotated[bool, BeforeValidator(writing.flag), Field(strict=True)]
_LOWER = BeforeValidator(writing.changed(str.lower))
_LOWERS = BeforeValidator(writing.each(str.lower))
_UPPERS = BeforeValidator(writing.each(str.upper))
TrainType = Literal["rgb", "bgr", "yuv444", "gray", "featuremap"]
RtType = Literal["rgb", "bgr", "yuv444", "nv12", "gray", "featuremap"]
LayoutName = Literal["NHWC", "NCHW"]
NormType = Literal["data_mean_and_scale", "data_mean", "data_scale", "no_preprocess"]
RangeName = Literal["regular", "bt601_video"]
SampleType = Literal["float32", "uint8"]
Batch = Annotated[int, Field(ge=1, le=128)]
_REMOVED = "nodes to take off the ends of the model"
_SEVERAL = "needed with several inputs"


class Group(BaseModel):
    """A group of keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelParameters(Group):
    """Group `model_parameters`: the model, and where the products go."""

    onnx_model: Annotated[
        Text,
        Info("the float model, an ONNX file", when="needed with ONNX models", example="net.onnx"),
    ] = None
    prototxt: Annotated[
        Text,
        Info(
            "the network of a Caffe model", when="needed with Caffe models", example="net.prototxt"
        ),
    ] = None
    caffe_model: Annotated[
        Text,
        Info(
            "the weights of a Caffe model",
            when="needed with Caffe models",
            example="net.caffemodel",
        ),
    ] = None
    march: Annotated[
        Literal["bernoulli2"], BeforeValidator(_march), Info("architecture of the chip")
    ] = "bernoulli2"
    output_model_file_prefix: Annotated[
        Name, Info("start of the names of the products", example="net")
    ]
    working_dir: Annotated[Name, Info("folder of the products; it is made")] = "model_output"
    log_level: Annotated[
        Literal["debug", "info", "warn"],
        _LOWER,
        Info("what the log file records; the console shows info"),
    ] = "debug"
    output_nodes: Annotated[
        Texts,
        Info("nodes whose outputs are the model's, instead of its own", example="conv_10;conv_12"),
    ] = None
    layer_out_dump: Annotated[Flag, Info("keep the outputs of all layers")] = False
    remove_node_type: Annotated[
        Texts, Info(f"types of {_REMOVED}", example="Quantize;Dequantize")
    ] = None
    remove_node_name: Annotated[Texts, Info(f"names of {_REMOVED}")] = None
    debug_mode: Annotated[
        Texts,
        Info(
            "dumps of the vendor's tool",
            when="has no effect: calibration data stays where it is",
            example="dump_calibration_data",
        ),
    ] = None
    set_node_data_type: Annotated[Any, Info("data types of nodes")] = None
    node_info: Annotated[Any, Info("data types and placement of nodes")] = None


class InputParameters(Group):
    """Group `input_parameters`: what the model was trained on, and what the board is fed with."""

    input_name: Annotated[Texts, Info("inputs of the model", when=_SEVERAL, example="data")] = None
    input_type_train: Annotated[
        list[TrainType],
        _LOWERS,
        Info("pixels (or featuremap: any numbers) that the model was trained on", example="rgb"),
    ]
    input_layout_train: Annotated[
        list[LayoutName] | None,
        _UPPERS,
        Info("order of the axes of the model's input; without it NCHW", example="NCHW"),
    ] = None
    input_type_rt: Annotated[
        list[RtType],
        _LOWERS,
        Info(
            "what the board is fed with",
            when="must fit input_type_train, see docs/yaml.md",
            example="nv12",
        ),
    ]
    input_layout_rt: Annotated[
        list[LayoutName] | None,
        _UPPERS,
        Info(
            "order of the axes of what the board is fed with; without it NHWC for pictures, else "
            "input_layout_train",
            when="no effect with nv12; yuv444: only NHWC; featuremap: as input_layout_train",
            example="NHWC",
        ),
    ] = None
    input_space_and_range: Annotated[
        list[RangeName] | None,
        _LOWERS,
        Info(
            "range of nv12 values: 0 to 255 (regular) or 16 to 235 (bt601_video)",
            when="bt601_video only with input_type_rt nv12",
            example="regular",
        ),
    ] = None
    input_shape: Annotated[
        Shapes,
        Info(
            "shape of the model's input, sizes joined by x",
            when="needed where the model leaves sizes open",
            example="1x3x224x224",
        ),
    ] = None
    input_batch: Annotated[
        list[Batch] | None, BeforeValidator(writing.texts), Info("frames per inference", example=1)
    ] = None
    norm_type: Annotated[
        list[NormType],
        _LOWERS,
        Info(
            "what is done to a pixel before the model sees it: (pixel - mean) * scale, or a part",
            example="no_preprocess",
        ),
    ]
    mean_value: Annotated[
        Norms,
        Info(
            "what is subtracted: one number, or one per channel separated by spaces; None for an "
            "input without",
            when="needed with norm_type data_mean and data_mean_and_scale, else no effect",
            example="123.675 116.28 103.53",
        ),
    ] = None
    scale_value: Annotated[
        Norms,
        Info(
            "what is multiplied with (1 / standard deviation): one number, or one per channel",
            when="needed with norm_type data_scale and data_mean_and_scale, else no effect",
            example="0.01712 0.01751 0.01743",
        ),
    ] = None


class CalibrationParameters(Group):
    """Group `calibration_parameters`: samples, and how thresholds come from them."""

    cal_data_dir: Annotated[
        list[str],
        BeforeValidator(writing.texts),
        Field(min_length=1),
        Info(
            "folder of samples, one file each: raw values in training type and layout, or "
            "pictures (preprocess_on)",
            example="./cal_f32",
        ),
    ]
    cal_data_type: Annotated[
        list[SampleType] | None,
        _LOWERS,
        Info(
            "element type of the raw files; without it the folder's ending (_f32: float32, else "
            "uint8) and the files' size decide",
            when="no effect with preprocess_on, nor for a featuremap: its samples are of the "
            "model's type",
            example="float32",
        ),
    ] = None
    preprocess_on: Annotated[
        Flag, Info("samples are pictures (JPEG, PNG, BMP, WEBP), resized to the input")
    ] = False
    calibration_type: Annotated[
        Literal["default", "kl", "max", "mix", "load", "skip"],
        _LOWER,
        Info("how thresholds are found (docs/conversion.md)"),
    ] = "default"
    max_percentile: Annotated[
        float,
        Field(gt=0.0, le=1.0),
        Info(
            "the quantile that max takes instead of the greatest value",
            when="only with calibration_type max",
        ),
    ] = 1.0
    weight_rounding: Annotated[
        Literal["together", "nearest"],
        _LOWER,
        Info(
            "how weights become whole numbers: together, so that their errors cancel for the "
            "samples' inputs, or each to the nearest (docs/calibration.md)",
        ),
    ] = "together"
    all_codes: Annotated[
        Literal["auto", "on", "off"],
        _LOWER,
        Info(
            "tensors inside the BPU that are never negative have all 256 codes instead of 128; "
            "auto: where calibration_type default finds that it pays (docs/calibration.md)",
        ),
    ] = "auto"
    per_channel: Annotated[Flag, Info("thresholds per channel of a feature map")] = False
    optimization: Annotated[Texts, Info("switches of quantization")] = None
    run_on_cpu: Annotated[Texts, Info("nodes that stay on the CPU", example="conv_1;conv_2")] = None
    run_on_bpu: Annotated[
        Texts,
        Info(
            "nodes whose neighbours do not keep them off the BPU",
            when="not the nodes of run_on_cpu",
        ),
    ] = None


class CompilerParameters(Group):
    """Group `compiler_parameters`: how the program is made."""

    compile_mode: Annotated[
        Literal["latency", "bandwidth", "balance"],
        _LOWER,
        Info("what the program is made small in"),
    ] = "latency"
    balance_factor: Annotated[
        Annotated[int, Field(ge=0, le=100)] | None,
        Info(
            "weight between latency and bandwidth",
            when="belongs to compile_mode balance, else no effect",
        ),
    ] = None
    debug: Annotated[Flag, Info("keep what the programs are made of in the `.bin`")] = False
    machine: Annotated[
        str,
        _LOWER,
        AfterValidator(_machine),
        Info(f"the chip: {', '.join(MACHINES)} (ours; the vendor's tool knows the march alone)"),
    ] = DEFAULT_MACHINE.name
    core_num: Annotated[
        Literal[1, 2], BeforeValidator(writing.number), Info("cores that share one frame")
    ] = 1
    optimize_level: Annotated[
        Literal["O0", "O1", "O2", "O3"],
        BeforeValidator(writing.level),
        Info("how long the compiler searches for a faster program", example="O3"),
    ]
    input_source: Annotated[
        dict[str, Literal["ddr", "pyramid", "resizer"]] | None,
        BeforeValidator(read_sources),
        Info(
            "where the hardware takes an input from; without it pyramid for nv12 and gray, "
            "else ddr",
            when="pyramid only with nv12 and gray",
            example={"data": "ddr"},
        ),
    ] = None
    max_time_per_fc: Annotated[
        int,
        Field(ge=0, le=4294967295),
        Info("longest function call in microseconds, which others wait for at most; 0: no bound"),
    ] = 0
    jobs: Annotated[
        int,
        Field(ge=0),
        Info("processes of the compiler", when="has no effect: the compiler works in one process"),
    ] = 0
    advice: Annotated[
        int,
        Field(ge=0),
        Info(
            "hints about layers slower than this, in microseconds",
            when="has no effect: no such hints are printed",
        ),
    ] = 0


class CustomOp(Group):
    """Group `custom_op`: operators written by the user. May be left out."""

    custom_op_method: Annotated[Literal["register"] | None, Info("how they are made known")] = None
    op_register_files: Annotated[Texts, Info("Python files that hold them")] = None
    custom_op_dir: Annotated[Text, Info("folder of these files")] = None


GROUPS: dict[str, type[Group]] = {
    "model_parameters": ModelParameters,
    "input_parameters": InputParameters,
    "calibration_parameters": CalibrationParameters,
    "compiler_parameters": CompilerParameters,
    "custom_op": CustomOp,
}
MODEL_FILES: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx_model",),
    "caffe": ("prototxt", "caffe_model"),
}
"""By kind of model (`--model-type`): the keys of `model_parameters` that name its files."""

REQUIRED_GROUPS = tuple(name for name in GROUPS if name != "custom_op")
