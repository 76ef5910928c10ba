"""What a conversion was made of: settings in effect, digests, versions; no times, no paths."""

from __future__ import annotations

import os
import platform

import numpy as np
import onnx
import onnxruntime

from bpu_common import __version__
from bpu_common.provenance import Provenance
from bpu_host.compiler.calibrate import Calibration
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from bpu_host.compiler.frontend import FloatModel


def provenance(config: CompileConfig, source: FloatModel, calibration: Calibration) -> Provenance:
    """The provenance of a model that is compiled with a resolved configuration."""
    return Provenance(
        source_sha256=source.digest,
        source_files={_text(name): digest for name, digest in source.files.items()},
        samples_sha256=calibration.samples_sha256,
        configuration=effective(config, calibration),
        versions={
            "openbpu": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    )


def effective(config: CompileConfig, calibration: Calibration) -> dict[str, str]:
    """Every setting that has a say in the compiled model, as text by `group.key` of the YAML."""
    found = {
        **_model_files(config),
        "model_parameters.march": config.march,
        "model_parameters.output_model_file_prefix": config.prefix,
        "model_parameters.output_nodes": _names(config.output_nodes),
        "calibration_parameters.calibration_type": config.calibration_method.value,
        "calibration_parameters.calibration_method": calibration.method,
        "calibration_parameters.samples": str(calibration.samples),
        "calibration_parameters.max_percentile": repr(float(config.max_percentile)),
        "calibration_parameters.weight_rounding": config.weight_rounding.value,
        "calibration_parameters.all_codes": config.all_codes.value,
        "calibration_parameters.all_codes_chosen": "on" if calibration.all_codes else "off",
        "calibration_parameters.preprocess_on": str(config.preprocess_on),
        "calibration_parameters.run_on_cpu": _names(config.run_on_cpu),
        "calibration_parameters.run_on_bpu": _names(config.run_on_bpu),
        "compiler_parameters.machine": config.machine,
        "compiler_parameters.compile_mode": config.compile_mode,
        "compiler_parameters.debug": str(config.debug),
        "compiler_parameters.optimize_level": config.optimize_level,
        "compiler_parameters.max_time_per_fc": str(config.max_time_per_fc_us),
    }
    for index, item in enumerate(config.inputs):
        for key, text in _input(item).items():
            found[f"input_parameters.{index}.{key}"] = text
    return found


def _model_files(config: CompileConfig) -> dict[str, str]:
    if config.prototxt is None:
        return {"model_parameters.onnx_model": _text(config.model_path.name)}
    return {
        "model_parameters.prototxt": _text(config.prototxt.name),
        "model_parameters.caffe_model": _text(config.model_path.name),
    }


def _input(item: InputConfig) -> dict[str, str]:
    return {
        "input_name": item.name,
        "input_shape": "x".join(str(size) for size in item.shape),
        "input_type_train": item.train_type.value,
        "input_layout_train": item.train_layout.value,
        "input_type_rt": item.rt_type.value,
        "input_layout_rt": item.rt_layout.value,
        "input_space_and_range": "bt601_video" if item.video_range else "regular",
        "input_source": item.source.value,
        "mean_value": _numbers(item.mean),
        "scale_value": _numbers(item.scale),
        "cal_data_dir": _text(item.cal_data_dir.name) if item.cal_data_dir else "None",
        "cal_data_type": item.cal_data_type.value,
        "element_type": item.dtype.value,
    }


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(value)) for value in values) or "None"


def _names(values: tuple[str, ...]) -> str:
    return ";".join(values) or "None"


def _text(name: str) -> str:
    """A file name as text: names on Linux are bytes, and need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
