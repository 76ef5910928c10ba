"""The YAML and the calibration samples of a conversion that a Python program asks for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bpu_common.errors import CalibrationError, ConfigError, InputError
from bpu_common.files import write_atomic, writing
from bpu_common.pictures import PICTURE_SUFFIXES, Fit
from bpu_common.tensor import DType, Layout, ModelInput, TensorSpec
from bpu_host.compiler.config import CompileConfig, InputConfig, load_config, resolve
from bpu_host.compiler.config.model_inputs import fit_to_model
from bpu_host.compiler.config.values import GraphInput
from bpu_host.compiler.frontend import FloatModel, read
from openbpu.choices import Choices, Input, Samples
from openbpu.inputs import Frame, frame_inputs


def configure(
    model: Path, calibration: Samples, inputs: Sequence[Input], choices: Choices
) -> tuple[Path, FloatModel]:
    """Write `<output>/<name>.yaml` and the samples it names, `<output>/<name>_calibration`.

    Returns:
        The YAML, and the model that was read for it.

    Raises:
        BpuError: the model cannot be read, a choice is wrong, or a sample does not fit.
    """
    source = read(CompileConfig(model, choices.name, choices.output, ()))
    items = _guessed(inputs, source.inputs)
    with writing(choices.output):
        choices.output.mkdir(parents=True, exist_ok=True)
    file = choices.output / f"{choices.name}.yaml"
    raw = _raw_folder(calibration)
    root = choices.output / f"{choices.name}_calibration"
    folders = [raw] if raw else [root / str(index) for index in range(len(items))]
    write_atomic(file, _yaml(model, items, folders, choices, own=raw is None))
    if raw is None:
        known = fit_to_model(load_config(file), source.dtypes, source.unread)
        config = resolve(known, source.inputs)
        shutil.rmtree(root, ignore_errors=True)
        _write_samples(_frames(calibration), config.inputs, folders, choices.fit)
    return file, source


def _guessed(inputs: Sequence[Input], known: tuple[GraphInput, ...]) -> list[Input]:
    """One `Input` for each of the model's, in its order, without gaps.

    A 4-D input with three channels is taken for a picture, everything else for a featuremap.
    """
    names = [name for name, _ in known]
    given = {(each.name or names[0]): each for each in inputs}
    if unknown := sorted(set(given) - set(names)):
        raise ConfigError(
            f"the model has no input {unknown[0]!r}", hint=f"its inputs are {', '.join(names)}"
        )
    found = []
    for name, declared in known:
        item = given.get(name, Input())
        shape = item.shape or declared
        if shape is None:
            raise ConfigError(
                f"the model gives input {name!r} no shape",
                hint=f"say it: Input({name!r}, shape=(1, 3, 224, 224))",
            )
        layout = item.layout.upper() or _layout(shape)
        kind = item.type or _runtime_type(item, shape, layout)
        train = item.train_type or ("rgb" if kind not in ("featuremap", "gray") else kind)
        static = tuple(size for size in shape if isinstance(size, int) and size > 0)
        found.append(
            replace(
                item,
                name=name,
                type=kind,
                train_type=train,
                layout=layout or Layout.NCHW.value,
                shape=static if len(static) == len(shape) else (),
            )
        )
    return found


def _layout(shape: tuple[int | str | None, ...]) -> str:
    """Where three channels stand; empty: nowhere."""
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        return ""
    return Layout.NCHW.value if shape[1] == 3 else Layout.NHWC.value


def _runtime_type(item: Input, shape: tuple[int | str | None, ...], layout: str) -> str:
    """nv12 where it is possible: it is what cameras give."""
    if item.train_type in ("featuremap", "gray"):
        return item.train_type
    if not layout or (not item.train_type and not _layout(shape)):
        return "featuremap"
    sides = shape[2:4] if layout == Layout.NCHW.value else shape[1:3]
    odd = any(isinstance(side, int) and side % 2 for side in sides)
    return (item.train_type or "rgb") if odd else "nv12"


def _raw_folder(calibration: Samples) -> Path | None:
    """A folder that holds raw samples, not pictures; None for everything else.

    Raises:
        CalibrationError: no such folder.
    """
    if not isinstance(calibration, (str, os.PathLike)):
        return None
    folder = Path(calibration)
    if not folder.is_dir():
        raise CalibrationError(
            "is not a folder", where=str(folder), hint="give a folder of pictures, or the frames"
        )
    return None if _pictures(folder) else folder.absolute()


def _pictures(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in PICTURE_SUFFIXES)


def _frames(calibration: Samples) -> Iterator[Frame]:
    if isinstance(calibration, (str, os.PathLike)):
        yield from _pictures(Path(calibration))
    elif isinstance(calibration, Iterable):
        yield from calibration
    else:
        raise CalibrationError(
            f"calibration samples are given as a {type(calibration).__name__}",
            hint="give a folder of pictures, or a list of frames",
        )


def _write_samples(
    frames: Iterator[Frame], inputs: tuple[InputConfig, ...], folders: list[Path], fit: Fit
) -> None:
    """One raw file for each frame and input, in the training form."""
    targets = tuple(map(_training_form, inputs))
    for folder in folders:
        folder.mkdir(parents=True)
    count = 0
    for frame in frames:
        try:
            arrays = frame_inputs(frame, targets, fit)
        except InputError as error:
            place = error.where or f"sample {count}"
            raise CalibrationError(error.message, where=place, hint=error.hint) from None
        for item, folder in zip(inputs, folders, strict=True):
            with writing(file := folder / f"{count:05d}.bin"):
                file.write_bytes(arrays[item.name].array.tobytes())
        count += 1
    if not count:
        raise CalibrationError(
            "there are no calibration samples", hint="about 100 typical inputs are advised"
        )


def _training_form(item: InputConfig) -> ModelInput:
    """What a sample of this input looks like: training pixels and layout, 0..255."""
    if not item.rt_type.is_image:
        return item.model_input()
    tensor = TensorSpec(item.name, (1, *item.shape_hwc), DType.INT8, Layout.NHWC)
    return ModelInput(tensor, item.train_type, item.train_layout)


def _yaml(
    model: Path, items: list[Input], folders: list[Path], choices: Choices, *, own: bool
) -> str:
    """The configuration; `own`: we write the samples, so that their type is known."""
    norms = [_norm(item) for item in items]
    inputs = {
        "input_name": _joined(item.name for item in items),
        "input_type_train": _joined(item.train_type for item in items),
        "input_layout_train": _joined(item.layout for item in items),
        "input_type_rt": _joined(item.type for item in items),
        "norm_type": _joined(norms),
        "mean_value": _joined(_numbers(item.mean) for item in items),
        "scale_value": _joined(_numbers(item.scale) for item in items),
    }
    if any(item.shape for item in items):
        inputs["input_shape"] = _joined("x".join(map(str, item.shape)) for item in items)
    calibration = {
        "cal_data_dir": _joined(str(folder.absolute()) for folder in folders),
        "calibration_type": choices.method,
    }
    if own:
        kinds = (DType.FLOAT32 if item.type == "featuremap" else DType.UINT8 for item in items)
        calibration["cal_data_type"] = _joined(kind.value for kind in kinds)
    groups = {
        "model_parameters": {
            "onnx_model": str(model.absolute()),
            "output_model_file_prefix": choices.name,
            "working_dir": str(choices.output.absolute()),
        },
        "input_parameters": {key: value for key, value in inputs.items() if value.strip("; ")},
        "calibration_parameters": calibration,
        "compiler_parameters": {
            "machine": choices.machine,
            "optimize_level": choices.optimize_level,
        },
    }
    lines = ["# How `openbpu.convert` made this model; `hb_mapper makertbin -c` does it again."]
    for group, keys in groups.items():
        lines.append(f"{group}:")
        lines += [f"  {key}: {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _norm(item: Input) -> str:
    if item.mean:
        return "data_mean_and_scale" if item.scale else "data_mean"
    return "data_scale" if item.scale else "no_preprocess"


def _joined(values: Iterable[str]) -> str:
    return ";".join(values)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values) or "None"
