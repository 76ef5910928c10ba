"""What the keys of a configuration mean together: lists per input, types, norms, sources."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel

from bpu_common.tensor import DType, InputSource, InputType, Layout
from bpu_host.compiler.config.document import Document, Problem
from bpu_host.compiler.config.schema import (
    CalibrationParameters,
    CompilerParameters,
    InputParameters,
    ModelParameters,
)
from bpu_host.compiler.config.values import CalibrationMethod, CompileConfig, InputConfig

TRAIN_TO_RT: dict[InputType, tuple[InputType, ...]] = {
    InputType.YUV444: (InputType.NV12, InputType.YUV444),
    InputType.RGB: (InputType.NV12, InputType.YUV444, InputType.RGB, InputType.BGR),
    InputType.BGR: (InputType.NV12, InputType.YUV444, InputType.RGB, InputType.BGR),
    InputType.GRAY: (InputType.GRAY,),
    InputType.FEATUREMAP: (InputType.FEATUREMAP,),
}
"""Which runtime types a training type can be fed with (the chapter's table)."""

_MAX_FLOAT32 = 3.4e38
_MAX_PREFIX_BYTES = 200
_PYRAMID_TYPES = (InputType.NV12, InputType.GRAY)
_MEANS = ("data_mean_and_scale", "data_mean")
_SCALES = ("data_mean_and_scale", "data_scale")


class _Report:
    """Collects problems and notes at keys of one document."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems
        self.notes: list[str] = []

    def problem(self, key: str, sentence: str) -> None:
        where = self.document.locations.get(
            key, self.document.locations.get(key.split(".")[0], self.document.file)
        )
        self.problems.append(Problem(f"{key}: {sentence}", where))


def build(
    document: Document, groups: dict[str, BaseModel], problems: list[Problem]
) -> CompileConfig | None:
    """The values behind valid groups; None and entries in `problems` when they contradict."""
    model = cast("ModelParameters", groups["model_parameters"])
    inputs = cast("InputParameters", groups["input_parameters"])
    calibration = cast("CalibrationParameters", groups["calibration_parameters"])
    compiler = cast("CompilerParameters", groups["compiler_parameters"])
    report = _Report(document, problems)
    if not model.onnx_model:
        where = document.locations.get("model_parameters", document.file)
        problems.append(
            Problem(f"Key 'model_parameters' error:\nMissing keys: 'onnx_model' ({where})")
        )
    _check_prefix(model.output_model_file_prefix, report)
    items = _inputs(inputs, calibration, compiler, report)
    if calibration.max_percentile != 1.0 and calibration.calibration_type != "max":
        report.notes.append(
            "max_percentile has an effect only with calibration_type 'max'; "
            f"it is '{calibration.calibration_type}'"
        )
    if compiler.jobs:
        report.notes.append("jobs has no effect: the compiler works in one process")
    both = set(calibration.run_on_cpu or ()) & set(calibration.run_on_bpu or ())
    if both:
        report.problem(
            "calibration_parameters.run_on_bpu",
            f"node {', '.join(sorted(both))} stands in run_on_cpu as well",
        )
    if problems:
        return None
    return CompileConfig(
        model_path=Path(cast("str", model.onnx_model)).expanduser(),
        prefix=model.output_model_file_prefix,
        working_dir=Path(model.working_dir).expanduser(),
        inputs=items,
        march=model.march,
        log_level=model.log_level,
        output_nodes=tuple(model.output_nodes or ()),
        calibration_method=CalibrationMethod(calibration.calibration_type),
        max_percentile=calibration.max_percentile,
        preprocess_on=calibration.preprocess_on,
        run_on_cpu=tuple(calibration.run_on_cpu or ()),
        run_on_bpu=tuple(calibration.run_on_bpu or ()),
        compile_mode=compiler.compile_mode,
        debug=compiler.debug,
        machine=compiler.machine,
        optimize_level=compiler.optimize_level,
        max_time_per_fc_us=compiler.max_time_per_fc,
        notes=tuple(report.notes),
        locations=document.locations,
        file=document.file,
    )


def _check_prefix(prefix: str, report: _Report) -> None:
    key = "model_parameters.output_model_file_prefix"
    if "/" in prefix:
        report.problem(key, "is a name without folders; use working_dir for the folder")
    if prefix in (".", ".."):
        report.problem(key, f"'{prefix}' is no name")
    if len(prefix.encode(errors="replace")) > _MAX_PREFIX_BYTES:
        report.problem(
            key,
            f"is {len(prefix)} characters long; at most {_MAX_PREFIX_BYTES} bytes leave room for "
            "the endings of the file names",
        )


def _inputs(
    inputs: InputParameters,
    calibration: CalibrationParameters,
    compiler: CompilerParameters,
    report: _Report,
) -> tuple[InputConfig, ...]:
    count = len(inputs.input_type_rt)
    if count > 1 and not inputs.input_name:
        report.problem(
            "input_parameters.input_name",
            f"must be given because the file describes {count} inputs",
        )
    columns: dict[str, list[Any]] = {}
    for key, value, default in (
        ("input_parameters.input_name", inputs.input_name, ""),
        ("input_parameters.input_type_train", inputs.input_type_train, None),
        ("input_parameters.input_layout_train", inputs.input_layout_train, None),
        ("input_parameters.input_type_rt", inputs.input_type_rt, None),
        ("input_parameters.input_layout_rt", inputs.input_layout_rt, None),
        ("input_parameters.input_space_and_range", inputs.input_space_and_range, None),
        ("input_parameters.input_shape", inputs.input_shape, ""),
        ("input_parameters.input_batch", inputs.input_batch, 1),
        ("input_parameters.norm_type", inputs.norm_type, None),
        ("input_parameters.mean_value", inputs.mean_value, None),
        ("input_parameters.scale_value", inputs.scale_value, None),
        ("calibration_parameters.cal_data_dir", calibration.cal_data_dir, None),
        ("calibration_parameters.cal_data_type", calibration.cal_data_type, None),
    ):
        if value is not None and len(value) != count:
            report.problem(
                key,
                f"has {len(value)} value(s), input_type_rt has {count}; "
                "give one per input, separated by ';'",
            )
            value = None
        columns[key.split(".")[1]] = list(value) if value is not None else [default] * count
    names = [name for name in columns["input_name"] if name]
    if len(set(names)) != len(names):
        report.problem("input_parameters.input_name", "names an input twice")
    sources = _sources(compiler.input_source, names, count, report)
    if report.problems:
        return ()
    return tuple(
        _one_input({key: values[i] for key, values in columns.items()}, sources, report)
        for i in range(count)
    )


def _one_input(row: dict[str, Any], sources: dict[str, str], report: _Report) -> InputConfig:
    name = row["input_name"]
    label = f"input '{name}'" if name else "the input"
    train, rt = InputType(row["input_type_train"]), InputType(row["input_type_rt"])
    if rt not in TRAIN_TO_RT[train]:
        allowed = ", ".join(item.value for item in TRAIN_TO_RT[train])
        report.problem(
            "input_parameters.input_type_rt",
            f"'{rt.value}' cannot be turned into input_type_train '{train.value}' of {label}; "
            f"possible: {allowed}",
        )
    if row["input_layout_train"] is None:
        report.notes.append(f"input_layout_train of {label} is not set: NCHW is assumed")
    train_layout = Layout(row["input_layout_train"] or "NCHW")
    rt_layout = _rt_layout(row, rt, train_layout, label, report)
    video = row["input_space_and_range"] == "bt601_video"
    if video and rt is not InputType.NV12:
        report.problem(
            "input_parameters.input_space_and_range",
            f"'bt601_video' is possible only with input_type_rt 'nv12'; {label} has '{rt.value}'",
        )
    directory = Path(row["cal_data_dir"]).expanduser() if row["cal_data_dir"] else None
    return InputConfig(
        name=name,
        shape=_shape(row["input_shape"], label, report),
        train_type=train,
        train_layout=train_layout,
        rt_type=rt,
        rt_layout=rt_layout,
        video_range=video,
        mean=_norm(row, "mean", _MEANS, label, report),
        scale=_norm(row, "scale", _SCALES, label, report),
        source=_source(name, rt, sources, report),
        cal_data_dir=directory,
        cal_data_type=_data_type(row["cal_data_type"], train, directory, label, report),
    )


def _rt_layout(
    row: dict[str, Any], rt: InputType, train_layout: Layout, label: str, report: _Report
) -> Layout:
    given = row["input_layout_rt"]
    if rt is InputType.NV12:
        if given is not None:
            report.notes.append(f"input_layout_rt of {label} has no effect: nv12 has one layout")
        return Layout.NHWC
    if rt is InputType.YUV444 and given == "NCHW":
        report.problem(
            "input_parameters.input_layout_rt",
            f"'NCHW' is not possible with input_type_rt 'yuv444' ({label}); use NHWC",
        )
    if given is not None and not rt.is_image and Layout(given) is not train_layout:
        report.problem(
            "input_parameters.input_layout_rt",
            f"'{given}' differs from input_layout_train '{train_layout.value}' of featuremap "
            f"{label}, which is not available yet; set both to the same",
        )
    if given is not None:
        return Layout(given)
    return Layout.NHWC if rt.is_image else train_layout


def _shape(text: str, label: str, report: _Report) -> tuple[int, ...]:
    if not text:
        return ()
    parts = text.lower().split("x")
    if not all(part.strip().isdigit() and 0 < int(part) <= 1 << 24 for part in parts):
        report.problem(
            "input_parameters.input_shape",
            f"'{text}' of {label} is not a shape; write sizes joined by x, such as 1x3x224x224",
        )
        return ()
    return tuple(int(part) for part in parts)


def _norm(
    row: dict[str, Any], what: str, users: tuple[str, ...], label: str, report: _Report
) -> tuple[float, ...]:
    key, norm = f"{what}_value", row["norm_type"]
    text = row[key]
    given = text is not None and str(text).strip().lower() not in ("none", "")
    if norm not in users:
        if given:
            report.problem(
                f"input_parameters.{key}",
                f"is set for {label}, but norm_type '{norm}' does not use it; write 'None' or "
                "choose another norm_type",
            )
        return ()
    if not given:
        report.problem(f"input_parameters.{key}", f"must be set for {label}: norm_type is '{norm}'")
        return ()
    try:
        values = tuple(float(part) for part in str(text).replace(",", " ").split())
    except ValueError:
        values = (math.nan,)
    if not values or not all(abs(value) <= _MAX_FLOAT32 for value in values):
        report.problem(
            f"input_parameters.{key}",
            f"'{text}' of {label} is not a list of numbers separated by spaces",
        )
        return ()
    if what == "scale" and any(value == 0.0 for value in values):
        report.problem(f"input_parameters.{key}", f"a scale of 0 for {label} erases the input")
    return values


def _data_type(
    given: str | None, train: InputType, directory: Path | None, label: str, report: _Report
) -> DType:
    if directory is None:
        return DType.FLOAT32
    by_suffix = DType.FLOAT32 if directory.name.endswith("_f32") else DType.UINT8
    if train is InputType.FEATUREMAP:
        by_suffix = DType.FLOAT32
    if given is None:
        report.notes.append(
            f"cal_data_type of {label} is not set: {by_suffix.value} is taken "
            + ("(featuremap)" if train is InputType.FEATUREMAP else "from the folder's suffix")
        )
        return by_suffix
    if train is InputType.FEATUREMAP and given != "float32":
        report.problem(
            "calibration_parameters.cal_data_type",
            f"'{given}' is not possible for featuremap {label}; its samples are float32",
        )
    if DType(given) is not by_suffix and directory.name.endswith("_f32"):
        report.notes.append(
            f"cal_data_type of {label} is {given}, its folder's suffix says "
            f"{by_suffix.value}: the key counts"
        )
    return DType(given)


def _sources(value: object, names: list[str], count: int, report: _Report) -> dict[str, str]:
    key = "compiler_parameters.input_source"
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value if value.lstrip().startswith("{") else f"{{{value}}}")
        except yaml.YAMLError:
            value = [value]
    if value is None:
        return {}
    allowed = {"ddr", "pyramid", "resizer"}
    if not isinstance(value, dict) or not all(str(item) in allowed for item in value.values()):
        report.problem(
            key, 'must be a mapping from input names to ddr or pyramid, such as {"data": "ddr"}'
        )
        return {}
    sources = {str(name): str(source) for name, source in value.items()}
    if "resizer" in sources.values():
        report.problem(key, "input from the resizer is not available yet; use 'ddr' or 'pyramid'")
    for name in sources:
        if name != "_default_value" and names and name not in names:
            report.problem(key, f"'{name}' is no input; input_name lists {', '.join(names)}")
    if not names and count == 1 and len(sources) == 1:
        return {"": next(iter(sources.values()))}
    return sources


def _source(name: str, rt: InputType, sources: dict[str, str], report: _Report) -> InputSource:
    by_type = InputSource.PYRAMID if rt in _PYRAMID_TYPES else InputSource.DDR
    text = sources.get(name, sources.get("_default_value"))
    if text is None:
        return by_type
    source = InputSource(text)
    if source is InputSource.PYRAMID and rt not in _PYRAMID_TYPES:
        report.problem(
            "compiler_parameters.input_source",
            f"the pyramid delivers nv12 or gray, not '{rt.value}'; use ddr",
        )
    return source
