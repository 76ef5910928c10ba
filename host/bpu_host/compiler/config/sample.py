"""A configuration to start from: what a model says about itself, and what its user must check.

`hb_mapper init` writes it. Whatever is guessed stands beside its reason; what only the user can
know is marked CHECK.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from bpu_host.compiler.config.conditions import FLOAT_FOLDER_SUFFIX
from bpu_host.compiler.config.keys import Key, keys
from bpu_host.compiler.config.schema import MODEL_FILES
from bpu_host.compiler.config.values import DeclaredShape, filled_shape

_MARK = "CHECK: "
_PLAIN = re.compile(r"[\w./ -]+", re.ASCII)
_WIDTH = 96
_PICTURE_CHANNELS = 3
_NORM_ADVICE = (
    "CHECK: what the training did to a pixel of 0..255; not part of most models. Usual are",
    "pixel / 255: norm_type 'data_scale', scale_value 0.00392156862745098",
    "ImageNet in PyTorch: norm_type 'data_mean_and_scale', mean_value '123.675 116.28 103.53',",
    "scale_value '0.01712475 0.01750700 0.01742919' (1 / standard deviation, in 0..255)",
)

_PICTURES = {
    "rgb": "CHECK: 3 channels are taken for RGB pictures; write bgr if the training read them with "
    "OpenCV, featuremap in both types if they are no pictures",
    "bgr": "CHECK: 3 channels are taken for BGR pictures, as Caffe reads them; write rgb if the "
    "training did otherwise, featuremap in both types if they are no pictures",
}


@dataclass(frozen=True, slots=True)
class Guess:
    """One input of a model, with what is probably meant.

    Attributes:
        shape: every open size filled in.
        open: whether there were any.
        reasons: one sentence a guess, CHECK in front of those that nobody but the user can judge.
    """

    name: str
    shape: tuple[int, ...]
    open: bool
    layout: str
    train_type: str
    rt_type: str
    reasons: tuple[str, ...]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of a picture."""
        first = 1 if self.layout == "NHWC" else 2
        return self.shape[first], self.shape[first + 1]


def guess(name: str, declared: DeclaredShape, model_type: str = "onnx") -> Guess:
    """What an input probably is, from its shape alone; without any it is taken for a picture."""
    pixels = "bgr" if model_type == "caffe" else "rgb"
    reasons = []
    declared = (None, _PICTURE_CHANNELS, None, None) if declared is None else declared
    shape = filled_shape(declared)
    is_open = shape != declared
    if is_open:
        text = "x".join(str(size) if isinstance(size, int) else size or "?" for size in declared)
        known = "" if shape[1:] == declared[1:] else _MARK
        reasons.append(f"{known}the model leaves sizes open ({_line(text)}); all must be fixed")
    if model_type == "caffe" and shape[0] != 1:
        reasons.append(f"the prototxt has a batch of {shape[0]}; input_shape makes it 1")
        shape = (1, *shape[1:])
    first = len(shape) == 4 and shape[1] == _PICTURE_CHANNELS
    last = len(shape) == 4 and shape[3] == _PICTURE_CHANNELS
    layout = "NHWC" if last and not first else "NCHW"
    if not first and not last:
        reasons.append("not 3 channels: taken for a featuremap (any float32 numbers)")
        if len(shape) == 4 and 1 in (shape[1], shape[3]):
            reasons.append(f"{_MARK}for grey pictures write gray in both types; see the layout")
        return Guess(name, shape, is_open, layout, "featuremap", "featuremap", tuple(reasons))
    if shape[0] != 1:
        reasons.append(f"{_MARK}the first size is {shape[0]}; export the model with a batch of 1")
    reasons += [
        f"3 channels at the {'end: NHWC' if layout == 'NHWC' else 'second place: NCHW'}",
        _PICTURES[pixels],
    ]
    found = Guess(name, shape, is_open, layout, pixels, "nv12", tuple(reasons))
    if any(size % 2 for size in found.size_hw):
        reasons.append(f"nv12 of cameras needs even sizes, so the board is fed with {pixels}")
        return Guess(name, shape, is_open, layout, pixels, pixels, tuple(reasons))
    reasons.append("cameras and the video pipeline deliver nv12; rgb and bgr are possible too")
    return Guess(name, shape, is_open, layout, pixels, "nv12", tuple(reasons))


def folders(inputs: tuple[Guess, ...]) -> tuple[str, ...]:
    """A folder of calibration samples for each input."""
    if len(inputs) == 1:
        return (f"./calibration_data_{inputs[0].train_type}{FLOAT_FOLDER_SUFFIX}",)
    return tuple(
        f"./calibration_data_{index}_{each.train_type}{FLOAT_FOLDER_SUFFIX}"
        for index, each in enumerate(inputs)
    )


def sample_advice(inputs: tuple[Guess, ...]) -> Iterator[str]:
    """How the folders are filled, one line an input."""
    for each, folder in zip(inputs, folders(inputs), strict=True):
        if each.train_type == "featuremap":
            sizes = "x".join(map(str, each.shape))
            yield (
                f"{folder}: about 100 files of input {_line(each.name)}, float32 of shape {sizes}: "
                "array.astype('float32').tofile(file)"
            )
        else:
            height, width = each.size_hw
            yield (
                f"hb_mapper caldata --input photos --output {folder} --size {height}x{width} "
                f"--type {each.train_type} --layout {each.layout}"
            )


def write_sample(
    model_type: str, paths: tuple[str, ...], prefix: str, inputs: tuple[Guess, ...]
) -> str:
    """The text of a configuration.

    Args:
        model_type: one of MODEL_FILES.
        paths: of the files of the model, in the order of MODEL_FILES.
    """
    table = keys()
    pictures = any(each.train_type != "featuremap" for each in inputs)
    lines = [
        "# Written by `hb_mapper init`. Look at the lines marked CHECK, make calibration samples,",
        f"# then: hb_mapper makertbin --model-type {model_type} --config THIS_FILE",
        "# Every key, and the ones that are not here: docs/yaml.md",
    ]

    def group(name: str) -> None:
        lines.extend(("", f"{name}:"))

    def put(path: str, value: str, *notes: str) -> None:
        lines.extend(_entry(table[path], value, notes))

    group("model_parameters")
    for key, path in zip(MODEL_FILES[model_type], paths, strict=True):
        put(f"model_parameters.{key}", _text(path))
    put("model_parameters.march", _text("bernoulli2"))
    put("model_parameters.output_model_file_prefix", _text(prefix))
    put("model_parameters.working_dir", _text("model_output"))
    group("input_parameters")
    for each in inputs:
        shape = "x".join(map(str, each.shape))
        lines.extend(_comment(f"{_line(each.name)}, {shape}", indent="  # "))
        lines.extend(line for note in each.reasons for line in _comment(note, indent="  #   "))
    put("input_parameters.input_name", _per_input(each.name for each in inputs))
    put("input_parameters.input_shape", _per_input("x".join(map(str, e.shape)) for e in inputs))
    put("input_parameters.input_type_train", _per_input(each.train_type for each in inputs))
    put("input_parameters.input_layout_train", _per_input(each.layout for each in inputs))
    put("input_parameters.input_type_rt", _per_input(each.rt_type for each in inputs))
    norms = _per_input("no_preprocess" for _ in inputs)
    put("input_parameters.norm_type", norms, *(_NORM_ADVICE if pictures else ()))
    group("calibration_parameters")
    put("calibration_parameters.cal_data_dir", _per_input(folders(inputs)), *sample_advice(inputs))
    put("calibration_parameters.cal_data_type", _per_input("float32" for _ in inputs))
    put("calibration_parameters.calibration_type", _text("default"))
    group("compiler_parameters")
    put("compiler_parameters.compile_mode", _text("latency"))
    put("compiler_parameters.optimize_level", _text("O3"))
    return "\n".join(lines) + "\n"


def _entry(key: Key, value: str, notes: tuple[str, ...]) -> Iterator[str]:
    about = f"{key.meaning} ({key.values})" if key.values != "text" else key.meaning
    yield from _comment(about, indent="  # ")
    yield from (f"  #   {note}" for note in notes)  # commands stay in one line, to be copied
    yield f"  {key.path.split('.')[1]}: {value}"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(name: str) -> str:
    """A name that is safe inside a comment."""
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def _text(value: str) -> str:
    """A text as a YAML scalar that is read back as it is."""
    return f"'{value}'" if _PLAIN.fullmatch(value) else json.dumps(value)


def _per_input(values: Iterator[str] | tuple[str, ...]) -> str:
    """One value per input: joined by ';', or a YAML list where a name would not survive that."""
    found = list(values)
    if all(_PLAIN.fullmatch(value) and value == value.strip() for value in found):
        return _text(";".join(found)) if len(found) == 1 else f"'{';'.join(found)}'"
    return f"[{', '.join(map(_text, found))}]"
