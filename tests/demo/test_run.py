"""`make demo` with a model and photos of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

ROOT = Path(__file__).parents[2]
SIZE = 16


def demo(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The demonstration, in `folder`."""
    return subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py"), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dynamic NHWC model, as TensorFlow exports it, and two photos."""
    root = tmp_path_factory.mktemp("demo")
    random = np.random.default_rng(1)
    weights = random.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["x"], ["nchw"], name="layout", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="mean"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), root / "net.onnx")
    for name in ("first", "second"):
        pixels = random.integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    return root


def test_a_model_is_converted_once(folder: Path) -> None:
    given = ("--model", "net.onnx", "--size", f"{SIZE}x{SIZE}", "--mean", "120 115 100")
    first = demo(folder, *given, "--image", "first.png")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "makertbin" in first.stdout
    assert "calibrate" in first.stdout
    assert "face detector" not in first.stdout
    second = demo(folder, *given, "--image", "second.png")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "makertbin" not in second.stdout
    assert "converted before" in second.stdout
    assert "Infer second.png" in second.stdout
    warned = [
        [line for line in run.stdout.splitlines() if " WARNING " in line] for run in (first, second)
    ]
    assert any("different samples" in line for line in warned[0])
    assert warned[0][-len(warned[1]) :] == warned[1] != []
    near = [line for line in second.stdout.splitlines() if "cosine to float" in line]
    assert float(near[0].split("cosine to float ")[1].split(",")[0]) > 0.99


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--image", "broken.jpg", "--model", "net.onnx"), "picture"),
        (("--image", "none.jpg", "--model", "net.onnx"), "none.jpg"),
        (("--model", "net.onnx"), "SIZE="),
        (("--model", "broken.jpg"), "not an ONNX model"),
        (("--model", "none.onnx"), "is not a file"),
        (("--model", "net.onnx", "--size", "16x"), "HEIGHTxWIDTH"),
    ],
)
def test_what_is_wrong_is_said_first(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = demo(folder, *arguments, "--output", "other")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "hb_mapper" not in done.stdout
    assert "Traceback" not in done.stderr
