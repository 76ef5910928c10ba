"""The networks of `benchmarks.networks` through the real compiler, for benchmarks of time."""

from __future__ import annotations

from pathlib import Path

import onnx

from bpu_common.model import BpuModel
from bpu_common.tensor import InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config.values import CalibrationMethod, CompileConfig, InputConfig

IMAGE = InputConfig(
    "",
    (),
    InputType.BGR,
    Layout.NCHW,
    InputType.NV12,
    Layout.NHWC,
    mean=(103.94, 116.78, 123.68),
    scale=(0.017,),
)
"""The one input of a classifier: an nv12 picture."""


def compiled(model: onnx.ModelProto, folder: Path, limit_us: int = 0) -> BpuModel:
    """Compiled for nv12 input, calibrated on noise (latency does not depend on values)."""
    name = model.graph.name
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    config = CompileConfig(
        path,
        name,
        folder / f"{name}_{limit_us}",
        (IMAGE,),
        calibration_method=CalibrationMethod.MAX,
        max_time_per_fc_us=limit_us,
    )
    return compile_model(config).model
