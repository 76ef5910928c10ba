"""Calibration samples: the first bytes choose kind of input and name, the rest is the file."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bpu_common.tensor import DType, InputType, Layout
from bpu_host.compiler.calibrate import open_samples, settle_sample_types
from bpu_host.compiler.config.values import CompileConfig, InputConfig
from tests.fuzz_targets.target import Harm, Target
from tests.hostile.changes import change_bytes
from tests.hostile.picture_files import ENDLESS

_NAMES = ("sample.bin", "sample.npy", "sample.png", "sample")
_KINDS = (
    (InputType.RGB, InputType.NV12, DType.UINT8, False),
    (InputType.BGR, InputType.RGB, DType.FLOAT32, False),
    (InputType.GRAY, InputType.GRAY, DType.FLOAT32, False),
    (InputType.RGB, InputType.YUV444, DType.UINT8, True),
    (InputType.FEATUREMAP, InputType.FEATUREMAP, DType.FLOAT32, False),
)
_HW = (4, 6)


@cache
def seeds() -> Sequence[bytes]:
    """A right file of each kind, a program, and values that are no numbers."""
    random_values = np.random.default_rng(0)
    made = []
    for index, (train, _, dtype, _) in enumerate(_KINDS):
        channels = 1 if train is InputType.GRAY else 3
        values = random_values.integers(0, 256, (1, channels, *_HW)).astype(dtype.numpy)
        packed = io.BytesIO()
        np.save(packed, values)
        made.append(bytes([index, 0]) + values.tobytes())
        made.append(bytes([index, 1]) + packed.getvalue())
    packed = io.BytesIO()
    np.save(packed, np.full((1, 3, *_HW), np.nan, np.float32))
    return [*made, bytes([3, 2]) + ENDLESS, bytes([4, 1]) + packed.getvalue()]


def change(source: random.Random, data: bytes) -> bytes:
    """Another file, at times of another kind."""
    head = bytes(source.randrange(256) for _ in range(2)) if source.random() < 0.1 else data[:2]
    return head + change_bytes(source, data[2:])


def run(data: bytes, folder: Path) -> None:
    """Read one sample."""
    kind, name = (*data[:2], 0, 0)[:2]
    train, rt, dtype, pictures = _KINDS[kind % len(_KINDS)]
    given = folder / "samples"
    given.mkdir(exist_ok=True)
    for old in given.iterdir():
        old.unlink()
    (given / _NAMES[name % len(_NAMES)]).write_bytes(data[2:])
    channels = 1 if train is InputType.GRAY else 3
    item = InputConfig(
        "data", (1, channels, *_HW), train, Layout.NCHW, rt, Layout.NHWC,
        cal_data_dir=given, cal_data_type=dtype, dtype_by_suffix=bool(kind & 128),
    )  # fmt: skip
    config = CompileConfig(Path("m.onnx"), "m", folder, (item,), preprocess_on=pictures)
    config, _ = settle_sample_types(config)
    for sample in open_samples(config, tuple(each.model_input() for each in config.inputs)):
        if not np.isfinite(sample["data"]).all():
            raise Harm("samples.py:read: values that are not finite")


TARGET = Target("samples", seeds, run, change)
