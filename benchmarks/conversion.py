"""Cost of calibrating and quantizing EfficientNet-Lite0 with 100 photos, against onnxruntime.

Ours: from the float ONNX file to the bytes of `quantized_model.onnx` (optimize, place, calibrate,
lower, write), samples read and turned into nv12 as the command does. Peer: onnxruntime's
`quantize_static`, MinMax, per channel, symmetric, on the same photos. Floor: the photos once
through the float model. Times are taken in interleaved rounds in one process; peak memory is that
of the whole `hb_mapper makertbin` command, with 100 photos and with 25.

Then the whole command (`benchmarks.makertbin`), against that of another tree if one is given:

    python -m benchmarks.conversion [--against FOLDER] [--only NAME ...] [--rounds N]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import yaml
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from benchmarks import makertbin
from benchmarks.accuracy import DATA, PHOTOS
from bpu_common.tensor import DType, InputType, Layout
from bpu_host.cli import caldata
from bpu_host.compiler import export, passes, rules, units
from bpu_host.compiler.calibrate import calibrate, open_samples
from bpu_host.compiler.config import CompileConfig, InputConfig
from bpu_host.compiler.frontend import prepare, read
from bpu_host.compiler.quantize import lower

MODEL = DATA / "models" / "efficientnet-lite0_224.onnx"
ROUNDS = 3
SHAPE = (1, 3, 224, 224)
MAX_RATIOS = {"OpenBPU, max": 4.0, "OpenBPU, default": 0.8}
MAX_MEMORY_MB = 1000
MAX_GROWTH = 1.10
FEW = 25


class Photos(CalibrationDataReader):
    """The calibration photos for onnxruntime, normalized, one at a time."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._files: Iterator[Path] = iter(sorted(folder.iterdir()))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        path = next(self._files, None)
        if path is None:
            return None
        values = np.fromfile(path, np.uint8).reshape(SHAPE).astype(np.float32)
        return {self._name: (values - 127) / 128}


def floor(folder: Path) -> None:
    session = ort.InferenceSession(MODEL)
    reader = Photos(session.get_inputs()[0].name, folder)
    while (feeds := reader.get_next()) is not None:
        session.run(None, feeds)


def peer(folder: Path, out: Path) -> None:
    name = ort.InferenceSession(MODEL).get_inputs()[0].name
    quantize_static(
        MODEL,
        out,
        Photos(name, folder),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )


def ours(folder: Path, method: str) -> None:
    config = CompileConfig(MODEL, "effnet", folder, ())
    source = read(config)
    item = InputConfig(
        source.inputs[0][0],
        SHAPE,
        InputType.RGB,
        Layout.NCHW,
        InputType.NV12,
        Layout.NHWC,
        mean=(127.0,),
        scale=(1 / 128,),
        cal_data_dir=folder,
        cal_data_type=DType.UINT8,
    )
    config = replace(config, inputs=(item,))
    model = prepare(source.proto, source.file, {}, weights=source.weights)
    inputs = (item.model_input(),)
    passes.original_float(model, config.inputs)
    passes.optimize(model)
    placement = rules.place(units.recognise(model, inputs))
    calibration = calibrate(placement, open_samples(config, inputs), method)
    export.quantized_model(lower(placement, calibration, "effnet").network)


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_memory_mb(folder: Path, samples: Path) -> float:
    """Peak resident memory of `hb_mapper makertbin` with these samples."""
    case = replace(makertbin.CASES[0], method="max")
    config = folder / "effnet.yaml"
    config.write_text(yaml.safe_dump(makertbin.configuration(case, MODEL, samples)))
    return makertbin.run(makertbin.HERE, config).peak_mb


def write_samples(folder: Path) -> tuple[Path, Path]:
    """Folders with 100 photos and with some of them."""
    many, few = folder / "cal", folder / "few"
    for target in (many, few):
        target.mkdir()
    recipe = caldata.Recipe((224, 224), short_side=256)
    for index, path in enumerate(sorted(PHOTOS.glob("*.jpg"))[::5]):
        data = caldata.crop(path, recipe).transpose(2, 0, 1).tobytes()
        (many / f"{path.stem}.rgb").write_bytes(data)
        if index < FEW:
            (few / f"{path.stem}.rgb").write_bytes(data)
    return many, few


def calibrating() -> bool:
    """Print the section about calibrating and quantizing; whether its marks are met."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        many, few = write_samples(folder)
        memory, memory_few = (peak_memory_mb(folder, samples) for samples in (many, few))
        jobs: dict[str, Callable[[], None]] = {
            "floor: photos once through the float model": lambda: floor(many),
            "onnxruntime quantize_static, MinMax": lambda: peer(many, folder / "peer.onnx"),
            "OpenBPU, max": lambda: ours(many, "max"),
            "OpenBPU, kl": lambda: ours(many, "kl"),
            "OpenBPU, default": lambda: ours(many, "default"),
        }
        seconds = [{name: timed(work) for name, work in jobs.items()} for _ in range(ROUNDS)]
    base = "onnxruntime quantize_static, MinMax"
    ratios = {n: statistics.median(r[n] / r[base] for r in seconds) for n in jobs}
    print("## Conversion: EfficientNet-Lite0, calibrate and quantize with 100 photos\n")
    print("| | seconds (median) | ratio to quantize_static |")
    print("|---|--:|--:|")
    for name in jobs:
        print(
            f"| {name} | {statistics.median(r[name] for r in seconds):.2f} | {ratios[name]:.2f} |"
        )
    marks = ", ".join(f"{name} <= {most:g}x" for name, most in MAX_RATIOS.items())
    print(
        f"\nPeak memory of `hb_mapper makertbin`: {memory:.0f} MB with 100 photos, "
        f"{memory_few:.0f} MB with {FEW}. Marks: {marks}, memory <= "
        f"{MAX_MEMORY_MB} MB and flat (within {100 * (MAX_GROWTH - 1):.0f} %).\n"
    )
    flat = memory <= memory_few * MAX_GROWTH
    quick = all(ratios[name] <= most for name, most in MAX_RATIOS.items())
    return quick and memory <= MAX_MEMORY_MB and flat


def main() -> int:
    parser = argparse.ArgumentParser(description="Cost of conversions.")
    parser.add_argument("--against", type=Path, help="another tree with a .venv; they take turns")
    parser.add_argument("--only", nargs="*", default=(), help="networks of the whole command alone")
    parser.add_argument("--rounds", type=int, default=makertbin.ROUNDS)
    given = parser.parse_args()
    if not MODEL.exists():
        print(f"EfficientNet-Lite0 is not at {MODEL}: set BENCH_DATA to the folder that has it")
        return 2
    logging.disable(logging.WARNING)
    quick = bool(given.only) or calibrating()
    with tempfile.TemporaryDirectory() as scratch:
        whole = makertbin.report(Path(scratch), given.against, given.only, given.rounds)
    return 0 if quick and whole else 1


if __name__ == "__main__":
    sys.exit(main())
