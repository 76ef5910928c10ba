"""The conversion parameters a `.bin` carries: no times, no absolute paths."""

from __future__ import annotations

from bpu_common import __version__
from bpu_host.compiler.calibrate import Calibration
from bpu_host.compiler.config.values import CompileConfig, InputConfig


def parameters(config: CompileConfig, calibration: Calibration, digest: str) -> dict[str, str]:
    """What `hb_model_info` shows, as text by `group.key`; `digest` is the float model's SHA-256."""
    found = {
        "tool.openbpu_version": __version__,
        "model_parameters.onnx_model": config.model_path.name,
        "model_parameters.onnx_model_sha256": digest,
        "model_parameters.march": config.march,
        "model_parameters.output_model_file_prefix": config.prefix,
        "calibration_parameters.calibration_type": config.calibration_method.value,
        "calibration_parameters.calibration_method": calibration.method,
        "calibration_parameters.samples": str(calibration.samples),
        "calibration_parameters.max_percentile": f"{config.max_percentile:g}",
        "calibration_parameters.preprocess_on": str(config.preprocess_on),
        "compiler_parameters.compile_mode": config.compile_mode,
        "compiler_parameters.debug": str(config.debug),
        "compiler_parameters.optimize_level": config.optimize_level,
        "compiler_parameters.max_time_per_fc": str(config.max_time_per_fc_us),
    }
    for index, item in enumerate(config.inputs):
        for key, text in _input(item).items():
            found[f"input_parameters.{index}.{key}"] = text
    return found


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
        "cal_data_dir": item.cal_data_dir.name if item.cal_data_dir else "None",
        "cal_data_type": item.cal_data_type.value,
    }


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.9g}" for value in values) or "None"
