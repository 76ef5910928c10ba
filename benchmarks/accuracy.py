"""Agreement, top-1 and SQNR of two ImageNet classifiers on 400 photos, beside onnxruntime's int8.

Every contender takes the same RGB tensor and calibration photos (every fifth; the other four
fifths are the test). Float is the original ONNX on short side 256 bilinear, centre crop 224. The
peer is onnxruntime's static quantization (int8 weights per channel, uint8 activations), the best of
MinMax, Percentile and Entropy by SQNR. nv12, which loses chroma, is reported apart. On the first
photos quantized ONNX, engine and instructions are compared bit for bit.
"""

from __future__ import annotations

import contextlib
import csv
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from bpu_board.device import Inputs
from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container, image
from bpu_common.frame import FrameInput
from bpu_common.model import BpuModel
from bpu_host.cli import caldata

DATA = Path(os.environ.get("BENCH_DATA", "../shared")).resolve()
PHOTOS = DATA / "data" / "imagenet_even"
EXACT_PHOTOS = 10
BEHIND_PEER_DB = 0.5
Pixels = NDArray[np.uint8]
Logits = NDArray[np.float64]
CONFIG = """
model_parameters:
  onnx_model: '{model}'
  output_model_file_prefix: 'net'
  working_dir: '{folder}/{rt}'
input_parameters:
  input_type_train: '{pixels}'
  input_layout_train: 'NCHW'
  input_shape: '1x3x224x224'
  input_type_rt: '{rt}'
  input_layout_rt: 'NHWC'
  norm_type: 'data_mean_and_scale'
  mean_value: '{mean}'
  scale_value: '{scale}'
calibration_parameters:
  cal_data_dir: '{folder}/cal'
  cal_data_type: 'uint8'
  calibration_type: '{method}'
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O3'
"""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network under test, and what is asked of it.

    Attributes:
        most_lost: photos that it may classify rightly less often than float.
        least_agreement: percent.
    """

    name: str
    file: str
    pixels: str
    mean: tuple[float, ...]
    scale: float
    most_lost: int
    least_agreement: float

    def path(self) -> Path:
        return DATA / "models" / self.file

    def tensor(self, rgb: Pixels) -> NDArray[np.float32]:
        """The float model's input, (1, 3, 224, 224)."""
        trained = rgb if self.pixels == "rgb" else rgb[:, :, ::-1]
        real = (trained.astype(np.float32) - np.array(self.mean, np.float32)) * self.scale
        return np.ascontiguousarray(real.transpose(2, 0, 1)[None], np.float32)


CLASSIFIERS = (
    Classifier(
        "EfficientNet-Lite0", "efficientnet-lite0_224.onnx", "rgb", (127.0,), 1 / 128, 1, 98.5
    ),
    Classifier(
        "SqueezeNet 1.1", "squeezenet1.1_224.onnx", "bgr", (104.0, 117.0, 123.0), 1.0, 4, 0.0
    ),
)


def labels() -> dict[str, int]:
    with (PHOTOS / "labels.csv").open() as lines:
        return {row["file"]: int(row["class_index"]) for row in csv.DictReader(lines)}


def pixels(path: Path) -> Pixels:
    """RGB (224, 224, 3): short side to 256, bilinear, centre crop."""
    return caldata.crop(path, caldata.Recipe((224, 224), short_side=256))


def convert(net: Classifier, folder: Path, rt: str, method: str) -> BpuModel:
    """Compile with the public command."""
    config = folder / f"{rt}.yaml"
    mean = " ".join(str(value) for value in net.mean)
    text = CONFIG.format(
        model=net.path(),
        folder=folder,
        pixels=net.pixels,
        rt=rt,
        method=method,
        mean=mean,
        scale=net.scale,
    )
    config.write_text(text)
    command = [Path(sys.executable).parent / "hb_mapper", "makertbin"]
    command += ["--model-type", "onnx", "-c", config]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return container.load(folder / rt / "net.bin")[0]


class BinRunner:
    """The `.bin` on a picture, by the engine of the board."""

    def __init__(self, model: BpuModel, rt: str) -> None:
        self.numbers = ModelNumbers(model, threads=2)
        self.input, self.rt = model.inputs[0], rt

    def feed(self, rgb: Pixels) -> Inputs:
        made = image.rgb_to_nv12(rgb) if self.rt == "nv12" else self._picture(rgb)
        return {self.input.tensor.name: FrameInput(made)}

    def _picture(self, rgb: Pixels) -> Pixels:
        return np.ascontiguousarray((rgb if self.rt == "rgb" else rgb[:, :, ::-1])[None])

    def __call__(self, rgb: Pixels) -> Logits:
        outputs = self.numbers.outputs(self.feed(rgb))
        return np.asarray(next(iter(outputs.values())), np.float64).ravel()


class OnnxRunner:
    """A float or quantized ONNX model in onnxruntime on the float model's input."""

    def __init__(self, net: Classifier, path: Path) -> None:
        self.net, self.session = net, onnxruntime.InferenceSession(path)
        self.name = self.session.get_inputs()[0].name

    def __call__(self, rgb: Pixels) -> Logits:
        made = self.session.run(None, {self.name: self.net.tensor(rgb)})[0]
        return np.asarray(made, np.float64).ravel()


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The calibration photos for onnxruntime."""

    def __init__(self, net: Classifier, name: str, photos: Iterable[Path]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.float32]]] = (
            {name: net.tensor(pixels(path))} for path in photos
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def peers(net: Classifier, folder: Path, photos: list[Path]) -> dict[str, OnnxRunner]:
    """onnxruntime's static quantization by each method."""
    found: dict[str, OnnxRunner] = {}
    name = onnxruntime.InferenceSession(net.path()).get_inputs()[0].name
    for method in ("MinMax", "Percentile", "Entropy"):
        path = folder / f"{method}.onnx"
        with contextlib.redirect_stdout(sys.stderr):  # it tells what it does
            quantize_static(
                net.path(),
                path,
                Reader(net, name, photos),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[method],
            )
        found[f"onnxruntime {method}"] = OnnxRunner(net, path)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """How a contender did.

    Attributes:
        right: photos classified rightly.
        agreement: percent of the photos on which it says what float says.
        sqnr_db: of all outputs together.
    """

    name: str
    right: int
    agreement: float
    sqnr_db: float


def row(name: str, made: Logits, real: Logits, truth: NDArray[np.int64]) -> Row:
    said, meant = made.argmax(axis=1), real.argmax(axis=1)
    noise = float(np.square(made - real).sum())
    sqnr = 10 * math.log10(float(np.square(real).sum()) / noise) if noise else math.inf
    return Row(name, int((said == truth).sum()), 100 * float((said == meant).mean()), sqnr)


def differing(model: BpuModel, runner: BinRunner, quantized: Path, photos: list[Path]) -> int:
    """Number of photos on which instructions, engine and quantized ONNX differ in any bit."""
    session = onnxruntime.InferenceSession(quantized)
    found = 0
    for path in photos:
        feed = runner.feed(pixels(path))
        runner.numbers.inspect(feed, exact=True)  # raises where they differ
        codes = image.network_input(next(iter(feed.values())).array, model.inputs[0])
        made = session.run(None, {session.get_inputs()[0].name: codes})[0]
        found += not np.array_equal(np.asarray(made, np.float64).ravel(), runner(pixels(path)))
    return found


def measure(net: Classifier, method: str) -> bool:
    """Print the section of a network; whether its marks are met."""
    truth, photos = labels(), sorted(PHOTOS.glob("*.jpg"))
    tested = [path for index, path in enumerate(photos) if index % 5]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "cal").mkdir()
        for path in photos[::5]:
            trained = pixels(path) if net.pixels == "rgb" else pixels(path)[:, :, ::-1]
            trained.transpose(2, 0, 1).tofile(folder / "cal" / f"{path.stem}.raw")
        models = {rt: convert(net, folder, rt, method) for rt in (net.pixels, "nv12")}
        bins = {rt: BinRunner(model, rt) for rt, model in models.items()}
        runners: dict[str, Callable[[Pixels], Logits]] = {"float": OnnxRunner(net, net.path())}
        runners |= {f".bin, {rt}": runner for rt, runner in bins.items()}
        runners |= peers(net, folder, photos[::5])
        made: dict[str, list[Logits]] = {name: [] for name in runners}
        for path in tested:
            rgb = pixels(path)
            for name, runner in runners.items():
                made[name].append(runner(rgb))
        quantized = folder / net.pixels / "net_quantized_model.onnx"
        unequal = differing(models[net.pixels], bins[net.pixels], quantized, tested[:EXACT_PHOTOS])
    real = np.array(made["float"])
    classes = np.array([truth[path.name] for path in tested])
    rows = {name: row(name, np.array(found), real, classes) for name, found in made.items()}
    return report(net, method, rows, len(tested), unequal)


def report(net: Classifier, method: str, rows: dict[str, Row], count: int, unequal: int) -> bool:
    """Print a network's table; whether its marks are met."""
    print(f"## Accuracy: {net.name}, calibration {method}, {count} photos\n")
    print("| | top-1 | photos lost | agreement | SQNR dB |\n|---|--:|--:|--:|--:|")
    right = rows["float"].right
    for each in rows.values():
        lost = f"{right - each.right:+d}"
        print(
            f"| {each.name} | {100 * each.right / count:.2f} % | {lost} | {each.agreement:.2f} % "
            f"| {each.sqnr_db:.2f} |"
        )
    ours = rows[f".bin, {net.pixels}"]
    best = max(each.sqnr_db for name, each in rows.items() if name.startswith("onnxruntime"))
    print(
        f"\nMarks of the `.bin` on {net.pixels}: at most {net.most_lost} photos lost, agreement >= "
        f"{net.least_agreement} %, SQNR >= the best peer's - {BEHIND_PEER_DB} dB. Quantized ONNX, "
        f"engine and instructions differ on {unequal} of {EXACT_PHOTOS} photos.\n"
    )
    met = right - ours.right <= net.most_lost and ours.agreement >= net.least_agreement
    return met and ours.sqnr_db >= best - BEHIND_PEER_DB and not unequal


def main() -> int:
    missing = [net.path() for net in CLASSIFIERS if not net.path().exists()]
    if missing:
        print(f"{missing[0].name} is not at {missing[0]}: set BENCH_DATA to the folder of models/")
        return 2
    method = sys.argv[1] if sys.argv[1:] else "default"
    met = [measure(net, method) for net in CLASSIFIERS]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
