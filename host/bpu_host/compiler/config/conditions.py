"""What the keys of a configuration mean together: lists per input, types, norms, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpu_host.compiler.config import writing
from bpu_host.compiler.config.form import Groups
from bpu_host.compiler.config.nearest import nearest
from bpu_host.compiler.config.report import Report
from bpu_host.compiler.config.schema import (
    CalibrationParameters,
    CompilerParameters,
    InputParameters,
)
from bpu_host.compiler.config.sources import DEFAULT_SOURCE

TRAIN_TO_RT: dict[str, tuple[str, ...]] = {
    "yuv444": ("nv12", "yuv444"),
    "rgb": ("nv12", "yuv444", "rgb", "bgr"),
    "bgr": ("nv12", "yuv444", "rgb", "bgr"),
    "gray": ("gray",),
    "featuremap": ("featuremap",),
}
"""Which runtime types a training type can be fed with (the chapter's table)."""

FLOAT_FOLDER_SUFFIX = "_f32"
"""Ending of the name of a folder whose samples are float32 (vendor)."""

_MAX_FLOAT32 = 3.4e38
_MAX_PREFIX_BYTES = 200
_PYRAMID_TYPES = ("nv12", "gray")
_MEANS = ("data_mean_and_scale", "data_mean")
_SCALES = ("data_mean_and_scale", "data_scale")
_RT, _TRAIN = "input_parameters.input_type_rt", "input_parameters.input_type_train"
_SOURCE = "compiler_parameters.input_source"
_STAND_INS = {_RT: "nv12", _TRAIN: "rgb", "input_parameters.norm_type": "no_preprocess"}


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input as the file describes it, in the words of the file.

    Attributes:
        shape: empty if the file leaves it to the model.
        mean, scale: empty, one value for all channels, or one a channel.
        dtype_by_suffix: `cal_data_type` is not given but follows from the folder's name.
    """

    name: str
    shape: tuple[int, ...]
    train_type: str
    train_layout: str
    rt_type: str
    rt_layout: str
    video_range: bool
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    source: str
    cal_data_dir: str
    cal_data_type: str
    dtype_by_suffix: bool


def check(groups: Groups, report: Report) -> tuple[InputRow, ...]:
    """The inputs, one by one; contradictions go into the report.

    The result is empty when it is not clear what belongs to which input.
    """
    _check_prefix(groups.model.output_model_file_prefix, report)
    rows = _inputs(groups, report)
    _note_without_effect(groups, report)
    calibration = groups.calibration
    both = set(calibration.run_on_cpu or ()) & set(calibration.run_on_bpu or ())
    if both:
        report.problem(
            "calibration_parameters.run_on_bpu",
            f"node {', '.join(sorted(both))} stands in run_on_cpu as well",
        )
    return rows


def _check_prefix(prefix: str, report: Report) -> None:
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


def _note_without_effect(groups: Groups, report: Report) -> None:
    """Defaults that the chapter wants written out, and keys that change nothing in the products."""
    model, calibration, compiler = groups.model, groups.calibration, groups.compiler
    method = calibration.calibration_type
    if "calibration_type" not in calibration.model_fields_set:
        report.note(f"calibration_type is not set: '{method}' is taken")
    if calibration.max_percentile != 1.0 and method != "max":
        report.note(
            f"max_percentile has an effect only with calibration_type 'max'; it is '{method}'"
        )
    if calibration.preprocess_on and calibration.cal_data_type:
        report.note("cal_data_type has no effect: preprocess_on reads pictures")
    if compiler.balance_factor is not None and compiler.compile_mode != "balance":
        report.note(
            "balance_factor has an effect only with compile_mode 'balance'; "
            f"it is '{compiler.compile_mode}'"
        )
    if compiler.jobs:
        report.note("jobs has no effect: the compiler works in one process")
    if compiler.advice:
        report.note("advice has no effect: no hints about slow layers are printed")
    if model.debug_mode:
        report.note("debug_mode has no effect: calibration data is not dumped")


def _inputs(groups: Groups, report: Report) -> tuple[InputRow, ...]:
    columns = _columns(groups.inputs, groups.calibration, report)
    count = _count(columns)
    names = groups.inputs.input_name or []
    if count > 1 and not names:
        report.problem(
            "input_parameters.input_name",
            f"must be given because the file describes {count} inputs",
            _RT,
        )
    if len(set(names)) != len(names):
        report.problem("input_parameters.input_name", "names an input twice")
    told = len(report.problems)
    lists = {column.path.split(".")[1]: _per_input(column, count, report) for column in columns}
    if len(report.problems) > told:
        return ()
    sources = _sources(groups.compiler, names, report)
    return tuple(
        _one_input({key: values[i] for key, values in lists.items()}, sources, report)
        for i in range(count)
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """A key with one value per input; `joint` joins those that belong to one input."""

    path: str
    values: list[Any] | None
    default: object
    joint: str = ""
    advice: str = ""


def _columns(
    inputs: InputParameters, calibration: CalibrationParameters, report: Report
) -> tuple[_Column, ...]:
    channels = "numbers of one input are separated by spaces, 'None' stands for an input without"
    found = (
        _Column(_RT, inputs.input_type_rt, None),
        _Column("input_parameters.input_name", inputs.input_name, ""),
        _Column(_TRAIN, inputs.input_type_train, None),
        _Column("input_parameters.input_layout_train", inputs.input_layout_train, None),
        _Column("input_parameters.input_layout_rt", inputs.input_layout_rt, None),
        _Column("input_parameters.input_space_and_range", inputs.input_space_and_range, None),
        _Column(
            "input_parameters.input_shape",
            inputs.input_shape,
            "",
            "x",
            "sizes of one input are joined by x, such as 1x3x224x224",
        ),
        _Column("input_parameters.input_batch", inputs.input_batch, 1),
        _Column("input_parameters.norm_type", inputs.norm_type, None),
        _Column("input_parameters.mean_value", inputs.mean_value, None, " ", channels),
        _Column("input_parameters.scale_value", inputs.scale_value, None, " ", channels),
        _Column("calibration_parameters.cal_data_dir", calibration.cal_data_dir, None),
        _Column("calibration_parameters.cal_data_type", calibration.cal_data_type, None),
    )
    return tuple(
        _Column(each.path, None, _STAND_INS.get(each.path, each.default))
        if each.path in report.broken
        else each
        for each in found
    )


def _count(columns: tuple[_Column, ...]) -> int:
    """Inputs that the file describes: as many as input_type_rt, or what else is readable."""
    return next((len(each.values) for each in columns if each.values and not each.joint), 1)


def _per_input(column: _Column, count: int, report: Report) -> list[Any]:
    values = column.values
    if values is None:
        return [column.default] * count
    if len(values) == count:
        return list(values)
    if count == 1 and column.joint:
        return [column.joint.join(map(str, values))]
    report.problem(
        column.path,
        f"has {len(values)} value(s), input_type_rt has {count}; give one per input, "
        "separated by ';'" + (f" ({column.advice})" if column.advice else ""),
        _RT,
    )
    # Where the number of inputs is unknown this is not told, and the rows are looked at.
    return [_STAND_INS.get(column.path, column.default)] * count


def _one_input(row: dict[str, Any], sources: dict[str, str], report: Report) -> InputRow:
    name, train, rt = row["input_name"], row["input_type_train"], row["input_type_rt"]
    label = f"input '{name}'" if name else "the input"
    if rt not in TRAIN_TO_RT[train]:
        report.problem(
            _RT,
            f"'{rt}' cannot be turned into input_type_train '{train}' of {label}; "
            f"possible: {', '.join(TRAIN_TO_RT[train])}",
            _TRAIN,
        )
    if row["input_layout_train"] is None:
        report.note(f"input_layout_train of {label} is not set: NCHW is assumed")
    train_layout = row["input_layout_train"] or "NCHW"
    video = row["input_space_and_range"] == "bt601_video"
    if video and rt != "nv12":
        report.problem(
            "input_parameters.input_space_and_range",
            f"'bt601_video' is possible only with input_type_rt 'nv12'; {label} has '{rt}'",
            _RT,
        )
    dtype, by_suffix = _sample_type(row["cal_data_type"], row["cal_data_dir"], train, label, report)
    return InputRow(
        name=name,
        shape=_shape(row["input_shape"], label, report),
        train_type=train,
        train_layout=train_layout,
        rt_type=rt,
        rt_layout=_rt_layout(row["input_layout_rt"], rt, train_layout, label, report),
        video_range=video,
        mean=_norm(row, "mean", _MEANS, label, report),
        scale=_norm(row, "scale", _SCALES, label, report),
        source=_source(name, rt, sources, report),
        cal_data_dir=row["cal_data_dir"] or "",
        cal_data_type=dtype,
        dtype_by_suffix=by_suffix,
    )


def _rt_layout(given: str | None, rt: str, train_layout: str, label: str, report: Report) -> str:
    key = "input_parameters.input_layout_rt"
    if rt == "nv12":
        if given is not None:
            report.note(f"input_layout_rt of {label} has no effect: nv12 has one layout")
        return "NHWC"
    if rt == "yuv444" and given == "NCHW":
        report.problem(
            key, f"'NCHW' is not possible with input_type_rt 'yuv444' ({label}); use NHWC", _RT
        )
    if given is not None and rt == "featuremap" and given != train_layout:
        report.problem(
            key,
            f"'{given}' differs from input_layout_train '{train_layout}' of featuremap "
            f"{label}, which is not available yet; set both to the same",
            _RT,
            "input_parameters.input_layout_train",
        )
    return given or (train_layout if rt == "featuremap" else "NHWC")


def _shape(text: str, label: str, report: Report) -> tuple[int, ...]:
    found = writing.shape(text) if text else ()
    if text and not found:
        report.problem(
            "input_parameters.input_shape",
            f"'{text}' of {label} is not a shape; write sizes joined by x, such as 1x3x224x224",
        )
    return found


def _norm(
    row: dict[str, Any], what: str, users: tuple[str, ...], label: str, report: Report
) -> tuple[float, ...]:
    key, norm = f"input_parameters.{what}_value", row["norm_type"]
    text = row[f"{what}_value"] or ""
    given = text.strip().lower() not in ("none", "null", "")
    if norm not in users:
        if given and "input_parameters.norm_type" not in report.broken:
            report.note(f"{what}_value of {label} has no effect: norm_type is '{norm}'")
        return ()
    if not given:
        report.problem(key, f"must be set for {label}: norm_type is '{norm}'")
        return ()
    try:
        values = writing.numbers(text)
    except ValueError:
        values = ()
    if not values or not all(abs(value) <= _MAX_FLOAT32 for value in values):
        report.problem(key, f"'{text}' of {label} is not a list of numbers separated by spaces")
        return ()
    if what == "scale" and any(value == 0.0 for value in values):
        report.problem(key, f"a scale of 0 for {label} erases the input")
    return values


def _sample_type(
    given: str | None, directory: str | None, train: str, label: str, report: Report
) -> tuple[str, bool]:
    """Element type of raw samples, and whether the folder's name alone says so."""
    if directory is None or train == "featuremap":
        if given not in (None, "float32") and train == "featuremap":
            report.note(
                f"cal_data_type of {label} has no effect: samples of a featuremap have the "
                "element type of the model's input"
            )
        return "float32", False
    floats = directory.rstrip("/").endswith(FLOAT_FOLDER_SUFFIX)
    by_suffix = "float32" if floats else "uint8"
    if given is None:
        return by_suffix, True
    if floats and given != by_suffix:
        report.note(
            f"cal_data_type of {label} is {given}, its folder's suffix says {by_suffix}: "
            "the key counts"
        )
    return given, False


def _sources(compiler: CompilerParameters, names: list[str], report: Report) -> dict[str, str]:
    """Input name -> source; the one input of a file that does not name it is called ''."""
    sources: dict[str, str] = {**(compiler.input_source or {})}
    for name in sources:
        if name != DEFAULT_SOURCE and names and name not in names:
            report.problem(
                _SOURCE,
                f"'{name}' is no input; input_name lists {', '.join(names)}{nearest(name, names)}",
                "input_parameters.input_name",
            )
    named = [name for name in sources if name != DEFAULT_SOURCE]
    if not names and len(named) == 1:  # whether it is the model's input, `resolve` finds out
        sources[""] = sources[named[0]]
    return sources


def _source(name: str, rt: str, sources: dict[str, str], report: Report) -> str:
    source = sources.get(name, sources.get(DEFAULT_SOURCE))
    if source is None:
        return "pyramid" if rt in _PYRAMID_TYPES else "ddr"
    if source == "pyramid" and rt not in _PYRAMID_TYPES:
        report.problem(_SOURCE, f"the pyramid delivers nv12 or gray, not '{rt}'; use ddr", _RT)
    return source
