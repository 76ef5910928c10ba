"""What one seed stands for: a float network, its conversion, its samples and its frames."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bpu_common.model import BpuModel
from bpu_common.tensor import AnyArray, DType, InputType, Layout
from bpu_host.compiler.config.values import (
    AllCodes,
    CalibrationMethod,
    CompileConfig,
    InputConfig,
    WeightRounding,
)

LEVELS = ("O0", "O1", "O2", "O3")
_METHODS = (CalibrationMethod.MAX,) * 6 + (CalibrationMethod.KL,) * 3 + (CalibrationMethod.DEFAULT,)

Frames = list[dict[str, AnyArray]]
Samples = dict[str, list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Case:
    """A conversion and what is fed to its result.

    Attributes:
        kind: family of the network, for the counts.
        options: keyword arguments of `CompileConfig`.
        samples: calibration arrays by input, in the float model's shape.
        frames: given frames by input; empty: random ones are drawn for the compiled model.
    """

    seed: int
    kind: str
    model: onnx.ModelProto
    inputs: tuple[InputConfig, ...]
    samples: Samples
    options: Mapping[str, Any]
    frames: Frames = field(default_factory=list)

    def write(self, folder: Path) -> CompileConfig:
        """The model and the samples as files, and the configuration that names them."""
        onnx.save(self.model, folder / "net.onnx")
        inputs = []
        for each in self.inputs:
            samples = folder / "samples" / each.name
            samples.mkdir(parents=True)
            for index, array in enumerate(self.samples[each.name]):
                array.astype(each.cal_data_type.numpy).tofile(samples / f"{index}.bin")
            inputs.append(replace(each, cal_data_dir=samples))
        return CompileConfig(
            folder / "net.onnx", "net", folder / "out", tuple(inputs), **self.options
        )

    def frames_of(self, model: BpuModel) -> Frames:
        """The frames in the caller's form: noise, and one of extremes."""
        if self.frames:
            return self.frames
        values = np.random.default_rng([self.seed, 1])
        frames: Frames = []
        for extreme in (False, True):
            frame: dict[str, AnyArray] = {}
            for each in model.inputs:
                if each.input_type.is_image:
                    frame[each.tensor.name] = _picture(values, each.caller_shape, extreme)
                else:
                    wide = values.standard_normal(each.caller_shape)
                    frame[each.tensor.name] = (wide * (4 if extreme else 1)).astype(np.float32)
            frames.append(frame)
        return frames


def _picture(values: np.random.Generator, shape: tuple[int, ...], extreme: bool) -> AnyArray:
    """Noise; or all 0, all 255, all odd, black and white."""
    noise = values.integers(0, 256, shape)
    if extreme:
        kind = values.integers(4)
        noise = [noise * 0, noise * 0 + 255, noise | 1, (noise > 127) * 255][kind]
    return noise.astype(np.uint8)


def options(choose: random.Random) -> dict[str, Any]:
    """How a network is converted."""
    method = choose.choice(_METHODS)
    return {
        "machine": choose.choice(["x3m", "x3m", "x3m", "j3", "x3e"]),
        "calibration_method": method,
        "max_percentile": choose.choice([1.0, 1.0, 0.9999, 0.99])
        if method is CalibrationMethod.MAX
        else 1.0,
        "weight_rounding": choose.choice([WeightRounding.TOGETHER] * 3 + [WeightRounding.NEAREST]),
        "all_codes": choose.choice([AllCodes.AUTO, AllCodes.ON, AllCodes.ON, AllCodes.OFF]),
        "compile_mode": choose.choice(["latency", "latency", "bandwidth"]),
        "optimize_level": choose.choice(LEVELS),
        "max_time_per_fc_us": choose.choice([0, 0, 1000, 1500, 4000]),
        "debug": choose.random() < 0.2,
    }


def image(choose: random.Random, name: str, size_hw: tuple[int, int]) -> InputConfig:
    """A picture that the board is fed with in one of its types."""
    runtime = choose.choice(
        [InputType.NV12, InputType.NV12, InputType.RGB, InputType.BGR, InputType.YUV444,
         InputType.GRAY]
    )  # fmt: skip
    gray = runtime is InputType.GRAY
    trained = InputType.GRAY if gray else choose.choice([InputType.RGB, InputType.BGR])
    layout = choose.choice([Layout.NCHW] * 4 + [Layout.NHWC])
    channels = 1 if gray else 3
    shape = (1, channels, *size_hw) if layout is Layout.NCHW else (1, *size_hw, channels)
    per_channel = choose.choice([1, channels])
    return InputConfig(
        name,
        shape,
        trained,
        layout,
        runtime,
        Layout.NHWC if runtime is InputType.NV12 else choose.choice([Layout.NCHW, Layout.NHWC]),
        mean=tuple(choose.uniform(100, 130) for _ in range(per_channel)),
        scale=tuple(choose.uniform(0.01, 0.03) for _ in range(per_channel)),
        cal_data_type=DType.UINT8,
    )


def featuremap(name: str, shape: tuple[int, ...], layout: Layout = Layout.NCHW) -> InputConfig:
    """An input of float values."""
    return InputConfig(name, shape, InputType.FEATUREMAP, layout, InputType.FEATUREMAP, layout)


def random_samples(seed: int, inputs: tuple[InputConfig, ...]) -> Samples:
    """One to three samples of noise for each input."""
    values = np.random.default_rng([seed, 2])
    count = int(values.integers(1, 4))
    made: Samples = {}
    for each in inputs:
        if each.rt_type.is_image:
            made[each.name] = [values.integers(0, 256, each.shape) for _ in range(count)]
        else:
            made[each.name] = [values.standard_normal(each.shape) for _ in range(count)]
    return made
