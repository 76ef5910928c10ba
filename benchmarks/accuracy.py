"""Top-1 of EfficientNet-Lite0's `.bin` against its float model on 400 photos.

Float = the original ONNX on RGB pixels (short side 256 bilinear, centre crop 224); `.bin` = the
same pixels through RGB -> nv12, run by the board runtime. Calibration uses every fifth photo, the
other four fifths are the test. On the first photos the three
implementations are compared bit for bit.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bpu_board.device import Inputs
from bpu_board.devices.numbers import ModelNumbers
from bpu_common import container, image
from bpu_common.frame import FrameInput
from bpu_common.model import BpuModel
from bpu_host.cli import caldata

DATA = Path(os.environ.get("BENCH_DATA", "../shared")).resolve()
PHOTOS = DATA / "data" / "imagenet_even"
MODEL = DATA / "models" / "efficientnet-lite0_224.onnx"
EXACT_PHOTOS = 20
MAX_DROP_POINTS = 1.0
MIN_AGREEMENT_PERCENT = 96.0
CONFIG = """
model_parameters:
  onnx_model: '{model}'
  output_model_file_prefix: 'effnet'
  working_dir: '{folder}/out'
input_parameters:
  input_type_train: 'rgb'
  input_layout_train: 'NCHW'
  input_shape: '1x3x224x224'
  input_type_rt: 'nv12'
  norm_type: 'data_mean_and_scale'
  mean_value: '127'
  scale_value: '0.0078125'
calibration_parameters:
  cal_data_dir: '{folder}/cal'
  calibration_type: '{method}'
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O3'
"""


def labels() -> dict[str, int]:
    with (PHOTOS / "labels.csv").open() as lines:
        return {row["file"]: int(row["class_index"]) for row in csv.DictReader(lines)}


def pixels(path: Path) -> NDArray[np.uint8]:
    """RGB (224, 224, 3): short side to 256, bilinear, centre crop."""
    return caldata.crop(path, caldata.Recipe((224, 224), short_side=256))


def convert(folder: Path, method: str) -> BpuModel:
    """Compile with the public command; calibration photos are the ones at 0 mod 5."""
    calibration = folder / "cal"
    calibration.mkdir(exist_ok=True)
    for path in sorted(PHOTOS.glob("*.jpg"))[::5]:
        pixels(path).transpose(2, 0, 1).tofile(calibration / f"{path.stem}.rgb")
    config = folder / "effnet.yaml"
    config.write_text(CONFIG.format(model=MODEL, folder=folder, method=method))
    command = [Path(sys.executable).parent / "hb_mapper", "makertbin"]
    command += ["--model-type", "onnx", "-c", config]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return container.load(folder / "out" / "effnet.bin")[0]


class BinRunner:
    """The `.bin` on a nv12 picture, by the engine of the board."""

    def __init__(self, model: BpuModel) -> None:
        self.numbers = ModelNumbers(model, threads=2)
        self.name = model.inputs[0].tensor.name

    def feed(self, nv12: NDArray[np.uint8]) -> Inputs:
        return {self.name: FrameInput(nv12)}

    def __call__(self, nv12: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self.numbers.outputs(self.feed(nv12))
        return np.asarray(next(iter(outputs.values())))


def compare_three_ways(model: BpuModel, folder: Path, photos: list[Path]) -> int:
    """Number of photos on which instructions, engine and quantized ONNX differ in any bit."""
    quantized = onnxruntime.InferenceSession(folder / "out" / "effnet_quantized_model.onnx")
    runner = BinRunner(model)
    source = model.inputs[0]
    differing = 0
    for path in photos:
        nv12 = image.rgb_to_nv12(pixels(path))
        runner.numbers.inspect(runner.feed(nv12), exact=True)  # raises where they differ
        network = image.network_input(nv12, source)
        c = quantized.run(None, {quantized.get_inputs()[0].name: network})[0]
        differing += not np.array_equal(np.asarray(c), runner(nv12))
    return differing


def main() -> int:
    if not MODEL.exists():
        print(f"EfficientNet-Lite0 is not at {MODEL}: set BENCH_DATA to the folder that has it")
        return 2
    truth = labels()
    tested = [p for i, p in enumerate(sorted(PHOTOS.glob("*.jpg"))) if i % 5]
    method = sys.argv[1] if sys.argv[1:] else "default"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = convert(folder, method)
        run_bin = BinRunner(model)
        float_session = onnxruntime.InferenceSession(MODEL)
        name = float_session.get_inputs()[0].name
        right_float = right_bin = agree = 0
        for path in tested:
            rgb = pixels(path)
            x = (rgb.astype(np.float32).transpose(2, 0, 1)[None] - 127) / 128
            by_float = int(np.argmax(np.asarray(float_session.run(None, {name: x})[0])))
            by_bin = int(np.argmax(run_bin(image.rgb_to_nv12(rgb))))
            right_float += by_float == truth[path.name]
            right_bin += by_bin == truth[path.name]
            agree += by_float == by_bin
        differing = compare_three_ways(model, folder, tested[:EXACT_PHOTOS])
    count = len(tested)
    drop = 100 * (right_float - right_bin) / count
    agreement = 100 * agree / count
    print("## Accuracy: EfficientNet-Lite0, nv12, 400 photos\n")
    print("| calibration | float top-1 | .bin top-1 | drop (points) | agreement |")
    print("|---|--:|--:|--:|--:|")
    print(
        f"| {method} | {100 * right_float / count:.2f} % | {100 * right_bin / count:.2f} % "
        f"| {drop:+.2f} | {agreement:.2f} % |"
    )
    print(
        f"\nMarks: drop <= {MAX_DROP_POINTS}, agreement >= {MIN_AGREEMENT_PERCENT} %. "
        f"Quantized ONNX, fast path and machine differ on {differing} of {EXACT_PHOTOS} photos."
    )
    ok = drop <= MAX_DROP_POINTS and agreement >= MIN_AGREEMENT_PERCENT and not differing
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
