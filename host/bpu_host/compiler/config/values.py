"""A checked configuration: what the rest of the compiler reads instead of YAML."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bpu_common.errors import ConfigError
from bpu_common.machine import DEFAULT_MACHINE
from bpu_common.tensor import (
    IMAGE_SCALE,
    DType,
    InputSource,
    InputType,
    Layout,
    ModelInput,
    TensorSpec,
)
from bpu_host.compiler.config.nearest import nearest


class CalibrationMethod(enum.Enum):
    """`calibration_type` of the YAML, as far as this release runs it."""

    DEFAULT = "default"
    KL = "kl"
    MAX = "max"


class WeightRounding(enum.Enum):
    """`weight_rounding` of the YAML."""

    TOGETHER = "together"
    NEAREST = "nearest"


class AllCodes(enum.Enum):
    """`all_codes` of the YAML."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class InputConfig:
    """One model input, in the training form and in the form the board is fed with.

    Attributes:
        name: input name of the float model; empty until `resolve` has seen the model.
        shape: shape of the float model's input, in `train_layout`; empty until resolved.
        train_type: pixels the float model was trained on (never nv12).
        rt_type: what the board is fed with.
        mean: subtracted first; empty, one value for all channels, or one a channel.
        scale: multiplied then; empty, one value for all channels, or one a channel.
        cal_data_dir: folder of calibration samples, None for the checker's own sample.
        cal_data_type: element type of raw sample files of pixels, FLOAT32 or UINT8.
        dtype_by_suffix: nobody chose `cal_data_type`: it follows from the folder's name, and the
            size of the files may correct it.
        dtype: element type of a featuremap, in the model, on the board and in sample files.
    """

    name: str
    shape: tuple[int, ...]
    train_type: InputType
    train_layout: Layout
    rt_type: InputType
    rt_layout: Layout
    video_range: bool = False
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    source: InputSource = InputSource.DDR
    cal_data_dir: Path | None = None
    cal_data_type: DType = DType.FLOAT32
    dtype_by_suffix: bool = False
    dtype: DType = DType.FLOAT32

    @property
    def shape_hwc(self) -> tuple[int, int, int]:
        """Height, width and channels of an image input or 4-D featuremap."""
        if self.train_layout is Layout.NHWC:
            _, h, w, c = self.shape
        else:
            _, c, h, w = self.shape
        return h, w, c

    @property
    def intermediate_type(self) -> str:
        """Type of the ONNX products' input (the chapter's table): `yuv444_128`, `RGB_128`, ..."""
        match self.rt_type:
            case InputType.NV12 | InputType.YUV444:
                return "yuv444_128"
            case InputType.FEATUREMAP:
                return "featuremap"
            case _:
                return f"{self.rt_type.value.upper()}_128"

    def model_input(self) -> ModelInput:
        """The input as the compiled model declares it.

        Images: int8 NHWC, scale 1 (value - 128). Featuremaps: the float model's tensor.
        """
        if not self.rt_type.is_image:
            layout = self.rt_layout if len(self.shape) == 4 else Layout.NONE
            tensor = TensorSpec(self.name, self.shape, self.dtype, layout)
            return ModelInput(tensor, self.rt_type, layout, self.source)
        tensor = TensorSpec(
            self.name, (1, *self.shape_hwc), DType.INT8, Layout.NHWC, scale=IMAGE_SCALE
        )
        return ModelInput(tensor, self.rt_type, self.rt_layout, self.source, self.video_range)


@dataclass(frozen=True, slots=True)
class CompileConfig:
    """Everything `compile_model` needs to know.

    Attributes:
        prototxt: the network of a Caffe model, whose weights are `model_path`; None: ONNX.
        inputs: empty before anybody has looked into the model.
        machine: name of the chip (`bpu_common.machine.MACHINES`).
        max_time_per_fc_us: bound of one function call, 0 = none.
        source_names: inputs that `input_source` names, for `resolve`.
        notes: sentences the user should read (defaults taken, keys without effect).
        locations: `group.key` -> `file:line:col`, for errors found later.
        file: name of the configuration file, empty when there is none.
    """

    model_path: Path
    prefix: str
    working_dir: Path
    inputs: tuple[InputConfig, ...]
    prototxt: Path | None = None
    march: str = "bernoulli2"
    machine: str = DEFAULT_MACHINE.name
    log_level: str = "debug"
    output_nodes: tuple[str, ...] = ()
    calibration_method: CalibrationMethod = CalibrationMethod.DEFAULT
    max_percentile: float = 1.0
    weight_rounding: WeightRounding = WeightRounding.TOGETHER
    all_codes: AllCodes = AllCodes.AUTO
    preprocess_on: bool = False
    run_on_cpu: tuple[str, ...] = ()
    run_on_bpu: tuple[str, ...] = ()
    compile_mode: str = "latency"
    debug: bool = False
    optimize_level: str = "O3"
    max_time_per_fc_us: int = 0
    source_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    locations: dict[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def model_type(self) -> str:
        """The kind of model, as `--model-type` says it."""
        return "onnx" if self.prototxt is None else "caffe"

    def error(self, key: str, sentence: str, hint: str = "") -> ConfigError:
        """A ConfigError placed at `group.key` of the file; without a file at the option."""
        if not self.file:
            return ConfigError(sentence, where=_OPTIONS.get(key, ""), hint=hint)
        return ConfigError(
            f"{key}: {sentence}", where=self.locations.get(key, self.file), hint=hint
        )


_OPTIONS = {"input_parameters.input_shape": "--input-shape"}
"""What says the same as a key where there is no file: options of `hb_mapper checker`."""

DeclaredShape = tuple[int | str | None, ...] | None
"""Shape of an input as a model file declares it; a size may be unknown, or the whole of it."""

GraphInput = tuple[str, DeclaredShape]
"""Name and shape of an input of the float model."""


def resolve(config: CompileConfig, graph_inputs: tuple[GraphInput, ...]) -> CompileConfig:
    """Fill in names and shapes from the model, and check both against it.

    Raises:
        ConfigError: another number of inputs, a name the model does not have, a dimension that
            nobody knows, several pictures in one input, a shape its pixel type cannot have; the
            problems of all inputs at once.
    """
    resolved, errors = compare(config, graph_inputs)
    if errors:
        raise together(errors)
    return resolved


def together(errors: Sequence[ConfigError]) -> ConfigError:
    """One error that says what all of them say, each with its place; of one, itself."""
    return errors[0] if len(errors) == 1 else ConfigError("\n".join(map(str, errors)))


def compare(
    config: CompileConfig, graph_inputs: tuple[GraphInput, ...]
) -> tuple[CompileConfig, list[ConfigError]]:
    """`resolve`, with the errors as values; without any the configuration is resolved."""
    shapes = dict(graph_inputs)
    errors: list[ConfigError] = []
    if len(config.inputs) != len(graph_inputs):
        sentence = (
            f"describes {len(config.inputs)} input(s), the model has {len(graph_inputs)}: "
            f"{', '.join(shapes)}"
        )
        hint = "give one value per input, separated by ';'"
        errors.append(config.error("input_parameters.input_type_rt", sentence, hint))
    resolved: list[InputConfig] = []
    for given, (default, _) in zip(config.inputs, graph_inputs, strict=False):
        name = given.name or default
        try:
            if any(name == other.name for other in resolved):
                raise config.error("input_parameters.input_name", f"'{name}' is listed twice")
            _check_name(config, "input_parameters.input_name", name, shapes)
            item = replace(given, name=name)
            resolved.append(item)
            shape = given.shape or _static_shape(config, name, shapes[name])
            resolved[-1] = replace(item, shape=shape)
            _check_shape(config, resolved[-1], shapes[name])
        except ConfigError as error:
            errors.append(error)
    if not any(item.name for item in config.inputs):  # else they were checked against those
        for name in config.source_names:
            try:
                _check_name(config, "compiler_parameters.input_source", name, shapes)
            except ConfigError as error:
                errors.append(error)
    return replace(config, inputs=tuple(resolved)), errors


def _check_name(config: CompileConfig, key: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise config.error(
            key,
            f"the model has no input '{name}'; its inputs are {', '.join(known)}"
            f"{nearest(name, known)}",
        )


def _static_shape(config: CompileConfig, name: str, shape: DeclaredShape) -> tuple[int, ...]:
    if shape is None:
        raise config.error(
            "input_parameters.input_shape",
            f"the model gives input '{name}' no shape",
            "write it, for example input_shape: '1x3x224x224' (checker: --input-shape)",
        )
    fixed = [
        1 if position == 0 and not (isinstance(size, int) and size > 0) else size
        for position, size in enumerate(shape)
    ]
    if all(isinstance(size, int) and size > 0 for size in fixed):
        return tuple(int(size) for size in fixed if isinstance(size, int))
    text = "x".join("?" if size is None else str(size) for size in shape)
    example = "x".join(map(str, filled_shape(shape)))
    raise config.error(
        "input_parameters.input_shape",
        f"input '{name}' has the dynamic shape {text}",
        f"write all sizes, for example input_shape: '{example}' in the YAML, "
        f"--input-shape {shlex.quote(name)} {example} for the checker, "
        f"Input(shape={filled_shape(shape)}) in Python",
    )


def filled_shape(shape: tuple[int | str | None, ...]) -> tuple[int, ...]:
    """A shape with every open size filled in, as an example: 1 for the batch, else 224."""
    return tuple(
        size if isinstance(size, int) and size > 0 else 224 if position else 1
        for position, size in enumerate(shape)
    )


def _check_shape(config: CompileConfig, item: InputConfig, declared: DeclaredShape) -> None:
    key = "input_parameters.input_shape"
    text = "x".join(str(size) for size in item.shape)
    if declared and len(declared) != len(item.shape):
        raise config.error(
            key,
            f"input shape [{text}] has length: {len(item.shape)}, "
            f"input '{item.name}' of the model has {len(declared)} dimensions",
        )
    if not item.rt_type.is_image:
        _check_featuremap(config, item)
        return
    if len(item.shape) != 4:
        raise config.error(
            key,
            f"input shape [{text}] has length: {len(item.shape)}, an image input needs 4",
            "use input_type_rt and input_type_train 'featuremap' for other data",
        )
    if item.shape[0] != 1:
        raise config.error(
            key, f"input '{item.name}' is {text}: the first dimension (batch) must be 1"
        )
    height, width, channels = item.shape_hwc
    if channels != item.rt_type.channels:
        raise config.error(
            key,
            f"input '{item.name}' is {text} in layout {item.train_layout.value}: {channels} "
            f"channels, but {item.rt_type.value} has {item.rt_type.channels}",
            "check input_layout_train and input_type_rt",
        )
    if item.rt_type in (InputType.NV12, InputType.YUV444) and (height % 2 or width % 2):
        raise config.error(
            key,
            f"input '{item.name}' is {width} wide and {height} high: "
            f"{item.rt_type.value} needs even sizes",
        )
    for name, values in (("mean_value", item.mean), ("scale_value", item.scale)):
        if len(values) not in (0, 1, channels):
            raise config.error(
                f"input_parameters.{name}",
                f"{len(values)} values for input '{item.name}', which has {channels} channels",
                "give one value, or one per channel separated by spaces",
            )


def _check_featuremap(config: CompileConfig, item: InputConfig) -> None:
    if not item.mean and not item.scale:
        return
    if item.dtype is not DType.FLOAT32:
        raise config.error(
            "input_parameters.norm_type",
            f"featuremap '{item.name}' is {item.dtype.value}: mean and scale need a float32 input",
            "use norm_type 'no_preprocess'",
        )
    if len(item.shape) != 4:
        raise config.error(
            "input_parameters.norm_type",
            f"featuremap '{item.name}' has {len(item.shape)} dimensions: "
            "mean and scale need a 4-D input",
        )
    channels = item.shape_hwc[2]
    for name, values in (("mean_value", item.mean), ("scale_value", item.scale)):
        if len(values) not in (0, 1, channels):
            raise config.error(
                f"input_parameters.{name}",
                f"{len(values)} values for input '{item.name}', which has {channels} channels",
            )
